"""Tasks that were submitted: a session of the SDK, and the thread that hears how they end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future, TimeoutError
from concurrent.futures._base import CANCELLED_AND_NOTIFIED, FINISHED
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._interrupts import Condition
from .errors import ExitCode, HaggleError, Refused, RemoteTraceback, SessionOver, failure
from .records import Status, Usage, row

if TYPE_CHECKING:
    from typing_extensions import Self

    from ._native import Connection

T = TypeVar("T")

#: Hears of one task: what happened, as the native part says it.
Listener = Callable[[dict[str, Any]], None]

#: Characters of standard error that an exception for an exit code tells.
LAST_WORDS = 4096

_LOG = logging.getLogger("haggle_cluster")

#: With these a task is over, and its listener hears no more.
_LAST = frozenset({"ended", "refused", "over"})


class Session:
    """A framework that drives tasks to their end, and one thread that hears of all of them."""

    def __init__(self, connection: Connection, name: str, role: str | None, retries: int) -> None:
        self._native = connection.session(name, role, retries)
        self._lock = threading.Lock()
        self._listeners: dict[int, Listener] = {}
        # What was told of a task before its number was known here.
        self._early: dict[int, list[dict[str, Any]]] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._hear, name="haggle", daemon=True)
        self._thread.start()

    def submit(self, spec: dict[str, Any], listener: Listener, *, collect: bool = False) -> int:
        """Hands a task over, and gives back its number. Waits while too many are on their way."""
        index = self._native.submit(spec, collect)
        is_over = False
        while True:
            with self._lock:
                early = self._early.pop(index, None)
                if early is None:
                    # Only now, so that nothing that comes later is told before what came earlier.
                    if not is_over:
                        self._listeners[index] = listener
                    return index
            for event in early:
                is_over = is_over or event["kind"] in _LAST
                listener(event)

    def kill(self, index: int) -> None:
        """Asks for a task's end."""
        self._native.kill(index)

    def close(self) -> None:
        """Kills what has not ended, and leaves the master."""
        if not self._closed:
            self._closed = True
            self._native.close()
            self._thread.join()

    def _hear(self) -> None:
        is_closed = False
        while True:
            for event in self._native.next():
                is_closed = is_closed or event["kind"] == "closed"
                try:
                    self._tell(event)
                except Exception:
                    # Whoever waits for one task must not keep all others from hearing of theirs.
                    _LOG.exception("what happened to task %s could not be told", event["index"])
            with self._lock:
                if is_closed and not self._listeners:
                    return

    def _tell(self, event: dict[str, Any]) -> None:
        index, is_last = event["index"], event["kind"] in _LAST
        if event["kind"] == "closed":
            return
        with self._lock:
            listener = self._listeners.pop(index, None) if is_last else self._listeners.get(index)
            if listener is None:
                self._early.setdefault(index, []).append(event)
                return
        listener(event)


class TaskFuture(Future[T], Generic[T]):
    """A future of something that a task does. It can also be awaited, in any event loop."""

    def __init__(self, name: str, kill: Callable[[], None] | None = None) -> None:
        super().__init__()
        # Whoever is interrupted while it looks at this must not keep the thread from telling that hears of all tasks.
        self._condition = Condition()
        self.name = name
        #: The task's id in the cluster, once it was launched; another one at every try.
        self.task_id: str | None = None
        #: The agent's name for people.
        self.agent: str | None = None
        #: How often it was launched.
        self.attempts = 0
        #: Why it has been waiting for five seconds or more, if it has.
        self.waiting_for: str | None = None
        #: Whether somebody here asked for its end.
        self.is_kill_wanted = False
        self._kill = kill

    def result(self, timeout: float | None = None) -> T:
        """What it came to, or raises that. Waits for it, at most so many seconds; then raises ``TimeoutError``."""
        self._wait(timeout)
        return super().result()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What it failed by, if it did. Waits as :meth:`result`."""
        self._wait(timeout)
        return super().exception()

    def _wait(self, timeout: float | None) -> None:
        """Not by the condition, so that an interrupt may come at any time."""
        if self.done():
            return
        ended = threading.Lock()
        ended.acquire()

        def tell(_: Future[T]) -> None:
            ended.release()

        try:
            self.add_done_callback(tell)
            if not ended.acquire(timeout=-1 if timeout is None else max(timeout, 0.0)):
                raise TimeoutError
        finally:
            with self._condition, contextlib.suppress(ValueError):
                # Of one that is over, another thread may be at the list.
                if not self.done():
                    self._done_callbacks.remove(tell)  # type: ignore[attr-defined]

    def cancel(self) -> bool:
        """Takes it back if it was not launched yet. One that runs is asked to end, and raises :class:`Killed`."""
        is_cancelled = super().cancel()
        if is_cancelled or not self.done():
            self.kill()
        return is_cancelled

    def kill(self) -> None:
        """Asks for its end. One that has ended is left as it is."""
        self.is_kill_wanted = True
        if self._kill is not None:
            self._kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # What nobody waits for any more need not go on.
        self.cancel()

    def _standing(self) -> str:
        """Where it stands, in a word or two."""
        if self.cancelled():
            return "cancelled"
        if self.done():
            error = self.exception()
            return "finished" if error is None else type(error).__name__
        if self.running():
            return f"running on {self.agent}"
        return f"waiting: {self.waiting_for}" if self.waiting_for else "waiting"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self._standing()}>"

    def _repr_html_(self) -> str:
        return row({"name": self.name, "state": self._standing(), "task": self.task_id, "agent": self.agent})

    def __await__(self) -> Generator[Any, None, T]:
        # Not by `asyncio.wrap_future`: it asks for the result where nobody hears what that raises, as a warning may.
        try:
            yield from self.told().__await__()
        except asyncio.CancelledError:
            self.cancel()
            raise
        try:
            return self.result()
        except CancelledError:
            raise asyncio.CancelledError from None

    def told(self) -> asyncio.Future[None]:
        """Of the event loop that runs here: is done when this has ended, whichever way."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            if not told.done():
                told.set_result(None)

        def has_ended(_: Future[T]) -> None:
            # Nobody waits in a loop that has been closed.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(tell)

        self.add_done_callback(has_ended)
        return told

    def _heard(self, event: dict[str, Any]) -> None:
        """Takes note of what happened before the end."""
        if event["kind"] == "launched":
            self.task_id, self.agent, self.attempts = event["task"], event["agent"], event["attempt"]
            self.waiting_for = None
            if not self.running() and not self.done():
                self.set_running_or_notify_cancel()
        elif event["kind"] == "waiting":
            self.waiting_for = event["why"]

    def _settle(self, result: T) -> None:
        if self._may_settle():
            self.set_result(result)

    def _fail(self, error: BaseException) -> None:
        if self._may_settle():
            self.set_exception(error)

    def _may_settle(self) -> bool:
        """Whether somebody still waits: it was not cancelled. Those who wait for several hear of one that was."""
        with self._condition:
            if self._state in (CANCELLED_AND_NOTIFIED, FINISHED):
                return False
            return self.running() or self.set_running_or_notify_cancel()


@dataclass(frozen=True)
class Outcome:
    """How a task ended, whichever way. Its output is read from its agent when it is asked for."""

    name: str
    status: Status
    agent: str | None
    attempts: int
    _connection: Connection

    @property
    def is_finished(self) -> bool:
        """Whether it ended by itself and well."""
        return self.status.state == "FINISHED"

    @property
    def state(self) -> str:
        """``FINISHED``, ``FAILED``, ``KILLED``, ``LOST``, …"""
        return self.status.state

    @property
    def reason(self) -> str | None:
        """``EXIT``, ``TRAP``, ``MEMORY_LIMIT``, …; nothing for a plain success."""
        return self.status.reason

    @property
    def exit_code(self) -> int | None:
        """Its own exit code, where it came to give one."""
        return self.status.exit_code

    @property
    def usage(self) -> Usage | None:
        """What it used, if it ran."""
        return self.status.usage

    @property
    def stdout(self) -> str:
        """What it wrote to standard output."""
        return self.output().decode(errors="replace")

    @property
    def stderr(self) -> str:
        """What it wrote to standard error."""
        return self.output(stderr=True).decode(errors="replace")

    def output(self, *, stderr: bool = False) -> bytes:
        """What it wrote, as bytes."""
        log = self._connection.log(self.status.task, stderr, True)
        return b"".join(iter(log.next, None))

    def last_words(self) -> str:
        """The end of what it wrote to standard error; nothing, where that cannot be read any more."""
        try:
            return self.stderr[-LAST_WORDS:]
        except HaggleError:
            return ""

    def _repr_html_(self) -> str:
        status = self.status
        told = {"name": self.name, "state": self.state, "reason": self.reason, "agent": self.agent, "task": status.task}
        return row(told) + ("" if self.usage is None else self.usage._repr_html_())

    def raise_for_state(self) -> Outcome:
        """This, or the :class:`TaskFailed` that tells of its end."""
        if not self.is_finished:
            raise failure(self.name, self.status)
        return self


class Job(TaskFuture[Outcome]):
    """A task that was submitted. ``result()`` is its :class:`Outcome`, or raises what :class:`TaskFailed` it came to."""

    _outcome: Outcome | None = None

    def result(self, timeout: float | None = None) -> Outcome:
        """How it ended, which was well; what a script says of its end by an exit code is the cause of the :class:`ExitCode`."""
        try:
            return super().result(timeout)
        except ExitCode as error:
            if self._outcome is not None and error.__cause__ is None and (said := self._outcome.last_words()):
                error.__cause__ = RemoteTraceback(said)
            raise

    def outcome(self, timeout: float | None = None) -> Outcome:
        """How it ended, whichever way; nothing is raised for a task that failed."""
        error = self.exception(timeout)
        if self._outcome is None:
            assert error is not None
            raise error
        return self._outcome

    def _listen(self, connection: Connection, event: dict[str, Any]) -> None:
        if event["kind"] in ("refused", "over"):
            self._fail(refusal(event))
        elif event["kind"] == "ended":
            status = Status.of(event["status"])
            self._outcome = Outcome(self.name, status, self.agent, self.attempts, connection)
            if self._outcome.is_finished:
                self._settle(self._outcome)
            else:
                self._fail(failure(self.name, status))
        else:
            self._heard(event)


def refusal(event: dict[str, Any]) -> HaggleError:
    """The exception for a task that nobody took, or of whose end nobody heard."""
    return Refused(event["why"]) if event["kind"] == "refused" else SessionOver(event["why"])
