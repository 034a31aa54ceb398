use std::path::PathBuf;
use std::time::Duration;

use haggle_core::{Digest, FrameworkId, Grants, Limits, MilliCpu, Sharing, TaskSpec, Usage};

use super::*;
use crate::event::Meter;

fn id(number: u64) -> TaskId {
    TaskId { framework: FrameworkId(1), number }
}

fn size(milli: u64) -> Resources {
    Resources::new(MilliCpu::new(milli), haggle_core::Bytes::from_mib(1), haggle_core::Bytes::ZERO)
}

fn queue() -> Queue {
    let resources = Resources::new(MilliCpu::new(2_000), haggle_core::Bytes::from_mib(64), haggle_core::Bytes::ZERO);
    let idle_timeout = Duration::from_secs(1);
    Queue::new(AllocationSpec {
        id: id(1),
        name: "queue".to_owned(),
        role: String::new(),
        resources,
        volumes: Vec::new(),
        idle_timeout,
    })
}

fn push(queue: &mut Queue, first: u64, count: u64, milli: u64) {
    push_with(queue, first, count, milli, Vec::new());
}

/// The same, of tasks that mount these volumes.
fn push_with(queue: &mut Queue, first: u64, count: u64, milli: u64, volumes: Vec<MountedVolume>) {
    let spec = TaskSpec {
        id: id(first),
        name: "task".to_owned(),
        role: String::new(),
        module: Digest([0; 32]),
        args: Vec::new(),
        env: Vec::new(),
        stdin: Vec::new(),
        resources: size(milli),
        sharing: Sharing::default(),
        limits: Limits::default(),
        inputs: Vec::new(),
        grants: Grants::default(),
        group: None,
        waited: None,
        trace: None,
    };
    let launch = Launch {
        spec: Arc::new(spec),
        module: PathBuf::from("/module"),
        meter: Meter::Fuel,
        folders: Vec::new(),
        volumes,
        copies: None,
        env: vec![(TASK_VARIABLE.to_owned(), id(first).to_string())],
    };
    queue.push(launch, Some(Index { variable: "N".to_owned(), first: 0 }), 0, count);
}

fn begin(queue: &mut Queue) -> Vec<u64> {
    std::iter::from_fn(|| queue.next()).map(|launch| launch.spec.id.number).collect()
}

fn ending(state: TaskState) -> Ending {
    let (reason, message) = (None, String::new());
    Ending { state, reason, message, exit_code: Some(0), exceeded: None, usage: Usage::default() }
}

/// What the agent is told: what has begun, and what has ended.
fn news(queue: &mut Queue) -> (Vec<u64>, Vec<(u64, u64, TaskState)>) {
    match queue.news() {
        Some(Report::QueueNews { started, ended, .. }) => {
            (started, ended.into_iter().map(|(first, count, ending)| (first, count, ending.state)).collect())
        }
        None => (Vec::new(), Vec::new()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn as_many_run_at_once_as_fit_and_the_next_begins_where_one_ends() {
    let mut queue = queue();
    push(&mut queue, 10, 5, 900);

    assert_eq!(begin(&mut queue), [10, 11]);
    queue.ended(11, ending(TaskState::Finished));
    assert_eq!(begin(&mut queue), [12]);
    assert_eq!(begin(&mut queue), []);
}

#[test]
fn each_task_knows_which_one_it_is() {
    let mut queue = queue();
    push(&mut queue, 10, 2, 900);
    queue.next();

    let second = queue.next().unwrap();

    assert_eq!(second.spec.id, id(11));
    assert_eq!(second.spec.env, [("N".to_owned(), "1".to_owned())]);
    assert_eq!(second.env, [(TASK_VARIABLE.to_owned(), "task-1.11".to_owned())]);
}

#[test]
fn a_large_task_is_not_passed_by_small_ones() {
    let mut queue = queue();
    push(&mut queue, 10, 1, 1_500);
    push(&mut queue, 20, 1, 1_500);
    push(&mut queue, 30, 1, 100);

    assert_eq!(begin(&mut queue), [10]);
    queue.ended(10, ending(TaskState::Finished));
    assert_eq!(begin(&mut queue), [20, 30]);
}

#[test]
fn news_are_what_the_agent_was_not_told() {
    let mut queue = queue();
    push(&mut queue, 10, 3, 900);
    begin(&mut queue);
    queue.started(10);
    queue.started(11);
    queue.ended(10, ending(TaskState::Finished));

    assert_eq!(news(&mut queue), (vec![11], vec![(10, 1, TaskState::Finished)]));
    assert!(queue.news().is_none());
    queue.ended(11, ending(TaskState::Failed));
    assert_eq!(news(&mut queue), (vec![], vec![(11, 1, TaskState::Failed)]));
}

#[test]
fn one_that_waits_can_be_killed_out_of_the_middle() {
    let mut queue = queue();
    push(&mut queue, 10, 4, 900);
    begin(&mut queue);

    assert_eq!([queue.kill(10), queue.kill(12), queue.kill(12)], [Killed::Runs, Killed::Waited, Killed::Nothing]);
    assert!(queue.started(10) && !queue.started(11), "the kill of one that had not begun is said again then");

    assert_eq!(news(&mut queue).1, [(12, 1, TaskState::Killed)]);
    queue.ended(10, ending(TaskState::Killed));
    assert_eq!(begin(&mut queue), [13]);
}

#[test]
fn all_that_wait_are_killed_as_one() {
    let mut queue = queue();
    push(&mut queue, 10, 1_000, 900);
    begin(&mut queue);

    assert_eq!(queue.kill_all(Stop::REQUESTED), [id(10), id(11)]);

    assert_eq!(news(&mut queue).1, [(12, 998, TaskState::Killed)]);
    queue.ended(10, ending(TaskState::Killed));
    assert_eq!(begin(&mut queue), []);
}

#[test]
fn what_ends_with_its_allocation_says_why_and_says_it_again() {
    let mut queue = queue();
    push(&mut queue, 10, 4, 900);
    begin(&mut queue);
    assert_eq!(queue.kill(12), Killed::Waited);

    queue.kill_all(Reason::Preempted.into());
    queue.kill_all(Stop::REQUESTED);
    queue.ended(10, ending(TaskState::Finished));
    queue.ended(11, ending(TaskState::Killed));

    let ends =
        [(12, 1, TaskState::Killed), (13, 1, TaskState::Gone), (10, 1, TaskState::Finished), (11, 1, TaskState::Gone)];
    assert_eq!(news(&mut queue).1, ends);
    let mut told = Vec::new();
    queue.tell(|report| told.push(report));
    let [Report::HeldQueue { .. }, Report::Stopped(of, why), Report::QueueNews { ended, .. }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((*of, why.reason), (id(1), Reason::Preempted));
    let again: Vec<_> = ended.iter().map(|(first, count, ending)| (*first, *count, ending.state)).collect();
    assert_eq!(again, ends);
}

#[test]
fn nothing_begins_while_nobody_takes_note_of_ends() {
    let mut queue = queue();
    push(&mut queue, 10, UNSETTLED_MAX, 900);
    queue.kill_all(Stop::REQUESTED);
    push(&mut queue, 1_000_000, 1, 900);
    news(&mut queue);

    assert!(queue.next().is_none());
    queue.settle(1);
    assert_eq!(begin(&mut queue), [1_000_000]);
    assert_eq!(news(&mut queue), (vec![], vec![]), "what was told is not told again");
}

#[test]
fn a_new_agent_hears_what_is_left() {
    let mut queue = queue();
    push(&mut queue, 10, 5, 900);
    begin(&mut queue);
    queue.started(10);
    queue.started(11);
    queue.output(10, Stream::Stdout, Bytes::from_static(b"abc"));
    queue.output(11, Stream::Stderr, Bytes::from_static(b"de"));
    queue.ended(10, ending(TaskState::Finished));
    begin(&mut queue);
    news(&mut queue);

    let mut told = Vec::new();
    queue.tell(|report| told.push(report));

    let [
        Report::HeldQueue { runs, batches, .. },
        Report::Output { .. },
        Report::Output { .. },
        Report::QueueNews { ended, .. },
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    let runs: Vec<_> = runs.iter().map(|(first, count, state, _)| (*first, *count, *state)).collect();
    assert_eq!(runs, [(11, 1, TaskState::Running), (12, 1, TaskState::Staging), (13, 2, TaskState::Staging)]);
    assert_eq!(batches.iter().map(|batch| (batch.first, batch.left)).collect::<Vec<_>>(), [(10, 4)]);
    assert_eq!(ended.len(), 1);
    queue.settle(1);
    let mut told = Vec::new();
    queue.tell(|report| told.push(report));
    assert_eq!(told.len(), 3, "what is settled is forgotten with its output: {told:?}");
}

fn volume(number: u64, writable: bool) -> MountedVolume {
    let id = VolumeId { agent: haggle_core::AgentId(3), number };
    let size = haggle_core::Bytes::from_mib(1);
    MountedVolume { id, guest_path: "/data".to_owned(), host: PathBuf::from("/volume"), writable, size }
}

#[test]
fn many_tasks_read_a_volume_at_once_and_one_that_writes_it_has_it_alone() {
    let mut queue = queue();
    push_with(&mut queue, 10, 2, 100, vec![volume(7, false)]);
    push_with(&mut queue, 20, 2, 100, vec![volume(7, true)]);
    push_with(&mut queue, 30, 2, 100, vec![volume(7, false)]);

    assert_eq!(begin(&mut queue), [10, 11]);
    queue.ended(10, ending(TaskState::Finished));
    assert_eq!(begin(&mut queue), [0; 0], "one still reads it");
    queue.ended(11, ending(TaskState::Finished));
    assert_eq!(begin(&mut queue), [20]);
    queue.ended(20, ending(TaskState::Finished));
    assert_eq!(begin(&mut queue), [21], "those behind it wait for their turn");
    queue.ended(21, ending(TaskState::Failed));
    assert_eq!(begin(&mut queue), [30, 31]);
}

#[test]
fn who_writes_one_volume_waits_for_nobody_with_another_one() {
    let mut queue = queue();
    push_with(&mut queue, 10, 1, 100, vec![volume(7, true)]);
    push_with(&mut queue, 20, 1, 100, vec![volume(8, true)]);
    push_with(&mut queue, 30, 1, 100, Vec::new());

    assert_eq!(begin(&mut queue), [10, 20, 30]);
}
