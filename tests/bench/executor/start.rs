//! What the start of a task costs when its module is cached, on one core and on two.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use haggle_core::TaskSpec;
use haggle_executor::{Event, Executor, Meter};
use haggle_kit::guests::compile;
use haggle_kit::wasm;

use super::guests::C_NOOP;
use super::proc;
use crate::figure::{Figure, Goal};
use crate::local::{Local, Modules};
use crate::{Effort, Group, command};

/// Tasks of each worker in one sample: enough that the waking of a worker at its start does not count, and few enough
/// that the machine stays the same from one sample to the next.
const TASKS: u64 = 5_000;
/// Tasks that are there at once, so that no worker is ever idle.
const AT_ONCE: u64 = 50;

pub(crate) fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let rounds = effort.of(100, 3);
    let mut figures = Vec::new();
    for (which, name, goal) in [(C, "no-op in C", 15.0), (RUST, "hello in Rust with std", 35.0)] {
        let module = module(which)?;
        let (one, two) = (Flow::start(1, &module)?, Flow::start(2, &module)?);
        let mut other = Other::start(which, effort)?;
        let (mut cpu, mut dearer, mut scaling) = (Vec::new(), Vec::new(), Vec::new());
        let (mut apart, mut of_apart) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let alone = one.run(TASKS)?;
            let together = two.run(2 * TASKS)?;
            cpu.push(alone.cpu.as_secs_f64() * 1e6 / TASKS as f64);
            dearer.push(together.cpu.as_secs_f64() / (2.0 * alone.cpu.as_secs_f64()));
            let workers = 2.0 * alone.wall.as_secs_f64() / together.wall.as_secs_f64();
            let processes = 2.0 * alone.wall.as_secs_f64() / other.run_beside(&one)?.as_secs_f64();
            scaling.push(workers);
            apart.push(processes);
            of_apart.push(workers / processes);
        }
        let named = |what: &str| format!("cached {name}, executor only: {what}");
        figures.push(Figure::new(named("CPU of the process for each"), "µs", Goal::Below(goal), cpu));
        figures.push(Figure::new(named("CPU for each with 2 workers over 1"), "times", Goal::Reported, dearer));
        figures.push(Figure::new(named("tasks/s of 2 workers over 1"), "times", Goal::AtLeast(1.7), scaling));
        figures.push(Figure::new(
            named("tasks/s of 2 processes of 1 worker, which share nothing, over 1"),
            "times",
            Goal::Reported,
            apart,
        ));
        figures.push(Figure::new("… 2 workers over 2 such processes", "times", Goal::Reported, of_apart));
    }
    figures.push(Figure::new(
        "… one no-op in C at a time, launch to end, with two threads woken",
        "µs",
        Goal::Reported,
        one_by_one(effort.of(10_000, 500))?,
    ));
    Ok(figures)
}

/// Names of the two modules.
const C: &str = "c";
const RUST: &str = "rust";

fn module(which: &str) -> anyhow::Result<Vec<u8>> {
    if which == C { Ok(compile(C_NOOP)) } else { Ok(std::fs::read(wasm("hello"))?) }
}

/// An executor with one worker in a process of its own, which does the same at the same time: what this machine gives to
/// two that share nothing.
struct Other {
    process: Child,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Other {
    fn start(which: &str, effort: Effort) -> anyhow::Result<Self> {
        let mut process = command(Group::Other, effort.quick)?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let answers = BufReader::new(process.stdout.take().context("it was asked for")?).lines();
        let mut other = Self { process, answers };
        other.say(which)?;
        Ok(other)
    }

    /// Until both are over.
    fn run_beside(&mut self, flow: &Flow) -> anyhow::Result<Duration> {
        self.say("run")?;
        let here = flow.run(TASKS)?.wall;
        let there = self.answers.next().context("the other process is gone")??;
        Ok(here.max(Duration::from_micros(there.parse()?)))
    }

    fn say(&mut self, line: &str) -> anyhow::Result<()> {
        let to = self.process.stdin.as_mut().context("it was asked for")?;
        Ok(writeln!(to, "{line}")?)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It ends when nobody speaks to it any more.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Is the other process: hears of a module, and then runs it whenever it is told to.
pub(crate) fn be_the_other() -> anyhow::Result<Vec<Figure>> {
    let mut lines = std::io::stdin().lines();
    let which = lines.next().context("nobody says which module")??;
    let flow = Flow::start(1, &module(&which)?)?;
    for line in lines {
        line?;
        println!("{}", flow.run(TASKS)?.wall.as_micros());
    }
    Ok(Vec::new())
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
    /// The number of tasks after which a run is over.
    last: AtomicU64,
    over: Sender<Instant>,
    launched: Counter,
    ended: Counter,
}

/// Alone in its lines of the cache: the workers write to it, and read what is beside it.
#[repr(align(128))]
struct Counter(AtomicU64);

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
            last: AtomicU64::new(0),
            over: sender,
            launched: Counter(AtomicU64::new(0)),
            ended: Counter(AtomicU64::new(0)),
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
        let Ok(number) = self.launched.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next) else { return };
        if let Some(executor) = self.executor.get() {
            executor.launch(self.modules.launch(&self.spec, number));
        }
    }

    fn hear(&self, event: &Event) {
        if !matches!(event, Event::Ended { .. }) {
            return;
        }
        let ended = self.ended.0.fetch_add(1, Ordering::SeqCst) + 1;
        if ended == self.last.load(Ordering::SeqCst) {
            // The receiver is gone only when the measurement is over.
            let _ = self.over.send(Instant::now());
        } else {
            self.launch_next();
        }
    }
}
