//! What the start of a task costs when its module is cached, on one core and on two.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use haggle_core::TaskSpec;
use haggle_executor::{Event, Executor, Meter};
use haggle_kit::guests::compile;
use haggle_kit::wasm;

use super::guests::C_NOOP;
use super::overhead::KERNELS;
use super::proc;
use crate::Effort;
use crate::figure::{Figure, Goal};
use crate::local::{Local, Modules};

/// Tasks in one sample: enough that the waking of a worker at its start does not count, and few enough that the machine
/// stays the same from one sample to the next.
const TASKS: u64 = 5_000;
/// Tasks that are there at once, so that no worker is ever idle.
const AT_ONCE: u64 = 50;

pub(crate) fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let rounds = effort.of(60, 3);
    let mut figures = Vec::new();
    for (name, module, goal) in
        [("no-op in C", compile(C_NOOP), 15.0), ("hello in Rust with std", std::fs::read(wasm("hello"))?, 35.0)]
    {
        let (one, two) = (Flow::start(1, &module)?, Flow::start(2, &module)?);
        let (mut cpu, mut dearer, mut scaling) = (Vec::new(), Vec::new(), Vec::new());
        let (mut threads, mut of_threads) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let alone = one.run(TASKS)?;
            let together = two.run(TASKS)?;
            cpu.push(alone.cpu.as_secs_f64() * 1e6 / TASKS as f64);
            dearer.push(together.cpu.as_secs_f64() / alone.cpu.as_secs_f64());
            let (workers, plain) = (alone.wall.as_secs_f64() / together.wall.as_secs_f64(), plain_threads());
            scaling.push(workers);
            threads.push(plain);
            of_threads.push(workers / plain);
        }
        let named = |what: &str| format!("cached {name}, executor only: {what}");
        figures.push(Figure::new(named("CPU of the process for each"), "µs", Goal::Below(goal), cpu));
        figures.push(Figure::new(named("CPU for each with 2 workers over 1"), "times", Goal::Reported, dearer));
        figures.push(Figure::new(named("tasks/s of 2 workers over 1"), "times", Goal::AtLeast(1.7), scaling));
        figures.push(Figure::new(
            "… work/s of 2 plain threads over 1 at the same time, which share nothing",
            "times",
            Goal::Reported,
            threads,
        ));
        let name = "… scaling of 2 workers as a part of that of 2 plain threads";
        figures.push(Figure::new(name, "times", Goal::Reported, of_threads));
    }
    figures.push(Figure::new(
        "… one no-op in C at a time, launch to end, with two threads woken",
        "µs",
        Goal::Reported,
        one_by_one(effort.of(10_000, 500))?,
    ));
    Ok(figures)
}

/// How much more two threads do in the same time than one, of work that shares nothing: what this machine gives now.
fn plain_threads() -> f64 {
    const ROUNDS: u64 = 2;
    let work = || {
        for kernel in KERNELS {
            black_box((kernel.work)(black_box(ROUNDS)));
        }
    };
    let began = Instant::now();
    work();
    let alone = began.elapsed();
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    2.0 * alone.as_secs_f64() / began.elapsed().as_secs_f64()
}

/// Microseconds from launch to end, as whoever launches sees it.
pub(super) fn one_by_one(tasks: usize) -> anyhow::Result<Vec<f64>> {
    let mut local = Local::start(1, 10)?;
    let noop = local.task(&compile(C_NOOP))?;
    local.run(&noop)?;
    let times = (0..tasks).map(|_| {
        let began = Instant::now();
        local.run(&noop)?;
        Ok(began.elapsed().as_secs_f64() * 1e6)
    });
    times.collect()
}

/// An executor whose tasks follow each other without a thread of ours: whoever hears of an end launches the next.
struct Flow {
    shared: Arc<Shared>,
    over: Receiver<Instant>,
}

struct Shared {
    executor: OnceLock<Executor>,
    modules: Modules,
    spec: TaskSpec,
    launched: AtomicU64,
    ended: AtomicU64,
    /// The number of tasks after which a run is over.
    last: AtomicU64,
    over: Sender<Instant>,
}

/// What a run took.
struct Taken {
    wall: Duration,
    cpu: Duration,
}

impl Flow {
    fn start(workers: usize, module: &[u8]) -> anyhow::Result<Self> {
        let mut modules = Modules::new(Meter::default())?;
        let spec = modules.task(module)?;
        let (sender, over) = channel();
        let shared = Arc::new(Shared {
            executor: OnceLock::new(),
            modules,
            spec,
            launched: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            last: AtomicU64::new(0),
            over: sender,
        });
        let heard = Arc::clone(&shared);
        let executor = shared.modules.executor(workers, 2 * AT_ONCE as usize, move |event| heard.hear(&event))?;
        shared.executor.get_or_init(|| executor);
        let flow = Self { shared, over };
        // The first ones compile the module and warm the pool.
        flow.run(10 * AT_ONCE)?;
        Ok(flow)
    }

    fn run(&self, tasks: u64) -> anyhow::Result<Taken> {
        let shared = &self.shared;
        let (cpu, began) = (proc::cpu(), Instant::now());
        shared.last.fetch_add(tasks, Ordering::SeqCst);
        for _ in 0..AT_ONCE.min(tasks) {
            shared.launch_next();
        }
        let over = self.over.recv()?;
        Ok(Taken { wall: over - began, cpu: proc::cpu() - cpu })
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        if let Some(executor) = self.shared.executor.get() {
            executor.shutdown();
        }
    }
}

impl Shared {
    fn launch_next(&self) {
        let last = self.last.load(Ordering::SeqCst);
        let next = |launched: u64| (launched < last).then_some(launched + 1);
        let Ok(number) = self.launched.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next) else { return };
        if let Some(executor) = self.executor.get() {
            executor.launch(self.modules.launch(&self.spec, number));
        }
    }

    fn hear(&self, event: &Event) {
        if !matches!(event, Event::Ended { .. }) {
            return;
        }
        let ended = self.ended.fetch_add(1, Ordering::SeqCst) + 1;
        if ended == self.last.load(Ordering::SeqCst) {
            // The receiver is gone only when the measurement is over.
            let _ = self.over.send(Instant::now());
        } else {
            self.launch_next();
        }
    }
}
