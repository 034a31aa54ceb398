//! How long a task goes on after its kill.

use std::thread;
use std::time::{Duration, Instant};

use haggle_core::{Bytes, MilliCpu, TaskSpec, TaskState};
use haggle_executor::Event;
use haggle_kit::guests::{LOOP, compile};

use super::guests::{READER, sleeper};
use crate::Effort;
use crate::figure::{Figure, Goal};
use crate::local::Local;

const NEIGHBOURS: usize = 1_000;
const WORKERS: usize = 2;
const AN_HOUR: u64 = 3_600_000_000_000;

const SOON: Goal = Goal::P99Below(20.0);

/// All of its memory, of which no page is there yet, by one operator.
const FILLER: &str = r#"(module (memory (export "memory") 16384) (func (export "_start")
    (memory.fill (i32.const 0) (i32.const 1) (i32.mul (memory.size) (i32.const 65536)))))"#;

/// A GiB, of which each round of a loop touches a page for the first time: that takes two hundred times as long as what
/// is there already, and counts as much fuel.
const TOUCHER: &str = r#"(module (memory (export "memory") 16384) (func (export "_start") (local $at i32)
    (loop $next
      (i32.store8 (local.get $at) (i32.const 1))
      (local.set $at (i32.add (local.get $at) (i32.const 4096)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 0x3ffff000))))
    (loop $for_ever (br $for_ever))))"#;

/// Half a GiB, walked through at random: nearly every load misses all caches.
const WALKER: &str = r#"(module (memory (export "memory") 8192) (func (export "_start") (local $at i64)
    (loop $next
      (local.set $at (i64.add (i64.mul (local.get $at) (i64.const 6364136223846793005)) (i64.const 1442695040888963407)))
      (drop (i32.load8_u (i32.wrap_i64 (i64.shr_u (local.get $at) (i64.const 35)))))
      (br $next))))"#;

pub(crate) fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let kills = effort.of(300, 20);
    let mut local = Local::start(WORKERS, 2 * NEIGHBOURS)?;
    let spinner = local.task(&compile(LOOP))?;
    let asleep = local.task(&compile(&sleeper(AN_HOUR)))?;
    let mut reader = local.task(&compile(READER))?;
    reader.resources.disk = Bytes::from_mib(1);

    let mut figures = Vec::new();
    let mut row = |local: &mut Local, name: &str, goal: Goal, spec: &TaskSpec| -> anyhow::Result<()> {
        figures.push(Figure::new(format!("kill to stopped: {name}"), "ms", goal, delays(local, spec, kills)?));
        Ok(())
    };
    row(&mut local, "a loop", SOON, &spinner)?;
    row(&mut local, "asleep", SOON, &asleep)?;
    row(&mut local, "reads a file again and again", SOON, &reader)?;
    let mut filler = local.task(&compile(FILLER))?;
    filler.resources.mem = Bytes::from_mib(1100);
    row(&mut local, "one operator that fills a GiB", SOON, &filler)?;
    // Nothing is promised for these: their fuel says least about the time that they take.
    for (name, guest) in [("touches a page in every round", TOUCHER), ("walks through half a GiB at random", WALKER)] {
        let mut spec = local.task(&compile(guest))?;
        spec.resources.mem = Bytes::from_mib(1100);
        row(&mut local, name, Goal::Reported, &spec)?;
    }

    // They want a hundred times more than two cores, and may have one.
    let mut neighbour = spinner.clone();
    neighbour.resources.cpus = MilliCpu::new(1);
    for _ in 0..NEIGHBOURS {
        local.launch(&neighbour);
    }
    local.started(NEIGHBOURS)?;
    row(&mut local, "a loop beside 1,000 others", SOON, &spinner)?;
    row(&mut local, "asleep beside 1,000 loops", SOON, &asleep)?;
    row(&mut local, "reads a file beside 1,000 loops", SOON, &reader)?;
    Ok(figures)
}

/// Milliseconds from a kill to the news of the end.
fn delays(local: &mut Local, spec: &TaskSpec, kills: usize) -> anyhow::Result<Vec<f64>> {
    let mut delays = Vec::with_capacity(kills);
    for number in 0..kills {
        let victim = local.launch(spec);
        while !matches!(local.event()?, Event::Started { task } if task == victim) {}
        // Kills come at any moment of a slice.
        thread::sleep(Duration::from_micros(1_000 + number as u64 * 37 % 3_000));
        let began = Instant::now();
        local.executor.kill(victim);
        let (ended, ending) = local.ended(1)?.remove(0);
        delays.push(began.elapsed().as_secs_f64() * 1e3);
        anyhow::ensure!(ended == victim && ending.state == TaskState::Killed, "{ended} ended as {ending:?}");
    }
    Ok(delays)
}
