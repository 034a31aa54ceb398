//! Kills, waiting, shutting down: the executor's side of a task's life.

use std::cell::Cell;
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};

use haggle_core::{Bytes, Digest, Reason, TaskSpec, TaskState};
use haggle_executor::{Config, Event, Executor, Launch, Meter, compile_here};
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
    let (sender, receiver) = channel();
    let executor = Executor::start(config(&dir, 1), move |event| {
        if let Event::Ended { task, .. } = event {
            let _ = sender.send(task.number);
            panic!("on purpose");
        }
    })
    .unwrap();

    for number in 1..=2 {
        executor.launch(launch(&dir, number, ""));
        assert_eq!(receiver.recv().unwrap(), number);
    }
}

#[test]
fn what_a_worker_launches_before_a_long_turn_is_run_by_another_worker() {
    let dir = TempDir::new().unwrap();
    let (sender, receiver) = channel();
    let executor = Arc::new(OnceLock::<Executor>::new());
    let (heard, noop) = (Arc::clone(&executor), launch(&dir, 2, ""));
    let started = Executor::start(config(&dir, 2), move |event| match event {
        // On the worker that then runs the loop.
        Event::Started { task } if task.number == 1 => heard.wait().launch(noop.clone()),
        Event::Ended { task, .. } => sender.send(task.number).unwrap(),
        _ => {}
    });
    executor.get_or_init(|| started.unwrap());

    executor.wait().launch(launch(&dir, 1, "(loop (br 0))"));

    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(2));
    executor.wait().shutdown();
}

#[test]
fn tasks_that_are_launched_by_the_ends_of_others_all_end_once() {
    const TASKS: u64 = 2000;
    let dir = TempDir::new().unwrap();
    let (sender, receiver) = channel();
    let executor = Arc::new(OnceLock::<Executor>::new());
    let (heard, noop) = (Arc::clone(&executor), launch(&dir, 0, ""));
    let started = Executor::start(config(&dir, 2), move |event| {
        let Event::Ended { task, .. } = event else { return };
        // Two for each, so that some come to each worker and none is idle for long.
        for number in [2 * task.number, 2 * task.number + 1].into_iter().filter(|&number| number <= TASKS) {
            heard.wait().launch(numbered(&noop, number));
        }
        sender.send(task.number).unwrap();
    });
    executor.get_or_init(|| started.unwrap());

    executor.wait().launch(launch(&dir, 1, ""));

    let mut ended: Vec<u64> = (0..TASKS).map(|_| receiver.recv_timeout(PATIENCE).unwrap()).collect();
    ended.sort_unstable();
    assert_eq!(ended, (1..=TASKS).collect::<Vec<_>>());
    assert_eq!(executor.wait().stats().tasks, 0);
    executor.wait().shutdown();
}

fn config(dir: &TempDir, workers: usize) -> Config {
    let scratch_dir = dir.path().join("scratch");
    Config { workers, scratch_dir, max_tasks: 64, meter: Meter::Fuel, allow_network: false, idle_only: false }
}

/// A task with this number that does this.
fn launch(dir: &TempDir, number: u64, body: &str) -> Launch {
    let text = format!(r#"(module (memory (export "memory") 1) (func (export "_start") {body}))"#);
    let module = dir.path().join(body.len().to_string());
    std::fs::write(&module, compile_here(text.as_bytes(), Meter::Fuel).unwrap()).unwrap();
    // Any name will do that is its own.
    let spec = TaskSpec { module: Digest([u8::try_from(body.len()).unwrap(); 32]), ..spec() };
    let launch = Launch {
        spec: Arc::new(spec),
        module,
        meter: Meter::Fuel,
        folders: Vec::new(),
        volumes: Vec::new(),
        copies: None,
        env: Vec::new(),
    };
    numbered(&launch, number)
}

fn numbered(launch: &Launch, number: u64) -> Launch {
    let mut spec = TaskSpec::clone(&launch.spec);
    spec.id.number = number;
    Launch { spec: Arc::new(spec), ..launch.clone() }
}
