//! CPU time of the same ten kernels as a process, behind walls of other kinds, and as a task.

use std::process::Stdio;

use anyhow::Context;
use haggle_core::Bytes;
use haggle_executor::Meter;
use haggle_kit::wasm;

use super::peer::Peer;
use super::place::Place;
use crate::Effort;
use crate::executor::overhead::{KERNELS, Kernel};
use crate::executor::proc;
use crate::figure::{Figure, Goal, geometric_mean, median};
use crate::local::Local;

/// A row for each peer that is here.
pub(super) fn rows(place: &Place, peers: &[Peer], effort: Effort) -> anyhow::Result<Vec<Figure>> {
    if let Err(error) = place.compile_kernels() {
        proc::skipped("work of peers", format!("{error:#}"));
        return Ok(Vec::new());
    }
    let mut figures = Vec::new();
    for peer in peers.iter().filter(|peer| !matches!(peer, Peer::Process)) {
        let mut number = 0;
        let mut run = |kernel: &Kernel, rounds: &str| {
            number += 1;
            process(place, peer, kernel, rounds, number)
        };
        match over_process(place, effort, &mut run) {
            Ok(ratios) => figures.push(figure(&peer.to_string(), &ratios)),
            Err(error) => proc::skipped(&format!("work of {peer}"), format!("{error:#}")),
        }
    }
    Ok(figures)
}

/// A row for each form of a task, a whole cpu to itself.
pub(super) fn tasks(place: &Place, effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let module = std::fs::read(wasm("kernels"))?;
    let mut figures = Vec::new();
    for meter in [Meter::Fuel, Meter::Epochs] {
        let mut local = Local::metered(meter, 1, 1)?;
        let mut spec = local.task(&module)?;
        spec.resources.mem = Bytes::from_mib(64);
        let mut run = |kernel: &Kernel, rounds: &str| {
            spec.args = vec![kernel.name.to_owned(), rounds.to_owned()];
            Ok(local.run(&spec)?.usage.cpu.as_secs_f64())
        };
        let name = format!("a task, preempted by {}", format!("{meter:?}").to_lowercase());
        match over_process(place, effort, &mut run) {
            Ok(ratios) => figures.push(figure(&name, &ratios)),
            Err(error) => proc::skipped(&name, format!("{error:#}")),
        }
    }
    Ok(figures)
}

fn figure(peer: &str, ratios: &[f64]) -> Figure {
    let name = format!("CPU time of ten kernels over a process's, geometric mean: {peer}");
    Figure::new(name, "times", Goal::Reported, vec![geometric_mean(ratios)])
}

/// Of each kernel, the median of what `run` takes of CPU time over what a process takes in the same round.
fn over_process(
    place: &Place,
    effort: Effort,
    run: &mut dyn FnMut(&Kernel, &str) -> anyhow::Result<f64>,
) -> anyhow::Result<Vec<f64>> {
    let rounds = effort.of(40, 5).to_string();
    let ratios = KERNELS.iter().map(|kernel| {
        let samples = (0..effort.of(5, 1)).map(|_| {
            let alone = process(place, &Peer::Process, kernel, &rounds, 0)?;
            Ok(run(kernel, &rounds)? / alone)
        });
        Ok(median(&samples.collect::<anyhow::Result<Vec<f64>>>()?))
    });
    ratios.collect()
}

/// Seconds of CPU time, as the program itself says.
fn process(place: &Place, peer: &Peer, kernel: &Kernel, rounds: &str, number: usize) -> anyhow::Result<f64> {
    let mut command = peer.run(place, "kernels", &[kernel.name, rounds], number)?;
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{}: {}", output.status, said.trim());
    let micros: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().context("says no time")?;
    Ok(micros / 1e6)
}
