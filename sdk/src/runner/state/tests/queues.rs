//! Short tasks, in the queues of allocations.

use std::sync::Arc;

use haggle_core::{Ending, QueueEnd, QueueUpdate, QueueVolume, Reservation, Usage, Volume, VolumeId};

use super::*;

/// How the allocation 2 of these tests is told of.
const ALLOCATION: u64 = 2;

fn used(wall: Duration) -> Usage {
    Usage { wall, ..Usage::default() }
}

fn ended(numbers: &[u64], wall: Duration) -> Event {
    let end = |&number: &u64| {
        let (reason, message) = (None, String::new());
        let state = TaskState::Finished;
        let ending = Ending { state, reason, message, exit_code: Some(0), exceeded: None, usage: used(wall) };
        QueueEnd { first: number, count: 1, source: Source::Executor, ending }
    };
    Event::Queue(Arc::new(QueueUpdate {
        allocation: TaskId { framework: FRAMEWORK, number: ALLOCATION },
        update: UpdateId(7),
        agent: Some(AgentId(1)),
        started: Vec::new(),
        ended: numbers.iter().map(end).collect(),
    }))
}

/// What was put into a queue: allocation, first number, how many, and whether none follow.
type Enqueued = (u64, Vec<(u64, u32)>, bool);

fn enqueued(decisions: &Decisions) -> Vec<Enqueued> {
    let enqueue = |command: &FrameworkCommand| match command {
        FrameworkCommand::Enqueue { allocation, tasks, last } => {
            let tasks = tasks.iter().map(|tasks| (tasks.spec.id.number, tasks.count)).collect();
            Some((allocation.number, tasks, *last))
        }
        _ => None,
    };
    decisions.commands.iter().filter_map(enqueue).collect()
}

/// A runner of which the first task took so long, and so many wait.
fn after_one(took: Duration, waiting: u64) -> RunnerState {
    let mut runner = batch();
    for index in 0..=waiting {
        runner.submit(START, index, task(1000));
    }
    runner.decide(START);
    runner.hear(START, offer(1, 1, 1000));
    runner.decide(START);
    let end = TaskStatus::new(id(1), UpdateId(1), TaskState::Finished, Source::Executor);
    runner.hear(START, Event::Update(TaskStatus { usage: Some(used(took)), ..end }));
    runner.decide(START);
    runner
}

#[test]
fn short_tasks_go_into_the_queue_of_an_allocation() {
    let mut runner = after_one(Duration::from_millis(40), 100);

    runner.hear(START, offer(2, 1, 1000));
    let decisions = runner.decide(START);

    let opened = decisions.commands.iter().find_map(|command| match command {
        FrameworkCommand::Open { offers, allocation, .. } => Some((offers.clone(), allocation.resources.clone())),
        _ => None,
    });
    assert_eq!(opened, Some((vec![OfferId(2)], cpus(1000))));
    assert_eq!(enqueued(&decisions), [(ALLOCATION, vec![(3, 1)], false), (ALLOCATION, vec![(4, 4)], false)]);
    assert_eq!(accepted(&decisions), []);
}

const VOLUME: VolumeId = VolumeId { agent: AgentId(1), number: 1 };

/// An offer with the volume.
fn offer_with_volume(id: u64, milli: u64, shared: bool) -> Event {
    let Event::Offers(mut offers) = offer(id, 1, milli) else { unreachable!("it is one") };
    let reservation = Reservation::new("role").unwrap();
    let volume = Volume {
        id: VOLUME,
        name: "data".to_owned(),
        reservation,
        size: Bytes::from_mib(1),
        shared,
        creator: haggle_core::access::PrincipalId::owner(),
        made: true,
    };
    offers[0].volumes.push(volume);
    Event::Offers(offers)
}

/// As [`after_one`], of tasks that mount the volume.
fn after_one_with_volume(waiting: u64, shared: bool) -> RunnerState {
    let mut runner = batch();
    for index in 0..=waiting {
        runner.submit(START, index, task(1000).volume("/data", VOLUME, !shared));
    }
    runner.decide(START);
    runner.hear(START, offer_with_volume(1, 1000, shared));
    runner.decide(START);
    let end = TaskStatus::new(id(1), UpdateId(1), TaskState::Finished, Source::Executor);
    runner.hear(START, Event::Update(TaskStatus { usage: Some(used(Duration::from_millis(40))), ..end }));
    runner.decide(START);
    runner
}

/// What an allocation was opened with.
fn opened(decisions: &Decisions) -> Option<(Resources, Vec<QueueVolume>)> {
    decisions.commands.iter().find_map(|command| match command {
        FrameworkCommand::Open { allocation, .. } => Some((allocation.resources.clone(), allocation.volumes.clone())),
        _ => None,
    })
}

#[test]
fn short_tasks_that_write_a_volume_go_into_the_queue_of_an_allocation_that_has_it_one_after_the_other() {
    let mut runner = after_one_with_volume(100, false);

    runner.hear(START, offer_with_volume(2, 4000, false));
    let decisions = runner.decide(START);

    assert_eq!(opened(&decisions), Some((cpus(1000), vec![VOLUME.into()])));
    assert_eq!(enqueued(&decisions), [(ALLOCATION, vec![(3, 1)], false), (ALLOCATION, vec![(4, 4)], false)]);
    assert_eq!(accepted(&decisions), []);
}

#[test]
fn short_tasks_that_read_a_shared_volume_run_in_a_queue_as_many_at_once_as_fit() {
    let mut runner = after_one_with_volume(100, true);

    runner.hear(START, offer_with_volume(2, 3000, true));
    let decisions = runner.decide(START);

    let three = Resources::new(MilliCpu::new(3000), Bytes::from_mib(192), Bytes::ZERO);
    assert_eq!(opened(&decisions), Some((three, vec![VOLUME.into()])));
    assert_eq!(enqueued(&decisions), [(ALLOCATION, vec![(3, 3)], false), (ALLOCATION, vec![(6, 12)], false)]);
}

/// The master counts an allocation that holds as much as one task, with its volume, as one of those that wait.
#[test]
fn an_allocation_with_a_volume_is_counted_as_the_master_counts_it() {
    let mut runner = after_one_with_volume(100, false);

    runner.hear(START, offer_with_volume(2, 1000, false));
    let decisions = runner.decide(START);

    let wants = demanded(&decisions);
    assert_eq!(wants.last().map(|wants| wants[0].waiting), Some(95), "{wants:?}");
}

#[test]
fn long_tasks_are_launched_one_by_one() {
    let mut runner = after_one(Duration::from_millis(200), 100);

    runner.hear(START, offer(2, 1, 1000));

    assert_eq!(accepted(&runner.decide(START)), [(vec![2], vec![2])]);
}

#[test]
fn a_queue_is_refilled_when_it_is_half_empty_and_its_ends_are_acknowledged() {
    let mut runner = after_one(Duration::from_millis(40), 100);
    runner.hear(START, offer(2, 1, 1000));
    runner.decide(START);

    runner.hear(START, ended(&[3], Duration::from_millis(40)));
    let decisions = runner.decide(START);
    assert_eq!((ends(&decisions), said(&decisions)), (vec![(1, Some(TaskState::Finished), 1)], vec![]));

    runner.hear(START, ended(&[4, 5], Duration::from_millis(40)));
    let decisions = runner.decide(START);
    assert_eq!(enqueued(&decisions), [(ALLOCATION, vec![(8, 3)], false)]);
    assert_eq!(said(&decisions)[..2], ["acknowledge", "enqueue"]);
}

#[test]
fn ends_in_a_queue_that_is_not_refilled_any_more_are_acknowledged_at_once() {
    let mut runner = after_one(Duration::from_millis(40), 2);
    runner.hear(START, offer(2, 1, 1000));
    runner.decide(START);

    runner.hear(START, ended(&[3], Duration::from_millis(40)));

    assert_eq!(said(&runner.decide(START)), ["acknowledge"]);
}

#[test]
fn ends_in_a_queue_are_acknowledged_when_its_turn_is_over() {
    let mut runner = after_one(Duration::from_millis(40), 100);
    runner.hear(START, offer(2, 1, 1000));
    runner.decide(START);
    runner.hear(START, ended(&[3], Duration::from_millis(40)));
    assert_eq!(said(&runner.decide(START)), [""; 0]);

    let later = START + Duration::from_secs(1);
    assert_eq!(said(&runner.decide(later)), ["acknowledge", "enqueue"]);

    runner.hear(later, ended(&[4], Duration::from_millis(40)));
    assert_eq!(said(&runner.decide(later)), ["acknowledge"]);
}

#[test]
fn what_is_left_is_shared_so_that_nobody_works_alone_at_the_end() {
    let mut runner = after_one(Duration::from_millis(1), 10);

    runner.hear(START, offer(2, 1, 1000));
    let decisions = runner.decide(START);

    assert_eq!(enqueued(&decisions), [(ALLOCATION, vec![(3, 1)], false), (ALLOCATION, vec![(4, 4)], false)]);
}

#[test]
fn an_allocation_is_given_back_after_a_second() {
    let mut runner = after_one(Duration::from_millis(40), 100);
    runner.hear(START, offer(2, 1, 1000));
    runner.decide(START);

    let later = START + Duration::from_secs(1);
    assert!(runner.deadline().is_some_and(|deadline| deadline <= later));
    assert_eq!(enqueued(&runner.decide(later)), [(ALLOCATION, vec![], true)]);

    runner.hear(later, ended(&[3, 4, 5, 6, 7], Duration::from_millis(40)));
    assert_eq!(enqueued(&runner.decide(later)), []);
}

#[test]
fn tasks_that_differ_in_their_index_are_one_batch() {
    let mut runner = batch();
    for index in 0..40 {
        let task = task(1000).env(crate::runner::INDEX_VARIABLE, index.to_string()).env("N", "40");
        runner.submit(START, index, if index == 5 { task.arg("other") } else { task });
    }
    runner.hear(START, offer(1, 1, 1000));
    runner.decide(START);
    let end = TaskStatus::new(id(1), UpdateId(1), TaskState::Finished, Source::Executor);
    runner.hear(START, Event::Update(TaskStatus { usage: Some(used(Duration::from_micros(10))), ..end }));
    runner.hear(START, offer(2, 1, 1000));

    let decisions = runner.decide(START);

    let batches = decisions.commands.iter().filter_map(|command| match command {
        FrameworkCommand::Enqueue { tasks, .. } => Some(tasks),
        _ => None,
    });
    let brief: Vec<(u32, Option<u64>, usize)> = batches
        .flatten()
        .map(|tasks| (tasks.count, tasks.index.as_ref().map(|index| index.first), tasks.spec.env.len()))
        .collect();
    assert_eq!(brief, [(1, Some(1), 1), (3, Some(2), 1), (1, Some(5), 1), (14, Some(6), 1)]);
}

#[test]
fn tasks_that_came_too_late_are_launched_again() {
    let mut runner = after_one(Duration::from_millis(40), 3);
    runner.hear(START, offer(2, 1, 1000));
    runner.decide(START);

    let reason = Some(Reason::InvalidOffers);
    runner.hear(START, update(ALLOCATION, TaskState::Finished, None));
    runner.hear(START, update(3, TaskState::Dropped, reason));
    runner.hear(START, offer(3, 1, 1000));

    let decisions = runner.decide(START);
    assert!(said(&decisions).contains(&"open"), "{:?}", said(&decisions));
    assert_eq!(enqueued(&decisions).iter().flat_map(|(_, tasks, _)| tasks).map(|&(_, count)| count).sum::<u32>(), 2);
}

#[test]
fn with_a_silent_agent_all_that_is_in_its_queue_is_waited_for_in_vain() {
    let mut runner = after_one(Duration::from_millis(40), 3);
    runner.hear(START, offer(2, 1, 1000));
    runner.decide(START);

    runner.hear(START, update(ALLOCATION, TaskState::Unreachable, Some(Reason::AgentRemoved)));

    let patience = runner.policy.unreachable_patience;
    let decisions = runner.decide(START + patience);
    assert!(said(&decisions).iter().filter(|said| **said == "kill").count() >= 2, "{:?}", said(&decisions));
}

#[test]
fn a_queue_for_which_nothing_waits_makes_way_for_other_tasks_of_its_runner() {
    let mut runner = after_one(Duration::from_millis(40), 2);
    runner.hear(START, offer(2, 1, 1000));
    runner.decide(START);
    runner.submit(START, 10, task(500));
    assert_eq!(enqueued(&runner.decide(START)), [], "one runs and one waits in it");

    runner.hear(START, ended(&[3], Duration::from_millis(40)));

    assert_eq!(enqueued(&runner.decide(START)), [(ALLOCATION, vec![], true)]);
}

#[test]
fn a_queue_for_which_nothing_waits_is_kept_while_nothing_else_does() {
    let mut runner = after_one(Duration::from_millis(40), 2);
    runner.hear(START, offer(2, 1, 1000));
    runner.decide(START);

    runner.hear(START, ended(&[3, 4], Duration::from_millis(40)));

    assert_eq!(enqueued(&runner.decide(START)), []);
}

#[test]
fn a_queue_that_has_been_empty_for_half_of_its_patience_gets_no_tasks_that_would_come_too_late() {
    for (pause, refilled) in [(Duration::from_millis(49), true), (Duration::from_millis(50), false)] {
        let mut runner = after_one(Duration::from_millis(40), 2);
        runner.hear(START, offer(2, 1, 1000));
        runner.decide(START);
        runner.hear(START, ended(&[3, 4], Duration::from_millis(40)));
        runner.decide(START);

        runner.submit(START + pause, 10, task(1000));

        let expected = if refilled { (ALLOCATION, vec![(5, 1)], false) } else { (ALLOCATION, vec![], true) };
        assert_eq!(enqueued(&runner.decide(START + pause)), [expected]);
    }
}
