//! What it costs a guest that it can be stopped, and what it costs that it is held to a rate, over ten kernels.

use std::hint::black_box;
use std::time::Duration;

use haggle_core::MilliCpu;
use haggle_executor::bare::Bare;
use haggle_executor::{Meter, rewrite};
use haggle_kit::wasm;

use super::proc;
use crate::Effort;
use crate::figure::{Figure, Goal, geometric_mean, median};
use crate::local::Local;

#[path = "../../../examples/tasks/kernels/src/work.rs"]
mod work;

pub(super) use work::{KERNELS, Kernel};

/// A task alone, held below its ceiling.
const ALONE: Held = Held { tasks: 1, ceiling: MilliCpu::new(900) };
/// Tasks side by side on one worker: each is held below its ceiling and makes room for the other.
const PAIR: Held = Held { tasks: 2, ceiling: MilliCpu::new(450) };

/// The turns that a pair gets while it computes, as a plain loop gives them: what is dearer than that is dear for the
/// scheduler's sake, what is dearer than one guest alone is so because two use one cache.
const TURN: Duration = Duration::from_millis(12);

pub(crate) fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let module = std::fs::read(wasm("kernels"))?;
    let off = Bare::compile(&module, None)?;
    let mut meters = [Metered::start(Meter::Fuel, &module)?, Metered::start(Meter::Epochs, &module)?];

    let mut unmetered = Vec::new();
    for kernel in KERNELS {
        let work = Work { kernel, rounds: effort.of(40, 5) };
        let (mut over_native, mut samples) = (Vec::new(), [Vec::new(), Vec::new()]);
        // In turn, so that the machine's mood touches all alike.
        for _ in 0..effort.of(11, 1) {
            let (native, off) = (work.native(), work.on(&off)?);
            over_native.push(ratio(off, native));
            for (meter, samples) in meters.iter_mut().zip(&mut samples) {
                samples.push(meter.sample(&work, off)?);
            }
        }
        unmetered.push(median(&over_native));
        let rows: Vec<String> = meters.iter_mut().zip(&samples).map(|(meter, samples)| meter.keep(samples)).collect();
        eprintln!("{}: over native {:.2}; {}", kernel.name, median(&over_native), rows.join("; "));
    }

    let mut figures = rows("WebAssembly without a meter over native code", Goal::Reported, unmetered);
    for meter in meters {
        figures.extend(meter.figures());
    }
    Ok(figures)
}

/// All kernels in one figure, and each in another.
fn rows(name: &str, goal: Goal, ratios: Vec<f64>) -> Vec<Figure> {
    let mean = format!("{name}, CPU time over ten kernels, geometric mean");
    vec![
        Figure::new(mean, "times", goal, vec![geometric_mean(&ratios)]),
        Figure::new("… each kernel", "times", Goal::Reported, ratios),
    ]
}

fn ratio(of: Duration, to: Duration) -> f64 {
    of.as_secs_f64() / to.as_secs_f64()
}

/// Everything with guests in one form.
struct Metered {
    meter: Meter,
    /// The module as it was given.
    given: Bare,
    /// As an executor gets it.
    bare: Bare,
    alone: Controlled,
    pair: Controlled,
    /// Of each kernel.
    ratios: [Vec<f64>; COMPARED.len()],
}

/// What is compared with what, and what it must come to.
const COMPARED: [(&str, Goal); 5] = [
    ("the meter alone over none, the module as it was given", Goal::Reported),
    ("the meter alone over none, the module as Haggle compiles it", Goal::Reported),
    ("one task of 0.9 cpus over a plain loop", Goal::Below(1.05)),
    ("two tasks of 0.45 cpus on one worker over two plain loops that take turns", Goal::Below(1.05)),
    ("two tasks of 0.45 cpus on one worker over a plain loop alone", Goal::Reported),
];

impl Metered {
    fn start(meter: Meter, module: &[u8]) -> anyhow::Result<Self> {
        let given = Bare::compile(module, Some(meter))?;
        let bare = Bare::compile(&rewrite(module), Some(meter))?;
        let (alone, pair) = (Controlled::start(meter, module, ALONE)?, Controlled::start(meter, module, PAIR)?);
        Ok(Self { meter, given, bare, alone, pair, ratios: Default::default() })
    }

    /// In one round, with what it took without a meter.
    fn sample(&mut self, work: &Work, off: Duration) -> anyhow::Result<[f64; COMPARED.len()]> {
        let (given, bare) = (work.on(&self.given)?, work.on(&self.bare)?);
        let turns = work.in_turns(&self.bare)?;
        let (alone, pair) = (self.alone.run(work)?, self.pair.run(work)?);
        Ok([ratio(given, off), ratio(bare, off), ratio(alone, bare), ratio(pair, turns), ratio(pair, bare)])
    }

    /// Keeps a kernel's ratios, and says them.
    fn keep(&mut self, samples: &[[f64; COMPARED.len()]]) -> String {
        let medians = self.ratios.iter_mut().enumerate().map(|(which, ratios)| {
            let rounds: Vec<f64> = samples.iter().map(|sample| sample[which]).collect();
            ratios.push(median(&rounds));
            format!("{:.2}", median(&rounds))
        });
        format!("by {:?} {}", self.meter, medians.collect::<Vec<_>>().join(", "))
    }

    fn figures(self) -> Vec<Figure> {
        let meter = format!("{:?}", self.meter).to_lowercase();
        let named = |((name, goal), ratios)| rows(&format!("preempted by {meter}: {name}"), goal, ratios);
        COMPARED.into_iter().zip(self.ratios).flat_map(named).collect()
    }
}

/// What is done in one sample.
pub(super) struct Work {
    pub(super) kernel: Kernel,
    pub(super) rounds: u64,
}

impl Work {
    /// As code of this program.
    fn native(&self) -> Duration {
        let began = proc::cpu();
        black_box((self.kernel.work)(black_box(self.rounds)));
        proc::cpu() - began
    }

    fn on(&self, bare: &Bare) -> anyhow::Result<Duration> {
        Ok(bare.run(&self.args().each_ref().map(String::as_str))?)
    }

    /// As a pair that nobody holds to a rate; what one of them took.
    fn in_turns(&self, bare: &Bare) -> anyhow::Result<Duration> {
        let args = self.args();
        let taken = bare.run_in_turns(&args.each_ref().map(String::as_str), PAIR.tasks, TURN)?;
        Ok(taken / PAIR.tasks as u32)
    }

    fn args(&self) -> [String; 3] {
        ["kernels".to_owned(), self.kernel.name.to_owned(), self.rounds.to_string()]
    }
}

/// So many tasks, each below this ceiling.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub(super) tasks: usize,
    pub(super) ceiling: MilliCpu,
}

/// An executor with one worker that holds tasks to their rate.
pub(super) struct Controlled {
    local: Local,
    spec: haggle_core::TaskSpec,
    tasks: usize,
}

impl Controlled {
    pub(super) fn start(meter: Meter, module: &[u8], Held { tasks, ceiling }: Held) -> anyhow::Result<Self> {
        let mut local = Local::metered(meter, 1, tasks)?;
        let mut spec = local.task(module)?;
        spec.resources.cpus = ceiling;
        spec.resources.mem = haggle_core::Bytes::from_mib(64);
        let mut controlled = Self { local, spec, tasks };
        // The first task loads the module.
        controlled.run(&Work { kernel: KERNELS[0], rounds: 1 })?;
        Ok(controlled)
    }

    /// CPU time that this process uses for each task, whoever in it uses it.
    pub(super) fn run(&mut self, work: &Work) -> anyhow::Result<Duration> {
        self.spec.args = work.args()[1..].to_vec();
        let began = proc::cpu();
        for _ in 0..self.tasks {
            self.local.launch(&self.spec);
        }
        for (_, ending) in self.local.ended(self.tasks)? {
            anyhow::ensure!(ending.exit_code == Some(0), "{} ended as {ending:?}", work.kernel.name);
        }
        Ok((proc::cpu() - began) / self.tasks as u32)
    }
}
