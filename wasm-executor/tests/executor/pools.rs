//! Pools of instances, on a machine that has no room for another one.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;

use haggle_core::{Reason, TaskState};
use haggle_executor::Event;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::kit::{Bench, Form, spec};

/// Set for the process that tries. A limit of a process cannot be lifted, so it is one of its own.
const PROBE: &str = "HAGGLE_POOLS_PROBE";

const NOOP: &str = r#"(memory (export "memory") 1) (func (export "_start"))"#;

/// More than a worker begins before it has a pool of its own.
const MANY: usize = 200;

/// Runs the test of this name again where no pool but the first can be made. True there.
fn is_poor(test: &str) -> bool {
    if std::env::var_os(PROBE).is_some() {
        return true;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    let output = again.args(["--exact", test, "--nocapture"]).env(PROBE, "1").output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}

/// From now on this process may map two GiB more, which is no room for a pool.
fn become_poor() {
    let pages: u64 = fs::read_to_string("/proc/self/statm").unwrap().split(' ').next().unwrap().parse().unwrap();
    let limit = Some(pages * rustix::param::page_size() as u64 + (2 << 30));
    setrlimit(Resource::As, Rlimit { current: limit, maximum: limit }).unwrap();
}

#[test]
fn tasks_share_the_pool_that_there_is_when_a_worker_cannot_have_its_own() {
    if !is_poor("pools::tasks_share_the_pool_that_there_is_when_a_worker_cannot_have_its_own") {
        return;
    }
    let bench = Bench::with_workers(2);
    bench.run(Form::Core, spec(), NOOP).assert_finished();
    become_poor();

    let tasks: Vec<_> = (0..MANY).map(|_| bench.launch(Form::Core, spec(), NOOP)).collect();

    tasks.into_iter().for_each(|task| bench.report(task).assert_finished());
}

#[test]
fn tasks_beyond_the_pool_that_there_is_end_with_the_reason() {
    if !is_poor("pools::tasks_beyond_the_pool_that_there_is_end_with_the_reason") {
        return;
    }
    let bench = Bench::with_workers(2);
    bench.run(Form::Core, spec(), NOOP).assert_finished();
    let asleep = r#"(memory (export "memory") 1) (func (export "_start") (call $sleep (i64.const 3600000000000)))"#;
    let first = bench.launch(Form::Core, spec(), asleep);
    bench.wait_for(|event| matches!(event, Event::Started { .. }));
    become_poor();

    // Half of all places are in the first worker's pool.
    for _ in 0..32 {
        bench.launch(Form::Core, spec(), asleep);
    }

    // Which of them the second worker takes is not told.
    let mut refused = None;
    bench.wait_for(|event| {
        if let Event::Ended { task, .. } = event {
            refused = Some(*task);
        }
        refused.is_some()
    });
    let ended = bench.report(refused.unwrap());
    assert_eq!(ended.verdict(), (TaskState::Failed, Some(Reason::ExecutorTerminated)));
    assert!(ended.ending.message.contains("cannot set up another engine"), "{}", ended.ending.message);
    bench.executor.kill(first);
    assert_eq!(bench.report(first).ending.state, TaskState::Killed);
    bench.run(Form::Core, spec(), NOOP).assert_finished();
}
