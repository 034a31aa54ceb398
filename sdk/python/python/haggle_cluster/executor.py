"""Python functions on the cluster, each call in a sandbox: a ``concurrent.futures.Executor``."""

from __future__ import annotations

import asyncio
import builtins
import itertools
import marshal
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from concurrent import futures
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from . import _prepare, _progress
from ._ahead import awaited_in_order, in_order
from ._feed import STDIN_MAX, Feed, Packed
from ._flight import Flight
from ._native import size
from ._travel import MARSHAL, Shipped, packed, ship
from .cluster import Cluster
from .jobs import TaskFuture
from .records import Usage
from .task import Size, Task, size_text

T = TypeVar("T")

#: Functions that are known to be at the master.
_UPLOADED_MAX = 256

_FUNCTION = "/script/function"
_CALLS = "/script/calls"


@dataclass(frozen=True)
class Quotas:
    """What a call may use."""

    cpus: float = 1.0
    mem: Size = "64MiB"
    timeout: float | None = None
    fuel: int | None = None
    #: What it may print and return, together.
    output: Size = "16MiB"

    def taken(self, keywords: dict[str, Any]) -> tuple[Quotas, dict[str, Any]]:
        """The quotas among the keywords of a call, and the others, which are the function's."""
        mine = {name: keywords[name] for name in _QUOTAS if name in keywords}
        others = {name: value for name, value in keywords.items() if name not in mine}
        return (replace(self, **mine) if mine else self), others


_QUOTAS = ("cpus", "mem", "timeout", "fuel", "output")


class Call(TaskFuture[T]):
    """A call that was submitted. ``result()`` is what the function returned, or raises what it raised.

    An exception of the function has a :class:`RemoteTraceback` as its cause. What the function warned of is warned of here, once,
    where the result is asked for.
    """

    def __init__(self, shipped: Shipped, executor: Executor) -> None:
        super().__init__(shipped.name)
        self._executor = executor
        self._files = shipped.files
        self._warned: list[tuple[str, str, str, int]] = []
        #: What its task used, once it has ended. Calls that were packed together share one task.
        self.usage: Usage | None = None

    def result(self, timeout: float | None = None) -> T:
        """What the function returned."""
        try:
            return super().result(timeout)
        finally:
            if self.done():
                self._warn()

    def printed(self) -> str:
        """What the function printed, of a call that was launched: read from its agent."""
        if self.task_id is None:
            return ""
        return b"".join(self._executor.cluster.logs(self.task_id, stderr=True, follow=True)).decode(errors="replace")

    def _warn(self) -> None:
        warned, self._warned = self._warned, []
        for name, text, file, line in warned:
            category = getattr(builtins, name, None)
            if not (isinstance(category, type) and issubclass(category, Warning)):
                category = UserWarning
            # Who shows it reads the line there. A sandbox has no say in which files this program reads.
            warnings.warn_explicit(text, category, file if file in self._files else f"<{file}>", line)


class Executor(futures.Executor):
    """Runs Python functions on a cluster, in sandboxes with quotas: with :meth:`submit` each call has its own.

    >>> with Executor() as executor:
    ...     print(executor.submit(pow, 2, 100).result())

    A function travels as source, with what it names: functions and classes with source, modules of the standard library, plain
    data. It finds CPython's standard library, and no packages, no files, no network. Its arguments travel as a pickle, and what it
    returns as plain data that is read without running anything of it, unless the executor is made with ``trusted=True``.

    :param cluster: where; a URL, a :class:`Cluster` that stays open, or one of its own that ends with the executor.
    :param cpus: and the others: quotas of each call that names none.
    :param trusted: take objects of any class back, by ``pickle``. A result can then do whatever this program can: only for
        functions and input that you trust.
    """

    def __init__(
        self,
        cluster: Cluster | str | None = None,
        *,
        cpus: float = 1.0,
        mem: Size = "64MiB",
        timeout: float | None = None,
        fuel: int | None = None,
        output: Size = "16MiB",
        trusted: bool = False,
    ) -> None:
        self._owns_cluster = not isinstance(cluster, Cluster)
        self.cluster = cluster if isinstance(cluster, Cluster) else Cluster(cluster)
        self._quotas = Quotas(cpus, mem, timeout, fuel, output)
        self._trusted = trusted
        self._lock = threading.Lock()
        self._is_shut_down = False
        self._uploaded: dict[bytes, str] = {}
        self._calls: set[Call[Any]] = set()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Call[T]:
        """Calls a function on the cluster.

        The keywords ``cpus``, ``mem``, ``timeout``, ``fuel`` and ``output`` are quotas of this call, and not given to the function:
        one that has such parameters is given them by ``functools.partial``.
        """
        quotas, keywords = self._quotas.taken(kwargs)
        shipped, function = self._ship(fn)
        given = ((*shipped.args, *args), {**shipped.keywords, **keywords})
        call: Call[T] = Call(shipped, self)
        self._launch([(call, _dumped(given, shipped))], shipped.name, function, quotas)
        return call

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        max_in_flight: int = 1024,
        progress: bool | str = False,
        **quotas: Any,
    ) -> Iterator[T]:
        """Calls a function for each item, and yields what it returned, in the order of the items.

        Lazy: no more than ``max_in_flight`` calls are ahead of what was yielded, but for the rest of a chunk. The first that fails raises when its turn has
        come, and the others are killed. ``timeout`` is how long all of it may take, as in the standard library; the time of one
        call is limited by that of the executor.

        **How calls are kept apart** is said by ``chunksize``. With 1 each call has a sandbox of its own. With more, so many share
        one, and its interpreter: they run one after the other, and its start is paid once. Without it that number is chosen, and
        changes, by how long calls take: the first have a sandbox each, short ones share one for about 0.15 s, and a call that takes
        longer has its own again. When a quota is named here, or the executor limits ``fuel``, each call has its own.

        All calls that share a sandbox may use together no more than one call may, so none gets more than its quotas; and none fails
        by those of another: a call that such a task did not come to, or that ended it, is made again in another task. So a function
        that is not pure may be called twice; and what one call changes in its interpreter, later ones see. Give ``chunksize=1`` where
        one item must not see or change what is done with the next.

        With ``progress``, or a name for it, tqdm shows how far it is, where that is installed.
        """
        calls, ahead = self._mapped(fn, iterables, chunksize, max_in_flight, quotas)
        return _progress.shown(in_order(calls, ahead, timeout), progress, _progress.length(iterables))

    async def amap(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        max_in_flight: int = 1024,
        progress: bool | str = False,
        **quotas: Any,
    ) -> AsyncIterator[T]:
        """:meth:`map` for asyncio. Who is cancelled meanwhile takes the calls along that are ahead."""
        calls, ahead = await asyncio.to_thread(self._mapped, fn, iterables, chunksize, max_in_flight, quotas)
        results = _progress.awaited(awaited_in_order(calls, ahead, timeout), progress, _progress.length(iterables))
        try:
            async for result in results:
                yield result
        finally:
            await results.aclose()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls. Waits for those that were submitted; with ``cancel_futures`` kills them before.

        A cluster of its own ends with it.
        """
        with self._lock:
            self._is_shut_down = True
            calls = list(self._calls)
        if cancel_futures:
            for call in calls:
                call.cancel()
        if wait:
            try:
                futures.wait(calls)
            finally:
                if self._owns_cluster:
                    self.cluster.close()
        elif self._owns_cluster:
            threading.Thread(target=self._close_after, args=(calls,), name="haggle-shutdown").start()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        # Who is interrupted does not wait for the rest.
        self.shutdown(cancel_futures=error is not None and not isinstance(error, Exception))

    def _close_after(self, calls: list[Call[Any]]) -> None:
        futures.wait(calls)
        self.cluster.close()

    def _mapped(
        self,
        fn: Callable[..., T],
        iterables: tuple[Iterable[Any], ...],
        chunksize: int | None,
        max_in_flight: int,
        quotas: dict[str, Any],
    ) -> tuple[Generator[Call[T], None, None], int]:
        """The calls of a map, and how many are ahead of who reads their results."""
        for name, value in (("chunksize", chunksize), ("max_in_flight", max_in_flight)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is at least 1")
        allowed, others = self._quotas.taken(quotas)
        if others:
            raise TypeError(f"map has no keyword {next(iter(others))}; functools.partial gives it to the function")
        shipped, function = self._ship(fn)
        items = zip(*iterables)
        if chunksize is None and not quotas and allowed.fuel is None:
            return self._fed(items, shipped, function, allowed, max_in_flight), max_in_flight
        return self._chunked(items, shipped, function, allowed, chunksize or 1), max(max_in_flight, chunksize or 1)

    def _fed(
        self, items: Iterator[tuple[Any, ...]], shipped: Shipped, function: str, quotas: Quotas, most_ahead: int
    ) -> Generator[Call[Any], None, None]:
        """The calls, of which as many share a task as their feed thinks right."""

        def launch(calls: list[Packed], feed: Feed) -> None:
            self._launch(calls, shipped.name, function, quotas, feed)

        feed = Feed(launch, self._forget, quotas.timeout, most_ahead)
        try:
            for item in items:
                call: Call[Any] = Call(shipped, self)
                arguments = _dumped(((*shipped.args, *item), shipped.keywords), shipped)
                try:
                    with self._lock:
                        self._calls.add(call)
                    feed.add((call, arguments))
                except BaseException as error:
                    # Interrupted: nobody will ask for it, and perhaps nobody has it.
                    call.kill()
                    call._fail(error)
                    self._forget([call])
                    raise
                yield call
        finally:
            feed.end()

    def _chunked(
        self, items: Iterator[tuple[Any, ...]], shipped: Shipped, function: str, quotas: Quotas, chunksize: int
    ) -> Generator[Call[Any], None, None]:
        """The calls, of which so many share a task."""
        while chunk := list(itertools.islice(items, chunksize)):
            given = [_dumped(((*shipped.args, *item), shipped.keywords), shipped) for item in chunk]
            calls: list[Packed] = [(Call(shipped, self), one) for one in given]
            self._launch(calls, shipped.name, function, quotas)
            handed_out = 0
            try:
                for call, _ in calls:
                    handed_out += 1
                    yield call
            finally:
                for call, _ in calls[handed_out:]:
                    call.cancel()

    def _ship(self, fn: Callable[..., Any]) -> tuple[Shipped, str]:
        """The function as it travels, and the digest under which the master has it."""
        if self._is_shut_down:
            raise RuntimeError("the executor was shut down")
        # Each time anew: what its names stand for may have changed.
        shipped = ship(fn)
        digest = self._uploaded.get(shipped.content)
        if digest is None:
            digest = self.cluster.upload(shipped.content)
            if len(self._uploaded) < _UPLOADED_MAX:
                self._uploaded[shipped.content] = digest
        return shipped, digest

    def _launch(
        self, calls: list[Packed], name: str, function: str, quotas: Quotas, feed: Feed | None = None
    ) -> None:
        cluster = self.cluster
        # After how many seconds, and bytes of answers, it is to begin no further call.
        until = (None, None) if feed is None else (feed.longest, size(size_text(quotas.output)) // 2)
        content = marshal.dumps((self._trusted, *until, [arguments for _, arguments in calls]), MARSHAL)
        inputs = [*_prepare.inputs(cluster, self._quotas.mem), (_FUNCTION, function)]
        # Its arguments are more than their bytes alone.
        is_large = len(content) > 2 * STDIN_MAX
        if is_large:
            inputs.append((_CALLS, cluster.upload(content)))
        task = Task(
            cluster.runtime(),
            # The script comes first: then it starts from the snapshot of the interpreter, where there is one.
            args=[_prepare.SCRIPT, _CALLS] if is_large else [_prepare.SCRIPT],
            name=name[-128:],
            stdin=b"" if is_large else content,
            cpus=quotas.cpus,
            mem=quotas.mem,
            fuel=quotas.fuel,
            timeout=quotas.timeout,
            output=quotas.output,
        )
        spec = {**cluster._spec(task), "inputs": inputs}
        session = cluster._session_now()
        flight = Flight(self, calls, name, function, quotas, feed)
        with self._lock:
            self._calls.update(call for call, _ in calls)
        try:
            index = session.submit(spec, flight.heard, collect=True)
            for call, _ in calls:
                call._kill = lambda: session.kill(index)
        except BaseException:
            self._forget([call for call, _ in calls])
            raise
        if any(call.is_kill_wanted for call, _ in calls):
            # Since before there was something to kill.
            session.kill(index)

    def _forget(self, calls: list[Call[Any]]) -> None:
        with self._lock:
            self._calls.difference_update(calls)


def _dumped(given: tuple[tuple[Any, ...], dict[str, Any]], shipped: Shipped) -> bytes:
    """Arguments as they travel. Raises :class:`CannotTravel`."""
    return marshal.dumps(packed(given, f"an argument of {shipped.name}"), MARSHAL)
