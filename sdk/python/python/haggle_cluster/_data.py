"""Reads what a sandbox returned, and runs nothing of it.

A result travels as a pickle of protocol 4, of which a small part is read here: numbers, texts, bytes, the containers, and a
few values of the standard library. This is no ``pickle.Unpickler`` that was told to be careful: no name is ever looked up,
no class is called that is not in a table below, and every operation of the format that is not listed is refused.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from time import thread_time
from typing import Any
from uuid import UUID

from .errors import BadResult

#: Tuples within tuples. A hash of them is computed on the stack, in C.
_DEPTH_MAX = 200

#: CPU time that reading may take, in seconds: several times what plain data takes. Numbers can be chosen so that all of them
#: fall into one place of a dictionary, which then takes time with the square of them.
_SECONDS = 1.0
_SECONDS_PER_BYTE = 4e-6

#: Entries between two looks at that time.
_ENTRIES = 256

#: Digits of a number that is made of text: reading one takes time with the square of that.
_DIGITS_MAX = 4300


def _bytearray(content: bytes = b"") -> bytearray:
    # Not of a number, which would be so many bytes.
    return bytearray(_exactly(bytes, content))


def _decimal(text: str) -> Decimal:
    if len(_exactly(str, text)) > _DIGITS_MAX:
        raise BadResult(f"a decimal of {len(text)} digits")
    return Decimal(text)


def _fraction(numerator: int, denominator: int) -> Fraction:
    # Not of text, where a few letters stand for a number of any length.
    return Fraction(_exactly(int, numerator), _exactly(int, denominator))


def _uuid(text: str) -> UUID:
    return UUID(_exactly(str, text))


def _path(*parts: str) -> PurePosixPath:
    return PurePosixPath(*(_exactly(str, part) for part in parts))


def _range(start: int, stop: int, step: int) -> range:
    return range(_exactly(int, start), _exactly(int, stop), _exactly(int, step))


def _complex(real: float, imaginary: float) -> complex:
    return complex(_exactly(float, real), _exactly(float, imaginary))


def _counter(counts: dict[Any, int]) -> Counter[Any]:
    return Counter(_exactly(dict, counts))


def _deque(items: tuple[()] = (), longest: int | None = None) -> deque[Any]:
    if _exactly(tuple, items) or not (longest is None or type(longest) is int):
        raise BadResult("a deque of neither")
    return deque((), longest)


def _dict() -> dict[Any, Any]:
    return {}


def _ordered() -> OrderedDict[Any, Any]:
    return OrderedDict()


def _exactly(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:
        raise BadResult(f"{type(value).__name__} in place of {kind.__name__}")
    return value


def _moment(kind: Callable[..., Any]) -> Callable[..., Any]:
    def make(*arguments: Any) -> Any:
        for argument in arguments:
            if type(argument) not in (int, bytes, str, timezone, timedelta):
                raise BadResult(f"{type(argument).__name__} in a {getattr(kind, '__name__', kind)}")
        return kind(*arguments)

    return make


#: What may be made of arguments: the name in the pickle, and what makes it.
_MAKERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("builtins", "bytearray"): _bytearray,
    ("builtins", "complex"): _complex,
    ("builtins", "dict"): _dict,
    ("builtins", "range"): _range,
    ("collections", "Counter"): _counter,
    ("collections", "OrderedDict"): _ordered,
    ("collections", "deque"): _deque,
    ("datetime", "date"): _moment(date),
    ("datetime", "datetime"): _moment(datetime),
    ("datetime", "time"): _moment(time),
    ("datetime", "timedelta"): _moment(timedelta),
    ("datetime", "timezone"): _moment(timezone),
    ("decimal", "Decimal"): _decimal,
    ("fractions", "Fraction"): _fraction,
    ("pathlib", "PurePosixPath"): _path,
    ("uuid", "UUID"): _uuid,
}


class _Maker:
    """Something of the table, until it is given its arguments. It never gets into a result."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make


class _Mark:
    """Where the items of a container begin."""


_MARK = _Mark()


def loads(content: bytes) -> Any:
    """What a sandbox says.

    Raises :class:`BadResult` for anything but plain data.
    """
    try:
        return _Reader(content).read()
    except BadResult:
        raise
    except RecursionError:
        raise BadResult("what came back is nested too deeply") from None
    except (ArithmeticError, AttributeError, IndexError, LookupError, TypeError, ValueError, struct.error) as error:
        raise BadResult(f"what came back is no data: {error}") from None


class _Reader:
    """A machine with a stack, as a pickle describes it."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0
        self.until = thread_time() + _SECONDS + _SECONDS_PER_BYTE * len(content)
        self.stack: list[Any] = []
        self.memo: list[Any] = []
        # How deep tuples and frozen sets are, by identity. They are kept alive by the stack, the memo or each other.
        self.depths: dict[int, int] = {}
        self.kept: list[Any] = []

    def read(self) -> Any:
        push, steps = self.stack.append, _STEPS
        while True:
            code = self.content[self.at]
            self.at += 1
            if code == 0x2E:  # STOP
                break
            constant = _CONSTANTS.get(code, self)
            if constant is not self:
                push(constant)
            elif code in steps:
                steps[code](self)
            else:
                raise BadResult(f"what came back is no plain data: operation {code:#04x}")
        (result,) = self.stack
        if isinstance(result, (_Maker, _Mark)):
            raise BadResult("what came back names something, and is no data")
        return result

    def take(self, count: int) -> bytes:
        piece = self.content[self.at : self.at + count]
        if len(piece) != count:
            raise BadResult("what came back is cut off")
        self.at += count
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def since_mark(self) -> list[Any]:
        items: list[Any] = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(self.plain(item))
        items.reverse()
        return items

    def plain(self, value: Any) -> Any:
        if isinstance(value, (_Maker, _Mark)):
            raise BadResult("what came back names something, and is no data")
        return value

    def immutable(self, value: Any, items: Any) -> None:
        depth = 1 + max((self.depths.get(id(item), 0) for item in items), default=0)
        if depth > _DEPTH_MAX:
            raise BadResult("what came back is nested too deeply")
        self.depths[id(value)] = depth
        self.kept.append(value)
        self.stack.append(value)

    # Numbers and texts

    def integer(self, size: int, signed: bool) -> None:
        self.stack.append(int.from_bytes(self.take(size), "little", signed=signed))

    def real(self) -> None:
        self.stack.append(struct.unpack(">d", self.take(8))[0])

    def text(self, size: int) -> None:
        self.stack.append(self.take(self.number(size)).decode("utf-8", "surrogatepass"))

    def raw(self, size: int) -> None:
        self.stack.append(self.take(self.number(size)))

    # Containers

    def tuple_of(self, count: int) -> None:
        items = [self.plain(self.stack.pop()) for _ in range(count)][::-1]
        self.immutable(tuple(items), items)

    def tuple_since_mark(self) -> None:
        items = self.since_mark()
        self.immutable(tuple(items), items)

    def frozen(self) -> None:
        items = self.since_mark()
        self.immutable(frozenset(self.added(set(), items)), items)

    def append(self) -> None:
        item = self.plain(self.stack.pop())
        self.sequence().append(item)

    def appends(self) -> None:
        items = self.since_mark()
        self.sequence().extend(items)

    def sequence(self) -> Any:
        target = self.stack[-1]
        if type(target) not in (list, deque):
            raise BadResult("items of what is no list")
        return target

    def set_items(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) not in (dict, OrderedDict) or len(pairs) % 2:
            raise BadResult("entries of what is no dictionary")
        for at in range(0, len(pairs), 2):
            target[pairs[at]] = pairs[at + 1]
            self.check_time(at)

    def set_item(self) -> None:
        value, key = self.plain(self.stack.pop()), self.plain(self.stack.pop())
        self.set_items([key, value])

    def add(self) -> None:
        items = self.since_mark()
        if type(self.stack[-1]) is not set:
            raise BadResult("members of what is no set")
        self.added(self.stack[-1], items)

    def added(self, target: set[Any], items: list[Any]) -> set[Any]:
        for at, item in enumerate(items):
            target.add(item)
            self.check_time(at)
        return target

    def check_time(self, at: int) -> None:
        if at % _ENTRIES == 0 and thread_time() > self.until:
            raise BadResult("what came back takes too long to read")

    # What is there already

    def memoize(self) -> None:
        self.memo.append(self.stack[-1])

    def get(self, size: int) -> None:
        self.stack.append(self.memo[self.number(size)])

    # The few values that are made

    def name(self) -> None:
        attribute, module = self.stack.pop(), self.stack.pop()
        maker = _MAKERS.get((_exactly(str, module), _exactly(str, attribute)))
        if maker is None:
            raise BadResult(f"what came back is no plain data: it names {module}.{attribute}")
        self.stack.append(_Maker(maker))

    def make(self) -> None:
        arguments, maker = self.stack.pop(), self.stack.pop()
        if type(maker) is not _Maker:
            raise BadResult("what came back calls what is no class")
        self.stack.append(maker.make(*_exactly(tuple, arguments)))

    def protocol(self) -> None:
        if self.number(1) != 4:
            raise BadResult("what came back is in another format")


_CONSTANTS: dict[int, Any] = {0x4E: None, 0x88: True, 0x89: False, 0x28: _MARK}

_STEPS: dict[int, Callable[[_Reader], Any]] = {
    0x80: _Reader.protocol,
    0x95: lambda reader: reader.take(8),  # FRAME: how much is to be read at once
    0x4A: lambda reader: reader.integer(4, True),
    0x4B: lambda reader: reader.integer(1, False),
    0x4D: lambda reader: reader.integer(2, False),
    0x8A: lambda reader: reader.integer(reader.number(1), True),
    0x8B: lambda reader: reader.integer(reader.number(4), True),
    0x47: _Reader.real,
    0x8C: lambda reader: reader.text(1),
    0x58: lambda reader: reader.text(4),
    0x8D: lambda reader: reader.text(8),
    0x43: lambda reader: reader.raw(1),
    0x42: lambda reader: reader.raw(4),
    0x8E: lambda reader: reader.raw(8),
    0x5D: lambda reader: reader.stack.append([]),
    0x7D: lambda reader: reader.stack.append({}),
    0x8F: lambda reader: reader.stack.append(set()),
    0x29: lambda reader: reader.stack.append(()),
    0x85: lambda reader: reader.tuple_of(1),
    0x86: lambda reader: reader.tuple_of(2),
    0x87: lambda reader: reader.tuple_of(3),
    0x74: _Reader.tuple_since_mark,
    0x91: _Reader.frozen,
    0x61: _Reader.append,
    0x65: _Reader.appends,
    0x73: _Reader.set_item,
    0x75: lambda reader: reader.set_items(reader.since_mark()),
    0x90: _Reader.add,
    0x94: _Reader.memoize,
    0x68: lambda reader: reader.get(1),
    0x6A: lambda reader: reader.get(4),
    0x30: lambda reader: reader.stack.pop(),
    0x93: _Reader.name,
    0x52: _Reader.make,
}
