"""Frameworks of one's own, and the examples."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from haggle_cluster import Cluster, Framework, Offers, Resources, SessionOver, Status, Task, Update

WASM = Path(os.environ["HAGGLE_TEST_WASM"])
EXAMPLES = Path(__file__).parents[3] / "examples" / "python"
SLEEPER = Task(WASM / "sleeper.wasm", ["60"], name="sleeper", cpus=0.1, mem="4MiB")


def offered(framework: Framework) -> Offers:
    for event in framework:
        if isinstance(event, Offers):
            return event
    raise AssertionError("no offers")


def told(framework: Framework, state: str) -> Status:
    """The next update with this state; those before are acknowledged too."""
    for event in framework:
        if isinstance(event, Update):
            framework.acknowledge(event)
            if event.status.state == state:
                return event.status
    raise AssertionError(f"never {state}")


def test_a_framework_bargains(cluster: Cluster) -> None:
    with cluster.framework("bargainer", ["default"]) as framework:
        assert framework.id in [known.id for known in cluster.frameworks()]
        framework.demand((SLEEPER, 1))
        offer = offered(framework).offers[0]
        assert offer.resources.fits(Resources(cpus=0.1, mem=4 << 20)) and offer.agent_name == "agent-1"

        (task,) = framework.accept([offer], [SLEEPER])
        assert told(framework, "RUNNING").task == task
        framework.reconcile([task])
        assert told(framework, "RUNNING").reason == "RECONCILIATION"
        framework.kill(task)
        ended = told(framework, "KILLED")

    assert ended.is_terminal and ended.usage is not None
    assert framework.id not in [known.id for known in cluster.frameworks()]
    assert framework.next() is None
    with pytest.raises(SessionOver):
        framework.revive()


def test_what_is_declined_is_offered_after_a_while(cluster: Cluster) -> None:
    with cluster.framework("decliner") as framework:
        framework.decline(offered(framework).offers, refuse=0.1)
        again = offered(framework)
        framework.suppress()
        framework.decline(again.offers, refuse=0.0)

        assert not isinstance(framework.next(0.3), Offers)
        framework.revive()
        assert offered(framework).offers


def test_what_is_launched_on_an_offer_that_is_gone_is_dropped(cluster: Cluster) -> None:
    with cluster.framework("late") as framework:
        offers = offered(framework).offers
        framework.decline(offers, refuse=60.0)
        (task,) = framework.accept(offers, [SLEEPER])

        assert told(framework, "DROPPED").task == task


@pytest.mark.usefixtures("interpreter")
def test_the_first_framework_runs_to_its_end(cluster: Cluster) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "first.py", "0.2", cluster.url], capture_output=True, text=True, timeout=300
    )

    assert done.returncode == 0, done.stderr
    for line in ("is subscribed as my_framework", ", sleep 0.2", "is RUNNING", "is FINISHED"):
        assert line in done.stdout, done.stdout


@pytest.mark.usefixtures("interpreter")
def test_words_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("the cat and the dog")
    (tmp_path / "b").write_text("The end, and that's it.")

    done = subprocess.run(
        [sys.executable, EXAMPLES / "mapreduce.py", tmp_path / "a", tmp_path / "b"], capture_output=True, text=True, timeout=300
    )

    assert done.stdout.splitlines()[:2] == ["      3 the", "      2 and"], done.stderr
