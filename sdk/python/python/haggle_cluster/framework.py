"""A framework of one's own: it is offered resources, and launches tasks on those that it likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .events import Event, Operation, QueueUpdate, Update, event_of
from .records import InverseOffer, Offer, Resources, Status
from .task import Task

if TYPE_CHECKING:
    from . import _native


@dataclass(frozen=True)
class Want:
    """Tasks alike for which a framework wants room.

    ``waiting`` of them wait; for ``spare`` more it would like to have room at hand, as long as nobody else waits for it. Wants with
    the same ``gang`` are offered room for all of their tasks at once or not at all, to be launched as a group.
    """

    task: Task
    waiting: int = 1
    spare: int = 0
    gang: int = 0


class Framework:
    """A framework that is subscribed to a master. Made by :meth:`Cluster.framework`; leaves for good when it is closed.

    The number of seconds called ``refuse`` is for how long what is left over, or declined, is not offered again.
    """

    def __init__(
        self,
        native: _native.Framework,
        spec: Callable[[Task], dict[str, Any]],
        name: str,
        roles: list[str],
        failover: float,
    ) -> None:
        self._native = native
        self._spec = spec
        self._info = (name, roles, failover)

    @property
    def id(self) -> str:
        """The name that the master gave it."""
        return self._native.id()

    # What it hears

    def next(self, timeout: float | None = None) -> Event | None:
        """The next event; ``None`` after the last, or when there was none for ``timeout`` seconds."""
        record = self._native.next(timeout)
        return None if record is None else event_of(record)

    def events(self) -> Iterator[Event]:
        """All events to the last, as they come."""
        while (event := self.next()) is not None:
            yield event

    def __iter__(self) -> Iterator[Event]:
        return self.events()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (event := await asyncio.to_thread(self.next)) is not None:
            yield event

    # What it says of offers

    def accept(
        self,
        offers: Iterable[Offer],
        tasks: Iterable[Task] = (),
        *,
        operations: Iterable[Operation] = (),
        refuse: float = 5.0,
    ) -> list[str]:
        """Launches tasks on offers of one agent, and gives back their ids. What is left over is declined.

        Before anything is launched ``operations`` are carried out, in this order. What they come to the next offers show; of one
        that cannot be done :class:`OperationDropped` tells why.
        """
        specs, wanted = [self._spec(task) for task in tasks], [operation._spec() for operation in operations]
        return self._native.accept([offer.id for offer in offers], wanted, specs, refuse)

    def launch_group(
        self,
        offers: Iterable[Offer],
        tasks: Iterable[tuple[Task, str]],
        *,
        operations: Iterable[tuple[Operation, str]] = (),
        refuse: float = 5.0,
    ) -> list[str]:
        """Launches tasks on agents of which there are offers, all of them or none, and gives back their ids.

        They live and die together: when one comes to any end but ``FINISHED``, the others are ended. Before anything is launched
        ``operations`` are carried out, each on the agent that is named with it; when one cannot be done, nothing is.
        """
        specs = [(self._spec(task), agent) for task, agent in tasks]
        wanted = [(operation._spec(), agent) for operation, agent in operations]
        return self._native.launch_group([offer.id for offer in offers], wanted, specs, refuse)

    def open(
        self,
        offers: Iterable[Offer],
        resources: Resources,
        *,
        name: str = "queue",
        volumes: Iterable[str] = (),
        idle_timeout: float = 5.0,
        refuse: float = 5.0,
    ) -> Allocation:
        """Opens an allocation on offers of one agent: resources in which the tasks of a queue run, as many at once as fit.

        It is a task itself, which updates, kills and acknowledgements name. It ends after the last task of its queue, or after
        ``idle_timeout`` seconds without any. ``volumes`` of the offers are those that its tasks may mount.
        """
        ids = [offer.id for offer in offers]
        found = self._native.open(ids, name, resources._spec(), list(volumes), idle_timeout, refuse)
        return Allocation(self, found)

    def decline(self, offers: Iterable[Offer], *, refuse: float = 5.0) -> None:
        """Takes nothing of these offers."""
        self._native.decline([offer.id for offer in offers], refuse)

    def accept_inverse(self, offers: Iterable[InverseOffer]) -> None:
        """Will be off the agents of these inverse offers by the start of their maintenance."""
        self._native.accept_inverse([offer.id for offer in offers])

    def decline_inverse(self, offers: Iterable[InverseOffer], *, refuse: float = 5.0) -> None:
        """Will not be off in time. What runs there at the start of the maintenance is ended all the same."""
        self._native.decline_inverse([offer.id for offer in offers], refuse)

    # What it says of itself. Where it names a role, it says it of that one alone.

    def demand(self, *waiting: Want | tuple[Task, int], role: str | None = None) -> None:
        """Says of which tasks so many wait: it is offered what fits them and no more; nothing, when none do."""
        wants = [want if isinstance(want, Want) else Want(*want) for want in waiting]
        self._native.demand(role, [(self._spec(want.task), want.waiting, want.spare, want.gang) for want in wants])

    def revive(self, *, role: str | None = None) -> None:
        """Wants offers again, of whatever there is."""
        self._native.revive(role)

    def suppress(self, *, role: str | None = None) -> None:
        """Wants no offers until it revives or demands."""
        self._native.suppress(role)

    def update(
        self, *, name: str | None = None, roles: Sequence[str] | None = None, failover: float | None = None
    ) -> None:
        """Is something else from now on. Offers for roles that it leaves are rescinded; its tasks count where they were launched."""
        before = self._info
        self._info = (
            before[0] if name is None else name,
            before[1] if roles is None else list(roles),
            before[2] if failover is None else failover,
        )
        self._native.update(*self._info)

    # What it says of tasks

    def kill(self, task: str) -> None:
        """Asks for a task's end. Its last update says how that went."""
        self._native.kill(task)

    def acknowledge(self, update: Update | QueueUpdate | Status) -> None:
        """Takes note of an update, so that it is not sent again."""
        if isinstance(update, QueueUpdate):
            self._native.acknowledge(update.allocation, update.update, update.agent)
            return
        status = update.status if isinstance(update, Update) else update
        self._native.acknowledge(status.task, status.update, status.agent)

    def reconcile(self, tasks: Sequence[str | tuple[str, str]] = ()) -> None:
        """Asks where tasks stand, each alone or with the agent that it was launched on; without any, where all do.

        The answers are updates.
        """
        pairs: list[tuple[str, str | None]] = [(task, None) if isinstance(task, str) else task for task in tasks]
        self._native.reconcile(pairs)

    # Its end

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


class Allocation:
    """Resources of one agent, and a queue of tasks that run in them. Made by :meth:`Framework.open`.

    At the end of ``with`` it takes no more tasks, and ends after the last; when an exception ends that, it is killed.
    """

    def __init__(self, framework: Framework, allocation: str) -> None:
        self._framework = framework
        #: Its id, which is one of a task.
        self.id = allocation

    def enqueue(self, task: Task, count: int = 1, *, index: str | None = None, last: bool = False) -> list[str]:
        """Puts so many tasks alike into the queue, and gives back their ids. A variable ``index`` tells each its number, from 0.

        How they ended comes as :class:`QueueUpdate`, many at a time. Refill the queue before it is empty; after the ``last`` the
        allocation ends.
        """
        framework = self._framework
        return framework._native.enqueue(self.id, [(framework._spec(task), count, index)], last)

    def close(self) -> None:
        """Takes no more tasks. It ends after those that it has."""
        self._framework._native.enqueue(self.id, [], True)

    def kill(self) -> None:
        """Asks for its end, and that of all that is in it."""
        self._framework.kill(self.id)

    def __enter__(self) -> Allocation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.close()
        else:
            self.kill()
