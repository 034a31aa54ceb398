//! Tasks that are launched together or not at all, and again together.

use haggle_core::Placed;

use super::*;

/// Three tasks of one core.
fn gang(retries: u32) -> RunnerState {
    let policy = Policy { retries, linger: Duration::ZERO, unreachable_patience: PATIENCE, gang: true };
    let mut runner = RunnerState::new(FRAMEWORK, vec![agent(4000)], policy, wanted());
    for index in 0..3 {
        runner.submit(START, index, task(1000));
    }
    runner
}

fn wanted() -> Vec<Want> {
    vec![Want { gang: 1, ..want(1000, 3, 0) }]
}

/// Offers, and to which agent each task goes.
type Launch = (Vec<u64>, Vec<(u64, u64)>);

/// One group's launch.
fn launched(decisions: &Decisions) -> Option<Launch> {
    let launch = |command: &FrameworkCommand| match command {
        FrameworkCommand::LaunchGroup { offers, tasks, .. } => {
            let place = |placed: &Placed| (placed.task.id.number, placed.agent.0);
            Some((offers.iter().map(|offer| offer.0).collect(), tasks.iter().map(place).collect()))
        }
        _ => None,
    };
    decisions.commands.iter().find_map(launch)
}

/// A gang whose tasks 1, 2 and 3 were launched on two agents.
fn running(retries: u32) -> RunnerState {
    let mut runner = gang(retries);
    runner.hear(START, units(1, 1, 1000, 2));
    runner.hear(START, units(2, 2, 1000, 1));
    let decisions = runner.decide(START);
    assert_eq!(launched(&decisions), Some((vec![1, 2], vec![(1, 2), (2, 1), (3, 1)])));
    assert_eq!(said(&decisions), ["launch group"]);
    runner
}

fn group_killed(number: u64) -> Event {
    update(number, TaskState::Killed, Some(Reason::TaskGroup))
}

#[test]
fn room_is_wanted_for_all_of_a_gang_at_once_and_nothing_is_launched_before() {
    let mut runner = gang(0);
    assert_eq!(said(&runner.decide(START)), [""; 0]);

    runner.hear(START, units(1, 1, 1000, 2));
    let decisions = runner.decide(START);

    assert_eq!(said(&decisions), ["demand", "decline"]);
    assert_eq!(demanded(&decisions), [wanted()]);
}

#[test]
fn a_gang_is_launched_by_one_call() {
    let mut runner = running(0);

    assert_eq!(said(&runner.decide(START)), [""; 0]);
    assert_eq!(runner.unfinished(), 3);
}

#[test]
fn a_gang_whose_tasks_finish_has_ended() {
    let mut runner = running(0);
    runner.hear(START, update(1, TaskState::Finished, None));
    runner.hear(START, update(2, TaskState::Finished, None));
    assert_eq!(ends(&runner.decide(START)), []);

    runner.hear(START, update(3, TaskState::Finished, None));

    let ended = |index| (index, Some(TaskState::Finished), 1);
    assert_eq!(ends(&runner.decide(START)), [ended(0), ended(1), ended(2)]);
    assert_eq!(runner.unfinished(), 0);
}

#[test]
fn a_gang_of_which_a_task_failed_ends_once_all_have_and_is_told_as_it_ended() {
    let mut runner = running(0);
    runner.hear(START, update(2, TaskState::Failed, Some(Reason::Exit)));
    runner.hear(START, update(1, TaskState::Finished, None));
    assert_eq!(ends(&runner.decide(START)), []);

    runner.hear(START, group_killed(3));

    let states: Vec<_> = ends(&runner.decide(START)).into_iter().map(|(_, state, _)| state).collect();
    assert_eq!(states, [Some(TaskState::Finished), Some(TaskState::Failed), Some(TaskState::Killed)]);
}

#[test]
fn a_gang_that_is_retried_starts_again_as_a_whole_with_what_had_finished() {
    let mut runner = running(1);
    runner.hear(START, update(1, TaskState::Finished, None));
    runner.hear(START, update(2, TaskState::Failed, Some(Reason::Exit)));
    // Room for a part of it is of no use.
    assert_eq!(demanded(&runner.decide(START)), Vec::<Vec<Want>>::new());

    runner.hear(START, group_killed(3));
    let decisions = runner.decide(START);
    assert_eq!((ends(&decisions), demanded(&decisions)), (vec![], vec![wanted()]));

    runner.hear(START, units(3, 1, 1000, 3));
    let again = launched(&runner.decide(START));
    assert_eq!(again, Some((vec![3], vec![(4, 1), (5, 1), (6, 1)])));
    for number in 4..=6 {
        runner.hear(START, update(number, TaskState::Finished, None));
    }
    assert_eq!(ends(&runner.decide(START)).len(), 3);
}

#[test]
fn a_gang_that_was_not_launched_waits_again_and_that_costs_no_retry() {
    let mut runner = running(0);
    runner.hear(START, update(1, TaskState::Dropped, Some(Reason::InvalidOffers)));
    for number in [2, 3] {
        runner.hear(START, update(number, TaskState::Dropped, Some(Reason::TaskGroup)));
    }

    let decisions = runner.decide(START);

    assert_eq!((ends(&decisions), demanded(&decisions)), (vec![], vec![wanted()]));
}

#[test]
fn a_gang_of_which_a_task_fails_as_it_always_will_is_not_retried() {
    let mut runner = running(5);
    runner.hear(START, update(1, TaskState::Failed, Some(Reason::MemoryLimit)));
    runner.hear(START, group_killed(2));
    runner.hear(START, group_killed(3));

    assert_eq!(ends(&runner.decide(START)).len(), 3);
}

#[test]
fn a_gang_that_is_cancelled_is_killed_and_not_launched_again() {
    let mut runner = running(5);
    runner.cancel();
    assert_eq!(said(&runner.decide(START)), ["kill"; 3]);

    for number in 1..=3 {
        runner.hear(START, update(number, TaskState::Killed, Some(Reason::KillRequested)));
    }

    assert_eq!(ends(&runner.decide(START)).len(), 3);
}
