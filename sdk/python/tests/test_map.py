"""``Executor.map`` as it is called without a chunk size: which calls share a sandbox, and what that may not change."""

from __future__ import annotations

import concurrent.futures
import gc
import itertools
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from haggle_cluster import (
    BadResult,
    Call,
    Cluster,
    ExitCode,
    Executor,
    FuelExhausted,
    Killed,
    MemoryLimit,
    OutputLimit,
    Refused,
    TimeLimit,
)

pytestmark = pytest.mark.usefixtures("interpreter")


def calls(executor: Executor, function: Callable[[int], Any], items: Iterable[int]) -> list[Call[Any]]:
    """The calls of a map without a chunk size, each of which can be asked."""
    return list(executor._fed(((item,) for item in items), *executor._ship(function), executor._quotas, 1024))


def tasks_of(cluster: Cluster, function: Callable[..., Any]) -> int:
    """How many tasks its calls had, without launches that never reached an agent: their tasks were launched again."""
    launched = [task for task in cluster.tasks(ended=True) if task.name == function.__qualname__]
    return sum(task.status.state != "DROPPED" for task in launched)


def squared(x: int) -> int:
    return x * x


def test_many_short_calls_share_few_tasks_and_their_results_are_in_order(cluster: Cluster, executor: Executor) -> None:
    assert list(executor.map(squared, range(1000))) == [x * x for x in range(1000)]

    assert tasks_of(cluster, squared) < 400


def waits(x: int) -> int:
    import time

    time.sleep(0.25)
    return x


def test_calls_that_are_not_short_have_a_task_each(cluster: Cluster, executor: Executor) -> None:
    assert list(executor.map(waits, range(12))) == list(range(12))

    assert tasks_of(cluster, waits) == 12


def waits_later(x: int) -> int:
    import time

    if x >= 100:
        time.sleep(0.25)
    return x


def test_calls_that_become_long_have_a_task_each_from_then_on(cluster: Cluster, executor: Executor) -> None:
    assert list(executor.map(waits_later, range(110))) == list(range(110))

    assert 10 <= tasks_of(cluster, waits_later) < 100


def waits_once(x: int) -> int:
    import time

    if x == 77:
        time.sleep(300)
    return x


def test_a_call_that_takes_long_keeps_no_other_waiting_before_or_behind_it(executor: Executor) -> None:
    made = calls(executor, waits_once, range(200))
    others = [call for at, call in enumerate(made) if at != 77]

    done, left = concurrent.futures.wait(others, 100)

    assert len(done) == 199 and not left and not made[77].done()
    made[77].kill()
    assert type(made[77].exception()) is Killed


def limited(x: int) -> int:
    return x


def budgeted(x: int) -> int:
    return x


def roomy(x: int) -> int:
    return x


def alone(x: int) -> int:
    return x


def test_who_names_a_quota_or_a_budget_of_fuel_or_asks_for_it_has_a_task_for_each_call(
    cluster: Cluster, executor: Executor
) -> None:
    assert list(executor.map(limited, range(5), mem="48MiB")) == list(range(5))
    assert list(executor.map(budgeted, range(5), fuel=10**9)) == list(range(5))
    with Executor(cluster, fuel=10**9) as careful:
        assert list(careful.map(roomy, range(5))) == list(range(5))
    assert list(executor.map(alone, range(5), chunksize=1)) == list(range(5))

    assert [tasks_of(cluster, each) for each in (limited, budgeted, roomy, alone)] == [5] * 4


def counts(_: int) -> int:
    import sys

    counted: list[int] = sys.__dict__.setdefault("counted", [])
    counted.append(1)
    return len(counted)


def test_what_a_call_changes_in_its_interpreter_later_ones_see_unless_each_is_alone(executor: Executor) -> None:
    assert set(executor.map(counts, range(8), chunksize=1)) == {1}
    assert max(executor.map(counts, range(300))) > 1


def test_no_more_items_are_taken_than_may_be_ahead(executor: Executor) -> None:
    taken = itertools.count()
    results = executor.map(squared, taken, max_in_flight=50)
    assert next(taken) == 50

    assert [next(results) for _ in range(200)] == [x * x for x in [*range(50), *range(51, 201)]]
    assert next(taken) == 251
    results.close()  # type: ignore[attr-defined]


def test_calls_of_which_nobody_reads_the_results_are_made_all_the_same(cluster: Cluster) -> None:
    with Executor(cluster, cpus=0.5) as executor:
        results = executor.map(squared, range(300))
        assert next(results) == 0

    assert list(results) == [x * x for x in range(1, 300)]


def lingers(x: int) -> int:
    import time

    if x >= 30:
        time.sleep(300)
    return x


def test_who_stops_reading_takes_the_others_along(cluster: Cluster) -> None:
    with Executor(cluster, cpus=0.5) as executor:
        results = executor.map(lingers, range(200))
        assert [next(results) for _ in range(30)] == list(range(30))
        results.close()  # type: ignore[attr-defined]

    assert not any(task.name == "lingers" for task in cluster.tasks())


def lingers_alike(x: int) -> int:
    return lingers(x)


def test_who_stops_reading_in_the_middle_of_a_chunk_takes_the_rest_of_it_along(cluster: Cluster) -> None:
    with Executor(cluster, cpus=0.5, timeout=20) as executor:
        results = executor.map(lingers_alike, range(100), chunksize=20, max_in_flight=30)
        assert next(results) == 0
        results.close()  # type: ignore[attr-defined]

    assert tasks_of(cluster, lingers_alike) == 2


@pytest.mark.parametrize("options", [{}, {"chunksize": 1}, {"progress": True}], ids=repr)
def test_who_never_began_to_read_takes_all_along(cluster: Cluster, options: dict[str, Any]) -> None:
    before = time.monotonic()
    with Executor(cluster, cpus=0.5, timeout=60) as executor:
        executor.map(time.sleep, [300] * 4, **options).close()  # type: ignore[attr-defined]

    assert time.monotonic() - before < 30
    assert not any(task.name == "sleep" for task in cluster.tasks())


def test_items_that_end_by_an_exception_take_the_calls_along(cluster: Cluster) -> None:
    def items() -> Iterator[float]:
        yield 300
        yield 300
        raise KeyError("no more")

    for options in ({}, {"chunksize": 1}, {"max_in_flight": 2}):
        before = time.monotonic()
        with Executor(cluster, cpus=0.5, timeout=60) as executor:
            with pytest.raises((KeyError, concurrent.futures.TimeoutError)):
                list(executor.map(time.sleep, items(), timeout=2, **options))  # type: ignore[arg-type]
        assert time.monotonic() - before < 30, options

    assert not any(task.name == "sleep" for task in cluster.tasks())


def test_what_was_read_is_kept_nowhere(executor: Executor) -> None:
    for chunksize in (None, 7):
        for _ in executor.map(squared, range(300), max_in_flight=20, chunksize=chunksize):
            pass

        deadline = time.monotonic() + 60
        # The thread that handed over the last of them ends soon.
        while executor._calls or [one for one in gc.get_objects() if isinstance(one, Call) and one.name == "squared"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize("options", [{"max_in_flight": 0}, {"max_in_flight": -1}, {"chunksize": 0}], ids=repr)
def test_a_number_that_means_nothing_is_refused(executor: Executor, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} is at least 1"):
        executor.map(squared, [1], **options)


def test_one_that_is_killed_before_its_task_is_launched_takes_no_other_along(cluster: Cluster, executor: Executor) -> None:
    cores = cluster.agents()[0].resources.cpus
    for make in (calls, chunk):
        with Executor(cluster, cpus=cores) as greedy:
            filling = greedy.submit(time.sleep, 300)
            while not filling.running():
                time.sleep(0.01)
            made = make(executor, squared, range(3))
            made[1].kill()
            filling.kill()

        assert (made[0].result(60), made[2].result(60)) == (0, 4)
        assert isinstance(made[1].exception(60), Refused)


def chunk(executor: Executor, function: Callable[[int], Any], items: Iterable[int]) -> list[Call[Any]]:
    """As :func:`calls`, and all of them in one task."""
    return list(executor._chunked(((item,) for item in items), *executor._ship(function), executor._quotas, 1000))


def test_a_deadline_for_all_of_it_kills_the_others(cluster: Cluster) -> None:
    with Executor(cluster, cpus=0.5) as executor:
        with pytest.raises(concurrent.futures.TimeoutError):
            list(executor.map(lingers, range(200), timeout=2))

    assert not any(task.name == "lingers" for task in cluster.tasks())


GUILTY = 77


def spins_once(x: int) -> int:
    while x == 77:
        pass
    return x


def leaves_once(x: int) -> int:
    import os

    if x == 77:
        os._exit(3)
    return x


def leaves_well_once(x: int) -> int:
    import os

    if x == 77:
        os._exit(0)
    return x


def hoards_once(x: int) -> int:
    hoard = []
    while x == 77:
        hoard.append(bytearray(1 << 20))
    return x


def writes_once(x: int) -> int:
    import os

    while x == 77:
        os.write(2, bytes(1 << 16))
    return x


@pytest.mark.parametrize(
    ("function", "error"),
    [(spins_once, TimeLimit), (leaves_once, ExitCode), (hoards_once, MemoryLimit), (writes_once, OutputLimit)],
)
def test_a_call_that_ends_its_task_is_the_only_one_that_fails(
    cluster: Cluster, function: Callable[[int], int], error: type[Exception]
) -> None:
    with Executor(cluster, cpus=0.5, timeout=20 if error is not TimeLimit else 4, output="1MiB") as executor:
        made = calls(executor, function, range(200))
        failed = {at: call.exception() for at, call in enumerate(made) if call.exception() is not None}

    assert list(failed) == [GUILTY] and type(failed[GUILTY]) is error
    assert [call.result() for at, call in enumerate(made) if at != GUILTY] == [x for x in range(200) if x != GUILTY]


def writes_astray(x: int) -> int:
    import os

    if x == 77:
        # As an answer is written, or not even so.
        os.write(1, (3).to_bytes(4, "little") + bytes(4) + b"abc")
    if x == 78:
        os.write(1, b"a line\n")
    return x


def test_a_call_that_writes_where_answers_are_written_is_the_only_one_that_fails(executor: Executor) -> None:
    made = calls(executor, writes_astray, range(200))
    failed = {at: type(call.exception()) for at, call in enumerate(made) if call.exception() is not None}

    assert failed == {77: BadResult, 78: BadResult}
    assert [call.result() for at, call in enumerate(made) if at not in failed] == [x for x in range(200) if x not in failed]


def test_a_call_that_ends_well_and_says_nothing_is_the_only_one_that_fails(executor: Executor) -> None:
    failed = [at for at, call in enumerate(calls(executor, leaves_well_once, range(200))) if call.exception() is not None]

    assert failed == [GUILTY]


def test_a_limit_is_that_of_the_call_and_not_what_its_neighbours_left(cluster: Cluster) -> None:
    with Executor(cluster, cpus=0.5, timeout=2) as executor:
        late = calls(executor, spins_once, range(200))[GUILTY].exception()

    assert isinstance(late, TimeLimit) and late.limit == 2.0
    assert late.used is not None and late.used >= 2.0


def leaves_behind(x: int) -> int:
    import sys

    kept: list[bytearray] = sys.__dict__.setdefault("kept", [])
    kept.append(bytearray(4 << 20))
    return x


def test_memory_that_one_call_leaves_behind_fails_no_other(executor: Executor) -> None:
    assert list(executor.map(leaves_behind, range(60))) == list(range(60))


def much(x: int) -> bytes:
    return bytes([x]) * 200_000


def test_results_that_are_large_together_fail_nobody(cluster: Cluster) -> None:
    with Executor(cluster, cpus=0.5, output="1MiB") as executor:
        assert [result[0] for result in executor.map(much, range(60))] == list(range(60))


def test_arguments_that_are_large_together_arrive(executor: Executor) -> None:
    items = [bytes([x]) * 20_000 for x in range(100)]

    assert list(executor.map(bytes.decode, items)) == [item.decode() for item in items]


def fails_at(x: int) -> int:
    if x % 50 == 7:
        raise ValueError(f"not {x}")
    return x


def test_exceptions_are_those_of_their_calls_with_their_tracebacks(executor: Executor) -> None:
    made = calls(executor, fails_at, range(200))

    failed = {at: call.exception() for at, call in enumerate(made) if call.exception() is not None}

    assert {at: str(error) for at, error in failed.items()} == {at: f"not {at}" for at in (7, 57, 107, 157)}
    assert "in fails_at\n    raise ValueError" in "".join(traceback.format_exception(failed[157]))


def warns_at(x: int) -> int:
    import warnings

    if x == 150:
        warnings.warn(f"careful with {x}", UserWarning, stacklevel=1)
    return x


def test_a_warning_is_that_of_its_call(executor: Executor) -> None:
    results = executor.map(warns_at, range(200))
    assert [next(results) for _ in range(150)] == list(range(150))

    with pytest.warns(UserWarning, match="careful with 150"):
        assert next(results) == 150
    assert list(results) == list(range(151, 200))


def test_a_budget_of_fuel_is_that_of_each_call(executor: Executor) -> None:
    results = executor.map(spins_once, range(76, 79), fuel=2 * 10**9)

    assert next(results) == 76
    with pytest.raises(FuelExhausted):
        next(results)
