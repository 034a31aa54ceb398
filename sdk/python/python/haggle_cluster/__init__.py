"""Haggle from Python: tasks and functions on a cluster, each in a sandbox with hard quotas on CPU, memory, time and output.

>>> from haggle_cluster import Cluster, Executor, Task
>>> with Cluster() as cluster:
...     print(cluster.run(Task.inline("print(6 * 7)")).stdout)
...     with Executor(cluster) as executor:
...         print(executor.submit(pow, 2, 100).result())
"""

from ._native import AtLimit, ConnectError, HaggleError, NotAllowed, NotFound, Refused, SessionOver
from .cluster import Cluster, as_completed
from .errors import (
    BadResult,
    CannotTravel,
    DiskLimit,
    ExitCode,
    FuelExhausted,
    Killed,
    Lost,
    MemoryLimit,
    OutputLimit,
    RemoteError,
    RemoteTraceback,
    TaskFailed,
    TimeLimit,
    Trap,
)
from .executor import Call, Executor
from .framework import (
    AgentLost,
    Disconnected,
    Error,
    Event,
    Framework,
    Offers,
    Other,
    Rescinded,
    Subscribed,
    Update,
)
from .jobs import Job, Outcome
from .records import AgentInfo, FrameworkInfo, Offer, OpenOffer, Resources, Status, TaskInfo, Usage
from .task import Task

__all__ = [
    "AgentInfo",
    "AgentLost",
    "AtLimit",
    "BadResult",
    "Call",
    "CannotTravel",
    "Cluster",
    "ConnectError",
    "Disconnected",
    "DiskLimit",
    "Error",
    "Event",
    "Executor",
    "ExitCode",
    "Framework",
    "FrameworkInfo",
    "FuelExhausted",
    "HaggleError",
    "Job",
    "Killed",
    "Lost",
    "MemoryLimit",
    "NotAllowed",
    "NotFound",
    "Offer",
    "Offers",
    "OpenOffer",
    "Other",
    "Outcome",
    "OutputLimit",
    "Refused",
    "RemoteError",
    "RemoteTraceback",
    "Rescinded",
    "Resources",
    "SessionOver",
    "Status",
    "Subscribed",
    "Task",
    "TaskFailed",
    "TaskInfo",
    "TimeLimit",
    "Trap",
    "Update",
    "Usage",
    "as_completed",
]
