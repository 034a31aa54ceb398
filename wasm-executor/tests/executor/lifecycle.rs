//! Kills, waiting, shutting down: the executor's side of a task's life.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::mpsc::channel;

use haggle_core::{Bytes, Reason, TaskState};
use haggle_executor::Event;
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::kit::{BOTH, Bench, Form, PATIENCE, spec};

const SPIN: &str = r#"(memory (export "memory") 1) (func (export "_start") (call $spin))"#;

const NOOP: &str = r#"(memory (export "memory") 1) (func (export "_start"))"#;

const MUCH_MEMORY: &str = r#"(memory (export "memory") 160) (func (export "_start"))"#;

const SAY_AND_SLEEP: &str = r#"
    (memory (export "memory") 1)
    (data (i32.const 256) "here")
    (func (export "_start")
        (call $print (i32.const 256) (i32.const 4))
        (call $sleep (i64.const 0x7fffffffffffffff)))"#;

#[test]
fn a_kill_stops_a_loop() {
    let bench = Bench::new();
    for form in BOTH {
        let id = bench.launch(form, spec(), SPIN);
        bench.wait_for(|event| *event == Event::Started { task: id });

        bench.executor.kill(id);

        let report = bench.report(id);
        assert_eq!(report.verdict(), (TaskState::Killed, Some(Reason::KillRequested)));
        assert!(report.ending.usage.peak_mem.get() > 0);
    }
}

#[test]
fn a_kill_stops_a_sleep_whose_output_came_before() {
    let bench = Bench::new();
    for form in BOTH {
        let id = bench.launch(form, spec(), SAY_AND_SLEEP);
        bench.wait_for(|event| matches!(event, Event::Output { task, bytes, .. } if *task == id && bytes == "here"));

        bench.executor.kill(id);

        assert_eq!(bench.report(id).verdict(), (TaskState::Killed, Some(Reason::KillRequested)));
    }
}

#[test]
fn a_kill_stops_what_has_not_begun() {
    let bench = Bench::with(1, Arc::new(TempDir::new().unwrap()));
    let first = bench.launch(Form::Core, spec(), SPIN);
    let second = bench.launch(Form::Core, spec(), NOOP);
    let third = bench.launch(Form::Core, spec(), NOOP);

    bench.executor.kill(second);
    let report = bench.report(second);

    assert_eq!(report.verdict(), (TaskState::Killed, Some(Reason::KillRequested)));
    assert_eq!(report.events.len(), 1, "it never started");
    bench.executor.kill(first);
    bench.report(first);
    bench.report(third).assert_finished();
}

#[test]
fn a_kill_of_a_task_that_is_not_here_changes_nothing() {
    let bench = Bench::new();
    let id = bench.launch(Form::Core, spec(), NOOP);
    bench.report(id).assert_finished();

    bench.executor.kill(id);

    bench.run(Form::Core, spec(), NOOP).assert_finished();
}

#[test]
fn no_worker_waits_until_what_other_tasks_held_is_released() {
    let (release, released) = channel();
    let released = Mutex::new(released);
    let bench = Bench::hearing(move |event| {
        if let Event::Ended { ending, .. } = event
            && ending.usage.peak_mem >= Bytes::from_mib(10)
        {
            released.lock().recv_timeout(PATIENCE).unwrap();
        }
    });
    // As many as there are workers.
    let heavy = [(); 2].map(|()| bench.launch(Form::Core, spec(), MUCH_MEMORY));
    let mut starting = heavy.len();
    bench.wait_for(|event| {
        starting -= usize::from(matches!(event, Event::Started { .. }));
        starting == 0
    });

    let light = bench.launch(Form::Core, spec(), NOOP);

    bench.report(light).assert_finished();
    // They may have ended in either order.
    for _ in heavy {
        release.send(()).unwrap();
    }
    for id in heavy {
        bench.report(id).assert_finished();
    }
}

#[test]
fn more_tasks_than_there_is_room_for_run_one_after_the_other() {
    let bench = Bench::with(2, Arc::new(TempDir::new().unwrap()));

    let ids: Vec<_> = (0..50).map(|_| bench.launch(Form::Core, spec(), NOOP)).collect();

    for id in ids {
        bench.report(id).assert_finished();
    }
    assert_eq!(bench.executor.stats().tasks, 0);
}

#[test]
fn more_tasks_than_the_first_pool_holds_run_at_once() {
    const TASKS: usize = 300;
    let bench = Bench::with(TASKS, Arc::new(TempDir::new().unwrap()));

    let ids: Vec<_> = (0..TASKS).map(|_| bench.launch(Form::Core, spec(), SAY_AND_SLEEP)).collect();

    let started = Cell::new(0);
    bench.wait_for(|event| {
        started.set(started.get() + usize::from(matches!(event, Event::Started { .. })));
        started.get() == TASKS
    });
    assert_eq!(bench.executor.stats().tasks, TASKS);
    for id in ids {
        bench.executor.kill(id);
        assert_eq!(bench.report(id).verdict(), (TaskState::Killed, Some(Reason::KillRequested)));
    }
}

#[test]
fn short_tasks_run_beside_spinners_on_every_worker() {
    let bench = Bench::new();
    let spinners = [bench.launch(Form::Core, spec(), SPIN), bench.launch(Form::Core, spec(), SPIN)];

    for form in BOTH {
        bench.run(form, spec(), NOOP).assert_finished();
    }

    for id in spinners {
        bench.executor.kill(id);
        bench.report(id);
    }
}

#[test]
fn shutting_down_kills_every_task() {
    let bench = Bench::with(2, Arc::new(TempDir::new().unwrap()));
    let ids = [SPIN, SAY_AND_SLEEP, NOOP].map(|body| bench.launch(Form::Core, spec(), body));
    bench.wait_for(|event| *event == Event::Started { task: ids[0] });

    bench.executor.shutdown();

    for id in ids {
        assert!(matches!(bench.report(id).ending.state, TaskState::Killed | TaskState::Finished));
    }
    let late = bench.run(Form::Core, spec(), NOOP);
    assert_eq!(late.verdict(), (TaskState::Failed, Some(Reason::ExecutorTerminated)));
}

#[test]
fn a_receiver_of_events_that_panics_stops_nobody() {
    let dir = TempDir::new().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let config = haggle_executor::Config {
        workers: 1,
        scratch_dir: dir.path().join("scratch"),
        max_tasks: 4,
        meter: haggle_executor::Meter::Fuel,
        allow_network: false,
    };
    let executor = haggle_executor::Executor::start(config, move |event| {
        if let Event::Ended { task, .. } = event {
            let _ = sender.send(task.number);
            panic!("on purpose");
        }
    })
    .unwrap();
    let module = dir.path().join("noop");
    let noop = br#"(module (memory (export "memory") 1) (func (export "_start")))"#;
    std::fs::write(&module, haggle_executor::compile_here(noop, haggle_executor::Meter::Fuel).unwrap()).unwrap();

    for number in 1..=2 {
        let mut spec = spec();
        spec.id.number = number;
        let launch = haggle_executor::Launch {
            spec: Arc::new(spec),
            module: module.clone(),
            meter: haggle_executor::Meter::Fuel,
            folders: Vec::new(),
            copies: None,
            env: Vec::new(),
        };
        executor.launch(launch);
        assert_eq!(receiver.recv().unwrap(), number);
    }
}
