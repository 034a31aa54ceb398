"""What to run, and under which quotas."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: An amount of memory, disk or output: bytes, or a text like ``"64MiB"``.
Size = int | str

#: A file's content: its path, the bytes themselves, or a source that the master fetches it from.
Content = str | os.PathLike[str] | bytes


@dataclass(frozen=True)
class Mount:
    """A volume of a task, which it may change unless it says otherwise. One that is shared nobody may."""

    volume: str
    writable: bool = True


@dataclass(frozen=True)
class Task:
    """A WebAssembly module, or a script and its interpreter, with its quotas.

    A task that says nothing gets one core, 64 MiB of memory, no scratch folder, no budget of fuel or time, and may write 1 MiB.
    It is given nothing that is not named: no file, no variable, no network.

    ``module`` is the path of a ``.wasm`` file, the digest (``sha256:…``) of one that the master has, or where the master fetches
    it: ``oci://registry/name:tag``, ``s3://bucket/key``, ``https://host/path``. For a :meth:`script`, what runs it is named by
    ``runtime`` instead.
    """

    module: str | os.PathLike[str] = ""
    args: Sequence[str] = ()
    name: str = ""
    #: Cores: a ceiling and a share.
    cpus: float = 1.0
    #: Cores beyond those, while nobody else wants them.
    burst: float = 0.0
    #: Its share of what is unused, against others: that of a task of so many cores; of its own, if it is not given.
    weight: float | None = None
    mem: Size = "64MiB"
    disk: Size = 0
    #: Amounts of the operator's own making: ``{"gpu": 1}``.
    scalars: Mapping[str, float] = field(default_factory=dict)
    #: How many instructions it may execute.
    fuel: int | None = None
    #: Seconds that it may run.
    timeout: float | None = None
    #: What it may write to standard output and standard error together.
    output: Size | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes | str = b""
    #: Files that it may read: paths in the task, and what is there.
    inputs: Mapping[str, Content] = field(default_factory=dict)
    #: Volumes that it mounts: paths in the task, and their ids, or a :class:`Mount`.
    volumes: Mapping[str, str | Mount] = field(default_factory=dict)
    #: Folders of the agent's machine that it may read, which its operator must allow: paths in the task, and there.
    host_folders: Mapping[str, str] = field(default_factory=dict)
    #: What its agent must be: ``"zone=a"``, ``"gpu"``, ``"!slow"``.
    constraints: Sequence[str] = ()
    #: Ports of hosts that it may connect to: ``"db.example:5432"``.
    allow_net: Sequence[str] = ()
    #: Hosts that it may send HTTP requests to: ``"api.example"``.
    allow_http: Sequence[str] = ()
    #: The interpreter of a script: ``python`` or ``javascript``, or another one of ``haggle runtime ls``.
    runtime: str | None = None
    #: A script's text.
    code: bytes | None = None

    @classmethod
    def script(cls, path: str | os.PathLike[str], *, runtime: str | None = None, **quotas: Any) -> Task:
        """A script of this machine. Its language is told by the end of its name unless ``runtime`` is given."""
        file = Path(path)
        runtime = runtime or _LANGUAGES.get(file.suffix)
        if runtime is None:
            raise ValueError(f"{file} ends like no script that is known: runtime= names what runs it")
        quotas.setdefault("name", file.name)
        code = file.read_bytes()
        try:
            code.decode()
        except UnicodeDecodeError as error:
            line = code.count(b"\n", 0, error.start) + 1
            raise ValueError(f"{file} is not UTF-8: the byte 0x{code[error.start]:02x} in line {line}") from None
        return cls(module=file, code=code, runtime=runtime, **quotas)

    @classmethod
    def inline(cls, code: str, *, runtime: str = "python", **quotas: Any) -> Task:
        """A script that is given as text."""
        name = "code" + _SUFFIXES.get(runtime, "")
        quotas.setdefault("name", name)
        return cls(module=name, code=code.encode(), runtime=runtime, **quotas)

    def replace(self, **changes: Any) -> Task:
        """The same with something else in it."""
        return dataclasses.replace(self, **changes)

    def with_args(self, args: Sequence[str]) -> Task:
        """The same with other arguments."""
        return self.replace(args=args)

    @property
    def label(self) -> str:
        """Its name for people."""
        module = os.fspath(self.module)
        return self.name or (_source_name(module) if is_source(module) else Path(module).name)


_LANGUAGES = {".py": "python", ".js": "javascript", ".mjs": "javascript", ".rb": "ruby"}
_SUFFIXES = {"python": ".py", "javascript": ".js", "ruby": ".rb"}


def is_source(text: str) -> bool:
    """Whether this is meant as a place that the master fetches from: no file is called so."""
    scheme, separator, _ = text.partition("://")
    return bool(separator) and scheme.isascii() and scheme.isalnum()


def _source_name(source: str) -> str:
    """The last part of where it is, without what says which one of its kind it is."""
    name = source.partition("://")[2].partition("?")[0].rpartition("/")[2]
    if source.startswith("oci:"):
        name = name.partition("@")[0].partition(":")[0]
    return name.removesuffix(".wasm") or "task"


def size_text(size: Size) -> str:
    """As Haggle reads it."""
    return size if isinstance(size, str) else str(int(size))
