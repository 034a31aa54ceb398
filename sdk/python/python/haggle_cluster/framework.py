"""A framework of one's own: it is offered resources, and launches tasks on those that it likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .records import Offer, Status
from .task import Task

if TYPE_CHECKING:
    from . import _native


@dataclass(frozen=True)
class Offers:
    """It may take these."""

    offers: list[Offer]


@dataclass(frozen=True)
class Rescinded:
    """These offers are no longer to be had."""

    offers: list[str]


@dataclass(frozen=True)
class Update:
    """News of a task, to be acknowledged."""

    status: Status


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


@dataclass(frozen=True)
class Other:
    """Something that this kind of framework takes no part in, as inverse offers, in words."""

    what: str


Event = Offers | Rescinded | Update | AgentLost | Disconnected | Subscribed | Error | Other


class Framework:
    """A framework that is subscribed to a master. Made by :meth:`Cluster.framework`; leaves for good when it is closed."""

    def __init__(self, native: _native.Framework, spec: Callable[[Task], dict[str, Any]]) -> None:
        self._native = native
        self._spec = spec

    @property
    def id(self) -> str:
        """The name that the master gave it."""
        return self._native.id()

    def next(self, timeout: float | None = None) -> Event | None:
        """The next event; ``None`` after the last, or when there was none for ``timeout`` seconds."""
        record = self._native.next(timeout)
        return None if record is None else _event(record)

    def events(self) -> Iterator[Event]:
        """All events to the last, as they come."""
        while (event := self.next()) is not None:
            yield event

    def __iter__(self) -> Iterator[Event]:
        return self.events()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (event := await asyncio.to_thread(self.next)) is not None:
            yield event

    def accept(self, offers: Iterable[Offer], tasks: Iterable[Task], *, refuse: float = 5.0) -> list[str]:
        """Launches tasks on offers of one agent, and gives back their ids.

        What is left over is declined, and not offered again for ``refuse`` seconds.
        """
        specs = [self._spec(task) for task in tasks]
        return self._native.accept([offer.id for offer in offers], specs, refuse)

    def decline(self, offers: Iterable[Offer], *, refuse: float = 5.0) -> None:
        """Takes nothing of these offers, and does not want the same again for ``refuse`` seconds."""
        self._native.decline([offer.id for offer in offers], refuse)

    def demand(self, *waiting: tuple[Task, int]) -> None:
        """Says of which tasks so many wait: it is offered what fits them and no more; nothing, when none do."""
        self._native.demand([(self._spec(task), count) for task, count in waiting])

    def revive(self) -> None:
        """Wants offers again, of whatever there is."""
        self._native.revive()

    def suppress(self) -> None:
        """Wants no offers until it revives or demands."""
        self._native.suppress()

    def kill(self, task: str) -> None:
        """Asks for a task's end. Its last update says how that went."""
        self._native.kill(task)

    def acknowledge(self, update: Update | Status) -> None:
        """Takes note of an update, so that it is not sent again."""
        status = update.status if isinstance(update, Update) else update
        self._native.acknowledge(status.task, status.update, status.agent)

    def reconcile(self, tasks: Sequence[str | tuple[str, str]] = ()) -> None:
        """Asks where tasks stand, each alone or with the agent that it was launched on; without any, where all do.

        The answers are updates.
        """
        pairs: list[tuple[str, str | None]] = [(task, None) if isinstance(task, str) else task for task in tasks]
        self._native.reconcile(pairs)

    def close(self) -> None:
        """Leaves for good: its tasks are killed, its offers given back."""
        self._native.teardown()

    def __enter__(self) -> Framework:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Framework:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)


def _event(record: dict[str, Any]) -> Event:
    kind, why = record["kind"], record["why"] or ""
    if kind == "offers":
        return Offers([Offer.of(offer) for offer in record["offers"]])
    if kind == "update":
        return Update(Status.of(record["status"]))
    if kind == "rescinded":
        return Rescinded(record["ids"])
    if kind == "agent_lost":
        return AgentLost(record["ids"][0])
    if kind == "disconnected":
        return Disconnected(why)
    if kind == "subscribed":
        return Subscribed()
    return Error(why) if kind == "error" else Other(why)
