"""What every call needs in its sandbox besides the function: the guest, compiled by the interpreter that runs it.

Reading its source takes an interpreter longer than all else that a short call does. Bytecode is another one for each
version of Python, so a task of the same runtime makes it, once for each cluster. It runs nowhere but in sandboxes.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from .task import Size, Task

if TYPE_CHECKING:
    from .cluster import Cluster

#: The script of every call. By the end of its name Python knows that it is compiled.
SCRIPT = "/script/call.pyc"

_GUEST = "/script/guest.py"
_MORE = "/script/more.py"

_COMPILER = f"""\
import __future__, importlib.util, marshal, sys
with open({_GUEST!r}) as file:
    # What the guest compiles is then compiled so as well: annotations are not evaluated, and what they name need not be there.
    flags = __future__.annotations.compiler_flag
    # Without docstrings.
    code = compile(file.read(), {SCRIPT!r}, "exec", flags, optimize=2)
# What a file of bytecode begins with: for which Python it is, and of which source, which nobody asks for here.
sys.stdout.buffer.write(importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code))
"""

_HERE = Path(__file__).parent

_LOCK = threading.Lock()


def inputs(cluster: Cluster, mem: Size) -> list[tuple[str, str]]:
    """Paths in the sandbox, and digests of what is there. The first call on a cluster waits for the task that compiles."""
    with _LOCK:
        if not cluster._guest:
            task = Task.inline(_COMPILER, name="prepare", mem=mem, inputs={_GUEST: _HERE / "_guest.py"})
            parts = {
                SCRIPT: cluster._run_apart(task).output(),
                _MORE: (_HERE / "_guest_more.py").read_bytes(),
            }
            cluster._guest = [(path, cluster.upload(content)) for path, content in parts.items()]
        return cluster._guest
