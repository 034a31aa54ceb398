"""Calls of Python functions on Haggle, beside what people would use instead, in one run.

    cargo xtask bench python [-- --url URL --calls N --work N]

Without the URL of a master it starts a cluster of its own.

Ray, Dask and ProcessPoolExecutor run a function in a process of this machine's Python, with no sandbox around it and no limit on
what it uses; Haggle runs calls in sandboxes: `map` as it comes chooses how many share one, with a chunk size of 1 each has its own.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from concurrent import futures
from typing import Any

from haggle_cluster import Cluster, Executor

CHUNK = 50
WARM = 60
WORK_SECONDS = 0.02

#: How often each is done; as many as are asked for.
CALLS = 1000
WORK = 200

DEFAULTS = "haggle, as it comes"

Map = Callable[[Callable[[int], int], Iterable[int]], Any]


def no_op(x: int) -> int:
    return x


def work(turns: int) -> int:
    total = 0
    for turn in range(turns):
        total += turn * turn % 7
    return total


def turns_of(seconds: float) -> int:
    """Turns of :func:`work` that take this Python so much CPU time."""
    turns = 10_000
    while True:
        before = time.process_time()
        work(turns)
        if (took := time.process_time() - before) > 0.2:
            return int(turns * seconds / took)
        turns *= 2


def rate(name: str, mapped: Map, note: str = "") -> tuple[str, float]:
    """Calls a second, of a second round: the first one starts workers."""
    list(mapped(no_op, range(CALLS // 10)))
    before = time.perf_counter()
    assert list(mapped(no_op, range(CALLS))) == list(range(CALLS))
    took = time.perf_counter() - before
    print(f"{CALLS} no-ops, {name:<34} {CALLS / took:10,.0f} calls/s {took:8.2f} s  {note}", flush=True)
    return name, CALLS / took


def latency(name: str, one: Callable[[int], int]) -> None:
    """From a call to its result, one at a time."""
    times = []
    for turn in range(WARM + 10):
        before = time.perf_counter()
        assert one(turn) == turn
        times.append((time.perf_counter() - before) * 1000)
    p50, p90 = statistics.median(times[10:]), sorted(times[10:])[WARM * 9 // 10]
    print(f"one no-op, {name:<38} {p50:10.2f} ms p50 {p90:8.2f} ms p90", flush=True)


def busy(name: str, mapped: Map, turns: int) -> float:
    """The same work, so many times, on all cores."""
    list(mapped(work, [1] * 4))
    before = time.perf_counter()
    list(mapped(work, [turns] * WORK))
    took = time.perf_counter() - before
    cores = os.cpu_count() or 1
    ideal = WORK * WORK_SECONDS / cores
    print(f"{WORK} x {WORK_SECONDS * 1000:.0f} ms, {name:<38} {took:10.2f} s {took / ideal:8.2f} of the ideal", flush=True)
    return took


def haggle(url: str | None, turns: int) -> tuple[list[tuple[str, float]], list[float]]:
    with Cluster(url) as cluster, Executor(cluster, cpus=1, mem="64MiB") as executor:
        latency("haggle", lambda x: executor.submit(no_op, x).result())

        def alone(f: Callable[[int], int], xs: Iterable[int]) -> Any:
            return executor.map(f, xs, chunksize=1)

        def packed(f: Callable[[int], int], xs: Iterable[int]) -> Any:
            return executor.map(f, xs, chunksize=CHUNK)

        rates = [
            rate(DEFAULTS, executor.map, "as many in a sandbox as it chooses"),
            rate("haggle, chunksize=1", alone, "each in a sandbox of its own"),
            rate(f"haggle, chunksize={CHUNK}", packed, "a sandbox for each chunk"),
        ]
        took = [busy(DEFAULTS, executor.map, turns), busy("haggle, chunksize=1", alone, turns)]
        calls = [executor.submit(work, turns) for _ in range(10)]
        for call in calls:
            call.result()
        spent = statistics.median(call.usage.cpu_seconds for call in calls if call.usage is not None)
        print(f"one such call: {WORK_SECONDS * 1000:.0f} ms of CPU here, {spent * 1000:.0f} ms in a sandbox: the interpreter's own speed there")
    return rates, took


def pool(turns: int) -> tuple[tuple[str, float], float]:
    with futures.ProcessPoolExecutor() as executor:
        latency("ProcessPoolExecutor", lambda x: executor.submit(no_op, x).result())
        return rate("ProcessPoolExecutor", executor.map, "no sandbox"), busy("ProcessPoolExecutor", executor.map, turns)


def dask() -> tuple[str, float]:
    from distributed import Client, LocalCluster

    cores = os.cpu_count() or 1
    with LocalCluster(n_workers=cores, threads_per_worker=1, dashboard_address=None) as local, Client(local) as client:
        latency("Dask", lambda x: int(client.submit(no_op, x, pure=False).result()))
        return rate("Dask", lambda f, xs: client.gather(client.map(f, list(xs), pure=False)), "no sandbox")


def ray() -> tuple[str, float]:
    import ray as it

    it.init(include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    remote = it.remote(no_op)
    latency("Ray", lambda x: int(it.get(remote.remote(x))))
    measured = rate("Ray", lambda _, xs: it.get([remote.remote(x) for x in xs]), "no sandbox")
    it.shutdown()
    return measured


def main(url: str | None) -> None:
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
    turns = turns_of(WORK_SECONDS)
    # First: nothing of it may be forked.
    pooled, beside = pool(turns)
    others = [pooled, dask(), ray()]
    rates, took = haggle(url, turns)
    (_, reached), *alike = rates
    for name, rate_of_it in [*alike, *others]:
        print(f"{CALLS} no-ops, {DEFAULTS}: {reached / rate_of_it:.2f} times as many a second as {name}")
    for seconds in took:
        print(f"{WORK} x {WORK_SECONDS * 1000:.0f} ms, beside ProcessPoolExecutor: {seconds / beside:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Calls of Python functions, beside what people would use instead.")
    parser.add_argument("--url", help="a master; else a cluster of its own")
    parser.add_argument("--calls", type=int, default=CALLS, help="no-ops")
    parser.add_argument("--work", type=int, default=WORK, help="calls of 20 ms each")
    asked = parser.parse_args()
    CALLS, WORK = asked.calls, asked.work
    main(asked.url)
