module haggle.example/groupby

go 1.23
