"""Calls and maps in an event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import time
import warnings

import pytest

from haggle_cluster import Cluster, Executor

pytestmark = pytest.mark.usefixtures("interpreter")


def warns() -> None:
    import warnings

    warnings.warn("careful", DeprecationWarning)


def spins() -> None:
    while True:
        pass


def squared(x: int) -> int:
    return x * x


def test_a_warning_that_is_an_error_is_raised_where_a_call_is_awaited(executor: Executor) -> None:
    async def main() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await executor.submit(warns)

    with pytest.raises(DeprecationWarning, match="careful"):
        asyncio.run(asyncio.wait_for(main(), 60))


def test_who_is_cancelled_while_awaiting_takes_the_call_along(cluster: Cluster, executor: Executor) -> None:
    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(executor.submit(spins), 0.5)

    asyncio.run(main())

    deadline = time.monotonic() + 60
    while any(task.name == "spins" for task in cluster.tasks()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_cancelling_while_results_are_awaited_takes_the_calls_along(cluster: Cluster) -> None:
    async def main(executor: Executor) -> None:
        async def read() -> None:
            async for _ in executor.amap(time.sleep, [0, *[300] * 5]):
                pass

        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(read(), 2)
        with pytest.raises(concurrent.futures.TimeoutError):
            async for _ in executor.amap(time.sleep, [300], timeout=0.5):
                pass
        results = executor.amap(squared, itertools.count(), max_in_flight=4, progress=True)
        assert [await anext(results) for _ in range(20)] == [x * x for x in range(20)]
        await results.aclose()  # type: ignore[attr-defined]

    before = time.monotonic()
    with Executor(cluster, cpus=0.5, timeout=60) as executor:
        asyncio.run(main(executor))

    assert time.monotonic() - before < 30
    assert not any(task.name in ("sleep", "squared") for task in cluster.tasks())
