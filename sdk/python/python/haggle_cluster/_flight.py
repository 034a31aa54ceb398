"""A task with calls of functions in it: what each of them came to, and which are to be made again."""

from __future__ import annotations

import builtins
import pickle
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import _data
from ._feed import Feed, Packed
from .errors import BadResult, HaggleError, MemoryLimit, RemoteError, RemoteTraceback, failure
from .jobs import refusal
from .records import Status

if TYPE_CHECKING:
    from .executor import Call, Executor, Quotas

#: Before each frame: its length, and the microseconds that its call took.
_HEAD = 8


class Flight:
    """A task with its calls.

    None gets more than its quotas, and none fails by those of its neighbours: a task has the quotas of one call, and a call that it
    did not come to, or that may have ended it, is made again. With a ``feed`` those go back to it, but for the one that the task
    ended at: that one has a task of its own then, where whatever it does is its own end.
    """

    def __init__(
        self, executor: Executor, calls: list[Packed], name: str, function: str, quotas: Quotas, feed: Feed | None
    ) -> None:
        self._executor = executor
        self._calls = calls
        self._name, self._function, self._quotas = name, function, quotas
        self._feed = feed
        self._has_begun = False
        # Held while answers are given, which the session's thread does and, of a task that is stuck, that of the feed.
        self._lock = threading.Lock()
        # How many of the calls have their answers.
        self._answered = 0
        self._is_over = False

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
            with self._lock:
                self._is_over = True
            if self._feed is not None:
                self._feed.ended(self, self._has_begun, [])
            # One that is killed before its task was launched takes that along, and not those that wait with it.
            was_killed = event["kind"] == "refused" and any(call.is_kill_wanted for call in calls)
            left = [one for one in self._calls if was_killed and not one[0].is_kill_wanted]
            for call in calls:
                if call.is_kill_wanted or not was_killed:
                    call._fail(refusal(event))
            self._give_back(left, None)
        elif event["kind"] == "ended":
            self._ended(Status.of(event["status"]), event["output"])
        elif event["kind"] == "running":
            if self._feed is not None and not self._has_begun:
                self._has_begun = True
                self._feed.began(self, is_shared=len(calls) > 1)
        else:
            for call in calls:
                call._heard(event)

    def split(self) -> tuple[list[float], list[Packed]]:
        """Gives those calls their answers that were made, and takes back those that were not begun.

        The task goes on with the one that it is at, and begins none after that. How long the calls took, and those that are taken back.
        """
        task = self._calls[0][0].task_id
        try:
            output = b"".join(self._executor.cluster.logs(task)) if task is not None else b""
        except HaggleError:
            # It goes on as it was.
            return [], []
        with self._lock:
            if self._is_over:
                return [], []
            took = self._answer(None, output)
            kept = self._answered + 1
            self._calls, left = self._calls[:kept], self._calls[kept:]
        for call, _ in left:
            call._kill = None
        self._executor._forget([call for call, _ in self._calls if call.done()])
        return took, left

    def _ended(self, status: Status, output: bytes | None) -> None:
        took: list[float] = []
        with self._lock:
            self._is_over = True
            is_shared = self._answered > 0 or len(self._calls) > 1
            try:
                took = self._answer(status, output or b"")
            finally:
                if self._feed is not None:
                    self._feed.ended(self, self._has_begun, took)
            left = self._calls[self._answered :]
        if not left:
            return
        is_ours = any(call.is_kill_wanted for call, _ in self._calls)
        # By somebody else.
        was_killed = status.state == "KILLED" and not is_ours
        for call, _ in left:
            if not is_shared or was_killed or call.is_kill_wanted:
                call.usage = status.usage
                call._fail(_unanswered(self._name, status))
        # One that ended well came to as many as it had time for.
        is_first_guilty = not (status.state == "FINISHED" and self._answered) and not is_ours
        guilty = left[0]
        left = [one for one in left if not one[0].done()]
        self._give_back(left, guilty if is_first_guilty else None)

    def _answer(self, status: Status | None, output: bytes) -> list[float]:
        """Gives calls their answers that have none yet, and says how long those took. Without a status the task still runs."""
        took: list[float] = []
        for (call, _), (seconds, frame) in list(zip(self._calls, _frames(output)))[self._answered :]:
            answer = _read(frame, self._executor._trusted)
            # Perhaps by what calls before it left behind. And of how much it was, only the end says.
            if _is_out_of_memory(answer) and (self._answered > 0 or status is None):
                break
            # Perhaps by what one of them wrote where answers are written.
            if isinstance(answer, Exception) and (self._answered > 0 or len(self._calls) > 1):
                break
            self._answered += 1
            took.append(seconds)
            call.usage = None if status is None else status.usage
            _settle(call, answer, status)
        return took

    def _give_back(self, left: list[Packed], guilty: Packed | None) -> None:
        """Has those made again that are left, of which the first may be the one that its task ended at."""
        if left and self._feed is None:
            # Each under quotas of its own. From another thread: to submit may wait for the one that runs this.
            threading.Thread(target=self._again, args=(left,), name="haggle-again", daemon=True).start()
            return
        if left and self._feed is not None and left[0] is guilty:
            self._feed.broke(guilty)
            left = left[1:]
        if left and self._feed is not None:
            self._feed.again(left)

    def _again(self, left: list[Packed]) -> None:
        for call, arguments in left:
            if call.cancelled():
                continue
            try:
                self._executor._launch([(call, arguments)], self._name, self._function, self._quotas)
            except Exception as error:
                call._fail(error)
                self._executor._forget([call])


def _frames(output: bytes) -> Iterator[tuple[float, bytes]]:
    """What the guest wrote, up to what it did not finish: seconds, and what each call came to."""
    at = 0
    while at + _HEAD <= len(output):
        size, micros = (int.from_bytes(output[at + part : at + part + 4], "little") for part in (0, 4))
        at += _HEAD
        if at + size > len(output):
            return
        yield micros / 1e6, output[at : at + size]
        at += size


#: What a call came to: "returned" or "raised", what, and what was warned of. Or why that cannot be read.
Answer = tuple[str, Any, list[tuple[str, str, str, int]]] | Exception


def _is_out_of_memory(answer: Answer) -> bool:
    if isinstance(answer, Exception) or answer[0] != "raised":
        return False
    return (answer[1].get("module"), answer[1].get("kind")) == ("builtins", "MemoryError")


def _settle(call: Call[Any], answer: Answer, status: Status | None) -> None:
    if isinstance(answer, Exception):
        call._fail(answer)
        return
    kind, value, call._warned = answer
    if kind == "returned":
        call._settle(value)
        return
    raised = _raised(value)
    if isinstance(raised, MemoryError) and status is not None and status.reason == "MEMORY_LIMIT":
        raised = MemoryLimit(call.name, status)
    raised.__cause__ = RemoteTraceback(value["traceback"])
    call._fail(raised)


def _read(frame: bytes, trusted: bool) -> Answer:
    try:
        return _checked(pickle.loads(frame) if trusted else _data.loads(frame))
    except Exception as error:  # of a pickle that is trusted: anything
        return error


def _checked(told: Any) -> tuple[str, Any, list[tuple[str, str, str, int]]]:
    shape = type(told) is tuple and len(told) == 3 and told[0] in ("returned", "raised")
    if not shape or (told[0] == "raised" and not _is_description(told[1])):
        raise BadResult("what came back is neither a result nor an exception")
    kind, value, warned = told
    if type(warned) is not list or not all(map(_is_warning, warned)):
        raise BadResult("what came back warns of what is no warning")
    return kind, value, warned


def _is_description(value: Any) -> bool:
    texts = ("module", "kind", "text", "traceback")
    return type(value) is dict and all(type(value.get(part)) is str for part in texts) and type(value.get("arguments")) is tuple


def _is_warning(value: Any) -> bool:
    return type(value) is tuple and [type(part) for part in value] == [str, str, str, int]


def _raised(value: dict[str, Any]) -> BaseException:
    """The exception, as itself where its class is known here. No code of that class runs unless it is Python's own."""
    module, kind, text, arguments = (value[part] for part in ("module", "kind", "text", "arguments"))
    home = sys.modules.get(module)
    # Not by getattr, which may run code of a module.
    found = vars(home).get(kind) if isinstance(home, ModuleType) else None
    # What would end this program, or is none of its errors, comes as a description.
    if isinstance(found, type) and issubclass(found, Exception) and not _is_ours_alone(found):
        try:
            if home is builtins:
                return found(*arguments)
            native = next(base for base in found.__mro__ if base.__module__ == "builtins")
            made: Exception = native.__new__(found, *arguments)
            return made
        except (TypeError, ValueError):
            pass
    return RemoteError(kind, text, arguments)


def _is_ours_alone(found: type[Exception]) -> bool:
    """Whether who waits for a result takes such an exception for something else than what a function raised."""
    return issubclass(found, (StopIteration, StopAsyncIteration, CancelledError)) or found.__module__.partition(".")[0] == __package__


def _unanswered(name: str, status: Status) -> HaggleError:
    """The exception for a call of which nothing came back."""
    if status.state == "FINISHED":
        return BadResult(f"{name} ended well, and nothing came back that can be read")
    return failure(name, status)
