"""What can travel, and what is said of what cannot."""

from __future__ import annotations

import functools
import json
import marshal
import math
import pickle
import statistics
import sys
import threading
import types
import xml.etree.ElementTree
from dataclasses import dataclass
from typing import Any

import pytest

import haggle_cluster
from haggle_cluster import CannotTravel, _travel

FACTOR = 3
LOCK = threading.Lock()


@dataclass
class Point:
    x: int
    y: int = FACTOR


def helper(x: int) -> int:
    return x * FACTOR


def uses_much(x: int, y: "Point" = Point(1), *, z: float = math.pi) -> Any:
    point = Point(x)
    tree = xml.etree.ElementTree.fromstring("<a/>")
    return helper(point.y), y, z, json.dumps([x]), tree.tag


def arrives(function: Any) -> Any:
    """The function as a sandbox makes it, without what this module has."""
    content = marshal.loads(_travel.ship(function).content)
    module = types.ModuleType("sandbox")
    sys.modules["sandbox"] = module
    names = module.__dict__
    for name, value in content["data"].items():
        names[name] = value[0] if isinstance(value, tuple) else pickle.loads(value)
    for name, origin, attribute in content["imports"]:
        __import__(origin)
        found = sys.modules[origin]
        for part in (attribute or "").split("."):
            found = getattr(found, part) if part else found
        names[name] = found
    for source, file, line in content["pieces"]:
        exec(compile("\n" * (line - 1) + source, file, "exec", 0x1000000, dont_inherit=True), names)
    return names[content["entry"]]


def test_a_function_brings_along_what_it_names() -> None:
    made = arrives(uses_much)

    assert made.__globals__["__name__"] == "sandbox"
    value = made(2)
    assert (value[0], value[1].y, value[2:]) == (9, 3, (math.pi, "[2]", "a"))
    # Lines are those of this file, for tracebacks.
    assert made.__code__.co_firstlineno == uses_much.__code__.co_firstlineno


def test_a_closure_over_plain_data_travels() -> None:
    def make(by: int) -> Any:
        def add(x: int) -> int:
            return x + by

        return add

    assert arrives(make(5))(1) == 6


def test_lambdas_travel_when_they_can_be_told_apart() -> None:
    double = lambda x: x * 2
    both = (lambda x: x + 1, lambda x: x - 1)
    spread = functools.partial(
        lambda x, y: x**y,
        2,
    )

    assert arrives(double)(4) == 8
    assert (arrives(both[0])(4), arrives(both[1])(4)) == (5, 3)
    shipped = _travel.ship(spread)
    assert shipped.args == (2,)


def test_what_the_standard_library_has_travels_by_name() -> None:
    for function in (math.sqrt, len, statistics.mean, json.dumps, int, str.upper):
        assert arrives(function) is function


def refused(function: Any) -> str:
    with pytest.raises(CannotTravel) as caught:
        _travel.ship(function)
    return str(caught.value)


def uses_lock() -> bool:
    return LOCK.locked()


def uses_package() -> Any:
    return pytest.approx(1)


def uses_cluster() -> Any:
    return haggle_cluster.Cluster()


def changes_global() -> None:
    global FACTOR
    FACTOR = 4


def test_what_cannot_travel_is_refused_with_what_to_do() -> None:
    def counter() -> Any:
        count = 0

        def add() -> int:
            nonlocal count
            count += 1
            return count

        return add

    async def waits() -> None: ...

    def yields() -> Any:
        yield 1

    namespace: dict[str, Any] = {}
    exec("def nowhere(): return 1", namespace)

    assert "uses LOCK, a living _thread.lock that stays here; make it inside the function" in refused(uses_lock)
    assert "uses the module pytest: a sandbox has Python's standard library alone" in refused(uses_package)
    assert "reaches no cluster" in refused(uses_cluster)
    assert "changes the global FACTOR, which would stay in the sandbox; return it" in refused(changes_global)
    assert "cannot stand alone" in refused(counter())
    assert "is bound to a living Point" in refused(Point(1).__eq__) or "no source" in refused(Point(1).__eq__)
    assert "is async, and a sandbox has no event loop; submit a function" in refused(waits)
    assert "is a generator; return a list" in refused(yields)
    assert "has no source that can be read; write it into a file" in refused(namespace["nowhere"])
    assert "has no source; submit a function that is written with def" in refused(functools.lru_cache(helper))


def test_arguments_that_only_this_machine_has_are_refused() -> None:
    for value, what in [(Point(1), "Point"), (LOCK, "lock"), (open(__file__), "BufferedReader|TextIOWrapper"), (helper, "helper")]:
        with pytest.raises(CannotTravel, match=f"an argument of f .*({what}).* plain data"):
            _travel.pack(([value], {}), "an argument of f")
