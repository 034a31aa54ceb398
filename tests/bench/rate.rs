//! Two tasks that never rest, side by side: the CPU time each gets against its quota.

use std::time::Duration;

use haggle_core::{Limits, MilliCpu};
use haggle_kit::guests;

use crate::figure::{Figure, Goal};
use crate::local::Local;

const WINDOW: Duration = Duration::from_secs(5);
const ROUNDS: usize = 3;
const QUOTAS: [u64; 2] = [250, 750];

pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    let mut local = Local::start(2)?;
    let spinner = local.store(2, &guests::compile(guests::LOOP))?;
    let mut errors = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let limits = Limits { time: Some(WINDOW), ..Limits::default() };
        let tasks = QUOTAS.map(|quota| local.launch(&spinner, MilliCpu::new(quota), limits.clone()));
        let mut left = tasks.len();
        while left > 0 {
            let haggle_executor::Event::Ended { task, ending } = local.events.recv()? else { continue };
            let which = tasks.iter().position(|&id| id == task).expect("only these tasks run");
            let quota = ending.usage.wall.as_secs_f64() * QUOTAS[which] as f64 / 1000.0;
            errors[which].push((ending.usage.cpu.as_secs_f64() / quota - 1.0).abs() * 100.0);
            left -= 1;
        }
    }
    Ok(QUOTAS
        .into_iter()
        .zip(errors)
        .map(|(quota, errors)| {
            let name =
                format!("a spinner with {} beside the other, 5 s: error against its quota", MilliCpu::new(quota));
            Figure::new(name, "%", Goal::Below(1.0), errors)
        })
        .collect())
}
