//! When the news of tasks is passed on: together, but never late.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use haggle_core::{FrameworkId, TaskId};
use haggle_executor::{Event, Listener};
use parking_lot::Mutex;

use crate::kit::{Bench, Form, PATIENCE, spec};

const NOOP: &str = r#"(memory (export "memory") 1) (func (export "_start"))"#;

/// Launched first. It keeps the one worker until the others wait.
const GATE: TaskId = TaskId { framework: FrameworkId(1), number: 1 };

/// Passes on what it hears when it is told that there is a pause, as an executor's process does.
struct Post {
    unsent: Mutex<Vec<Event>>,
    /// How many ends were passed on at once, each time.
    posts: Sender<usize>,
    bench: Sender<Event>,
    /// Hears everything on the worker that it comes from, and may hold that up.
    hears: Box<dyn Fn(&Event) + Send + Sync>,
}

impl Listener for Post {
    fn hear(&self, event: Event) {
        self.unsent.lock().push(event.clone());
        (self.hears)(&event);
    }

    fn pause(&self) -> Option<Duration> {
        let mut unsent = self.unsent.lock();
        let ends = unsent.iter().filter(|event| matches!(event, Event::Ended { .. })).count();
        if ends > 0 {
            let _ = self.posts.send(ends);
        }
        for event in unsent.drain(..) {
            let _ = self.bench.send(event);
        }
        None
    }
}

/// A bench with one worker, how many ends each of its posts held, and what opens the gate.
fn bench(hears: impl Fn(&Event) + Send + Sync + 'static) -> (Bench, Receiver<usize>, Sender<()>) {
    let (posts, posted) = channel();
    let (open, opened) = channel::<()>();
    let opened = Mutex::new(opened);
    let hears = Box::new(move |event: &Event| match event {
        Event::Started { task: GATE } => _ = opened.lock().recv_timeout(PATIENCE),
        other => hears(other),
    });
    let bench = Bench::heard_by(|bench| Post { unsent: Mutex::default(), posts, bench, hears });
    assert_eq!(bench.launch(Form::Core, spec(), NOOP), GATE);
    (bench, posted, open)
}

#[test]
fn ends_of_short_tasks_are_passed_on_together() {
    const TASKS: usize = 200;
    let (bench, posted, open) = bench(|_| {});
    let tasks: Vec<TaskId> = (0..TASKS).map(|_| bench.launch(Form::Core, spec(), NOOP)).collect();

    open.send(()).unwrap();
    for task in tasks {
        bench.report(task).assert_finished();
    }

    let posts: Vec<usize> = posted.try_iter().collect();
    assert_eq!(posts.iter().sum::<usize>(), TASKS + 1);
    // How many go together is a matter of how soon they end.
    assert!(posts.len() < TASKS, "{posts:?}");
    assert!(posts.iter().all(|&ends| ends <= 32), "{posts:?}");
}

#[test]
fn an_end_does_not_wait_until_the_next_task_lets_its_worker_go() {
    // On a slow machine the short task may need another turn, behind the long one.
    let waited = (0..20).find_map(|_| end_before_a_long_task());

    assert_eq!(waited, Some(Ok(())), "the end of the short task came while the long one kept the worker");
}

/// Whether a task's end was passed on while the next one kept their worker; `None` when it did not end before that began.
fn end_before_a_long_task() -> Option<Result<(), RecvTimeoutError>> {
    const SHORT: TaskId = TaskId { framework: FrameworkId(1), number: 2 };
    const LONG: TaskId = TaskId { framework: FrameworkId(1), number: 3 };
    let (told, short_ended) = channel::<()>();
    let (ended, waited) = (AtomicBool::new(false), Arc::new(Mutex::new(None)));
    let (short_ended, outcome) = (Mutex::new(short_ended), Arc::clone(&waited));
    let (bench, _posted, open) = bench(move |event| match event {
        Event::Ended { task: SHORT, .. } => ended.store(true, Ordering::SeqCst),
        Event::Started { task: LONG } if ended.load(Ordering::SeqCst) => {
            *outcome.lock() = Some(short_ended.lock().recv_timeout(PATIENCE));
        }
        _ => {}
    });
    assert_eq!([NOOP; 2].map(|body| bench.launch(Form::Core, spec(), body)), [SHORT, LONG]);

    open.send(()).unwrap();
    bench.report(SHORT).assert_finished();
    // Nobody may wait for it any more.
    let _ = told.send(());
    bench.report(LONG).assert_finished();

    *waited.lock()
}

/// Waits for more when it is asked first, and passes on what it heard when it is asked again.
struct Patient {
    unsent: Mutex<Vec<Event>>,
    has_waited: AtomicBool,
    bench: Sender<Event>,
}

impl Listener for Patient {
    fn hear(&self, event: Event) {
        self.unsent.lock().push(event);
    }

    fn pause(&self) -> Option<Duration> {
        if !self.has_waited.swap(true, Ordering::SeqCst) {
            return Some(Duration::from_millis(10));
        }
        for event in self.unsent.lock().drain(..) {
            let _ = self.bench.send(event);
        }
        None
    }
}

#[test]
fn who_waits_for_more_is_asked_again_though_nothing_more_happens() {
    let bench =
        Bench::heard_by(|bench| Patient { unsent: Mutex::default(), has_waited: AtomicBool::new(false), bench });

    let task = bench.launch(Form::Core, spec(), NOOP);

    bench.report(task).assert_finished();
}
