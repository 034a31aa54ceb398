"""The ``haggle`` program that comes with this package: a cluster of one's own, and interpreters for scripts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from .errors import HaggleError

#: How long a cluster has to end, in seconds. It kills its tasks, which takes a tenth of one.
_GRACE = 10.0


def program() -> str:
    """The ``haggle`` that was installed along with this package, or else the one on the path."""
    name = "haggle.exe" if os.name == "nt" else "haggle"
    try:
        files = metadata.files("haggle-cluster") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == name:
            path = Path(os.fspath(file.locate())).resolve()
            if path.is_file():
                return str(path)
    found = shutil.which("haggle")
    if found is None:
        raise HaggleError("there is no haggle program: install the wheel haggle-cluster, or put haggle on the path")
    return found


class LocalCluster:
    """A master and its agents, in a process that ends when this one does, however that ends."""

    def __init__(self, agents: int, cpus: float | None, mem: str | None) -> None:
        words = [program(), "up", "--listen", "127.0.0.1:0", "--until-stdin-ends", "--agents", str(agents)]
        words += ["--cpus", f"{cpus:.3f}"] if cpus is not None else []
        words += ["--mem", mem] if mem is not None else []
        self._said: IO[bytes] = tempfile.TemporaryFile()
        # A session of its own: Ctrl-C is for this program, which ends the cluster when it is done with it.
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, start_new_session=True
        )
        try:
            self.url = self._address()
        except BaseException:
            self.close()
            raise

    def _address(self) -> str:
        assert self._process.stdout is not None
        before = b"The master listens on "
        for line in self._process.stdout:
            if line.startswith(before):
                return line[len(before) :].decode().strip()
        self._process.wait()
        self._said.seek(0)
        raise HaggleError(f"no cluster came up: {self._said.read(65536).decode(errors='replace').strip()}")

    def close(self) -> None:
        """Ends it, and waits until it has."""
        process = self._process
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._said.close()


def runtime(name: str) -> tuple[str, str | None]:
    """The digest of an interpreter's module, and the file that it is in; ``None`` when only the master has it.

    Fetches a known one when it is needed first, by the ``pip`` of this user.
    """
    for row in _haggle("runtime", "ls", "--json"):
        if row["name"] == name and row["here"]:
            return row["digest"], row["path"]
    (row,) = _haggle("runtime", "add", name, "--json")
    return row["digest"], row["path"]


def _haggle(*words: str) -> list[dict[str, Any]]:
    # What it fetches is shown where somebody looks; pip is this Python's own where there is one.
    shown = None if sys.stderr is not None and sys.stderr.isatty() else subprocess.PIPE
    done = subprocess.run([program(), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=shown)
    if done.returncode != 0:
        said = (done.stderr or b"").decode(errors="replace").strip()
        raise HaggleError(said or f"haggle {' '.join(words)} failed with exit code {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines()]
