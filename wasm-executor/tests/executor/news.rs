//! When the news of tasks is passed on: together, but never late.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

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
    /// Holds up the worker that starts a task.
    holds_up: Box<dyn Fn(TaskId) + Send + Sync>,
}

impl Listener for Post {
    fn hear(&self, event: Event) {
        self.unsent.lock().push(event.clone());
        if let Event::Started { task } = event {
            (self.holds_up)(task);
        }
    }

    fn pause(&self) -> bool {
        let mut unsent = self.unsent.lock();
        let ends = unsent.iter().filter(|event| matches!(event, Event::Ended { .. })).count();
        if ends > 0 {
            let _ = self.posts.send(ends);
        }
        for event in unsent.drain(..) {
            let _ = self.bench.send(event);
        }
        false
    }
}

/// A bench with one worker, how many ends each of its posts held, and what opens the gate.
fn bench(holds_up: impl Fn(TaskId) + Send + Sync + 'static) -> (Bench, Receiver<usize>, Sender<()>) {
    let (posts, posted) = channel();
    let (open, opened) = channel::<()>();
    let opened = Mutex::new(opened);
    let holds_up = Box::new(move |task| match task {
        GATE => _ = opened.lock().recv_timeout(PATIENCE),
        other => holds_up(other),
    });
    let bench = Bench::heard_by(|bench| Post { unsent: Mutex::default(), posts, bench, holds_up });
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
    assert!(posts.len() < TASKS / 2, "{posts:?}");
    assert!(posts.iter().all(|&ends| ends <= 32), "{posts:?}");
}

#[test]
fn an_end_does_not_wait_until_the_next_task_lets_its_worker_go() {
    const LONG: TaskId = TaskId { framework: FrameworkId(1), number: 3 };
    let (told, short_ended) = channel::<()>();
    let waited = Arc::new(Mutex::new(None));
    let (short_ended, outcome) = (Mutex::new(short_ended), Arc::clone(&waited));
    let (bench, _posted, open) = bench(move |task| {
        if task == LONG {
            *outcome.lock() = Some(short_ended.lock().recv_timeout(PATIENCE));
        }
    });
    let short = bench.launch(Form::Core, spec(), NOOP);
    assert_eq!(bench.launch(Form::Core, spec(), NOOP), LONG);

    open.send(()).unwrap();
    bench.report(short).assert_finished();
    told.send(()).unwrap();
    bench.report(LONG).assert_finished();

    assert_eq!(*waited.lock(), Some(Ok(())), "the end of the short task came while the long one kept the worker");
}
