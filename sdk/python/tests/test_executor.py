"""Functions in a sandbox each."""

from __future__ import annotations

import asyncio
import concurrent.futures
import datetime
import functools
import os
import pickle
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import pytest

from haggle_cluster import (
    BadResult,
    Call,
    CannotTravel,
    Cluster,
    Executor,
    FuelExhausted,
    HaggleError,
    Killed,
    MemoryLimit,
    OutputLimit,
    RemoteError,
    RemoteTraceback,
    Task,
    TimeLimit,
    as_completed,
)

SEEN: list[int] = []


class OwnError(Exception):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        raise AssertionError("made by what a sandbox said")


def cube(x: int) -> int:
    return x**3


def remembers(x: int) -> int:
    SEEN.append(x)
    return len(SEEN)


def everything(x: int, *, y: bytes) -> Any:
    print("printed", x)
    return {"x": (x, y), 1: [datetime.date(2026, 11, 29), {1.5, None}]}


def divides(x: int) -> float:
    return 1 / x


def raises_own() -> None:
    raise OwnError("own", 7)


def spins() -> None:
    while True:
        pass


def hoards() -> int:
    hoard = []
    while True:
        hoard.append(bytearray(1 << 20))


def warns() -> int:
    import warnings

    warnings.warn("careful", DeprecationWarning)
    return 1


def leaves() -> None:
    raise SystemExit(3)


def test_a_function_runs_elsewhere_and_its_result_comes_back(executor: Executor) -> None:
    call = executor.submit(everything, 1, y=b"bytes")

    value = call.result()

    assert value["x"] == (1, b"bytes")
    assert value[1] == [datetime.date(2026, 11, 29), {1.5, None}]
    assert call.printed() == "printed 1\n"
    assert call.usage is not None and call.usage.peak_mem > 0


def test_it_is_an_executor_of_the_standard_library(executor: Executor) -> None:
    assert isinstance(executor, concurrent.futures.Executor)
    calls = [executor.submit(cube, x) for x in range(3)]

    done, left = concurrent.futures.wait(calls)

    assert (sorted(call.result() for call in done), left) == ([0, 1, 8], set())
    assert sorted(call.result() for call in as_completed(calls)) == [0, 1, 8]
    assert list(executor.map(pow, [2, 3], [5, 2])) == [32, 9]
    assert list(executor.map(lambda x: x + 1, [1])) == [2]


def test_an_exception_comes_back_as_itself_with_its_traceback(executor: Executor) -> None:
    with pytest.raises(ZeroDivisionError, match="division by zero") as caught:
        executor.submit(divides, 0).result()

    assert isinstance(caught.value.__cause__, RemoteTraceback)
    text = "".join(traceback.format_exception(caught.value))
    line = divides.__code__.co_firstlineno + 1
    assert f'{Path(__file__).name}", line {line}, in divides\n    return 1 / x' in text
    assert "_guest" not in text and "call.py" not in text


def test_an_exception_of_ones_own_comes_back_without_its_code_being_run(executor: Executor) -> None:
    with pytest.raises(Exception) as caught:
        executor.submit(raises_own).result()

    # Its class asserts where it is made: the sandbox meets that itself.
    assert isinstance(caught.value, AssertionError)
    with pytest.raises(RemoteError, match="SystemExit: 3"):
        executor.submit(leaves).result()


def test_warnings_come_back(executor: Executor) -> None:
    call = executor.submit(warns)

    with pytest.warns(DeprecationWarning, match="careful") as caught:
        assert call.result() == 1

    assert Path(caught[0].filename).name == Path(__file__).name
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert call.result() == 1


def warns_of(file: str) -> None:
    import warnings

    warnings.warn_explicit("look there", UserWarning, file, 1)


def test_a_warning_has_no_file_of_this_machine_read(executor: Executor) -> None:
    with pytest.warns(UserWarning, match="look there") as caught:
        executor.submit(warns_of, "/dev/zero").result()

    # Who shows a warning reads the line that it is about.
    assert [warning.filename for warning in caught] == ["</dev/zero>"]


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("I say nothing")


def raises_mute() -> None:
    raise MuteError(1, 2)


def test_an_exception_that_cannot_be_told_is_one_all_the_same(executor: Executor) -> None:
    with pytest.raises(MuteError) as caught:
        executor.submit(raises_mute).result()

    assert caught.value.args == (1, 2)
    assert "in raises_mute" in str(caught.value.__cause__)


@pytest.mark.usefixtures("interpreter")
def test_what_is_called_at_the_end_of_a_task_may_submit() -> None:
    with Cluster() as cluster, Executor(cluster) as executor:
        job = cluster.submit(Task.inline("print(1)"))
        made: concurrent.futures.Future[Any] = concurrent.futures.Future()
        job.add_done_callback(lambda _: made.set_result(executor.submit(cube, 2)))

        assert made.result(60).result(60) == 8


def test_limits_are_exceptions_with_numbers(executor: Executor) -> None:
    late = executor.submit(spins, timeout=0.5)
    burnt = executor.submit(spins, fuel=1_000_000_000)
    hoard = executor.submit(hoards, mem="48MiB")
    large = executor.submit(functools.partial(str.ljust, "", 100_000), output=1000)

    with pytest.raises(TimeoutError) as timed:
        late.result()
    with pytest.raises(FuelExhausted) as fuel:
        burnt.result()
    with pytest.raises(MemoryError) as memory:
        hoard.result()
    with pytest.raises(OutputLimit) as output:
        large.result()

    assert isinstance(timed.value, TimeLimit) and timed.value.limit == 0.5
    assert (fuel.value.limit, output.value.limit) == (1_000_000_000, 1000)
    assert isinstance(memory.value, MemoryLimit) and memory.value.limit == 48 << 20
    assert memory.value.used is not None and memory.value.used > memory.value.limit
    assert "in hoards" in str(memory.value.__cause__)


def test_exceptions_go_from_one_process_to_another(executor: Executor) -> None:
    calls: list[Call[Any]] = [executor.submit(spins, timeout=0.2), executor.submit(leaves), executor.submit(divides, 0)]
    for call in calls:
        error = call.exception()

        again = pickle.loads(pickle.dumps(error))

        assert (type(again), str(again)) == (type(error), str(error))
        assert getattr(again, "limit", None) == getattr(error, "limit", None)


def test_a_call_is_killed(executor: Executor) -> None:
    call = executor.submit(spins)
    while not call.running():
        time.sleep(0.01)

    call.kill()

    with pytest.raises(Killed):
        call.result(60)


def test_packed_calls_share_an_interpreter_and_no_globals(executor: Executor) -> None:
    calls = list(executor.map(remembers, range(20), chunksize=10))

    assert calls == [1] * 20
    assert SEEN == []


def picky(x: int) -> int:
    if x == 3:
        while True:
            pass
    if x == 5:
        raise SystemExit(1)
    return x


def test_a_call_that_ends_its_chunk_takes_no_other_along(executor: Executor) -> None:
    results = executor.map(picky, range(8), chunksize=8, timeout=None, fuel=2_000_000_000)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(FuelExhausted):
        next(results)

    calls = list(executor._chunked(iter([(4,), (3,), (6,)]), *executor._ship(picky), executor._quotas.taken({"fuel": 10**9})[0], 3))
    assert (calls[0].result(), calls[2].result()) == (4, 6)
    with pytest.raises(FuelExhausted):
        calls[1].result()


def test_map_has_its_own_timeout_and_is_lazy(executor: Executor) -> None:
    taken: list[int] = []
    results = executor.map(cube, (taken.append(x) or x for x in range(9)), max_in_flight=2)  # type: ignore[func-returns-value]
    assert taken == [0, 1]
    assert list(results) == [x**3 for x in range(9)]

    with pytest.raises(concurrent.futures.TimeoutError):
        list(executor.map(time.sleep, [60], timeout=0.5))


def test_it_can_be_awaited(executor: Executor) -> None:
    async def main() -> tuple[int, list[int], int]:
        loop = asyncio.get_running_loop()
        mapped = [result async for result in executor.amap(cube, [1, 2])]
        return await executor.submit(cube, 2), mapped, await loop.run_in_executor(executor, cube, 3)

    assert asyncio.run(main()) == (8, [1, 8], 27)


class Bomb:
    """A guest's: names what its host should run."""

    def __init__(self, path: str) -> None:
        self.path = path


def hostile(content: bytes) -> None:
    """Writes what it likes in place of a result."""
    import os

    os.write(1, len(content).to_bytes(4, "little") + bytes(4) + content)
    os._exit(0)


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", range(5))
def test_a_pickle_bomb_runs_nothing_here(executor: Executor, tmp_path: Path, protocol: int) -> None:
    touched = tmp_path / "touched"
    bombs = [
        pickle.dumps(("returned", Evil(touched), []), protocol),
        pickle.dumps(("raised", {"kind": Evil(touched)}, []), protocol),
        pickle.dumps(("returned", 1, [Evil(touched)]), protocol),
        pickle.dumps(("returned", 1, [5]), 4),
        pickle.dumps(("raised", {"module": "builtins", "kind": "ValueError", "text": 10**5000}, []), 4),
        b"\x80\x04nonsense.",
        b"\xff" * 100,
    ]

    calls = [executor.submit(hostile, bomb) for bomb in bombs]

    for call in calls:
        with pytest.raises(HaggleError):
            call.result()
        assert isinstance(call.exception(), BadResult)
    assert not touched.exists()


def test_a_guest_cannot_name_an_exception_that_ends_its_host(executor: Executor) -> None:
    for module, kind in [
        ("builtins", "SystemExit"),
        ("builtins", "print"),
        ("os", "system"),
        ("haggle_cluster.errors", "Killed"),
        # The same, where this module has it.
        (__name__, "Killed"),
        # These end an iteration, or a task of an event loop, of who waits.
        ("builtins", "StopIteration"),
        ("builtins", "StopAsyncIteration"),
        ("concurrent.futures._base", "CancelledError"),
        ("asyncio.exceptions", "CancelledError"),
    ]:
        described = {"module": module, "kind": kind, "text": "x", "traceback": "", "arguments": ("x",)}
        call = executor.submit(hostile, pickle.dumps(("raised", described, []), 4))

        assert isinstance(call.exception(), RemoteError), kind


class Point:
    def __init__(self, x: int) -> None:
        self.x = x


def makes_point(x: int) -> Any:
    return Point(x)


def test_objects_come_back_from_code_that_is_trusted(cluster: Cluster, executor: Executor) -> None:
    with pytest.raises(TypeError, match=r"Point, which is no plain data: return a dict.*trusted=True"):
        executor.submit(makes_point, 3).result()

    with Executor(cluster, trusted=True) as trusting:
        point = trusting.submit(makes_point, 3).result()

    assert isinstance(point, Point) and point.x == 3


def test_what_cannot_travel_is_refused_before_anything_is_sent(executor: Executor) -> None:
    with pytest.raises(CannotTravel, match="an argument of cube has something of .*Point, which the sandbox does not have"):
        executor.submit(cube, Point(1))
    with pytest.raises(CannotTravel, match="is bound to a living Executor"):
        executor.submit(executor.shutdown)


def test_arguments_of_megabytes_travel(executor: Executor) -> None:
    assert executor.submit(len, b"x" * (3 << 20)).result() == 3 << 20


@pytest.mark.usefixtures("interpreter")
def test_nothing_is_taken_after_the_end(cluster: Cluster) -> None:
    executor = Executor(cluster)
    call = executor.submit(cube, 2)

    executor.shutdown()

    assert call.done() and call.result() == 8
    with pytest.raises(RuntimeError, match="was shut down"):
        executor.submit(cube, 2)


@pytest.mark.usefixtures("interpreter")
def test_what_a_chunk_left_is_made_again_though_the_executor_is_shut_down(cluster: Cluster) -> None:
    with Executor(cluster, fuel=10**9) as executor:
        results = executor.map(picky, [3, 4], chunksize=2)

    with pytest.raises(FuelExhausted):
        next(results)
    with Executor(cluster, fuel=10**9) as executor:
        assert list(executor.map(picky, [2, 4], chunksize=2)) == [2, 4]
