"""What a sandbox returns is read without running any of it."""

from __future__ import annotations

import datetime
import os
import pickle
import struct
import sys
from collections import Counter, OrderedDict, deque
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

import pytest

from haggle_cluster import BadResult, _data

PLAIN = [
    None,
    True,
    [0, 255, 256, 65535, 65536, -1, 2**31, -(2**63), 2**2000, -(2**2000)],
    [0.0, -1.5, float("inf")],
    ["", "a", "ü" * 300, "\ud800", b"", b"x" * 300, bytearray(b"abc"), bytearray()],
    {"a": [1, (2, 3), ()], 1: {"b": {1, 2}, (1, (2,)): frozenset({3})}},
    (1,),
    (1, 2, 3, 4),
    complex(1, 2),
    range(1, 10, 3),
    Counter("abca"),
    OrderedDict([("b", 1), ("a", 2)]),
    deque([1, 2], maxlen=5),
    deque([1, 2]),
    Decimal("1.50"),
    datetime.datetime(2026, 11, 29, 1, 2, 3, 4, datetime.timezone.utc),
    [datetime.date(2026, 1, 2), datetime.time(3, 4), datetime.timedelta(days=1, microseconds=5)],
    datetime.timezone(datetime.timedelta(hours=1), "here"),
]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_data_comes_back_as_it_was(value: Any) -> None:
    read = _data.loads(pickle.dumps(value, 4))

    assert read == value
    assert type(read) is type(value)


def test_values_that_are_there_twice_are_one() -> None:
    inner = [1]
    outer: list[Any] = [inner, inner]
    outer.append(outer)

    read = _data.loads(pickle.dumps(outer, 4))

    assert read[0] is read[1] and read[2] is read


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> Any:
        return self.call, self.arguments


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("call", [os.system, eval, exec, open, getattr, __import__, print, object, type])
def test_a_pickle_that_calls_something_is_refused(call: Any, protocol: int, tmp_path: Any) -> None:
    target = tmp_path / "touched"
    bomb = pickle.dumps(Bomb(call, f"touch {target}"), protocol)

    with pytest.raises(BadResult):
        _data.loads(bomb)

    assert not target.exists()


def test_a_name_alone_is_no_data() -> None:
    for content in (b"\x80\x04\x8c\x08builtins\x8c\x05range\x93.", pickle.dumps(Decimal, 4), pickle.dumps(os.system, 4)):
        with pytest.raises(BadResult):
            _data.loads(content)


def test_a_class_of_the_table_makes_nothing_large_of_little() -> None:
    def made(module: bytes, name: bytes, argument: bytes) -> bytes:
        texts = b"".join(b"\x8c" + bytes([len(part)]) + part for part in (module, name))
        return b"\x80\x04" + texts + b"\x93" + argument + b"\x85R."

    big = b"\x8a\x08" + (2**62).to_bytes(8, "little")
    for module, name, argument in [
        (b"builtins", b"bytearray", big),
        (b"fractions", b"Fraction", b"\x8c\x0c1e1000000000"),
        (b"decimal", b"Decimal", b"X" + struct.pack("<I", 10**5) + b"9" * 10**5),
        (b"collections", b"deque", b"(" + b"K\x01" * 5 + b"t"),
        (b"collections", b"Counter", b"]"),
        (b"datetime", b"timedelta", b"]"),
    ]:
        with pytest.raises(BadResult):
            _data.loads(made(module, name, argument))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"\x80\x04",
        b"\x80\x05N.",
        b"\x80\x04NN.",
        b"\x80\x04\x8c\xffabc.",
        b"\x80\x04\x8d" + b"\xff" * 8 + b".",
        b"\x80\x04r\xff\xff\xff\xffN.",  # LONG_BINPUT: room for four thousand million
        b"\x80\x04j\xff\xff\xff\xff.",
        b"\x80\x04t.",
        b"\x80\x04]]e.",
        b"\x80\x04(.",
        b"\x80\x04}]N\x87s.",
        b"\x80\x04}(Nu.",
        b"\x80\x04](]e}]Ns.",
        b"\x80\x04NNR.",
        b"\x80\x04cos\nsystem\n.",
        b"\x80\x04P1\n.",
        b"\x80\x04" + b"G",
    ],
)
def test_nonsense_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(BadResult):
        _data.loads(content)


def test_tuples_within_tuples_end_somewhere() -> None:
    with pytest.raises(BadResult, match="too deeply"):
        _data.loads(b"\x80\x04)" + b"\x85" * 100_000 + b".")
    deep = b"\x80\x04)" + b"\x85" * 150 + b"}K\x01K\x02s\x86."

    assert _data.loads(deep)[1] == {1: 2}


@pytest.mark.parametrize(
    ("kind", "begin", "value", "end"),
    [(dict.fromkeys, b"}(", b"N", b"u"), (set, b"\x8f(", b"", b"\x90"), (frozenset, b"(", b"", b"\x91")],
)
def test_keys_that_all_fall_into_one_place_take_no_time(
    kind: Any, begin: bytes, value: bytes, end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_data, "_SECONDS", 0.1)
    monkeypatch.setattr(_data, "_SECONDS_PER_BYTE", 0.0)
    keys = [number * (2**61 - 1) for number in range(1, 60_000)]
    entries = b"".join(b"\x8a\x0a" + key.to_bytes(10, "little") + value for key in keys)

    assert _data.loads(pickle.dumps(kind(keys[:20]), 4)) == kind(keys[:20])
    with pytest.raises(BadResult, match="too long"):
        _data.loads(b"\x80\x04" + begin + entries + end + b".")


def test_lists_within_lists_take_no_stack() -> None:
    depth = 10 * sys.getrecursionlimit()

    read = _data.loads(b"\x80\x04" + b"]" * depth + b"a" * (depth - 1) + b".")

    for _ in range(depth - 1):
        (read,) = read
    assert read == []
