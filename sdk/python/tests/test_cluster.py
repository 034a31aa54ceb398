"""Tasks, and what the cluster tells of them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from haggle_cluster import (
    Cluster,
    ConnectError,
    ExitCode,
    FuelExhausted,
    HaggleError,
    Killed,
    MemoryLimit,
    NotAllowed,
    OutputLimit,
    Refused,
    Task,
    TimeLimit,
    as_completed,
)

from haggle_cluster._local import program

WASM = Path(os.environ["HAGGLE_TEST_WASM"])
HELLO = Task(WASM / "hello.wasm", cpus=0.1, mem="4MiB")
SLEEPER = Task(WASM / "sleeper.wasm", ["60"], cpus=0.1, mem="4MiB")


def running(cluster: Cluster, name: str) -> bool:
    return any(task.name == name and task.status.state == "RUNNING" for task in cluster.tasks())


def until_running(cluster: Cluster, name: str) -> None:
    deadline = time.monotonic() + 60
    while not running(cluster, name):
        assert time.monotonic() < deadline, f"{name} does not run"
        time.sleep(0.01)


def test_a_task_tells_what_it_wrote_and_what_it_used(cluster: Cluster) -> None:
    outcome = cluster.run(HELLO.with_args(["Ada"]))

    assert (outcome.stdout, outcome.stderr, outcome.exit_code) == ("hello, Ada\n", "", 0)
    assert (outcome.state, outcome.reason, outcome.attempts) == ("FINISHED", None, 1)
    assert outcome.usage is not None and outcome.usage.fuel > 0 and outcome.usage.output == 11
    assert b"".join(cluster.logs(outcome.status.task)) == b"hello, Ada\n"
    assert "fuel" in outcome.usage._repr_html_()


def test_a_limit_is_an_exception_with_its_numbers(cluster: Cluster) -> None:
    spinner = Task(WASM / "spinner.wasm", cpus=0.5, mem="4MiB")
    fuel = cluster.submit(spinner.replace(fuel=1_000_000))
    late = cluster.submit(spinner.replace(timeout=0.2))
    hungry = cluster.submit(Task(WASM / "hungry.wasm", cpus=0.1, mem="8MiB"))
    chatty = cluster.submit(Task(WASM / "chatty.wasm", cpus=0.1, mem="4MiB", output=1000))
    wrong = cluster.submit(SLEEPER.with_args([]))

    with pytest.raises(FuelExhausted) as exhausted:
        fuel.result()
    with pytest.raises(TimeoutError) as timed:
        late.result()
    with pytest.raises(MemoryError) as memory:
        hungry.result()
    with pytest.raises(OutputLimit) as output:
        chatty.result()
    with pytest.raises(ExitCode) as code:
        wrong.result()

    assert exhausted.value.limit == 1_000_000
    assert isinstance(timed.value, TimeLimit) and timed.value.limit == 0.2 and timed.value.used is not None
    assert isinstance(memory.value, MemoryLimit) and memory.value.limit == 8 << 20
    assert output.value.limit == 1000
    assert code.value.code == wrong.outcome().exit_code != 0
    assert "usage: sleeper SECONDS" in wrong.outcome().stderr


def test_map_is_ordered_and_lazy(cluster: Cluster) -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(12):
            taken.append(number)
            yield number

    ended = cluster.map(lambda number: HELLO.with_args([str(number)]), numbers(), max_in_flight=3)

    assert taken == [0, 1, 2]
    assert next(ended).stdout == "hello, 0\n"
    assert taken == [0, 1, 2, 3]
    assert [outcome.stdout for outcome in ended] == [f"hello, {number}\n" for number in range(1, 12)]


def test_an_array_and_its_ends_as_they_come(cluster: Cluster) -> None:
    jobs = cluster.array(HELLO, 3)

    ended = list(as_completed(jobs))

    assert sorted(job.result().stdout for job in ended) == [f"hello, world, from task {n} of 3\n" for n in (1, 2, 3)]


def test_a_job_is_killed_by_its_handle_and_by_its_id(cluster: Cluster) -> None:
    first, second = cluster.submit(SLEEPER.replace(name="first")), cluster.submit(SLEEPER.replace(name="second"))
    until_running(cluster, "first")
    until_running(cluster, "second")

    assert not first.cancel()
    assert second.task_id is not None
    cluster.kill(second.task_id)

    for job in (first, second):
        with pytest.raises(Killed):
            job.result(30)


def test_what_waits_is_taken_back(cluster: Cluster) -> None:
    large = SLEEPER.replace(name="large", cpus=cluster.agents()[0].resources.cpus)
    jobs = [cluster.submit(large), cluster.submit(large)]
    until_running(cluster, "large")

    assert jobs[1].cancel() or jobs[0].cancel()
    for job in jobs:
        job.kill()

    assert sorted(job.cancelled() for job in jobs) == [False, True]


def test_what_no_cluster_would_take_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cluster.submit(Task(tmp_path / "none.wasm"))
    with pytest.raises(ValueError, match="is not a size like 64MiB"):
        cluster.submit(HELLO.replace(mem="much"))
    with pytest.raises(Refused, match="a task needs some mem"):
        cluster.submit(HELLO.replace(mem=0))
    with pytest.raises(Refused, match="10000"):
        cluster.submit(HELLO.replace(cpus=10_000)).result(30)
    with pytest.raises(ValueError, match="runtime= names what runs it"):
        Task.script("job.unknown")
    with pytest.raises(ConnectError, match="no master answers at http://127.0.0.1:1"):
        Cluster("127.0.0.1:1", patience=0.1)
    with pytest.raises(HaggleError, match="no cluster came up"):
        Cluster(agents=0)


def test_another_program_of_this_user_finds_the_cluster(cluster: Cluster) -> None:
    with Cluster(cluster.url, name="another") as other:
        assert other.run(HELLO).stdout == "hello, world\n"
        assert "another" in [framework.name for framework in cluster.frameworks()]
        assert [agent.name for agent in other.agents()] == ["agent-1"]

    assert "another" not in [framework.name for framework in cluster.frameworks()]
    assert "agent-1" in cluster._repr_html_()
    with pytest.raises(HaggleError, match="is closed"):
        other.submit(HELLO)


def test_other_threads_run_while_one_waits(cluster: Cluster) -> None:
    turns, stop = [0], threading.Event()

    def count() -> None:
        while not stop.is_set():
            turns[0] += 1

    with cluster.framework("waiting") as framework:
        framework.suppress()
        while framework.next(0.1) is not None:
            pass
        counter = threading.Thread(target=count)
        counter.start()
        before = turns[0]
        framework.next(0.5)
        after = turns[0]
        stop.set()
        counter.join()

    assert after - before > 1000


def test_what_nobody_waits_for_any_more_is_killed(cluster: Cluster) -> None:
    with pytest.raises(KeyError), cluster.submit(SLEEPER.replace(name="left alone")) as job:
        until_running(cluster, "left alone")
        raise KeyError

    with pytest.raises(Killed):
        job.result(30)


@pytest.mark.usefixtures("interpreter")
def test_scripts_are_tasks(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text("import sys, table; print(table.row(sys.argv[1]), sys.stdin.read())")
    table = b"def row(x): return x * 2"

    outcome = cluster.run(
        Task.script(tmp_path / "job.py", args=["ab"], stdin="typed", inputs={"/script/table.py": table}, mem="128MiB")
    )

    assert outcome.stdout == "abab typed\n"
    assert outcome.name == "job.py"


@pytest.mark.usefixtures("interpreter")
def test_a_script_that_is_none_says_why(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "latin.py").write_bytes("print(1)\nprint('ä')".encode("latin-1"))
    (tmp_path / "wrong.py").write_text("print(1)\ndef f(:\n")
    (tmp_path / "fails.py").write_text("import sys\nsys.exit('no such day')")

    with pytest.raises(ValueError, match=r"latin.py is not UTF-8: the byte 0xe4 in line 2"):
        Task.script(tmp_path / "latin.py")
    with pytest.raises(FileNotFoundError):
        Task.script(tmp_path / "none.py")
    with pytest.raises(ExitCode) as wrong:
        cluster.run(Task.script(tmp_path / "wrong.py"))
    with pytest.raises(ExitCode) as fails:
        cluster.run(Task.script(tmp_path / "fails.py"))

    assert 'File "/script/wrong.py", line 2' in str(wrong.value.__cause__)
    assert "SyntaxError: invalid syntax" in str(wrong.value.__cause__)
    assert str(fails.value.__cause__).strip('\n"') == "no such day"


UNREACHED = """
import sys
from haggle_cluster import Cluster, Executor, HaggleError, Task
with Cluster(sys.argv[1]) as cluster:
    for wanted in (lambda: cluster.run(Task.inline("print(1)")), lambda: Executor(cluster).submit(abs, -1)):
        try:
            wanted()
        except HaggleError as error:
            print(str(error).replace(chr(10), " "))
    print([task.name for task in cluster.tasks() if task.name in ("code.py", "prepare", "abs")])
"""


def test_an_interpreter_that_cannot_be_had_or_was_changed_is_not_run(cluster: Cluster, tmp_path: Path) -> None:
    unreachable = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PIP_INDEX_URL": "http://127.0.0.1:1/simple", "PIP_RETRIES": "0"}
    without = {name: value for name, value in unreachable.items() if name not in ("PIP_CONFIG_FILE", "PIP_EXTRA_INDEX_URL")}

    ended = subprocess.run([sys.executable, "-c", UNREACHED, cluster.url], capture_output=True, text=True, env=without, timeout=120)

    first, second, running = ended.stdout.splitlines()
    assert first == second and "python" in first and "haggle runtime add python=" in first, ended.stdout + ended.stderr
    assert running == "[]"

    wrong = subprocess.run(
        [program(), "runtime", "add", f"python={WASM / 'hello.wasm'}", "--digest", "sha256:" + "0" * 64],
        capture_output=True,
        text=True,
        env=without,
        timeout=60,
    )
    assert wrong.returncode != 0 and "sha256:" in wrong.stderr
    assert not list(tmp_path.rglob("*.wasm"))


def test_it_works_in_an_event_loop(cluster: Cluster) -> None:
    async def main() -> list[str]:
        first = await cluster.submit(HELLO)
        both = await asyncio.gather(*(asyncio.wrap_future(job) for job in cluster.array(HELLO, 2)))
        mapped = [outcome async for outcome in cluster.amap(lambda name: HELLO.with_args([name]), "ab")]
        return [outcome.stdout for outcome in (first, *both, *mapped)]

    async def leaves() -> None:
        async with Cluster(cluster.url) as other:
            await asyncio.wait_for(other.submit(SLEEPER.replace(name="left")), 0.5)

    assert asyncio.run(main())[-2:] == ["hello, a\n", "hello, b\n"]
    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(leaves())
    assert not running(cluster, "left")


# Whoever runs the tests in the background may have had the signal ignored, and that is inherited.
INTERRUPTED = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from haggle_cluster import Cluster, Task
with Cluster(sys.argv[1], name="interrupted") as cluster:
    job = cluster.submit(Task(sys.argv[2], ["60"], name="interrupted", cpus=0.1, mem="4MiB"))
    print("submitted", flush=True)
    WAIT
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has another Ctrl-C")
@pytest.mark.parametrize(
    "wait",
    [
        "job.result()",
        "next(cluster.logs(job.task_id, follow=True))",
        "cluster.run(Task(sys.argv[2], ['60']))",
        "list(cluster.map(lambda _: Task(sys.argv[2], ['60']), [1, 2]))",
        "for event in cluster.watch(): pass",
        "for event in cluster.framework('interrupted'): pass",
        "list(cluster.executor().map(time.sleep, [60, 60]))",
    ],
)
def test_ctrl_c_takes_the_tasks_along(cluster: Cluster, wait: str) -> None:
    code = INTERRUPTED.replace("WAIT", f"while not job.task_id: pass\n    {wait}")
    program = subprocess.Popen(
        [sys.executable, "-c", code, cluster.url, str(WASM / "sleeper.wasm")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdout is not None
    assert program.stdout.readline() == b"submitted\n"
    until_running(cluster, "interrupted")

    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=60)

    assert b"KeyboardInterrupt" in said
    assert not running(cluster, "interrupted") and not running(cluster, "sleep")


@pytest.mark.usefixtures("interpreter")
def test_a_program_that_closes_nothing_leaves_nothing_behind(cluster: Cluster) -> None:
    code = """
import sys
from haggle_cluster import Cluster, Executor, Task
own = Executor()
print(own.submit(abs, -1).result())
job = Cluster(sys.argv[1]).submit(Task(sys.argv[2], ["60"], name="forgotten", cpus=0.1, mem="4MiB"))
while not job.task_id: pass
"""

    ended = subprocess.run(
        [sys.executable, "-c", code, cluster.url, WASM / "sleeper.wasm"], capture_output=True, text=True, timeout=120
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "1\n", "")
    assert not running(cluster, "forgotten")


def test_a_cluster_of_ones_own_ends_with_its_program() -> None:
    code = "import os, haggle_cluster; c = haggle_cluster.Cluster(); print(c.url, flush=True); os.kill(os.getpid(), 9)"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)

    url, deadline = ended.stdout.decode().strip(), time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            Cluster(url, patience=0.0).close()
        except ConnectError:
            return
    raise AssertionError(f"{url} still answers")


def test_a_token_says_who_comes_and_what_it_may(cluster: Cluster) -> None:
    made = subprocess.run(
        [program(), "--master", cluster.url, "token", "create", "--kind", "viewer", "--name", "onlooker"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    with Cluster(cluster.url, token=made.stdout.strip()) as viewer:
        assert [agent.name for agent in viewer.agents()] == ["agent-1"]
        with pytest.raises(NotAllowed):
            viewer.run(HELLO)

    with pytest.raises(ValueError, match="token"):
        Cluster(cluster.url, token="nonsense")
