"""What Ctrl-C may come in the middle of: CPython raises it between almost any two steps of the main thread."""

from __future__ import annotations

import threading
from operator import attrgetter


class Condition(threading.Condition):
    """A condition whose lock is given back by a ``with`` wherever an interrupt comes.

    That of the standard library takes its lock in a method written in Python. An interrupt at the end of that method comes when the
    lock is taken and the ``with`` has not begun: nobody gives it back. Here ``with`` finds the lock's own methods. They are written
    in C, and CPython looks for no signal between such a method and the block.

    An interrupt may still come in the middle of ``wait``, when the lock is given up and not taken again. So only other threads than
    the main one wait by it.
    """

    __enter__ = property(attrgetter("_lock.__enter__"))
    __exit__ = property(attrgetter("_lock.__exit__"))
