"""Counts words: each file is counted in a sandbox of its own, and so is each part of the words.

    python mapreduce.py FILE...
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from haggle_cluster import Cluster, Executor

PARTS = 4


def count(text: str) -> list[Counter[str]]:
    """Map: the words of a text, in parts by their first letter."""
    parts: list[Counter[str]] = [Counter() for _ in range(PARTS)]
    for word in text.lower().split():
        word = word.strip(".,;:!?\"'()")
        if word:
            parts[ord(word[0]) % PARTS][word] += 1
    return parts


def add(counts: list[Counter[str]]) -> Counter[str]:
    """Reduce: one part of the words of all texts."""
    return sum(counts, Counter())


def main(files: list[str]) -> None:
    texts = [Path(file).read_text(errors="replace") for file in files]
    with Cluster() as cluster, Executor(cluster, cpus=0.5, mem="128MiB", timeout=60) as executor:
        mapped = list(executor.map(count, texts))
        reduced = executor.map(add, [[parts[part] for parts in mapped] for part in range(PARTS)])
        words = sum(reduced, Counter())
    for word, times in sorted(words.items(), key=lambda item: (-item[1], item[0]))[:10]:
        print(f"{times:>7} {word}")


if __name__ == "__main__":
    main(sys.argv[1:])
