//! The same no-op, the same idle program and the same work as a process, under bubblewrap, and in a container.

mod kernels;
mod peer;
mod place;

use std::process::{Command, Stdio};
use std::time::Instant;

use haggle_core::Bytes;

use super::proc;
use super::start::one_by_one;
use crate::figure::{Figure, Goal};
use crate::{Effort, Group, command};

use peer::{Peer, Wall};
use place::Place;

/// Idle ones that are there at once, so that what they share is counted once.
const IDLE: usize = 10;

pub(crate) fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let alone = one_by_one(effort.of(5_000, 500))?.into_iter().map(|micros| micros / 1e3).collect();
    let mut figures = vec![Figure::new(START.to_owned() + "a task, executor alone", "ms", Goal::Reported, alone)];
    match Place::new() {
        Ok(place) => {
            let peers =
                [Peer::Process, Peer::Bubblewrap(Wall::Root), Peer::Bubblewrap(Wall::All), Peer::Runtime("runc")];
            figures.extend(rows(&place, &peers, effort));
            figures.extend(kernels::rows(&place, &peers, effort)?);
            figures.extend(kernels::tasks(&place, effort)?);
        }
        Err(error) => proc::skipped("peers", format!("{error:#}")),
    }
    crun(effort)?;
    Ok(figures)
}

const START: &str = "start to end of a no-op: ";

/// A row of latency and one of memory for each peer that is here.
fn rows(place: &Place, peers: &[Peer], effort: Effort) -> Vec<Figure> {
    let mut figures = Vec::new();
    for peer in peers {
        match starts(place, peer, effort) {
            Ok(samples) => figures.push(Figure::new(format!("{START}{peer}"), "ms", Goal::Reported, samples)),
            Err(error) => proc::skipped(&peer.to_string(), format!("{error:#}")),
        }
    }
    for peer in peers {
        match idle(place, peer) {
            Ok(size) => {
                let size = size.get() as f64 / 1024.0;
                let name = format!("memory of one that waits, with page tables: {peer}");
                figures.push(Figure::new(name, "KiB", Goal::Reported, vec![size]));
            }
            Err(error) => proc::skipped(&format!("memory of {peer}"), format!("{error:#}")),
        }
    }
    figures
}

/// Milliseconds from the start of the first process to the end of the last.
fn starts(place: &Place, peer: &Peer, effort: Effort) -> anyhow::Result<Vec<f64>> {
    let samples = match peer {
        Peer::Runtime(_) => effort.of(30, 3),
        Peer::Process | Peer::Bubblewrap(_) => effort.of(300, 10),
    };
    let mut times = Vec::with_capacity(samples);
    for number in 0..=samples {
        let mut command = peer.run(place, "noop", &[], number)?;
        let began = Instant::now();
        let output = command.stdin(Stdio::null()).output()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{}: {}", output.status, said.trim());
    }
    // The first one brings the programs into memory.
    times.remove(0);
    Ok(times)
}

/// What one of several that wait holds in memory, with all the processes that keep it there.
fn idle(place: &Place, peer: &Peer) -> anyhow::Result<Bytes> {
    let waiting = (0..IDLE).map(|number| peer.idle(place, number)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut sum = 0;
    for pid in waiting.iter().flat_map(peer::Idle::pids) {
        sum += proc::held(pid)?.get();
    }
    Ok(Bytes::new(sum / IDLE as u64))
}

/// Where cgroups of both versions are mounted side by side, as here, crun refuses to start. It is measured in a mount
/// namespace of its own, in which those of version 2 are not.
fn crun(effort: Effort) -> anyhow::Result<()> {
    const UNIFIED: &str = "/sys/fs/cgroup/unified";
    let mut measuring = command(Group::Crun, effort.quick)?;
    if std::path::Path::new(UNIFIED).exists() {
        let mut outside = Command::new("unshare");
        outside.args(["--mount", "sh", "-c", &format!("umount {UNIFIED} && exec \"$0\" \"$@\"")]);
        outside.arg(measuring.get_program()).args(measuring.get_args());
        measuring = outside;
    }
    match measuring.status() {
        Ok(status) if status.success() => {}
        Ok(status) => proc::skipped("crun", status),
        Err(error) => proc::skipped("crun", error),
    }
    Ok(())
}

pub(crate) fn measure_crun(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let (place, peers) = (Place::new()?, [Peer::Runtime("crun")]);
    let mut figures = rows(&place, &peers, effort);
    figures.extend(kernels::rows(&place, &peers, effort)?);
    Ok(figures)
}
