//! Tasks that sleep: how large they are, and how quickly many of them start.

use std::thread;
use std::time::{Duration, Instant};

use haggle_core::{Bytes, MilliCpu};
use haggle_kit::guests::compile;

use super::guests::sleeper;
use super::proc;
use crate::Effort;
use crate::figure::{Figure, Goal};
use crate::local::Local;

/// In one executor.
const TASKS: usize = 10_000;
const AN_HOUR: u64 = 3_600_000_000_000;

pub(crate) fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let tasks = effort.of(TASKS, TASKS / 10);
    let (mut started, mut sizes) = (Vec::new(), Vec::new());
    for round in 0..effort.of(3, 1) {
        let mut local = Local::start(2, tasks + 1)?;
        let mut spec = local.task(&compile(&sleeper(AN_HOUR)))?;
        spec.resources.cpus = MilliCpu::new(1);
        // A start that takes a moment longer than usual is not to wait for its share of two crowded cores.
        spec.sharing.burst = MilliCpu::from_cores(1);
        spec.resources.mem = Bytes::from_mib(1);
        local.launch(&spec);
        local.started(1)?;

        let pid = std::process::id();
        let before = proc::held(pid);
        let began = Instant::now();
        for _ in 0..tasks {
            local.launch(&spec);
        }
        local.started(tasks)?;
        started.push(began.elapsed().as_secs_f64());
        wait_until_idle();
        match (before, proc::held(pid)) {
            // Later rounds live in part from memory that the first has left.
            _ if round > 0 => {}
            (Ok(before), Ok(after)) => {
                sizes.push(after.get().saturating_sub(before.get()) as f64 / 1024.0 / tasks as f64);
            }
            (Err(error), _) | (_, Err(error)) => proc::skipped("the size of suspended tasks", error),
        }
        local.executor.shutdown();
    }
    let mut figures = vec![Figure::new(
        format!("{tasks} tasks that sleep, one executor: until the last has started"),
        "s",
        Goal::Below(1.0),
        started,
    )];
    if !sizes.is_empty() {
        let name = "… memory of each, with page tables";
        figures.push(Figure::new(name, "KiB", Goal::Below(32.0), sizes));
    }
    Ok(figures)
}

/// Tasks that have started are not asleep yet. They are when this process no longer computes.
fn wait_until_idle() {
    loop {
        let before = proc::cpu();
        thread::sleep(Duration::from_millis(100));
        if proc::cpu() - before < Duration::from_millis(2) {
            return;
        }
    }
}
