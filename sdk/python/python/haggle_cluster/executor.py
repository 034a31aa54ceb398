"""Python functions on the cluster, each call in a sandbox: a ``concurrent.futures.Executor``."""

from __future__ import annotations

import builtins
import itertools
import marshal
import pickle
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from concurrent import futures
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from . import _data, _prepare, _progress
from ._travel import MARSHAL, Shipped, packed, ship
from .cluster import Cluster, in_order
from .errors import BadResult, HaggleError, MemoryLimit, RemoteError, RemoteTraceback, failure
from .jobs import TaskFuture, refusal
from .records import Status, Usage
from .task import Size, Task

T = TypeVar("T")

#: Arguments up to this size travel with the launch; larger ones as an input, which is stored once.
_STDIN_MAX = 64 << 10

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

    def __init__(self, name: str, executor: Executor) -> None:
        super().__init__(name)
        self._executor = executor
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
            warnings.warn_explicit(text, category, file, line)


class Executor(futures.Executor):
    """Runs Python functions on a cluster, each call in a sandbox of its own with its own quotas.

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
        call: Call[T] = Call(shipped.name, self)
        self._launch([(call, packed(given, f"an argument of {shipped.name}"))], shipped.name, function, quotas)
        return call

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        max_in_flight: int = 1024,
        progress: bool | str = False,
        **quotas: Any,
    ) -> Iterator[T]:
        """Calls a function for each item, and yields what it returned, in the order of the items.

        Lazy: no more than ``max_in_flight`` calls are ahead of what was yielded. The first that fails raises when its turn has
        come, and the others are killed. ``timeout`` is how long all of it may take, as in the standard library; the time of one
        call is limited by that of the executor.

        With a ``chunksize`` above 1 so many calls share a task and its interpreter, one after the other: its start is paid once.
        All of them together may use no more than one call may, so none gets more than its quotas: calls that such a task did not
        come to, or that ended it, are made again, each in a task of its own. So a function that is not pure may be called twice;
        and a hostile one can see and change what later calls of its chunk do.

        With ``progress``, or a name for it, tqdm shows how far it is, where that is installed.
        """
        if chunksize < 1:
            raise ValueError("chunksize is at least 1")
        allowed, others = self._quotas.taken(quotas)
        if others:
            raise TypeError(f"map has no keyword {next(iter(others))}; functools.partial gives it to the function")
        shipped, function = self._ship(fn)
        calls = self._submitted(zip(*iterables), shipped, function, allowed, chunksize)
        results: Iterator[T] = in_order(calls, max(max_in_flight, chunksize), timeout)
        return _progress.shown(results, progress, _progress.length(iterables))

    async def amap(self, fn: Callable[..., T], *iterables: Iterable[Any], **options: Any) -> AsyncIterator[T]:
        """:meth:`map` for asyncio."""
        import asyncio

        end = object()
        results = self.map(fn, *iterables, **options)
        while (result := await asyncio.to_thread(next, results, end)) is not end:
            yield result  # type: ignore[misc]

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

    def _submitted(
        self, items: Iterator[tuple[Any, ...]], shipped: Shipped, function: str, quotas: Quotas, chunksize: int
    ) -> Generator[Call[Any], None, None]:
        what = f"an argument of {shipped.name}"
        while chunk := list(itertools.islice(items, chunksize)):
            given = [packed(((*shipped.args, *item), shipped.keywords), what) for item in chunk]
            calls: list[Packed] = [(Call(shipped.name, self), one) for one in given]
            self._launch(calls, shipped.name, function, quotas)
            for call, _ in calls:
                yield call

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

    def _launch(self, calls: list[Packed], name: str, function: str, quotas: Quotas) -> None:
        cluster, content = self.cluster, marshal.dumps((self._trusted, [arguments for _, arguments in calls]), MARSHAL)
        inputs = [*_prepare.inputs(cluster, self._quotas.mem), (_FUNCTION, function)]
        is_large = len(content) > _STDIN_MAX
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
        flight = _Flight(self, calls, name, function, quotas)
        with self._lock:
            self._calls.update(call for call, _ in calls)
        try:
            index = session.submit(spec, flight.heard, collect=True)
        except BaseException:
            self._forget([call for call, _ in calls])
            raise
        for call, _ in calls:
            call._kill = lambda: session.kill(index)

    def _forget(self, calls: list[Call[Any]]) -> None:
        with self._lock:
            self._calls.difference_update(calls)


#: A call, and its arguments as they travel.
Packed = tuple[Call[Any], "tuple[Any] | bytes"]


class _Flight:
    """A task with its calls."""

    def __init__(
        self, executor: Executor, calls: list[Packed], name: str, function: str, quotas: Quotas
    ) -> None:
        self._executor = executor
        self._calls = calls
        self._name, self._function, self._quotas = name, function, quotas

    def heard(self, event: dict[str, Any]) -> None:
        """Something happened to the task. Told by the thread of the session, which must not fail."""
        try:
            self._heard(event)
        except Exception as error:  # a result that nobody foresaw
            for call, _ in self._calls:
                if not call.done():
                    call._fail(error)
        finally:
            if event["kind"] in ("ended", "refused", "over"):
                self._executor._forget([call for call, _ in self._calls if call.done()])

    def _heard(self, event: dict[str, Any]) -> None:
        calls = [call for call, _ in self._calls]
        if event["kind"] in ("refused", "over"):
            for call in calls:
                call._fail(refusal(event))
        elif event["kind"] == "ended":
            self._ended(Status.of(event["status"]), event["output"])
        else:
            for call in calls:
                call._heard(event)

    def _ended(self, status: Status, output: bytes | None) -> None:
        answered = 0
        for (call, _), frame in zip(self._calls, _frames(output or b"")):
            call.usage = status.usage
            _answer(call, frame, status, self._executor._trusted)
            answered += 1
        left = self._calls[answered:]
        wanted = [call for call, _ in self._calls if call.is_kill_wanted]
        # By somebody else.
        was_killed = status.state == "KILLED" and not wanted
        for call, _ in left:
            if len(self._calls) == 1 or was_killed or call.is_kill_wanted:
                call.usage = status.usage
                call._fail(_unanswered(self._name, status))
        left = [(call, arguments) for call, arguments in left if not call.done()]
        if not left:
            return
        # Each under quotas of its own. From another thread: to submit may wait for the one that runs this.
        threading.Thread(target=self._again, args=(left,), name="haggle-again", daemon=True).start()

    def _again(self, left: list[Packed]) -> None:
        for call, arguments in left:
            if call.cancelled():
                continue
            try:
                self._executor._launch([(call, arguments)], self._name, self._function, self._quotas)
            except Exception as error:
                call._fail(error)
                self._executor._forget([call])


def _frames(output: bytes) -> Iterator[bytes]:
    """What the guest wrote, up to what it did not finish."""
    at = 0
    while at + 4 <= len(output):
        end = at + 4 + int.from_bytes(output[at : at + 4], "little")
        if end > len(output):
            return
        yield output[at + 4 : end]
        at = end


def _answer(call: Call[Any], frame: bytes, status: Status, trusted: bool) -> None:
    try:
        kind, value, warned = _read(frame, trusted)
    except BadResult as error:
        call._fail(error)
        return
    call._warned = warned
    if kind == "returned":
        call._settle(value)
        return
    raised = _raised(value)
    if isinstance(raised, MemoryError) and status.reason == "MEMORY_LIMIT":
        raised = MemoryLimit(call.name, status)
    raised.__cause__ = RemoteTraceback(str(value.get("traceback")))
    call._fail(raised)


def _read(frame: bytes, trusted: bool) -> tuple[str, Any, list[tuple[str, str, str, int]]]:
    if trusted:
        told = pickle.loads(frame)
    else:
        told = _data.loads(frame)
    shape = isinstance(told, tuple) and len(told) == 3 and told[0] in ("returned", "raised")
    if not shape or (told[0] == "raised" and not isinstance(told[1], dict)):
        raise BadResult("what came back is neither a result nor an exception")
    kind, value, warned = told
    is_warning = [str, str, str, int]
    if type(warned) is not list or any([type(part) for part in one] != is_warning for one in warned):
        raise BadResult("what came back warns of what is no warning")
    return kind, value, warned


def _raised(value: dict[str, Any]) -> BaseException:
    """The exception, as itself where its class is known here. No code of that class runs unless it is Python's own."""
    module, kind, text = (str(value.get(part)) for part in ("module", "kind", "text"))
    arguments = value.get("arguments")
    arguments = arguments if isinstance(arguments, tuple) else (text,)
    home = sys.modules.get(module) if module.partition(".")[0] != __package__ else None
    # Not by getattr, which may run code of a module.
    found = vars(home).get(kind) if home is not None else None
    # What would end this program, or is none of its errors, comes as a description.
    if isinstance(found, type) and issubclass(found, Exception):
        try:
            if home is builtins:
                return found(*arguments)
            native = next(base for base in found.__mro__ if base.__module__ == "builtins")
            made: Exception = native.__new__(found, *arguments)
            return made
        except (TypeError, ValueError):
            pass
    return RemoteError(kind, text, arguments)


def _unanswered(name: str, status: Status) -> HaggleError:
    """The exception for a call of which nothing came back."""
    if status.state == "FINISHED":
        return BadResult(f"{name} ended well, and nothing came back that can be read")
    return failure(name, status)
