"""What operators see of a cluster from Python, and decide of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from haggle_cluster import Ceiling, Cluster, Happening, NotFound, Quota, Refused, Resources, Task, size

WASM = Path(os.environ["HAGGLE_TEST_WASM"])
HELLO = Task(WASM / "hello.wasm", cpus=0.1, mem="4MiB")
SLEEPER = Task(WASM / "sleeper.wasm", ["60"], name="sleeper", cpus=0.1, mem="4MiB")


@pytest.fixture(scope="module")
def pair() -> Iterator[Cluster]:
    """A cluster of two agents, to itself."""
    with Cluster(agents=2, cpus=1, mem="256MiB", role="eng/batch") as cluster:
        yield cluster


def until(holds: Callable[[], bool]) -> None:
    """Asks again until it is so."""
    waited = threading.Event()
    for _ in range(600):
        if holds():
            return
        waited.wait(0.05)
    raise AssertionError("it never came to be")


def test_roles_are_weighed_bounded_and_placed(pair: Cluster) -> None:
    pair.run(HELLO)
    quota = Quota(Resources(cpus=0.5), Ceiling(cpus=1.5, mem=size("200MiB")))

    pair.set_weight("eng", 3)
    pair.set_quota("eng", quota)
    pair.set_placement("eng", "spread")
    pair.set_min_allocatable("eng", Resources(cpus=0.1, mem=size("1MiB")))

    roles = {role.name: role for role in pair.roles()}
    assert "eng/batch" in roles
    eng = roles["eng"]
    assert (eng.weight, eng.placement, eng.quota) == (3, "spread", quota)
    assert eng.min_allocatable is not None and eng.min_allocatable.mem == 1 << 20
    with pytest.raises(Refused, match="above the limit"):
        pair.set_quota("eng", Quota(Resources(cpus=2.0), Ceiling(cpus=1.0)))
    with pytest.raises(Refused, match="100"):
        pair.set_quota("eng", Quota(Resources(cpus=100.0)))
    with pytest.raises(ValueError, match="binpack and spread"):
        pair.set_placement("eng", "anywhere")
    pair.set_weight("eng", None)
    pair.set_quota("eng", None)
    pair.set_placement("eng", None)
    pair.set_min_allocatable("eng", None)
    assert [(role.weight, role.quota) for role in pair.roles() if role.name == "eng"] == [(1, None)]


def test_an_agent_keeps_something_for_a_role(pair: Cluster) -> None:
    pair.reserve("agent-1", "eng", Resources(cpus=0.5, disk=size("4MiB")))
    pair.reserve("agent-1", "eng/batch", Resources(cpus=0.25), within="eng")
    volume = pair.create_volume("agent-1", "eng", "data", "1MiB")

    until(lambda: [known.state for known in pair.volumes()] == ["ready"])
    (known,) = pair.volumes()
    assert (known.id, known.agent, known.role, known.size, known.shared) == (volume, "agent-1", "eng", 1 << 20, False)
    kept = {part.role: (part.within, part.resources.cpus) for part in pair.agents()[0].reserved}
    assert kept == {"eng": ([], 0.25), "eng/batch": (["eng"], 0.25)}
    pair.share_volume(volume)
    assert pair.volumes()[0].shared
    pair.destroy_volume(volume)
    with pytest.raises(Refused, match="of what can be had"):
        pair.unreserve("agent-1", "eng", Resources(cpus=10.0))
    pair.unreserve("agent-1", "eng/batch", Resources(cpus=0.25))
    pair.unreserve("agent-1", "eng", Resources(cpus=0.5))
    until(lambda: pair.volumes() == [])
    pair.unreserve("agent-1", "eng", Resources(disk=size("4MiB")))
    assert pair.agents()[0].reserved == []


def test_an_agent_is_drained_and_comes_back(pair: Cluster) -> None:
    job = pair.submit(SLEEPER)
    until(job.running)
    assert job.task_id is not None
    task = pair.task(job.task_id)
    assert task is not None and task.kind == "task" and task.status.state in ("STAGING", "STARTING", "RUNNING")

    pair.drain(task.agent, grace=0.0)

    with pytest.raises(Exception, match="AGENT_DRAINING"):
        job.result(60)

    def state() -> list[str | None]:
        withdrawn = [agent.withdrawn for agent in pair.agents() if agent.id == task.agent]
        return [None if it is None else it.state for it in withdrawn]

    until(lambda: state() == ["DRAINED"])
    pair.reactivate(task.agent)
    assert state() == [None]
    pair.deactivate(task.agent)
    assert state() == ["DEACTIVATED"]
    with pytest.raises(Refused):
        pair.mark_gone(task.agent)
    pair.reactivate(task.agent)
    for wrong in (pair.deactivate, pair.drain, pair.reactivate):
        with pytest.raises((NotFound, Refused), match="agent-77"):
            wrong("agent-77")
    with pytest.raises(ValueError, match="is not an id like agent-1"):
        pair.drain("first")


def test_a_window_begins_at_a_time(pair: Cluster) -> None:
    start = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(hours=2)

    window = pair.schedule_maintenance(["agent-1", "agent-2"], start, lasts=90.0, grace=5.0)

    (known,) = pair.maintenance()
    assert (known.id, known.start, known.end) == (window, start, start + timedelta(seconds=90))
    assert (known.agents, known.grace_seconds) == (["agent-1", "agent-2"], 5.0)
    with pytest.raises(Refused, match="lasts from"):
        pair.schedule_maintenance(["agent-1"], 1.0, lasts=0.0)
    pair.cancel_maintenance(window)
    with pytest.raises((NotFound, Refused)):
        pair.cancel_maintenance(window)


def test_what_happens_is_watched(pair: Cluster) -> None:
    seen: list[Happening] = []
    watched = pair.watch()
    done = threading.Event()

    def look() -> None:
        for happening in watched:
            seen.append(happening)
            if happening.state == "FINISHED":
                done.set()
                return

    threading.Thread(target=look, daemon=True).start()
    job = pair.submit(HELLO)
    job.result(60)

    assert done.wait(60)
    assert {(one.event, one.task) for one in seen if one.state == "FINISHED"} == {("task", job.task_id)}
    assert pair.task("task-99.1") is None
    assert pair.why("framework-99") is None
