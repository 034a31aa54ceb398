//! Tasks that take all the memory they are promised and ask for more: what their process holds.

use haggle_core::{Bytes, TaskSpec};
use haggle_executor::Event;
use haggle_kit::guests::compile;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use super::guests::HOG;
use super::proc;
use crate::Effort;
use crate::figure::{Figure, Goal};
use crate::local::Local;

const HOGS: usize = 500;
const PROMISE: Bytes = Bytes::from_mib(64);

/// What of the free memory of this machine may be promised, since every byte of it is touched.
const PART: u64 = 3;

pub(crate) fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let all = effort.of(HOGS, 20);
    let at_once = usize::try_from(available()? / PART / PROMISE.get())?.clamp(1, all);
    let mut local = Local::start(2, at_once)?;
    let mut spec = local.task(&compile(HOG))?;
    spec.resources.mem = PROMISE;

    let (mut parts, mut left) = (Vec::new(), all);
    while left > 0 {
        let wave = at_once.min(left);
        hold(&mut local, &spec, wave)?;
        // The last wave may be a small one.
        if wave == at_once {
            match proc::memory(std::process::id(), "status", "VmHWM") {
                Ok(peak) => parts.push(peak.get() as f64 / (PROMISE.get() * at_once as u64) as f64 * 100.0),
                Err(error) => proc::skipped("the memory of hogs", error),
            }
        }
        left -= wave;
    }
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let promised = Bytes::new(PROMISE.get() * at_once as u64);
    let name = format!(
        "{all} hogs of {PROMISE}, {at_once} at once, every byte of {promised} touched: most that the process ever held"
    );
    Ok(vec![Figure::new(name, "% of the sum", Goal::AllBelow(105.0), parts)])
}

/// Runs so many until each holds what it can get, and kills them.
fn hold(local: &mut Local, spec: &TaskSpec, hogs: usize) -> anyhow::Result<()> {
    let ids: Vec<_> = (0..hogs).map(|_| local.launch(spec)).collect();
    let mut full = 0;
    while full < hogs {
        match local.event()? {
            Event::Output { .. } => full += 1,
            Event::Started { .. } => {}
            Event::Ended { task, ending } => anyhow::bail!("{task} ended early: {ending:?}"),
        }
    }
    ids.into_iter().for_each(|id| local.executor.kill(id));
    for (task, ending) in local.ended(hogs)? {
        let most = ending.usage.peak_mem;
        anyhow::ensure!(most <= PROMISE, "{task} held {most}");
        anyhow::ensure!(most.get() * 10 > PROMISE.get() * 9, "{task} took {most} only");
    }
    Ok(())
}

/// Bytes that programs may still take.
fn available() -> anyhow::Result<u64> {
    let wanted = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    Ok(System::new_with_specifics(wanted)?.available_memory())
}
