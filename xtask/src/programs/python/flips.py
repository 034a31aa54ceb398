# Whole numbers and lists: the most flips that sort a permutation of eight (fannkuch).
from itertools import permutations

most = 0
for order in permutations(range(8)):
    row, flips = list(order), 0
    while row[0]:
        row[: row[0] + 1] = row[row[0] :: -1]
        flips += 1
    most = max(most, flips)
print("done", most)
