"""What the cluster tells of tasks and offers: immutable records. Times are seconds, memory is bytes, processor time is cores."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Resources:
    """An amount of everything that can be offered. ``size("1GiB")`` is a number of bytes."""

    cpus: float = 0.0
    mem: int = 0
    disk: int = 0
    revocable: float = 0.0
    scalars: Mapping[str, float] = field(default_factory=dict)
    #: From, to; those are among them.
    ports: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, record: dict[str, Any]) -> Resources:
        """From what the native part says."""
        return cls(
            cpus=record["cpus"],
            mem=record["mem_bytes"],
            disk=record["disk_bytes"],
            revocable=record.get("revocable_cpus", 0.0),
            scalars=record.get("scalars", {}),
            ports=tuple((first, last) for first, last in record.get("ports", ())),
        )

    def fits(self, wanted: Resources) -> bool:
        """Whether ``wanted`` can be taken from this. Ports are not looked at."""
        return (
            wanted.cpus <= self.cpus
            and wanted.mem <= self.mem
            and wanted.disk <= self.disk
            and wanted.revocable <= self.revocable
            and all(amount <= self.scalars.get(name, 0) for name, amount in wanted.scalars.items())
        )

    def _spec(self) -> dict[str, Any]:
        """As the native part takes it."""
        return {
            "cpus": cpus_text(self.cpus),
            "mem": self.mem,
            "disk": self.disk,
            "revocable": cpus_text(self.revocable),
            "scalars": {name: cpus_text(amount) for name, amount in self.scalars.items()},
        }


@dataclass(frozen=True)
class Pulled:
    """What the master has fetched from a source."""

    #: What tasks run and read it by.
    digest: str
    #: Bytes.
    size: int
    #: The source, so that it names the same again as far as its kind allows: of a tag, the digest that it points to now.
    pinned: str


def cpus_text(cpus: float) -> str:
    """As Haggle reads it: thousandths at the finest."""
    return f"{cpus:.3f}"


@dataclass(frozen=True)
class Reserved:
    """An amount that is kept for a role. ``within`` are the roles that it was refined from; ``fixed`` is of the agent's own flags."""

    role: str
    within: list[str]
    fixed: bool
    resources: Resources

    @classmethod
    def of(cls, record: dict[str, Any]) -> Reserved:
        """From what the native part says."""
        return cls(record["role"], record["within"], record["fixed"], Resources.of(record["resources"]))


@dataclass(frozen=True)
class Unavailability:
    """When an agent will not be there, or is not now."""

    start: datetime
    end: datetime

    @classmethod
    def of(cls, record: dict[str, Any] | None) -> Unavailability | None:
        """From what the native part says."""
        return None if record is None else cls(moment(record["start"]), moment(record["end"]))


def moment(text: str) -> datetime:
    """A time as the native part says it. Before 3.11 Python does not read the letter for UTC."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


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

    @classmethod
    def of(cls, record: dict[str, Any] | None) -> Usage | None:
        """From what the native part says."""
        if record is None:
            return None
        return cls(
            cpu_seconds=record["cpu_seconds"],
            wall_seconds=record["wall_seconds"],
            fuel=record["fuel"],
            peak_mem=record["peak_mem_bytes"],
            peak_disk=record["peak_disk_bytes"],
            output=record["output_bytes"],
            net=record["net_bytes"],
        )

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
        exceeded = record["exceeded"]
        return cls(
            task=record["task"],
            update=record["update"],
            state=record["state"],
            reason=record["reason"],
            message=record["message"],
            agent=record["agent"],
            exit_code=record["exit_code"],
            exceeded=None if exceeded is None else (exceeded["limit"], exceeded["used"]),
            usage=Usage.of(record["usage"]),
            is_terminal=record["is_terminal"],
        )


@dataclass(frozen=True)
class OfferedVolume:
    """A volume that a task may mount which is launched on the offer."""

    id: str
    name: str
    role: str
    size: int
    shared: bool

    @classmethod
    def of(cls, record: dict[str, Any]) -> OfferedVolume:
        """From what the native part says."""
        return cls(record["id"], record["name"], record["role"], record["size_bytes"], record["shared"])


@dataclass(frozen=True)
class Offer:
    """Free resources of one agent, which a framework may launch tasks on. A task takes from what is ``reserved`` first."""

    id: str
    agent: str
    agent_name: str
    attributes: Mapping[str, str]
    role: str
    resources: Resources
    reserved: list[Reserved]
    volumes: list[OfferedVolume]
    unavailable: Unavailability | None

    @classmethod
    def of(cls, record: dict[str, Any]) -> Offer:
        """From what the native part says."""
        return cls(
            **{
                **record,
                "resources": Resources.of(record["resources"]),
                "reserved": [Reserved.of(part) for part in record["reserved"]],
                "volumes": [OfferedVolume.of(volume) for volume in record["volumes"]],
                "unavailable": Unavailability.of(record["unavailable"]),
            }
        )


@dataclass(frozen=True)
class InverseOffer:
    """Asks a framework to be off an agent by the start of a maintenance window."""

    id: str
    agent: str
    unavailable: Unavailability

    @classmethod
    def of(cls, record: dict[str, Any]) -> InverseOffer:
        """From what the native part says."""
        when = Unavailability.of(record["unavailable"])
        assert when is not None
        return cls(record["id"], record["agent"], when)


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


def row(told: Mapping[str, Any]) -> str:
    """One thing as a table, for notebooks. What is not known is left out."""
    cells = {name: value for name, value in told.items() if value is not None}
    head = "".join(f"<th>{html.escape(name)}</th>" for name in cells)
    body = "".join(f"<td>{html.escape(str(value))}</td>" for value in cells.values())
    return f"<table><tr>{head}</tr><tr>{body}</tr></table>"
