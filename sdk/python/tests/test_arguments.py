"""Arguments of calls: what arrives, and how what cannot is refused."""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import enum
import fractions
import functools
import http
import math
import pathlib
import re
import sys
import threading
import types
import uuid
from typing import Any

import pytest

from haggle_cluster import CannotTravel, Executor


class Shade(enum.Enum):
    DARK = 1


UNUSUAL: list[Any] = [
    float("nan"),
    -0.0,
    complex(1, float("inf")),
    -(2**5000),
    "\ud800",
    "\0\r\n",
    b"\x80\x04.",
    bytearray(b"abc"),
    frozenset({(1, None)}),
    range(3),
    slice(1, None, 2),
    ...,
    NotImplemented,
    int,
    len,
    math.sqrt,
    decimal.Decimal("1.50"),
    fractions.Fraction(1, 3),
    uuid.UUID(int=7),
    datetime.datetime(2026, 11, 29, 1, 2, 3, 4, datetime.timezone.utc),
    collections.deque([1, 2], maxlen=5),
    collections.defaultdict(list, {1: [2]}),
    types.SimpleNamespace(a=1),
    array.array("i", [1, 2]),
    re.compile("a+", re.IGNORECASE),
    http.HTTPStatus.OK,
    ValueError("told", 7),
    functools.partial(pow, 2),
    pathlib.PurePosixPath("/a/b"),
    pathlib.Path("a"),
    datetime.timezone(datetime.timedelta(hours=1), "here"),
]


def test_arguments_of_unusual_kinds_arrive_as_they_were(executor: Executor) -> None:
    assert list(executor.map(repr, UNUSUAL, chunksize=len(UNUSUAL))) == [repr(value) for value in UNUSUAL]


def knots(twice: Any, cycle: Any, deep: Any) -> tuple[bool, bool, int]:
    depth = 0
    while deep:
        deep, depth = deep[0], depth + 1
    return twice[0] is twice[1], cycle[0] is cycle, depth


def test_arguments_that_are_tied_to_themselves_or_deep_arrive(executor: Executor) -> None:
    inner: list[Any] = []
    cycle: list[Any] = []
    cycle.append(cycle)
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]

    assert executor.submit(knots, [inner, inner], cycle, deep).result() == (True, True, 300)
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(CannotTravel, match="an argument of knots cannot travel: .*recursion"):
        executor.submit(knots, [1, 1], cycle, deep)


@pytest.mark.parametrize("value", [Shade.DARK, iter([1]), (x for x in [1]), memoryview(b"a"), threading.Lock(), sys.stdin, Executor], ids=repr)
def test_arguments_that_live_here_are_refused_in_words(executor: Executor, value: Any) -> None:
    if repr(value).startswith("<list_iterator"):
        # The standard library has those.
        assert executor.submit(list, value).result() == [1]
        return
    with pytest.raises(CannotTravel, match="an argument of repr .*plain data"):
        executor.submit(repr, value)
