"""What a notebook shows, and progress where there is tqdm."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from haggle_cluster import Cluster, Executor, Task, as_completed

WASM = Path(os.environ["HAGGLE_TEST_WASM"])
HELLO = Task(WASM / "hello.wasm", cpus=0.1, mem="4MiB")


def test_things_are_shown_as_tables(cluster: Cluster) -> None:
    job = cluster.submit(HELLO.replace(name="<hello>"))
    outcome = job.result(60)

    assert job.task_id is not None and f"<td>finished</td><td>{job.task_id}</td><td>agent-1</td>" in job._repr_html_()
    assert "&lt;hello&gt;" in outcome._repr_html_() and "cpu_seconds" in outcome._repr_html_()
    assert repr(job) == "<Job <hello> finished>"
    for rows in (cluster.agents(), cluster.tasks(ended=True), cluster.roles(), cluster.frameworks()):
        assert rows._repr_html_().startswith("<table><tr><th>")
    assert cluster.volumes()._repr_html_() == "<p>nothing</p>"


def test_progress_is_shown_where_tqdm_is(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = cluster.array(HELLO, 3)

    assert len(list(as_completed(jobs, progress="hellos"))) == 3
    assert len(list(cluster.map(lambda name: HELLO.with_args([name]), "abcd", progress=True))) == 4

    shown = capsys.readouterr().err
    assert "hellos: 100%" in shown and "3/3" in shown and "4/4" in shown


def test_without_tqdm_there_is_no_word_of_it(cluster: Cluster) -> None:
    code = """
import sys
sys.modules["tqdm"] = sys.modules["IPython"] = None
from haggle_cluster import Cluster, Task
with Cluster(sys.argv[1]) as cluster:
    hello = Task(sys.argv[2], cpus=0.1, mem="4MiB")
    print(len(list(cluster.map(lambda name: hello.with_args([name]), "ab", progress=True))))
"""

    ended = subprocess.run(
        [sys.executable, "-c", code, cluster.url, WASM / "hello.wasm"], capture_output=True, text=True, timeout=60
    )

    assert (ended.stdout, ended.stderr) == ("2\n", "")


def test_a_function_of_a_notebooks_cell_travels(executor: Executor) -> None:
    shell: Any = InteractiveShell.instance()
    shell.user_ns["executor"] = executor

    for cell in (
        "import math\nscale = 2",
        "def area(radius):\n    return round(scale * math.pi * radius, 2)",
        "results = list(executor.map(area, [1, 2]))\nawaited = await executor.submit(area, 3)",
        "def area(radius):\n    return -radius",
        "again = executor.submit(area, 3).result()",
    ):
        shell.run_cell(cell).raise_error()

    assert (shell.user_ns["results"], shell.user_ns["awaited"], shell.user_ns["again"]) == ([6.28, 12.57], 18.85, -3)
