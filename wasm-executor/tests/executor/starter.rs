//! Where a task begins that comes while nothing else is there.

use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::Instant;

use haggle_core::{Bytes, Reason, TaskId, TaskSpec, TaskState};
use haggle_executor::{Config, Event, Executor, Meter};
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::kit::{Bench, Form, PATIENCE, guest, spec, with_disk};

const NOOP: &str = r#"(memory (export "memory") 1) (func (export "_start"))"#;

const SPIN: &str = r#"(memory (export "memory") 1) (func (export "_start") (call $spin))"#;

/// Of an executor of the bench's.
const WORKERS: usize = 2;

/// Which tasks have ended, and on which thread.
type Ends = Arc<Mutex<Vec<(TaskId, ThreadId)>>>;

/// An executor, and which thread told of the end of which task.
fn bench() -> (Bench, Ends) {
    let ends = Ends::default();
    let heard = Arc::clone(&ends);
    let bench = Bench::hearing(move |event| {
        if let Event::Ended { task, .. } = event {
            heard.lock().push((*task, thread::current().id()));
        }
    });
    (bench, ends)
}

fn with_memory(mem: Bytes) -> TaskSpec {
    let mut spec = spec();
    spec.resources.mem = mem;
    spec
}

/// Waits until no worker has anything to do.
fn settle(bench: &Bench) {
    let began = Instant::now();
    while bench.executor.stats().idle_workers < WORKERS {
        assert!(began.elapsed() < PATIENCE, "the workers come to rest");
        thread::yield_now();
    }
}

/// Runs the guest twice, since the first time its module is loaded. Says whether it ended on this thread the second time.
fn ends_here(spec: &TaskSpec, meter: Meter) -> bool {
    let (bench, ends) = bench();
    for _ in 0..2 {
        settle(&bench);
        let id = bench.launch_metered(meter, spec.clone(), &guest(Form::Core, NOOP), &[]);
        bench.report(id).assert_finished();
    }
    let (_, thread) = ends.lock()[1];
    thread == thread::current().id()
}

#[test]
fn a_short_task_that_comes_alone_is_over_before_its_launch_returns() {
    let (bench, ends) = bench();
    bench.run(Form::Core, spec(), NOOP).assert_finished();
    settle(&bench);

    let id = bench.launch(Form::Core, spec(), NOOP);

    assert_eq!(ends.lock().last(), Some(&(id, thread::current().id())));
    bench.report(id).assert_finished();
}

#[test]
fn a_loop_that_begins_there_goes_on_elsewhere_and_is_killed() {
    let (bench, ends) = bench();
    bench.run(Form::Core, spec(), NOOP).assert_finished();
    for _ in 0..2 {
        settle(&bench);
        let id = bench.launch(Form::Core, spec(), SPIN);
        bench.wait_for(|event| *event == Event::Started { task: id });

        bench.executor.kill(id);

        assert_eq!(bench.report(id).verdict(), (TaskState::Killed, Some(Reason::KillRequested)));
        let (_, thread) = *ends.lock().last().unwrap();
        assert_ne!(thread, thread::current().id());
    }
}

#[test]
fn beside_another_task_it_begins_on_a_worker() {
    let (bench, ends) = bench();
    bench.run(Form::Core, spec(), NOOP).assert_finished();
    let spinner = bench.launch(Form::Core, spec(), SPIN);
    bench.wait_for(|event| *event == Event::Started { task: spinner });
    bench.run(Form::Core, spec(), NOOP).assert_finished();

    let id = bench.launch(Form::Core, spec(), NOOP);
    bench.report(id).assert_finished();

    let (_, thread) = *ends.lock().last().unwrap();
    assert_ne!(thread, thread::current().id());
    bench.executor.kill(spinner);
    bench.report(spinner);
}

#[test]
fn what_may_take_long_in_one_step_begins_on_a_worker() {
    assert!(ends_here(&spec(), Meter::Fuel));

    assert!(!ends_here(&with_disk(1 << 20), Meter::Fuel));
    assert!(!ends_here(&with_memory(Bytes::from_mib(65)), Meter::Fuel));
    assert!(!ends_here(&spec(), Meter::Epochs));
}

#[test]
fn what_runs_in_idle_times_only_begins_nowhere_else() {
    let dir = TempDir::new().unwrap();
    let config = Config {
        workers: 1,
        scratch_dir: dir.path().join("scratch"),
        max_tasks: 1,
        meter: Meter::Fuel,
        allow_network: false,
        idle_only: true,
    };

    let executor = Executor::start(config, |_| {}).unwrap();

    assert!(executor.starter().is_none());
}
