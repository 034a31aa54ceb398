"""What an operator sees of a cluster: immutable records. Times are seconds, memory is bytes, processor time is cores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .records import Reserved, Resources, Status, Unavailability, cpus_text, moment, table


@dataclass(frozen=True)
class OpenOffer:
    """An offer that somebody has not answered yet, as an operator sees it."""

    id: str
    framework: str
    agent: str
    role: str
    resources: Resources
    reserved: list[Reserved]
    volumes: list[str]
    age_seconds: float

    @classmethod
    def of(cls, record: dict[str, Any]) -> OpenOffer:
        """From what the native part says."""
        reserved = [Reserved.of(part) for part in record["reserved"]]
        return cls(**{**record, "resources": Resources.of(record["resources"]), "reserved": reserved})


@dataclass(frozen=True)
class Withdrawal:
    """An agent that takes no tasks: ``DEACTIVATED``, ``DRAINING`` or ``DRAINED``, by an operator or for a window."""

    state: str
    for_seconds: float
    killed_in_seconds: float | None
    mark_gone: bool | None
    maintenance: str | None

    @classmethod
    def of(cls, record: dict[str, Any] | None) -> Withdrawal | None:
        """From what the native part says."""
        if record is None:
            return None
        rest = {name: record.get(name) for name in ("killed_in_seconds", "mark_gone", "maintenance")}
        return cls(record["state"], record["for_seconds"], **rest)


@dataclass(frozen=True)
class AgentInfo:
    """An agent, as an operator sees it."""

    id: str
    name: str
    attributes: Mapping[str, str]
    connected: bool
    draining: bool
    withdrawn: Withdrawal | None
    unavailable: Unavailability | None
    resources: Resources
    used: Resources
    offered: Resources
    reserved: list[Reserved]
    volumes: int
    tasks: int

    @classmethod
    def of(cls, record: dict[str, Any]) -> AgentInfo:
        """From what the native part says."""
        return cls(
            id=record["id"],
            name=record["name"],
            attributes=record["attributes"],
            connected=record["connected"],
            draining=record["draining"],
            withdrawn=Withdrawal.of(record["withdrawn"]),
            unavailable=Unavailability.of(record["unavailable"]),
            resources=Resources.of(record["resources"]),
            used=Resources.of(record["used"]),
            offered=Resources.of(record["offered"]),
            reserved=[Reserved.of(part) for part in record["reserved"]],
            volumes=record["volumes"],
            tasks=record["tasks"],
        )

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
    failover_timeout_seconds: float

    @classmethod
    def of(cls, record: dict[str, Any]) -> FrameworkInfo:
        """From what the native part says."""
        return cls(**{**record, "used": Resources.of(record["used"]), "offered": Resources.of(record["offered"])})


@dataclass(frozen=True)
class TaskInfo:
    """A task, as an operator sees it. ``kind`` is ``task``, or ``allocation`` for what holds room for a queue of tasks;
    ``module`` is the digest of what it runs, ``None`` for an allocation."""

    id: str
    kind: str
    name: str
    role: str
    agent: str
    module: str | None
    resources: Resources
    group: str | None
    status: Status

    @classmethod
    def of(cls, record: dict[str, Any]) -> TaskInfo:
        """From what the native part says."""
        return cls(
            id=record["id"],
            kind=record["kind"],
            name=record["name"],
            role=record["role"],
            agent=record["agent"],
            module=record["module"],
            resources=Resources.of(record["resources"]),
            group=record["group"],
            status=Status.of(record["status"]),
        )


@dataclass(frozen=True)
class Ceiling:
    """The most of each resource. What is ``None`` or not there has no bound."""

    cpus: float | None = None
    mem: int | None = None
    disk: int | None = None
    scalars: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, record: dict[str, Any]) -> Ceiling:
        """From what the native part says."""
        return cls(record.get("cpus"), record.get("mem_bytes"), record.get("disk_bytes"), record.get("scalars", {}))


@dataclass(frozen=True)
class Quota:
    """What a role is promised, and what it may have at most."""

    guarantee: Resources = Resources()
    limit: Ceiling = Ceiling()

    @classmethod
    def of(cls, record: dict[str, Any] | None) -> Quota | None:
        """From what the native part says."""
        return None if record is None else cls(Resources.of(record["guarantee"]), Ceiling.of(record["limit"]))

    def _spec(self) -> dict[str, Any]:
        """As the native part takes it."""
        limit = self.limit
        return {
            "guarantee": self.guarantee._spec(),
            "cpus": None if limit.cpus is None else cpus_text(limit.cpus),
            "mem": limit.mem,
            "disk": limit.disk,
            "scalars": {name: cpus_text(amount) for name, amount in limit.scalars.items()},
        }


@dataclass(frozen=True)
class RoleInfo:
    """A role, with all roles below it. Shares are dominant shares, from 0 to 1, not divided by the weight."""

    name: str
    weight: int
    frameworks: int
    waiting: int
    used: Resources
    offered: Resources
    reserved: Resources
    share: float
    fair_share: float
    quota: Quota | None
    placement: str
    min_allocatable: Resources | None

    @classmethod
    def of(cls, record: dict[str, Any]) -> RoleInfo:
        """From what the native part says."""
        amounts = {name: Resources.of(record[name]) for name in ("used", "offered", "reserved")}
        least = record["min_allocatable"]
        least = None if least is None else Resources.of(least)
        return cls(**{**record, **amounts, "quota": Quota.of(record["quota"]), "min_allocatable": least})


@dataclass(frozen=True)
class VolumeInfo:
    """A volume, as an operator sees it. What is not known of it is ``None``."""

    id: str
    agent: str
    state: str
    name: str | None
    role: str | None
    size: int | None
    shared: bool | None
    creator: str | None
    user: str | None
    users: int
    offers: int

    @classmethod
    def of(cls, record: dict[str, Any]) -> VolumeInfo:
        """From what the native part says."""
        others = {name: value for name, value in record.items() if name != "size_bytes"}
        return cls(size=record["size_bytes"], **others)


@dataclass(frozen=True)
class MaintenanceInfo:
    """A maintenance window, and how many of those who were asked to be off in time said what."""

    id: str
    under_way: bool
    start: datetime
    end: datetime
    grace_seconds: float
    agents: list[str]
    accepted: int
    declined: int
    unanswered: int

    @classmethod
    def of(cls, record: dict[str, Any]) -> MaintenanceInfo:
        """From what the native part says."""
        return cls(**{**record, "start": moment(record["start"]), "end": moment(record["end"])})


@dataclass(frozen=True)
class Happening:
    """Something that happened in the cluster: ``agent_up``, ``framework_down``, ``task``, …, and to whom."""

    time: datetime
    event: str
    task: str | None
    framework: str | None
    agent: str | None
    #: Of a task.
    state: str | None
    reason: str | None
    #: Of ``left_out``: how often a task in a queue was in a new state and that was not told, as it came faster than it was read.
    left_out: int | None

    @classmethod
    def of(cls, record: dict[str, Any]) -> Happening:
        """From what the native part says."""
        rest = {name: record.get(name) for name in ("task", "framework", "agent", "state", "reason", "left_out")}
        return cls(moment(record["time"]), record["event"], **rest)


@dataclass(frozen=True)
class Why:
    """Why a framework has not what it wants. ``ahead`` and ``hindrances`` are as people read them, the most important first."""

    framework: str
    name: str
    role: str
    waits_seconds: float | None
    offers: int
    #: Where it stands by fair share: 1 is next. ``None`` when it is offered nothing.
    rank: int | None
    #: The first of those before it, of those that may be seen.
    ahead: list[str]
    hindrances: list[str]

    @classmethod
    def of(cls, record: dict[str, Any]) -> Why:
        """From what the native part says."""
        names = ("framework", "name", "role", "waits_seconds", "offers", "rank")
        ahead, hindrances = ([str(one["text"]) for one in record[name]] for name in ("ahead", "hindrances"))
        return cls(**{name: record[name] for name in names}, ahead=ahead, hindrances=hindrances)
