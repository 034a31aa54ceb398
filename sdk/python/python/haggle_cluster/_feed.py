"""The calls of one ``map`` on their way into tasks, and the thread that puts them there.

A thread of its own, since neither who reads the results nor who hears of tasks can do it: the one may be away for long, and
to hand over a task may wait for the other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ._chunks import PATIENCE, STUCK, Chunks, Standing
from ._interrupts import Condition
from ._native import Refused

if TYPE_CHECKING:
    from ._flight import Flight
    from .executor import Call

_LOG = logging.getLogger("haggle_cluster")

#: A call, and its arguments as they travel.
Packed = tuple["Call[Any]", bytes]

#: Arguments of a task up to this size travel with its launch; larger ones as an input, which is stored once.
STDIN_MAX = 64 << 10

#: How long the thread waits for more before it ends.
_LINGER = 0.2


class Feed:
    """Hands over calls by ``launch``, which may wait, as many in a task as its policy says."""

    def __init__(
        self,
        launch: Callable[[list[Packed], Feed], None],
        forget: Callable[[list[Call[Any]]], None],
        timeout: float | None,
        most_ahead: int,
    ) -> None:
        self._launch, self._forget = launch, forget
        self._policy = Chunks(timeout, most_ahead)
        #: After so many seconds a task begins no further call.
        self.longest = self._policy.longest
        self._changed = Condition()
        self._waiting: deque[Packed] = deque()
        self._since = 0.0
        # Those that are to have a task of their own.
        self._alone: deque[Packed] = deque()
        self._unbegun = self._running = 0
        # When tasks began, and those of them with several calls that may be stuck.
        self._begun: dict[Flight, float] = {}
        self._shared: set[Flight] = set()
        self._is_all = False
        self._thread: threading.Thread | None = None

    def add(self, one: Packed) -> None:
        """One more call."""
        with self._changed:
            if not self._waiting:
                self._since = time.monotonic()
            self._waiting.append(one)
            if self._thread is None or self._has_room():
                self._wake()

    def end(self) -> None:
        """There will be no more calls."""
        with self._changed:
            self._is_all = True
            self._changed.notify_all()

    def began(self, flight: Flight, is_shared: bool) -> None:
        """A task has begun, of one call or of several."""
        with self._changed:
            self._unbegun -= 1
            self._running += 1
            self._begun[flight] = time.monotonic()
            if is_shared:
                self._shared.add(flight)
            self._wake()

    def ended(self, flight: Flight, had_begun: bool, took: Sequence[float]) -> None:
        """A task has ended, whose calls took so long one after the other."""
        with self._changed:
            lasted = None
            if had_begun:
                self._running -= 1
                self._shared.discard(flight)
                lasted = time.monotonic() - self._begun.pop(flight)
            else:
                self._unbegun -= 1
            self._policy.answered(took, lasted)
            self._wake()

    def again(self, left: list[Packed]) -> None:
        """A task did not come to these."""
        with self._changed:
            self._since = time.monotonic()
            self._waiting.extendleft(reversed(left))
            self._wake()

    def broke(self, guilty: Packed) -> None:
        """A task ended while it was at this call, and not by the call's own quotas as far as is known."""
        with self._changed:
            self._policy.broke()
            self._alone.append(guilty)
            self._wake()

    def _wake(self) -> None:
        if self._thread is None and self._has_work():
            thread = threading.Thread(target=self._run, name="haggle-map", daemon=True)
            thread.start()
            # Only now: whoever is interrupted before has another one started.
            self._thread = thread
        self._changed.notify_all()

    def _has_work(self) -> bool:
        return bool(self._waiting or self._alone or self._shared)

    def _run(self) -> None:
        while (work := self._next()) is not None:
            if isinstance(work, list):
                self._hand_over(work)
            else:
                self._split(work)

    def _hand_over(self, calls: list[Packed]) -> None:
        try:
            self._launch(calls, self)
        except BaseException as error:
            with self._changed:
                self._unbegun -= 1
            for call, _ in calls:
                call._fail(error)
            self._forget([call for call, _ in calls])

    def _split(self, flight: Flight) -> None:
        try:
            took, left = flight.split()
        except Exception:  # of what nobody foresaw; the task tells at its end
            _LOG.exception("what a task has made so far could not be told")
            return
        with self._changed:
            self._policy.answered([*took, STUCK])
        if left:
            self.again(left)

    def _next(self) -> list[Packed] | Flight | None:
        """The calls of the next task, or a task that is stuck. None when there was nothing to do for a while, and the thread is to end."""
        with self._changed:
            idle_since = time.monotonic()
            while True:
                if calls := self._taken():
                    self._unbegun += 1
                    return calls
                now = time.monotonic()
                stuck = next((flight for flight in self._shared if now - self._begun[flight] >= STUCK), None)
                if stuck is not None:
                    self._shared.remove(stuck)
                    return stuck
                if self._has_work():
                    idle_since = now
                elif now - idle_since >= _LINGER:
                    self._thread = None
                    return None
                held = now - self._since
                self._changed.wait(PATIENCE - held if self._waiting and held < PATIENCE else _LINGER)

    def _taken(self) -> list[Packed]:
        if self._alone and self._has_room():
            return self._first(self._alone, 1)
        waited = time.monotonic() - self._since
        now = Standing(len(self._waiting), waited, self._unbegun, self._running, self._is_all)
        if calls := self._first(self._waiting, self._policy.next(now)):
            self._since = time.monotonic()
        return calls

    def _has_room(self) -> bool:
        return self._policy.has_room(self._unbegun, self._running)

    def _first(self, queue: deque[Packed], count: int) -> list[Packed]:
        """So many of these, or fewer when they are large. Those that nobody wants any more are left out for good."""
        calls: list[Packed] = []
        size = 0
        while queue and len(calls) < count:
            call, arguments = queue[0]
            if call.cancelled() or call.is_kill_wanted:
                queue.popleft()
                # One that was launched before cannot be cancelled.
                call._fail(Refused("killed before it was launched"))
                self._forget([call])
                continue
            size += len(arguments)
            if calls and size > STDIN_MAX:
                break
            calls.append(queue.popleft())
        return calls
