"""What a framework hears, and the operations that it may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .operators import bytes_of
from .records import InverseOffer, Offer, Resources, Status
from .task import Size


@dataclass(frozen=True)
class Reserve:
    """So much of what is offered is kept for a role: that of the offers, or one below it. ``within``: for whom it is now."""

    role: str
    resources: Resources
    within: str | None = None

    def _spec(self) -> dict[str, Any]:
        return {"reserve": self.resources._spec(), "role": self.role, "within": self.within}


@dataclass(frozen=True)
class Unreserve:
    """So much is kept for a role no longer, but for whomever it was before."""

    role: str
    resources: Resources

    def _spec(self) -> dict[str, Any]:
        return {"unreserve": self.resources._spec(), "role": self.role}


@dataclass(frozen=True)
class CreateVolume:
    """A volume is made of disk that is reserved for a role."""

    role: str
    name: str
    size: Size

    def _spec(self) -> dict[str, Any]:
        return {"create": self.name, "role": self.role, "size": bytes_of(self.size)}


@dataclass(frozen=True)
class DestroyVolume:
    """A volume is removed with all that is in it; its disk stays reserved."""

    volume: str

    def _spec(self) -> dict[str, Any]:
        return {"destroy": self.volume}


@dataclass(frozen=True)
class ShareVolume:
    """Any number of tasks may read a volume at once, and none write it; or one at a time uses it again."""

    volume: str
    shared: bool = True

    def _spec(self) -> dict[str, Any]:
        return {"share": self.volume, "shared": self.shared}


Operation = Reserve | Unreserve | CreateVolume | DestroyVolume | ShareVolume


@dataclass(frozen=True)
class Offers:
    """It may take these."""

    offers: list[Offer]


@dataclass(frozen=True)
class Rescinded:
    """These offers are no longer to be had."""

    offers: list[str]


@dataclass(frozen=True)
class InverseOffers:
    """These agents will not be there: to be accepted, by who will be off them in time, or declined."""

    offers: list[InverseOffer]


@dataclass(frozen=True)
class InverseRescinded:
    """These inverse offers need no answer any more."""

    offers: list[str]


@dataclass(frozen=True)
class Update:
    """News of a task, to be acknowledged."""

    status: Status


@dataclass(frozen=True)
class QueueUpdate:
    """News of the tasks in an allocation, to be acknowledged: which have begun, and how others have ended."""

    allocation: str
    update: int
    agent: str | None
    started: list[str]
    ended: list[Status]


@dataclass(frozen=True)
class OperationDropped:
    """An operation of an accept was not carried out, and why."""

    operation: Operation
    why: str


@dataclass(frozen=True)
class AgentLost:
    """An agent is gone; its tasks are told of one by one."""

    agent: str


@dataclass(frozen=True)
class Disconnected:
    """The master was lost. All offers are void; the way back is being looked for."""

    why: str


@dataclass(frozen=True)
class Subscribed:
    """Back with a master, which tells where every task stands that it knows."""


@dataclass(frozen=True)
class Error:
    """The last event: the master wants nothing more of this framework."""

    why: str


Event = (
    Offers
    | Rescinded
    | InverseOffers
    | InverseRescinded
    | Update
    | QueueUpdate
    | OperationDropped
    | AgentLost
    | Disconnected
    | Subscribed
    | Error
)


def event_of(record: dict[str, Any]) -> Event:
    """From what the native part says."""
    kind = record.pop("kind")
    if kind == "offers":
        return Offers([Offer.of(offer) for offer in record["offers"]])
    if kind == "update":
        return Update(Status.of(record["status"]))
    if kind == "queue":
        return QueueUpdate(**{**record, "ended": [Status.of(status) for status in record["ended"]]})
    if kind == "inverse_offers":
        return InverseOffers([InverseOffer.of(offer) for offer in record["offers"]])
    if kind == "operation_dropped":
        return OperationDropped(_operation_of(record["operation"]), record["why"])
    made: Event = _PLAIN[kind](**record)
    return made


_PLAIN: dict[str, Any] = {
    "rescinded": Rescinded,
    "inverse_rescinded": InverseRescinded,
    "agent_lost": AgentLost,
    "disconnected": Disconnected,
    "subscribed": Subscribed,
    "error": Error,
}

_OPERATIONS: dict[str, Any] = {
    "reserve": Reserve,
    "unreserve": Unreserve,
    "create_volume": CreateVolume,
    "destroy_volume": DestroyVolume,
    "share_volume": ShareVolume,
}


def _operation_of(record: dict[str, Any]) -> Operation:
    kind = record.pop("operation")
    if "resources" in record:
        record["resources"] = Resources.of(record["resources"])
    made: Operation = _OPERATIONS[kind](**record)
    return made
