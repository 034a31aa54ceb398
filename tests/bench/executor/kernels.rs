//! What ten kernels take as tasks, in milliseconds: to be compared between builds, as `--against` does.

use haggle_core::MilliCpu;
use haggle_executor::Meter;
use haggle_kit::wasm;

use super::overhead::{Controlled, Held, KERNELS, Work};
use crate::Effort;
use crate::figure::{Figure, Goal, geometric_mean};

/// Alone, with a core: nothing but its meter is between it and its work.
const FREE: Held = Held { tasks: 1, ceiling: MilliCpu::from_cores(1) };

pub(crate) fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let module = std::fs::read(wasm("kernels"))?;
    let mut executor = Controlled::start(Meter::default(), &module, FREE)?;
    let (mut means, mut each) = (Vec::new(), vec![Vec::new(); KERNELS.len()]);
    for _ in 0..effort.of(5, 1) {
        let mut round = Vec::new();
        for (kernel, samples) in KERNELS.into_iter().zip(&mut each) {
            let took = executor.run(&Work { kernel, rounds: effort.of(40, 5) })?.as_secs_f64() * 1e3;
            samples.push(took);
            round.push(took);
        }
        means.push(geometric_mean(&round));
    }
    let mean = Figure::new("ten kernels, each a task: CPU time, geometric mean", "ms", Goal::Reported, means);
    let row = |(kernel, samples): (usize, Vec<f64>)| {
        let name = format!("… {}", KERNELS[kernel].name);
        Figure::new(name, "ms", Goal::Reported, samples)
    };
    Ok([mean].into_iter().chain(each.into_iter().enumerate().map(row)).collect())
}
