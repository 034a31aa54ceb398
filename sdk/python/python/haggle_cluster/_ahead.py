"""Results in the order of submission, of no more futures at once than may be ahead of who reads them."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import time
from collections import deque
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent import futures
from typing import Generic, TypeVar

from .jobs import TaskFuture

T = TypeVar("T")

#: Futures that are handed over as they are taken.
Submitted = Generator[TaskFuture[T], None, None]


def in_order(submitted: Submitted[T], max_in_flight: int, timeout: float | None = None) -> Results[T]:
    """Results in the order of submission, at most so many ahead of who reads them. The rest is killed when it ends early."""
    ahead = _Ahead(submitted, max_in_flight, timeout)
    try:
        ahead.take(max_in_flight)
    except BaseException:
        ahead.end()
        raise
    return Results(ahead)


class Results(Iterator[T]):
    """No generator: one that was not asked for anything yet does nothing when it is closed."""

    def __init__(self, ahead: _Ahead[T]) -> None:
        self._ahead = ahead
        self._read = _read(ahead)

    def __next__(self) -> T:
        return next(self._read)

    def close(self) -> None:
        """Kills what is ahead."""
        self._read.close()
        self._ahead.end()


def _read(ahead: _Ahead[T]) -> Generator[T, None, None]:
    try:
        while ahead.futures:
            # It stays among them until it has a result, so that it is killed with them.
            result = ahead.futures[0].result(ahead.left())
            ahead.futures.popleft()
            ahead.take(1)
            yield result
    finally:
        ahead.end()


async def awaited_in_order(
    submitted: Submitted[T], max_in_flight: int, timeout: float | None = None
) -> AsyncGenerator[T, None]:
    """:func:`in_order` for asyncio. What is handed over may wait, so a thread does that, and none waits for results."""
    ahead = _Ahead(submitted, max_in_flight, timeout)
    try:
        await asyncio.to_thread(ahead.take, max_in_flight)
        while ahead.futures:
            done, _ = await asyncio.wait([ahead.futures[0].told()], timeout=ahead.left())
            if not done:
                raise futures.TimeoutError
            result = ahead.futures[0].result()
            ahead.futures.popleft()
            await asyncio.to_thread(ahead.take, 1)
            yield result
    finally:
        await asyncio.to_thread(ahead.end)


class _Ahead(Generic[T]):
    """Futures that are ahead of who reads their results."""

    def __init__(self, submitted: Submitted[T], max_in_flight: int, timeout: float | None) -> None:
        if max_in_flight < 1:
            raise ValueError("max_in_flight is at least 1")
        self.futures: deque[TaskFuture[T]] = deque()
        self._submitted = submitted
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._is_over = False

    def left(self) -> float | None:
        """Seconds that are left."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def take(self, count: int) -> None:
        """Has so many more handed over."""
        for future in itertools.islice(self._submitted, count):
            self.futures.append(future)
            # A thread may be at this while who reads goes away.
            if self._is_over:
                self.end()
                return

    def end(self) -> None:
        """Kills what has not ended."""
        self._is_over = True
        try:
            # First: it takes back what it handed over along with others. A thread that is at it does so itself.
            if inspect.getgeneratorstate(self._submitted) != inspect.GEN_RUNNING:
                self._submitted.close()
        finally:
            for future in list(self.futures):
                future.cancel()
