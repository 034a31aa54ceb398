"""In which order a session tells what happens."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, cast

from haggle_cluster._native import Connection
from haggle_cluster.jobs import Session


class Played:
    """A native session of which a test says what happens when."""

    def __init__(self) -> None:
        self.happens: queue.Queue[list[dict[str, Any]]] = queue.Queue()
        self.is_handed_over = threading.Event()
        self.asked = 0

    def session(self, name: str, role: str | None, retries: int) -> Played:
        return self

    def submit(self, spec: dict[str, Any], collect: bool) -> int:
        assert self.is_handed_over.wait(10)
        return 0

    def next(self) -> list[dict[str, Any]]:
        self.asked += 1
        return self.happens.get()

    def close(self) -> None:
        self.happens.put([{"kind": "closed", "index": 0}])


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_what_happens_while_a_task_is_handed_over_is_told_in_its_order() -> None:
    native = Played()
    session = Session(cast(Connection, native), "played", None, 0)
    told: list[str] = []

    def listener(event: dict[str, Any]) -> None:
        if event["kind"] == "launched":
            # It ends while this is being told.
            native.happens.put([{"kind": kind, "index": 0} for kind in ("running", "ended")])
            wait_until(lambda: native.asked == 3)
        told.append(event["kind"])

    native.happens.put([{"kind": "launched", "index": 0}])
    wait_until(lambda: native.asked == 2)
    native.is_handed_over.set()
    session.submit({}, listener)
    session.close()

    assert told == ["launched", "running", "ended"]
