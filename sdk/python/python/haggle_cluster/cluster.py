"""A cluster: one of one's own, or one that is there already."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent import futures
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from . import _local, _progress
from ._ahead import awaited_in_order, in_order
from ._native import Connection
from .errors import HaggleError
from .framework import Framework
from .jobs import Job, Outcome, Session, TaskFuture
from .operators import Operator
from .records import Pulled, cpus_text
from .task import Content, Mount, Size, Task, is_source, size_text

if TYPE_CHECKING:
    from .executor import Executor

F = TypeVar("F", bound=TaskFuture[Any])

#: Where a task finds its script.
_FOLDER = "/script"

#: What an interpreter is told before the script's path.
_FLAGS = {"javascript": ["--std"]}


class Cluster(Operator):
    """A cluster. Without ``url`` and ``token`` it starts one on this machine, which ends with this object.

    >>> with Cluster() as cluster:
    ...     print(cluster.run(Task.inline("print(6 * 7)")).stdout)

    Tasks that were submitted and have not ended are killed when it is closed; Ctrl-C within ``with`` does that.

    :param url: ``http://127.0.0.1:5050``; several masters are separated by commas.
    :param token: what lets this program in, ``hgl1.…``; it says where the masters are as well. Not needed for a master that this
        user runs on this machine.
    :param agents: how many agents a cluster of one's own has. They share the machine, or have ``cpus`` and ``mem`` each.
    :param role: whose share the tasks count towards.
    :param name: the name of the framework that runs them, for people.
    :param retries: how often a task is launched again after it failed or was lost.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        agents: int = 1,
        cpus: float | None = None,
        mem: Size | None = None,
        role: str | None = None,
        name: str = "python",
        retries: int = 0,
        patience: float = 2.0,
    ) -> None:
        self._local: _local.LocalCluster | None = None
        if url is None and token is None:
            self._local = _local.LocalCluster(agents, cpus, None if mem is None else size_text(mem))
            url = self._local.url
        try:
            self._connection = Connection.open(url, token, patience)
        except BaseException:
            self._end_local()
            raise
        self._operator = self._connection.operator()
        self._options = (name, role, retries)
        self._lock = threading.RLock()
        self._session: Session | None = None
        self._closed = False
        self._uploaded: dict[tuple[str, int, int], str] = {}
        self._runtimes: dict[str, str] = {}
        # What calls of functions need in their sandboxes: paths and digests.
        self._guest: list[tuple[str, str]] = []
        # Who forgets to close it leaves no tasks behind.
        atexit.register(self.close)

    @classmethod
    def from_env(cls) -> Cluster:
        """The cluster that ``HAGGLE_MASTER`` and ``HAGGLE_TOKEN`` tell of, as for the ``haggle`` command."""
        token = os.environ.get("HAGGLE_TOKEN")
        if token and token.startswith("@"):
            token = Path(token[1:]).read_text().strip()
        return cls(os.environ.get("HAGGLE_MASTER") or "127.0.0.1", token=token or None)

    @property
    def url(self) -> str:
        """Where the master is."""
        return self._connection.url()

    # Tasks

    def submit(self, task: Task) -> Job:
        """Hands a task over. It is launched as soon as an agent has room for it."""
        return self._submit_to(self._session_now(), task)

    def _submit_to(self, session: Session, task: Task) -> Job:
        spec, connection = self._spec(task), self._connection
        job = Job(task.label)
        index = session.submit(spec, lambda event: job._listen(connection, event))
        job._kill = lambda: session.kill(index)
        return job

    def run(self, task: Task) -> Outcome:
        """Runs a task to its end; raises :class:`TaskFailed` when that is no good one."""
        return _wait(self.submit(task))

    def _run_apart(self, task: Task) -> Outcome:
        """As :meth:`run`, and also where nobody hears of other tasks meanwhile: in what is called at the end of one."""
        session = Session(self._connection, *self._options)
        try:
            return _wait(self._submit_to(session, task))
        finally:
            session.close()

    def map(
        self,
        make: Callable[..., Task],
        *iterables: Iterable[Any],
        max_in_flight: int = 256,
        progress: bool | str = False,
    ) -> Iterator[Outcome]:
        """Runs the tasks that ``make`` makes of the items, and yields how they ended, in the order of the items.

        Lazy: of the items no more are taken than ``max_in_flight`` ahead of what was yielded. A task that fails raises when its
        turn has come; then, and when the iterator is closed, the others are killed. With ``progress``, or a name for it, tqdm
        shows how far it is, where that is installed.
        """
        ended = in_order((self.submit(make(*items)) for items in zip(*iterables)), max_in_flight)
        return _progress.shown(ended, progress, _progress.length(iterables))

    def amap(
        self, make: Callable[..., Task], *iterables: Iterable[Any], max_in_flight: int = 256
    ) -> AsyncIterator[Outcome]:
        """:meth:`map` for asyncio. Who is cancelled meanwhile takes the tasks along."""
        return awaited_in_order((self.submit(make(*items)) for items in zip(*iterables)), max_in_flight)

    def array(self, task: Task, count: int) -> list[Job]:
        """As many tasks alike, each of which finds its number in ``HAGGLE_TASK_INDEX`` and theirs in ``HAGGLE_TASK_COUNT``."""
        told = [{"HAGGLE_TASK_INDEX": str(index), "HAGGLE_TASK_COUNT": str(count)} for index in range(count)]
        return [self.submit(task.replace(env={**task.env, **each})) for each in told]

    def logs(self, task: str, *, stderr: bool = False, follow: bool = False) -> Iterator[bytes]:
        """What a task writes, from its start, piece by piece; with ``follow`` until it has ended."""
        return iter(self._connection.log(task, stderr, follow).next, None)

    def executor(self, **quotas: Any) -> Executor:
        """An :class:`Executor` of Python functions on this cluster."""
        from .executor import Executor

        return Executor(self, **quotas)

    def framework(self, name: str, roles: Sequence[str] = ("default",), *, failover: float = 60.0) -> Framework:
        """Subscribes a framework of one's own. Its tasks live on for ``failover`` seconds after its connection is lost."""
        native = self._connection.framework(name, list(roles), failover)
        return Framework(native, self._spec, name, list(roles), failover)

    # Artifacts

    def upload(self, content: Content) -> str:
        """Stores a file or bytes at the master, and gives back the digest."""
        if isinstance(content, bytes):
            return self._connection.upload_bytes(content)
        return self._upload_file(os.fspath(content), self._connection.upload)

    def pull(self, source: str, *, module: bool = True) -> Pulled:
        """Has the master fetch an artifact: ``oci://registry/name:tag``, ``s3://bucket/key`` or ``https://host/path``.

        From where its operator allows, by the logins of the user that runs it, and once for all who ask at the same time. With
        ``module`` it has to be a WebAssembly module; an input of a task may be anything.
        """
        return Pulled(*self._connection.pull(source, module))

    def _upload_file(self, path: str, upload: Callable[[str], str]) -> str:
        found = os.stat(path)
        key = (os.path.abspath(path), found.st_mtime_ns, found.st_size)
        with self._lock:
            known = self._uploaded.get(key)
        if known is None:
            known = upload(path)
            with self._lock:
                self._uploaded[key] = known
        return known

    def runtime(self, name: str = "python") -> str:
        """The digest of an interpreter's module. Fetched by ``pip`` and stored at the master when it is needed first."""
        with self._lock:
            digest = self._runtimes.get(name)
            if digest is None:
                digest, path = _local.runtime(name)
                if not self._connection.has(digest):
                    if path is None:
                        raise HaggleError(f"the runtime {name} is {digest}, which this master does not have")
                    self._connection.upload(path)
                self._runtimes[name] = digest
            return digest

    # Its end

    def close(self) -> None:
        """Kills what was submitted and has not ended. A cluster of one's own ends."""
        with self._lock:
            session, self._session, self._closed = self._session, None, True
        atexit.unregister(self.close)
        try:
            if session is not None:
                session.close()
        finally:
            self._end_local()

    def _end_local(self) -> None:
        local, self._local = self._local, None
        if local is not None:
            local.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Cluster:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    def __repr__(self) -> str:
        return f"<Cluster {'closed' if self._closed else self.url}>"

    def _repr_html_(self) -> str:
        return self.agents()._repr_html_()

    def _session_now(self) -> Session:
        with self._lock:
            if self._closed:
                raise HaggleError("the cluster is closed")
            if self._session is None:
                self._session = Session(self._connection, *self._options)
            return self._session

    def _place(self, content: Content) -> str:
        """Where the content of an input is, once it can be had: its digest, or a source that the master fetches it from."""
        return content if isinstance(content, str) and is_source(content) else self.upload(content)

    def _spec(self, task: Task) -> dict[str, Any]:
        """As the native part takes it. What the master lacks is uploaded."""
        args, inputs = list(task.args), {path: self._place(content) for path, content in task.inputs.items()}
        mounts = {path: Mount(volume) if isinstance(volume, str) else volume for path, volume in task.volumes.items()}
        if task.runtime is not None:
            module = self.runtime(task.runtime)
            path = f"{_FOLDER}/{Path(task.module).name}"
            inputs[path] = self.upload(task.code or b"")
            args = [*_FLAGS.get(task.runtime, []), path, *args]
        else:
            module = os.fspath(task.module)
            if not module.startswith("sha256:") and not is_source(module):
                module = self._upload_file(module, self._connection.upload_module)
        return {
            "module": module,
            "name": task.label,
            "args": args,
            "env": list(task.env.items()),
            "stdin": task.stdin.encode() if isinstance(task.stdin, str) else task.stdin,
            "cpus": cpus_text(task.cpus),
            "burst": cpus_text(task.burst),
            "weight": None if task.weight is None else cpus_text(task.weight),
            "mem": size_text(task.mem),
            "disk": size_text(task.disk),
            "scalars": {name: cpus_text(amount) for name, amount in task.scalars.items()},
            "fuel": task.fuel,
            "timeout": task.timeout,
            "output": None if task.output is None else size_text(task.output),
            "inputs": list(inputs.items()),
            "volumes": [(path, mount.volume, mount.writable) for path, mount in mounts.items()],
            "host_folders": list(task.host_folders.items()),
            "constraints": list(task.constraints),
            "allow_net": list(task.allow_net),
            "allow_http": list(task.allow_http),
        }


def as_completed(
    jobs: Iterable[F], timeout: float | None = None, *, progress: bool | str = False
) -> Iterator[F]:
    """Yields jobs, or calls of an executor, as they end. With ``progress``, or a name for it, tqdm shows how many have."""
    jobs = list(jobs)
    # What comes out of it went into it.
    ended = cast("Iterator[F]", futures.as_completed(jobs, timeout))
    return _progress.shown(ended, progress, len(jobs))


T = TypeVar("T")


def _wait(future: TaskFuture[T]) -> T:
    """Its result. Who is interrupted while waiting takes the task along."""
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
