"""How many calls of a ``map`` share a task. Decides, and does nothing: times are arguments, in seconds.

The first calls have a task each, since nothing is known of them. What they took in their sandboxes says how many more belong
into one task, so that the start of its interpreter is little of it. What a sandbox tells of its time is believed, since a wrong word
costs nobody but its own map: the number of calls in a task is bounded by those that wait, and a task is bounded by its quotas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: How long the calls of a task last together, where that can be chosen. The start of an interpreter takes a thirtieth of it.
TARGET = 0.15

#: After so long a task begins no further call, and the others of its calls go to other tasks: one call may take a thousand times
#: as long as the one before.
LONGEST = 0.2

#: A task that still runs after so long is at a call that takes long. Those that it has made are answered then, and those that it has not
#: begun go to other tasks. Long enough that an interpreter has started on a busy machine, too: what it begins later is made twice.
STUCK = 1.0

#: Of a time limit, what the calls that share a task may take before the last of them begins.
OF_TIMEOUT = 0.25

#: What the start of an interpreter takes at least. How much it really is, which may be many times that where others use the cores, is
#: seen of each task: so long its calls are to last together, too.
START = 0.005

#: How long calls that last less wait for more of them.
PATIENCE = 0.01

#: Tasks that are handed over before there is room for them, so that one begins where another ends.
AHEAD = 2

#: A call that takes less is taken for one that takes so much. A clock may stand still meanwhile.
_SHORTEST = 1e-6


@dataclass(frozen=True)
class Standing:
    """How a map stands."""

    #: Calls that are in no task yet.
    waiting: int
    #: How long the first of them has waited.
    waited: float
    #: Tasks that were handed over and have not begun.
    unbegun: int
    #: Tasks that run.
    running: int
    #: Whether all calls are there that there will be.
    is_all: bool


class Chunks:
    """What is known of the calls of one map."""

    def __init__(self, timeout: float | None, most_ahead: int) -> None:
        allowed = LONGEST if timeout is None else min(LONGEST, timeout * OF_TIMEOUT)
        #: After so many seconds a task begins no further call.
        self.longest = allowed
        # Of calls that are ahead of who reads, that many may wait for others.
        self._most_held = most_ahead // 2
        self._target = allowed * TARGET / LONGEST
        # Of one call. Nothing while that is not known.
        self._each: float | None = None
        # What the first call of a task takes beyond that: it may be the one for which something is imported.
        self._first = 0.0
        self._start = START
        # The most tasks that ran at once.
        self._at_once = 1

    @staticmethod
    def has_room(unbegun: int, running: int) -> bool:
        """Whether one more task may be handed over. As many run as the cluster lets, and as many wait as run."""
        return unbegun < max(AHEAD, running)

    def next(self, now: Standing) -> int:
        """How many of those that wait are to go into a task now; 0 while none is to be begun."""
        self._at_once = max(self._at_once, now.running)
        if now.waiting == 0 or not self.has_room(now.unbegun, now.running):
            return 0
        if self._each is None:
            return 1
        least = min(self._start / self._each, self._most_held)
        if now.waiting < least and now.waited < PATIENCE and not now.is_all:
            return 0
        # Half of an even share, so that none works for long when the others have no more to do.
        share = now.waiting / (2 * self._at_once)
        return max(1, min(now.waiting, int(min(self._target / self._each, max(least, share)))))

    def answered(self, took: Sequence[float], lasted: float | None = None) -> None:
        """The calls of a task took so long in its sandbox, one after the other; the task lasted so long, if it has ended."""
        if not took:
            return
        if lasted is not None:
            start = min(max(lasted - sum(took), START), TARGET)
            self._start = (self._start + start) / 2
        if len(took) == 1:
            each = took[0] - self._first
        else:
            each = sum(took[1:]) / (len(took) - 1)
            self._first = max(0.0, took[0] - each)
        # Whatever is longer has a task of its own just as well, and would be remembered for longer.
        each = min(max(each, _SHORTEST), 2 * TARGET)
        # Up at once, and down by as much as there is behind it.
        before = self._each
        self._each = each if before is None or each > before else (before + len(took) * each) / (1 + len(took))

    def broke(self) -> None:
        """A call ended the task that it shared with others. Some that have a task each come first, before others share one again."""
        self._each = None
