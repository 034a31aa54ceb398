# Records: JSON there and back, sorted and grouped.
import json

rows = [{"id": n, "name": f"name {n % 100}", "tags": [n % 7, n % 11], "more": {"half": n / 2}} for n in range(15_000)]
for _ in range(3):
    rows = json.loads(json.dumps(rows))
rows.sort(key=lambda row: (row["name"], -row["id"]))
groups = {}
for row in rows:
    groups.setdefault(row["tags"][0], []).append(row["more"]["half"])
print("done", len(groups), rows[0]["id"])
