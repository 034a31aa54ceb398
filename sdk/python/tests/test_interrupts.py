"""Ctrl-C, wherever in the SDK a program is when it comes: nobody waits for ever, and what is kept can be used again."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dis
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

import haggle_cluster
from haggle_cluster import Cluster, Executor, Job
from haggle_cluster._interrupts import Condition

_OURS = str(Path(haggle_cluster.__file__).parent)
_FUTURES = str(Path(concurrent.futures.__file__).parent)

#: After one of these, CPython looks whether a signal came.
_LOOKED_AFTER = ("CALL", "RESUME", "JUMP_BACKWARD", "JUMP_ABSOLUTE")


class Interrupted:
    """Raises ``KeyboardInterrupt`` at the n-th place of a block where a signal's handler may run."""

    def __init__(self, at: int) -> None:
        self._left = at
        self._names: dict[CodeType, dict[int, str]] = {}
        self._last: dict[FrameType, str] = {}
        self.came = False

    def __enter__(self) -> Interrupted:
        self._before = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        sys.settrace(self._before)
        return kind is KeyboardInterrupt

    def _called(self, frame: FrameType, event: str, arg: object) -> Any:
        code = frame.f_code
        is_lock = code.co_name in ("__enter__", "__exit__") and code.co_filename == threading.__file__
        if self.came or not (is_lock or code.co_filename.startswith((_OURS, _FUTURES))):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._stepped

    def _stepped(self, frame: FrameType, event: str, arg: object) -> Any:
        if event != "opcode" or self.came:
            return self._stepped
        code = frame.f_code
        names = self._names.get(code)
        if names is None:
            names = self._names[code] = {step.offset: step.opname for step in dis.get_instructions(code)}
        last, self._last[frame] = self._last.get(frame, "RESUME"), names[frame.f_lasti]
        if last.startswith(_LOOKED_AFTER):
            self._left -= 1
            if self._left < 0:
                self.came = True
                raise KeyboardInterrupt
        return self._stepped


def everywhere(block: Callable[[], object], after: Callable[[], object]) -> int:
    """Interrupts a block at each of its places in turn, until one run of it is not, and does something after each. How many there were."""
    for at in itertools.count():
        interrupted = Interrupted(at)
        with interrupted:
            block()
        after()
        if not interrupted.came:
            return at
    raise AssertionError


def is_free(lock: Any) -> bool:
    """Whether another thread can have it."""
    taken: list[bool] = []

    def take() -> None:
        taken.append(lock.acquire(timeout=10))
        if taken == [True]:
            lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return taken == [True]


def test_a_lock_that_was_taken_is_given_back_wherever_an_interrupt_comes() -> None:
    condition = Condition()

    def block() -> None:
        with condition:
            condition.notify_all()

    def after() -> None:
        assert is_free(condition)

    everywhere(block, after)


def test_whoever_is_interrupted_while_it_asks_for_a_result_keeps_nobody_from_giving_it() -> None:
    job = Job("a task")

    def block() -> None:
        with contextlib.suppress(concurrent.futures.TimeoutError):
            job.result(timeout=0)

    def after() -> None:
        assert is_free(job._condition)

    everywhere(block, after)


def test_a_map_that_is_interrupted_anywhere_leaves_nothing_that_is_waited_for(cluster: Cluster, interpreter: str) -> None:
    # Not by "with", which would wait for ever for what this is about.
    executor = Executor(cluster, cpus=0.5)
    results = iter(executor.map(abs, ()))

    def read() -> None:
        for _ in range(2):
            next(results)

    def after() -> None:
        nonlocal results
        results.close()  # type: ignore[attr-defined]
        waits_for_none(executor)
        results = executor.map(abs, range(40), max_in_flight=4)
        next(results)

    after()
    assert everywhere(read, after) > 50
    results.close()  # type: ignore[attr-defined]
    # As in a notebook, where the next cell goes on.
    assert list(executor.map(abs, range(-20, 0))) == list(range(20, 0, -1))
    executor.shutdown()


def waits_for_none(executor: Executor) -> None:
    """Sees that whatever the executor would wait for at its end is over soon."""
    with executor._lock:
        calls = list(executor._calls)
    _, still = concurrent.futures.wait(calls, timeout=60)
    assert not still, f"{len(still)} calls are waited for that nobody is at"


INTERRUPTED = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from haggle_cluster import Cluster
with Cluster(sys.argv[1], name="interrupted") as cluster, cluster.executor(cpus=0.5) as executor:
    for at, _ in enumerate(executor.map(time.sleep, [0.002] * 100_000)):
        if at == 100:
            print("on its way", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has another Ctrl-C")
def test_ctrl_c_in_the_middle_of_shared_tasks_leaves_none_behind(cluster: Cluster, interpreter: str) -> None:
    import signal

    program = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, cluster.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdout is not None
    assert program.stdout.readline() == b"on its way\n"

    before = time.monotonic()
    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=60)

    assert b"KeyboardInterrupt" in said
    assert time.monotonic() - before < 30
    assert not any(task.name == "sleep" for task in cluster.tasks())
