"""What goes wrong, each with the numbers that there are."""

from __future__ import annotations

from ._native import AtLimit, ConnectError, HaggleError, NotAllowed, NotFound, Refused, SessionOver
from .records import Status

__all__ = [
    "AtLimit",
    "BadResult",
    "CannotTravel",
    "ConnectError",
    "DiskLimit",
    "ExitCode",
    "FuelExhausted",
    "HaggleError",
    "Killed",
    "Lost",
    "MemoryLimit",
    "NotAllowed",
    "NotFound",
    "OutputLimit",
    "Refused",
    "RemoteError",
    "RemoteTraceback",
    "SessionOver",
    "TaskFailed",
    "TimeLimit",
    "Trap",
]


class CannotTravel(HaggleError, TypeError):
    """A function or an argument that cannot be sent to the cluster. The message says what to do instead."""


class BadResult(HaggleError):
    """What came back from the sandbox is not data. Nothing of it was run."""


class RemoteTraceback(Exception):
    """Where in the sandbox an exception was raised; the cause of that exception here."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


class RemoteError(HaggleError):
    """An exception of the sandbox whose class is not known, or not wanted, here.

    ``kind`` is the name of its class, ``arguments`` are what it was made of.
    """

    def __init__(self, kind: str, text: str, arguments: tuple[object, ...] = ()) -> None:
        super().__init__(f"{kind}: {text}" if text else kind)
        self.kind = kind
        self.text = text
        self.arguments = arguments

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.kind, self.text, self.arguments)


class TaskFailed(HaggleError):
    """A task that came to any end but a good one.

    ``status`` is the last that was said of it. ``limit`` and ``used`` are the limit that ended it and what it used or asked
    for, where one did: in bytes, fuel or, for :class:`TimeLimit`, seconds.
    """

    def __init__(self, name: str, status: Status) -> None:
        why = f" ({status.reason})" if status.reason else ""
        super().__init__(f"{name} {status.state}{why}: {status.message}".removesuffix(": "))
        self.name = name
        self.status = status
        exceeded = status.exceeded or (None, None)
        self.limit: float | None = exceeded[0]
        self.used: float | None = exceeded[1]

    # So that it gets from one process of a pool to another.
    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name, self.status)


class TimeLimit(TaskFailed, TimeoutError):
    """It ran for longer than it may: ``limit`` and ``used`` are seconds."""

    def __init__(self, name: str, status: Status) -> None:
        super().__init__(name, status)
        milliseconds = (self.limit, self.used)
        self.limit, self.used = (None if time is None else time / 1000 for time in milliseconds)


class MemoryLimit(TaskFailed, MemoryError):
    """It wanted more memory than it was given: ``limit`` and ``used`` are bytes."""


class FuelExhausted(TaskFailed):
    """It used up its fuel."""


class DiskLimit(TaskFailed):
    """It filled its scratch folder."""


class OutputLimit(TaskFailed):
    """It wrote more than it may."""


class Killed(TaskFailed):
    """Somebody asked for its end."""


class Trap(TaskFailed):
    """It trapped: out-of-bounds access, stack overflow, unreachable code."""


class ExitCode(TaskFailed):
    """It ended with an exit code other than 0: ``code``."""

    @property
    def code(self) -> int | None:
        """Its exit code."""
        return self.status.exit_code


class Lost(TaskFailed):
    """It was lost, with its agent or before it reached one."""


_BY_REASON: dict[str | None, type[TaskFailed]] = {
    "TIME_LIMIT": TimeLimit,
    "MEMORY_LIMIT": MemoryLimit,
    "FUEL_EXHAUSTED": FuelExhausted,
    "DISK_LIMIT": DiskLimit,
    "OUTPUT_LIMIT": OutputLimit,
    "TRAP": Trap,
    "EXIT": ExitCode,
}


def failure(name: str, status: Status) -> TaskFailed:
    """The exception for a task that has ended like this."""
    if status.state == "KILLED":
        return Killed(name, status)
    if status.state in ("LOST", "DROPPED", "GONE", "GONE_BY_OPERATOR"):
        return Lost(name, status)
    return _BY_REASON.get(status.reason, TaskFailed)(name, status)
