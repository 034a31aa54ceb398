"""How many calls of a map share a task: decided without a clock, a thread or a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from haggle_cluster._chunks import AHEAD, LONGEST, PATIENCE, START, TARGET, Chunks, Standing

MICRO = 1e-6


def standing(waiting: int, *, waited: float = 0.0, unbegun: int = 0, running: int = 0, is_all: bool = True) -> Standing:
    return Standing(waiting, waited, unbegun, running, is_all)


def knowing(each: float, *, at_once: int = 1) -> Chunks:
    chunks = Chunks(None, 1024)
    chunks.next(standing(0, running=at_once))
    chunks.answered([each, each])
    return chunks


def test_the_first_calls_have_a_task_each() -> None:
    chunks = Chunks(None, 1024)

    assert [chunks.next(standing(1000, unbegun=unbegun)) for unbegun in range(AHEAD + 1)] == [1] * AHEAD + [0]


def test_as_many_tasks_are_handed_over_as_run() -> None:
    chunks = Chunks(None, 1024)

    assert chunks.next(standing(1000, unbegun=7, running=8)) == 1
    assert chunks.next(standing(1000, unbegun=8, running=8)) == 0


def test_short_calls_share_a_task_for_as_long_as_is_aimed_at() -> None:
    assert knowing(0.001).next(standing(100_000)) == round(TARGET / 0.001)
    assert knowing(0.010).next(standing(100_000)) == round(TARGET / 0.010)


@pytest.mark.parametrize("each", [TARGET, 0.2, 5.0, 600.0])
def test_long_calls_have_a_task_each(each: float) -> None:
    assert knowing(each).next(standing(100_000)) == 1


def test_calls_that_become_long_have_their_own_tasks_at_once() -> None:
    chunks = knowing(0.0001)

    chunks.answered([0.0001, 1.0])

    assert chunks.next(standing(100_000)) == 1


def test_one_slow_task_among_quick_ones_is_forgotten_by_and_by() -> None:
    chunks = knowing(0.001)
    chunks.answered([0.008] * 10)
    sizes = []

    for _ in range(5):
        sizes.append(chunks.next(standing(100_000)))
        chunks.answered([0.001] * 3)

    assert sizes[0] == int(TARGET / 0.008) and sizes == sorted(sizes) and sizes[-1] > 140


def test_a_long_call_is_remembered_no_longer_than_one_that_just_has_its_own_task() -> None:
    chunks = knowing(0.001)
    chunks.answered([600.0])

    for _ in range(8):
        chunks.answered([0.001])

    assert chunks.next(standing(100_000)) > 50


def test_what_the_first_call_of_a_task_takes_longer_is_not_taken_for_what_calls_take() -> None:
    chunks = Chunks(None, 1024)
    chunks.answered([0.005] + [0.0001] * 99)

    chunks.answered([0.005])

    assert chunks.next(standing(100_000)) > 1000


def test_a_clock_that_stands_still_makes_no_endless_tasks() -> None:
    assert knowing(0.0, at_once=2).next(standing(1000)) == 512
    assert Chunks(None, 1024).longest == LONGEST


def test_towards_the_end_no_task_has_more_than_half_of_its_share() -> None:
    chunks = knowing(0.01, at_once=4)

    assert chunks.next(standing(1000)) == 15
    assert chunks.next(standing(40)) == 5
    assert chunks.next(standing(8)) == 1


def test_a_task_is_worth_its_start() -> None:
    chunks = knowing(100 * MICRO, at_once=16)

    assert chunks.next(standing(64)) == round(START / (100 * MICRO))


def test_where_starts_take_long_a_task_is_worth_that() -> None:
    chunks = Chunks(None, 1024)

    for _ in range(8):
        chunks.answered([0.001] * 10, lasted=0.010 + 0.060)

    assert 55 <= chunks.next(standing(64)) <= 60


def test_a_start_is_not_believed_to_take_longer_than_what_is_aimed_at() -> None:
    chunks = Chunks(None, 1024)

    for _ in range(8):
        chunks.answered([0.001] * 10, lasted=3600.0)

    assert chunks.next(standing(1000)) <= TARGET / 0.001


def test_too_few_short_calls_wait_for_more_and_not_for_long() -> None:
    chunks = knowing(10 * MICRO)

    assert chunks.next(standing(3, is_all=False)) == 0
    assert chunks.next(standing(3, is_all=False, waited=PATIENCE)) == 3
    assert chunks.next(standing(3, is_all=True)) == 3


def test_nobody_waits_for_more_than_may_be_ahead() -> None:
    chunks = Chunks(None, 2)
    chunks.answered([10 * MICRO] * 2)

    assert chunks.next(standing(1, is_all=False)) == 1


def test_after_a_task_was_ended_by_a_call_some_have_a_task_each() -> None:
    chunks = knowing(10 * MICRO)

    chunks.broke()
    alone = chunks.next(standing(1000))
    chunks.answered([10 * MICRO])

    assert (alone, chunks.next(standing(1000)) > 100) == (1, True)


def test_calls_that_share_a_task_leave_the_last_of_them_most_of_the_time_limit() -> None:
    chunks = Chunks(0.1, 1024)
    chunks.answered([0.001, 0.001])

    assert chunks.longest == pytest.approx(0.025)
    assert chunks.next(standing(100_000)) <= 19
    assert Chunks(3600.0, 1024).longest == LONGEST


@dataclass
class Played:
    """A map that was played through."""

    took: float
    tasks: int
    #: Seconds.
    longest_task: float
    work: float


def play(times: Callable[[int], float], count: int, cores: int, window: int = 1024, start: float = START) -> Played:
    """Calls that take so long, on so many cores, none of which costs anything else than the start of a task."""
    chunks = Chunks(None, 1024)
    left, waiting = list(range(count)), list[int]()
    waiting, left = left[:window], left[window:]
    now, tasks, longest = 0.0, 0, 0.0
    # When each ends, when it began, and what its calls took.
    running: list[tuple[float, float, list[float]]] = []
    queue: list[list[int]] = []
    while waiting or queue or running:
        has_changed = True
        while has_changed:
            has_changed = False
            at = standing(len(waiting), unbegun=len(queue), running=len(running), is_all=not left)
            if size := chunks.next(at):
                queue.append(waiting[:size])
                del waiting[:size]
                tasks += 1
                has_changed = True
            if queue and len(running) < cores:
                calls = queue.pop(0)
                took: list[float] = []
                while calls and (not took or sum(took) <= chunks.longest):
                    took.append(times(calls.pop(0)))
                waiting[:0] = calls
                running.append((now + start + sum(took), now, took))
                longest = max(longest, sum(took))
                has_changed = True
        running.sort()
        now, began, took = running.pop(0)
        chunks.answered(took, now - began)
        waiting += left[: len(took)]
        del left[: len(took)]
    return Played(now, tasks, longest, sum(map(times, range(count))))


def test_a_thousand_no_ops_take_a_few_tasks() -> None:
    played = play(lambda _: 30 * MICRO, 1000, cores=2)

    assert played.tasks < 20
    assert played.took < 0.060


@pytest.mark.parametrize("cores", [1, 2, 16, 200])
@pytest.mark.parametrize("each", [30 * MICRO, 0.001, 0.020, 0.3])
def test_all_cores_are_busy_until_the_end(cores: int, each: float) -> None:
    played = play(lambda _: each, 2000, cores)

    ideal = played.work / cores
    # A start for each task, and the last task of each core.
    assert played.took < 1.35 * ideal + TARGET + 6 * START
    assert played.tasks < 2000 if each < 0.01 else played.tasks <= 2000


def test_calls_that_become_a_thousand_times_as_long_keep_no_others_waiting() -> None:
    played = play(lambda at: 100 * MICRO if at < 2500 else 0.1, 5000, cores=8)

    assert played.longest_task < LONGEST + 0.1 + 0.001
    assert played.took < 1.2 * played.work / 8 + 0.5


def test_a_few_long_calls_among_short_ones_are_spread() -> None:
    played = play(lambda at: 1.0 if at % 500 == 250 else 100 * MICRO, 5000, cores=4)

    assert played.longest_task < LONGEST + 1.0
    assert played.took < 1.25 * played.work / 4 + 1.0
