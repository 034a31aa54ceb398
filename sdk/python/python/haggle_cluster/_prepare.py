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

#: The script of every call.
SCRIPT = "/script/call.py"

_GUEST = "/script/guest"
_MORE = "/script/more.py"

_LOADER = f"""\
from marshal import loads
with open({_GUEST!r}, "rb") as file:
    code = loads(file.read())
exec(code)
"""

_COMPILER = f"""\
import __future__, marshal, sys
with open({_GUEST!r}) as file:
    # What the guest compiles is then compiled so as well: annotations are not evaluated, and what they name need not be there.
    code = compile(file.read(), {SCRIPT!r}, "exec", __future__.annotations.compiler_flag)
sys.stdout.buffer.write(marshal.dumps(code))
"""

_HERE = Path(__file__).parent

_LOCK = threading.Lock()


def inputs(cluster: Cluster, mem: Size) -> list[tuple[str, str]]:
    """Paths in the sandbox, and digests of what is there. The first call on a cluster waits for the task that compiles."""
    with _LOCK:
        if not cluster._guest:
            task = Task.inline(_COMPILER, name="prepare", mem=mem, inputs={_GUEST: _HERE / "_guest.py"})
            parts = {
                SCRIPT: _LOADER.encode(),
                _GUEST: cluster.run(task).output(),
                _MORE: (_HERE / "_guest_more.py").read_bytes(),
            }
            cluster._guest = [(path, cluster.upload(content)) for path, content in parts.items()]
        return cluster._guest
