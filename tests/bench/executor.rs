//! The executor alone: what the start of a task costs when its module is cached.

use std::time::{Duration, Instant};

use haggle_core::{Limits, MilliCpu};
use haggle_kit::guests;

use crate::figure::{Figure, Goal};
use crate::local::Local;

/// Tasks in one sample: enough that the clock's own cost vanishes.
const TASKS: u32 = 2_000;
/// Tasks that wait in line together, so that no thread sleeps between two of them.
const AT_ONCE: u32 = 100;
const SAMPLES: usize = 15;

pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    let mut local = Local::start(1)?;
    let noop = local.store(1, &guests::compile(guests::NOOP))?;
    local.launch(&noop, MilliCpu::from_cores(1), Limits::default());
    local.ended(1)?;

    let (mut alone, mut streamed, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        let began = Instant::now();
        for _ in 0..TASKS {
            local.launch(&noop, MilliCpu::from_cores(1), Limits::default());
            local.ended(1)?;
        }
        alone.push(micros(began.elapsed()));

        let (began, used) = (Instant::now(), process_cpu());
        for _ in 0..TASKS / AT_ONCE {
            for _ in 0..AT_ONCE {
                local.launch(&noop, MilliCpu::from_cores(1), Limits::default());
            }
            local.ended(AT_ONCE as usize)?;
        }
        streamed.push(micros(began.elapsed()));
        cpu.push(micros(process_cpu() - used));
    }
    Ok(vec![
        Figure::new("cached no-op, executor only: each of many", "µs", Goal::Below(40.0), streamed),
        Figure::new("… CPU of the whole process for each", "µs", Goal::Below(40.0), cpu),
        Figure::new("… one at a time, launch to end, with two threads woken", "µs", Goal::Reported, alone),
    ])
}

fn micros(all: Duration) -> f64 {
    all.as_secs_f64() * 1e6 / f64::from(TASKS)
}

/// CPU time of this process, all threads.
fn process_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
