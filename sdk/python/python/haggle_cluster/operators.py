"""What operators see of a cluster, and decide of it. Ids are those that the cluster prints, like ``agent-1``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TypeVar

from . import _native
from .records import Resources, table
from .task import Size
from .views import AgentInfo, FrameworkInfo, Happening, MaintenanceInfo, OpenOffer, Quota, RoleInfo, TaskInfo, VolumeInfo, Why

R = TypeVar("R")


class Rows(list[R]):
    """A list of records, which a notebook shows as a table."""

    def _repr_html_(self) -> str:
        return table(self)


class Operator:
    """The part of a :class:`Cluster` that is an operator's. What this program may not do raises :class:`NotAllowed`."""

    _operator: _native.Operator

    # What there is

    def agents(self) -> Rows[AgentInfo]:
        """Every agent."""
        return Rows(AgentInfo.of(record) for record in self._operator.agents())

    def frameworks(self) -> Rows[FrameworkInfo]:
        """Every framework."""
        return Rows(FrameworkInfo.of(record) for record in self._operator.frameworks())

    def offers(self) -> Rows[OpenOffer]:
        """Every open offer."""
        return Rows(OpenOffer.of(record) for record in self._operator.offers())

    def tasks(self, *, ended: bool = False) -> Rows[TaskInfo]:
        """Every task that has not ended and, if asked for, the last ones that have."""
        return Rows(TaskInfo.of(record) for record in self._operator.tasks(ended))

    def task(self, task: str) -> TaskInfo | None:
        """One task, if the master knows it; ended ones are forgotten after a while."""
        record = self._operator.task(task)
        return None if record is None else TaskInfo.of(record)

    def roles(self) -> Rows[RoleInfo]:
        """Every role that has a framework, that is above such a one, or of which an operator has decided something."""
        return Rows(RoleInfo.of(record) for record in self._operator.roles())

    def volumes(self) -> Rows[VolumeInfo]:
        """Every volume that this program may use or see."""
        return Rows(VolumeInfo.of(record) for record in self._operator.volumes())

    def maintenance(self) -> Rows[MaintenanceInfo]:
        """Every maintenance window that is under way or to come."""
        return Rows(MaintenanceInfo.of(record) for record in self._operator.maintenance())

    def why(self, framework: str, role: str | None = None) -> Why | None:
        """Why a framework has not what it wants in a role, or in its first one. ``None`` when it is not known, or not to be seen."""
        record = self._operator.why(framework, role)
        return None if record is None else Why.of(record)

    def watch(self) -> Iterator[Happening]:
        """What happens from now on, as it comes. Raises :class:`ConnectError` when it is read too slowly or the master is lost."""
        watch = self._operator.watch()
        return (Happening.of(record) for record in iter(watch.next, None))

    def kill(self, task: str) -> None:
        """Asks for a task's end, be it this program's or not."""
        self._operator.kill(task)

    # Roles

    def set_weight(self, role: str, weight: int | None) -> None:
        """Has a role weigh so much against its siblings; ``None``: what the master's configuration says, or 1."""
        self._operator.set_weight(role, weight)

    def set_quota(self, role: str, quota: Quota | None, *, force: bool = False) -> None:
        """Promises a role so much and lets it have no more, with all roles below it; ``None``: nothing and no bound.

        Refused without ``force`` when more would be promised than all agents have, or its tasks hold more than the limit.
        """
        self._operator.set_quota(role, None if quota is None else quota._spec(), force)

    def set_placement(self, role: str, placement: str | None) -> None:
        """Has offers to a role be made of the fullest agents, ``"binpack"``, or the emptiest, ``"spread"``; ``None``: as above it."""
        self._operator.set_placement(role, placement)

    def set_min_allocatable(self, role: str, least: Resources | None) -> None:
        """Offers a role all of this or nothing; ``None``: as the role above it, or the least of the cluster."""
        self._operator.set_min_allocatable(role, None if least is None else least._spec())

    # Reservations and volumes

    def reserve(self, agent: str, role: str, resources: Resources, *, within: str | None = None) -> None:
        """Reserves for a role so much of what no task holds on an agent; ``within`` a role above, of what is reserved for that."""
        self._operator.reserve(agent, role, within, resources._spec())

    def unreserve(self, agent: str, role: str, resources: Resources) -> None:
        """Ends the reservation of so much of an agent for a role, as far as no task uses it."""
        self._operator.unreserve(agent, role, resources._spec())

    def create_volume(self, agent: str, role: str, name: str, size: Size) -> str:
        """Makes a volume of disk that is reserved for a role on an agent, and gives back its id."""
        return self._operator.create_volume(agent, role, name, bytes_of(size))

    def destroy_volume(self, volume: str) -> None:
        """Removes a volume that no task uses, with all that is in it. Its disk stays reserved."""
        self._operator.destroy_volume(volume)

    def share_volume(self, volume: str, shared: bool = True) -> None:
        """Has any number of tasks read a volume at once, and none write it; or one task at a time use it again."""
        self._operator.share_volume(volume, shared)

    # Agents

    def deactivate(self, agent: str) -> None:
        """Has an agent take no new tasks until it is reactivated. Those that it has go on."""
        self._operator.deactivate(agent)

    def drain(self, agent: str, *, grace: float = 0.0, mark_gone: bool = False) -> None:
        """Has an agent take no new tasks, and end those that it has within ``grace`` seconds; with ``mark_gone`` it is then removed."""
        self._operator.drain(agent, grace, mark_gone)

    def reactivate(self, agent: str) -> None:
        """Has an agent take tasks again that was deactivated or drained."""
        self._operator.reactivate(agent)

    def mark_gone(self, agent: str) -> None:
        """Declares that an agent will never come back: its tasks are ``GONE_BY_OPERATOR``."""
        self._operator.mark_gone(agent)

    def schedule_maintenance(
        self, agents: Iterable[str], start: datetime | float, *, lasts: float, grace: float = 0.0
    ) -> str:
        """Makes a maintenance window, and gives back its id: these agents will not be there for ``lasts`` seconds.

        ``start`` is a time, or in how many seconds. At the start they are drained, with so many seconds of ``grace``; at the end
        they take tasks again.
        """
        at = (True, start.timestamp()) if isinstance(start, datetime) else (False, float(start))
        return self._operator.schedule_maintenance(list(agents), at, lasts, grace)

    def cancel_maintenance(self, window: str) -> None:
        """Ends a maintenance window before its time, or before it has begun."""
        self._operator.cancel_maintenance(window)


def bytes_of(size: Size) -> int:
    """The bytes that a size says."""
    return _native.size(size) if isinstance(size, str) else size
