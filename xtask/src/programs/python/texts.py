# Texts: splits, patterns and a dictionary.
import re
from collections import Counter

text = " ".join(f"item{n % 977} costs {n}.{n % 100:02} euro," for n in range(40_000))
prices = [float(price) for price in re.findall(r"costs (\d+\.\d\d) euro", text)]
names = Counter(word.strip(",").upper() for word in text.split() if word.startswith("item"))
print("done", len(prices), names.most_common(1)[0][1], len(text.replace("euro", "crown")) > len(text))
