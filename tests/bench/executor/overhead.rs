//! What it costs a guest that it can be stopped, and what it costs that it is held to a rate, over ten kernels.

use std::hint::black_box;
use std::time::Duration;

use haggle_core::MilliCpu;
use haggle_executor::Meter;
use haggle_executor::bare::Bare;
use haggle_kit::wasm;

use super::proc;
use crate::Effort;
use crate::figure::{Figure, Goal, geometric_mean, median};
use crate::local::Local;

#[path = "../../../examples/tasks/kernels/src/work.rs"]
mod work;

use work::{KERNELS, Kernel};

/// Tasks side by side on one worker: each is held below its ceiling and makes room for the other.
const TASKS: usize = 2;
const CEILING: MilliCpu = MilliCpu::new(450);

pub(crate) fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let rounds = effort.of(5, 1);
    let module = std::fs::read(wasm("kernels"))?;
    let [off, fuel, epochs] = [
        Bare::compile(&module, None)?,
        Bare::compile(&module, Some(Meter::Fuel))?,
        Bare::compile(&module, Some(Meter::Epochs))?,
    ];
    let mut controlled_fuel = Controlled::start(Meter::Fuel, &module)?;
    let mut controlled_epochs = Controlled::start(Meter::Epochs, &module)?;
    // The first task compiles the module.
    let first = Work { kernel: KERNELS[0], rounds: 1 };
    controlled_fuel.run(&first)?;
    controlled_epochs.run(&first)?;

    let mut ratios: [Vec<f64>; 5] = Default::default();
    for kernel in KERNELS {
        let work = Work { kernel, rounds: effort.of(40, 5) };
        let mut samples: [Vec<f64>; 6] = Default::default();
        // In turn, so that the machine's mood touches all alike.
        for _ in 0..rounds {
            let taken = [
                work.native(),
                work.on(&off)?,
                work.on(&fuel)?,
                work.on(&epochs)?,
                controlled_fuel.run(&work)?,
                controlled_epochs.run(&work)?,
            ];
            taken.iter().zip(&mut samples).for_each(|(taken, samples)| samples.push(taken.as_secs_f64()));
        }
        let pairs = [(1, 0), (2, 1), (3, 1), (4, 2), (5, 3)];
        for ((of, to), ratios) in pairs.into_iter().zip(&mut ratios) {
            // Of each round by itself.
            let rounds: Vec<f64> = samples[of].iter().zip(&samples[to]).map(|(of, to)| of / to).collect();
            ratios.push(median(&rounds));
        }
        let row = ratios.each_ref().map(|ratios| format!("{:.2}", ratios[ratios.len() - 1]));
        eprintln!("{} (native, fuel, epochs, rate over fuel, rate over epochs): {}", kernel.name, row.join(", "));
    }

    let [off, fuel, epochs, controlled_fuel, controlled_epochs] = ratios;
    let mean = |name: &str, goal, ratios: &[f64]| {
        let name = format!("{name}, CPU time over ten kernels, geometric mean");
        Figure::new(name, "times", goal, vec![geometric_mean(ratios)])
    };
    let each = |name: &str, ratios| Figure::new(format!("… {name}, each kernel"), "times", Goal::Reported, ratios);
    Ok(vec![
        mean("WebAssembly without a meter over native code", Goal::Reported, &off),
        each("without a meter over native code", off),
        mean("metering by fuel over none", Goal::Reported, &fuel),
        each("by fuel", fuel),
        mean("metering by epochs over none", Goal::Reported, &epochs),
        each("by epochs", epochs),
        mean("two tasks of 0.45 cpus on one worker over metering by fuel alone", Goal::Below(1.05), &controlled_fuel),
        each("held to a rate, by fuel", controlled_fuel),
        mean(
            "two tasks of 0.45 cpus on one worker over metering by epochs alone",
            Goal::Below(1.05),
            &controlled_epochs,
        ),
        each("held to a rate, by epochs", controlled_epochs),
    ])
}

/// What is done in one sample.
struct Work {
    kernel: Kernel,
    rounds: u64,
}

impl Work {
    /// As code of this program.
    fn native(&self) -> Duration {
        let began = proc::cpu();
        black_box((self.kernel.work)(black_box(self.rounds)));
        proc::cpu() - began
    }

    fn on(&self, bare: &Bare) -> anyhow::Result<Duration> {
        let rounds = self.rounds.to_string();
        Ok(bare.run(&["kernels", self.kernel.name, &rounds])?)
    }
}

/// An executor that holds tasks to their rate.
struct Controlled {
    local: Local,
    spec: haggle_core::TaskSpec,
}

impl Controlled {
    fn start(meter: Meter, module: &[u8]) -> anyhow::Result<Self> {
        let mut local = Local::metered(meter, 1, TASKS)?;
        let mut spec = local.task(module)?;
        spec.resources.cpus = CEILING;
        spec.resources.mem = haggle_core::Bytes::from_mib(64);
        Ok(Self { local, spec })
    }

    /// CPU time that this process uses for each task, whoever in it uses it.
    fn run(&mut self, work: &Work) -> anyhow::Result<Duration> {
        self.spec.args = vec![work.kernel.name.to_owned(), work.rounds.to_string()];
        let began = proc::cpu();
        for _ in 0..TASKS {
            self.local.launch(&self.spec);
        }
        for (_, ending) in self.local.ended(TASKS)? {
            anyhow::ensure!(ending.exit_code == Some(0), "{} ended as {ending:?}", work.kernel.name);
        }
        Ok((proc::cpu() - began) / TASKS as u32)
    }
}
