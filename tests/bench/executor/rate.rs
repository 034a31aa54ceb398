//! Tasks that never rest: the CPU time each gets against its quota, and against its neighbours'.

use std::time::Duration;

use haggle_core::{MilliCpu, TaskSpec};
use haggle_kit::guests::{LOOP, compile};

use super::guests::sleeper;
use crate::Effort;
use crate::figure::{Figure, Goal};
use crate::local::Local;

/// Two cores hold all of them, and are then nine tenths full.
const QUOTAS: [u64; 5] = [50, 100, 250, 500, 900];
const WORKERS: usize = 2;

const SLEEPERS: usize = 1_000;
/// Each of them wakes this often.
const NAP: Duration = Duration::from_secs(1);

const WEIGHTS: [u64; 3] = [1, 2, 4];

/// More than a set, its sleepers, and one that compiles the modules.
const MAX_TASKS: usize = 2 * SLEEPERS;

pub(crate) fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let window = effort.of(Duration::from_secs(5), Duration::from_millis(500));
    let rounds = effort.of(3, 1);
    let mut figures = Vec::new();

    let mut local = Local::start(WORKERS, MAX_TASKS)?;
    let spinner = spinner(&mut local, window)?;
    for quota in QUOTAS {
        let errors = (0..rounds).map(|_| Ok(errors(&mut local, &spinner, &[quota])?[0]));
        figures.push(figure(quota, "alone", errors.collect::<anyhow::Result<_>>()?));
    }
    figures.extend(together(&mut local, &spinner, &QUOTAS, "beside the other four", rounds)?);
    figures.extend(together(&mut local, &spinner, &[250, 750], "beside the other one", rounds)?);

    let mut napper = local.task(&compile(&sleeper(u64::try_from(NAP.as_nanos())?)))?;
    napper.resources.cpus = MilliCpu::new(1);
    let nappers: Vec<_> = (0..SLEEPERS).map(|_| local.launch(&napper)).collect();
    local.started(SLEEPERS)?;
    figures.extend(together(&mut local, &spinner, &QUOTAS, "beside the other four and 1,000 sleepers", rounds)?);
    nappers.into_iter().for_each(|id| local.executor.kill(id));
    drop(local);

    figures.extend(weights(window, rounds)?);
    Ok(figures)
}

/// A task that computes for so long and is then stopped.
fn spinner(local: &mut Local, window: Duration) -> anyhow::Result<TaskSpec> {
    let mut spec = local.task(&compile(LOOP))?;
    let first = local.launch(&spec);
    local.executor.kill(first);
    local.ended(1)?;
    spec.limits.time = Some(window);
    Ok(spec)
}

fn figure(quota: u64, where_: &str, errors: Vec<f64>) -> Figure {
    let name = format!("a spinner with {} {where_}: error against its quota", MilliCpu::new(quota));
    Figure::new(name, "%", Goal::Below(0.5), errors)
}

/// A row for each of these, side by side.
fn together(
    local: &mut Local,
    spinner: &TaskSpec,
    quotas: &[u64],
    where_: &str,
    rounds: usize,
) -> anyhow::Result<Vec<Figure>> {
    let samples = (0..rounds).map(|_| errors(local, spinner, quotas)).collect::<anyhow::Result<Vec<_>>>()?;
    let row = |(which, &quota)| figure(quota, where_, samples.iter().map(|round: &Vec<f64>| round[which]).collect());
    Ok(quotas.iter().enumerate().map(row).collect())
}

/// How far each of these, run at once, is off its quota of the wall-clock time: percent of the quota.
fn errors(local: &mut Local, spinner: &TaskSpec, quotas: &[u64]) -> anyhow::Result<Vec<f64>> {
    let tasks: Vec<_> = quotas.iter().map(|&quota| with_cpus(spinner, quota)).collect();
    let used = run(local, &tasks)?;
    let error = |(&quota, (cpu, wall)): (&u64, &(f64, f64))| (cpu / (wall * quota as f64 / 1000.0) - 1.0).abs() * 100.0;
    Ok(quotas.iter().zip(&used).map(error).collect())
}

fn with_cpus(spec: &TaskSpec, milli: u64) -> TaskSpec {
    let mut spec = spec.clone();
    spec.resources.cpus = MilliCpu::new(milli);
    spec
}

/// Seconds of CPU and of wall-clock time of each, run at once.
fn run(local: &mut Local, tasks: &[TaskSpec]) -> anyhow::Result<Vec<(f64, f64)>> {
    let ids: Vec<_> = tasks.iter().map(|task| local.launch(task)).collect();
    let mut used = vec![(0.0, 0.0); ids.len()];
    for (id, ending) in local.ended(ids.len())? {
        let which = ids.iter().position(|&other| other == id);
        let which = which.ok_or_else(|| anyhow::anyhow!("{id} ended, which nobody waits for"))?;
        used[which] = (ending.usage.cpu.as_secs_f64(), ending.usage.wall.as_secs_f64());
    }
    Ok(used)
}

/// Tasks that may each have the whole of the one core, of different weights.
fn weights(window: Duration, rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let mut local = Local::start(1, 10)?;
    let spinner = spinner(&mut local, window)?;
    let tasks = WEIGHTS.map(|weight| {
        let mut spec = spinner.clone();
        spec.sharing.weight = Some(MilliCpu::new(100 * weight));
        spec
    });
    let mut samples = vec![Vec::new(); tasks.len()];
    for _ in 0..rounds {
        let used = run(&mut local, &tasks)?;
        let (all, weights) = (used.iter().map(|(cpu, _)| cpu).sum::<f64>(), WEIGHTS.iter().sum::<u64>() as f64);
        for ((cpu, _), (&weight, samples)) in used.iter().zip(WEIGHTS.iter().zip(&mut samples)) {
            samples.push((cpu / all / (weight as f64 / weights) - 1.0).abs() * 100.0);
        }
    }
    let row = |(weight, errors)| {
        let name = format!("a spinner of weight {weight} on a core with weights 1, 2 and 4: error against its share");
        Figure::new(name, "%", Goal::Below(2.0), errors)
    };
    Ok(WEIGHTS.iter().zip(samples).map(row).collect())
}
