use bytes::Bytes;
use haggle_core::{
    Bytes as Amount, Digest, FrameworkId, Grants, Limits, MilliCpu, Reason, Resources, Sharing, TaskState, Usage,
};

use super::*;
use crate::process::wire::Incoming;

fn task(number: u64) -> TaskId {
    TaskId { framework: FrameworkId(1), number }
}

fn spec(number: u64) -> Arc<TaskSpec> {
    Arc::new(TaskSpec {
        id: task(number),
        name: String::new(),
        role: String::new(),
        module: Digest([0; 32]),
        args: Vec::new(),
        env: Vec::new(),
        stdin: b"in".to_vec(),
        resources: Resources::new(MilliCpu::from_cores(1), Amount::from_mib(1), Amount::ZERO),
        sharing: Sharing::default(),
        limits: Limits::default(),
        inputs: Vec::new(),
        grants: Grants::default(),
        group: None,
        waited: None,
        trace: None,
    })
}

fn output(number: u64, text: &'static str) -> Event {
    Event::Output { task: task(number), stream: Stream::Stdout, bytes: Bytes::from_static(text.as_bytes()) }
}

fn ended(number: u64) -> Event {
    let ending = Ending {
        state: TaskState::Finished,
        reason: None,
        message: String::new(),
        exit_code: Some(0),
        exceeded: None,
        usage: Usage::default(),
    };
    Event::Ended { task: task(number), ending }
}

/// What waits for the agent, one word for each report.
fn told(records: &TaskRecords) -> Vec<String> {
    let bytes = records.state.lock().writer.as_ref().unwrap().take_waiting();
    let mut reports = Vec::new();
    let mut incoming = Incoming::<_, Report>::new(&bytes[..]);
    while incoming.read(&mut reports).unwrap() {}
    let word = |report: &Report| match report {
        Report::Held(task) => format!("held {}", task.id),
        Report::Complete { incarnation } => format!("complete {incarnation}"),
        Report::Started(task) => format!("started {task}"),
        Report::Output { task, offset, bytes, .. } => {
            format!("output {task} {offset} {}", String::from_utf8_lossy(bytes))
        }
        Report::Stopped(task, why) => format!("stopped {task} {}", why.reason),
        Report::Ended(task, _) => format!("ended {task}"),
        Report::Idle => "idle".to_owned(),
        Report::Usage { request, .. } => format!("usage {request}"),
        Report::HeldQueue { spec, runs, .. } => format!("queue {} with {} runs", spec.id, runs.len()),
        Report::QueueNews { allocation, started, ended } => {
            format!("news of {allocation}: {} began, {} ended", started.len(), ended.len())
        }
    };
    reports.iter().map(word).collect()
}

#[test]
fn a_new_agent_hears_everything_that_is_not_settled() {
    let records = TaskRecords::new();
    records.connect();
    records.disconnect();
    records.open(&spec(1));
    records.open(&spec(2));
    records.hear(Event::Started { task: task(2) });
    records.hear(output(2, "abc"));
    records.hear(output(2, "def"));
    records.taken(task(2), Stream::Stdout, 6, 3);
    records.hear(ended(2));

    records.connect();

    let all =
        ["held task-1.1", "held task-1.2", "started task-1.2", "output task-1.2 3 def", "ended task-1.2", "complete 1"];
    assert_eq!(told(&records), all);
    records.forget(task(2));
    records.disconnect();
    records.connect();
    assert_eq!(told(&records), ["held task-1.1", "complete 2"]);
}

#[test]
fn an_agent_that_is_there_hears_what_happens_and_no_more() {
    let records = TaskRecords::new();
    records.connect();
    assert_eq!(told(&records), ["complete 0"]);
    assert!(records.open(&spec(1)));
    assert!(!records.open(&spec(1)), "a task is opened once");

    records.hear(output(1, "abc"));
    records.hear(ended(1));
    records.hear(ended(9));

    assert_eq!(told(&records), ["output task-1.1 0 abc", "ended task-1.1"]);
}

#[test]
fn the_guests_own_bytes_are_let_go_once_the_agent_has_them() {
    let records = TaskRecords::new();
    records.open(&spec(1));
    let guard = Arc::new(*b"abc");
    let held = Arc::downgrade(&guard);
    struct Guarded(Arc<[u8; 3]>);
    impl AsRef<[u8]> for Guarded {
        fn as_ref(&self) -> &[u8] {
            &*self.0
        }
    }
    let bytes = Bytes::from_owner(Guarded(guard));
    records.hear(Event::Output { task: task(1), stream: Stream::Stdout, bytes });
    assert!(held.upgrade().is_some());

    records.taken(task(1), Stream::Stdout, 3, 0);

    assert!(held.upgrade().is_none());
    records.connect();
    assert_eq!(told(&records)[1], "output task-1.1 0 abc");
}

#[test]
fn it_is_quiet_when_nothing_is_held_and_nobody_there() {
    let records = TaskRecords::new();
    records.connect();
    records.open(&spec(1));
    let Quiet { idle_since, alone_since, .. } = records.quiet();
    assert!(idle_since.is_none() && alone_since.is_none());

    records.forget(task(1));
    records.disconnect();

    let Quiet { idle_since, alone_since, .. } = records.quiet();
    assert!(idle_since.is_some() && alone_since.is_some());
}

#[test]
fn a_new_agent_hears_why_tasks_were_told_to_end() {
    let records = TaskRecords::new();
    for number in [1, 2, 3] {
        records.open(&spec(number));
    }
    records.hear(ended(3));
    records.kill(task(1), Reason::Preempted.into());
    records.kill(task(1), Stop::REQUESTED);
    records.kill(task(3), Reason::Preempted.into());

    records.connect();

    let reason = Reason::Preempted;
    let first = format!("stopped task-1.1 {reason}");
    let all = ["held task-1.1", &first, "held task-1.2", "held task-1.3", "ended task-1.3", "complete 0"];
    assert_eq!(told(&records), all, "the first reason counts, and none of what had ended");
}
