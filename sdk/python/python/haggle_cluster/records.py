"""What the cluster tells: immutable records. Times are seconds, memory is bytes, processor time is cores."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Resources:
    """An amount of everything that can be offered."""

    cpus: float = 0.0
    mem: int = 0
    disk: int = 0
    revocable: float = 0.0
    scalars: Mapping[str, float] | None = None

    def fits(self, wanted: Resources) -> bool:
        """Whether ``wanted`` can be taken from this."""
        has, wants = self.scalars or {}, wanted.scalars or {}
        return (
            wanted.cpus <= self.cpus
            and wanted.mem <= self.mem
            and wanted.disk <= self.disk
            and wanted.revocable <= self.revocable
            and all(amount <= has.get(name, 0) for name, amount in wants.items())
        )


@dataclass(frozen=True)
class Usage:
    """What a task used, from its start to its end."""

    cpu_seconds: float
    wall_seconds: float
    fuel: int
    peak_mem: int
    peak_disk: int
    output: int
    net: int

    def _repr_html_(self) -> str:
        return table([self])


@dataclass(frozen=True)
class Status:
    """What was said of a task: by its framework's master, its agent or its executor.

    ``state`` and ``reason`` are Mesos's words without their prefixes: ``RUNNING``, ``FINISHED``, ``FAILED`` and
    ``MEMORY_LIMIT``. ``exceeded`` is the limit that ended it and what it used or asked for, in the unit of the limit: bytes,
    fuel or milliseconds.
    """

    task: str
    update: int
    state: str
    reason: str | None
    message: str
    agent: str | None
    exit_code: int | None
    exceeded: tuple[int, int] | None
    usage: Usage | None
    is_terminal: bool

    @classmethod
    def of(cls, record: dict[str, Any]) -> Status:
        """From what the native part says."""
        usage = record["usage"]
        return cls(**{**record, "usage": None if usage is None else Usage(**usage)})


@dataclass(frozen=True)
class Offer:
    """Free resources of one agent, which a framework may launch tasks on."""

    id: str
    agent: str
    agent_name: str
    attributes: Mapping[str, str]
    role: str
    resources: Resources

    @classmethod
    def of(cls, record: dict[str, Any]) -> Offer:
        """From what the native part says."""
        return cls(**with_resources(record))


@dataclass(frozen=True)
class OpenOffer:
    """An offer that somebody has not answered yet, as an operator sees it."""

    id: str
    framework: str
    agent: str
    role: str
    resources: Resources
    age_seconds: float

    @classmethod
    def of(cls, record: dict[str, Any]) -> OpenOffer:
        """From what the native part says."""
        return cls(**with_resources(record))


@dataclass(frozen=True)
class AgentInfo:
    """An agent, as an operator sees it."""

    id: str
    name: str
    attributes: Mapping[str, str]
    connected: bool
    draining: bool
    resources: Resources
    used: Resources
    offered: Resources
    tasks: int

    @classmethod
    def of(cls, record: dict[str, Any]) -> AgentInfo:
        """From what the native part says."""
        return cls(**with_resources(record))

    def _repr_html_(self) -> str:
        return table([self])


@dataclass(frozen=True)
class FrameworkInfo:
    """A framework, as an operator sees it."""

    id: str
    name: str
    roles: list[str]
    connected: bool
    suppressed: bool
    used: Resources
    offered: Resources
    tasks: int

    @classmethod
    def of(cls, record: dict[str, Any]) -> FrameworkInfo:
        """From what the native part says."""
        return cls(**with_resources(record))


@dataclass(frozen=True)
class TaskInfo:
    """A task, as an operator sees it."""

    id: str
    name: str
    role: str
    agent: str
    resources: Resources
    status: Status

    @classmethod
    def of(cls, record: dict[str, Any]) -> TaskInfo:
        """From what the native part says."""
        return cls(**{**with_resources(record), "status": Status.of(record["status"])})


def with_resources(record: dict[str, Any]) -> dict[str, Any]:
    """The same, with amounts as :class:`Resources`."""
    amounts = ("resources", "used", "offered")
    return {name: Resources(**value) if name in amounts else value for name, value in record.items()}


def table(rows: Iterable[Any]) -> str:
    """Records of one kind as a table, for notebooks."""
    rows = list(rows)
    if not rows:
        return "<p>nothing</p>"
    names = [field.name for field in fields(rows[0])]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(getattr(row, name)))}</td>" for name in names) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
