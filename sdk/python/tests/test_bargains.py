"""Frameworks of one's own beyond offers and tasks: reservations, volumes, queues, groups, roles, and maintenance."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from haggle_cluster import (
    Cluster,
    CreateVolume,
    DestroyVolume,
    Framework,
    InverseOffers,
    InverseRescinded,
    Mount,
    Offer,
    Offers,
    OperationDropped,
    QueueUpdate,
    Refused,
    Reserve,
    Resources,
    ShareVolume,
    Status,
    Task,
    Unreserve,
    Update,
    Want,
    size,
)

WASM = Path(os.environ["HAGGLE_TEST_WASM"])
HELLO = Task(WASM / "hello.wasm", cpus=0.1, mem="4MiB")
SLEEPER = Task(WASM / "sleeper.wasm", ["60"], name="sleeper", cpus=0.1, mem="4MiB")
DISK = Resources(disk=size("2MiB"))

T = TypeVar("T")


@pytest.fixture(scope="module")
def pair() -> Iterator[Cluster]:
    """A cluster of two agents, to itself."""
    with Cluster(agents=2, cpus=1, mem="256MiB") as cluster:
        yield cluster


def heard(framework: Framework, kind: type[T]) -> T:
    """The next event of this kind. Updates before it are acknowledged."""
    for event in framework:
        if isinstance(event, kind):
            return event
        if isinstance(event, (Update, QueueUpdate)):
            framework.acknowledge(event)
    raise AssertionError(f"no {kind.__name__}")


def told(framework: Framework, state: str) -> Status:
    """The next update with this state."""
    while (status := heard(framework, Update).status).state != state:
        framework.acknowledge(status)
    framework.acknowledge(status)
    return status


def offered(framework: Framework, agents: int = 1) -> list[Offer]:
    """Offers of so many agents."""
    offers = heard(framework, Offers).offers
    while len({offer.agent for offer in offers}) < agents:
        offers += heard(framework, Offers).offers
    return offers


def test_what_is_offered_is_reserved_and_becomes_a_volume_that_outlives_its_task(pair: Cluster) -> None:
    with pair.framework("keeper", ["keepers"]) as framework:
        offer = offered(framework)[0]
        framework.accept([offer], operations=[Reserve("keepers", DISK), CreateVolume("keepers", "data", "1MiB")], refuse=0.0)
        framework.revive()
        while not (offer := offered(framework)[0]).volumes:
            framework.decline([offer], refuse=0.0)
        (volume,) = offer.volumes
        assert (volume.name, volume.role, volume.size, volume.shared) == ("data", "keepers", 1 << 20, False)
        assert [part.role for part in offer.reserved] == ["keepers"]

        (task,) = framework.accept([offer], [HELLO.replace(volumes={"/data": Mount(volume.id, writable=False)})], refuse=0.0)
        assert told(framework, "FINISHED").task == task
        assert [known.name for known in pair.volumes()] == ["data"]

        framework.revive()
        while not (offer := offered(framework)[0]).volumes:
            framework.decline([offer], refuse=0.0)
        framework.accept([offer], operations=[ShareVolume(volume.id)], refuse=0.0)
        framework.revive()
        while not ((offer := offered(framework)[0]).volumes and offer.volumes[0].shared):
            framework.decline([offer], refuse=0.0)
        framework.accept([offer], operations=[DestroyVolume(volume.id), Unreserve("keepers", DISK)], refuse=0.0)
        framework.revive()
        while (offer := offered(framework)[0]).reserved or offer.volumes:
            framework.decline([offer], refuse=0.0)

    assert pair.volumes() == []


def test_of_an_operation_that_cannot_be_done_it_is_told_why(pair: Cluster) -> None:
    with pair.framework("greedy", ["keepers"]) as framework:
        wanted = Reserve("keepers", Resources(cpus=100.0))
        framework.accept(offered(framework)[:1], operations=[wanted])

        dropped = heard(framework, OperationDropped)

    assert dropped.operation == wanted
    assert "100" in dropped.why


def test_a_queue_of_tasks_runs_in_an_allocation(pair: Cluster) -> None:
    with pair.framework("queuer") as framework:
        offer = offered(framework)[0]
        with framework.open([offer], Resources(cpus=0.4, mem=size("32MiB")), name="hellos") as allocation:
            tasks = allocation.enqueue(HELLO, 20, index="NUMBER")
        ended: dict[str, str] = {}
        while len(ended) < len(tasks):
            update = heard(framework, QueueUpdate)
            framework.acknowledge(update)
            assert update.allocation == allocation.id
            ended |= {status.task: status.state for status in update.ended}

        assert told(framework, "FINISHED").task == allocation.id
    assert ended == dict.fromkeys(tasks, "FINISHED")
    assert len(set(tasks)) == 20


def test_an_allocation_whose_block_fails_is_killed(pair: Cluster) -> None:
    with pair.framework("failer") as framework:
        with pytest.raises(KeyError):
            with framework.open(offered(framework)[:1], Resources(cpus=0.4, mem=size("32MiB"))) as allocation:
                allocation.enqueue(SLEEPER)
                raise KeyError

        assert told(framework, "KILLED").task == allocation.id
        with pytest.raises(ValueError, match="idle timeout"):
            framework.open([], Resources(cpus=1, mem=1), idle_timeout=0.0)
        with pytest.raises(ValueError, match="variable that counts"):
            allocation.enqueue(HELLO, index="A=B")


def test_a_group_runs_on_several_agents_or_not_at_all(pair: Cluster) -> None:
    large = SLEEPER.replace(cpus=0.9)
    with pair.framework("ganger") as framework:
        framework.demand(Want(large, waiting=2, gang=1))
        offers = offered(framework, agents=2)
        agents = sorted({offer.agent for offer in offers})
        tasks = framework.launch_group(offers, [(large, agent) for agent in agents])
        running = [told(framework, "RUNNING") for _ in tasks]
        assert sorted(status.agent or "" for status in running) == agents

        framework.kill(tasks[0])

        ends = {told(framework, "KILLED").task, heard(framework, Update).status.task}
        assert ends == set(tasks)
        wanted = Reserve("default", Resources(cpus=0.1))
        (dropped,) = framework.launch_group(offers, [(large, agents[0])], operations=[(wanted, agents[1])])
        assert "is gone" in heard(framework, OperationDropped).why
        assert told(framework, "DROPPED").task == dropped


def test_it_bargains_for_each_of_its_roles(pair: Cluster) -> None:
    with pair.framework("two", ["one", "other"]) as framework:
        framework.demand((SLEEPER, 1), role="one")
        framework.suppress(role="other")
        framework.revive(role="other")
        roles = {offer.role for offer in offered(framework)}
        while roles != {"one", "other"}:
            roles |= {offer.role for offer in offered(framework)}

        framework.update(name="three", roles=["third"])
        while not any(known.name == "three" for known in pair.frameworks()):
            framework.next(0.05)
        assert [known.roles for known in pair.frameworks() if known.id == framework.id] == [["third"]]


def test_it_is_offered_only_what_its_constraints_allow(pair: Cluster) -> None:
    with pair.framework("picky") as framework:
        framework.demand((SLEEPER.replace(constraints=["hostname=nowhere"]), 1))
        # Offers that were made before it said what it wants stay open until it answers.
        while (why := pair.why(framework.id)) is None or why.offers:
            if isinstance(event := framework.next(0.05), Offers):
                framework.decline(event.offers, refuse=0.0)
        assert "nowhere" in why.hindrances[0]

        framework.demand((SLEEPER.replace(constraints=["hostname=agent-2"]), 1))
        assert {offer.agent_name for offer in offered(framework)} == {"agent-2"}


def test_it_is_asked_to_be_off_before_maintenance(pair: Cluster) -> None:
    with pair.framework("mover") as framework:
        framework.demand((SLEEPER, 1))
        (offer, *_) = offered(framework)
        framework.accept([offer], [SLEEPER])
        told(framework, "RUNNING")

        window = pair.schedule_maintenance([offer.agent], 3600.0, lasts=60.0)
        asked = heard(framework, InverseOffers).offers[0]
        framework.decline_inverse([asked], refuse=0.0)
        again = heard(framework, InverseOffers).offers[0]
        framework.accept_inverse([again])

        assert asked.agent == again.agent == offer.agent
        assert (again.unavailable.end - again.unavailable.start).total_seconds() == 60.0
        while (known := pair.maintenance()[0]).accepted != 1:
            assert (known.id, known.agents, known.under_way) == (window, [offer.agent], False)
        assert [agent.unavailable for agent in pair.agents() if agent.id == offer.agent] == [again.unavailable]
        pair.cancel_maintenance(window)
        assert pair.maintenance() == []


def test_an_inverse_offer_is_taken_back_with_its_window(pair: Cluster) -> None:
    with pair.framework("mover") as framework:
        framework.demand((SLEEPER, 1))
        (offer, *_) = offered(framework)
        framework.accept([offer], [SLEEPER])
        told(framework, "RUNNING")
        window = pair.schedule_maintenance([offer.agent], 3600.0, lasts=60.0)
        asked = heard(framework, InverseOffers).offers[0]

        pair.cancel_maintenance(window)

        assert heard(framework, InverseRescinded).offers == [asked.id]


def test_what_no_framework_can_say_is_refused(pair: Cluster) -> None:
    with pair.framework("wrong") as framework:
        offers = offered(framework)
        with pytest.raises(Refused, match="some mem"):
            framework.accept(offers, [SLEEPER.replace(mem=0)])
        with pytest.raises(ValueError, match="is not an id like volume-1.1|not an id like volume"):
            framework.accept(offers, operations=[DestroyVolume("data")])
        with pytest.raises(ValueError, match="is not a size like"):
            CreateVolume("keepers", "data", "large")._spec()
        # Nothing of that was said.
        framework.accept(offers[:1], [HELLO])
        assert told(framework, "FINISHED").is_terminal
