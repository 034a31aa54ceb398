//! What it adds to offer again what tasks leave unused, and whether these notice.
//!
//! An agent of two cpus is promised to two tasks that use a fifth of it, for as long as the measurement takes, and to two more that are
//! measured: one like them, and one that uses all it has. In turn they run with and without tasks on what is unused.
//!
//! Those that pause do so for times that vary, else two that wake at the same moment once would meet ever after, and what that costs
//! would depend on when the window began. The one that is measured has the same pauses in each window.

use std::time::{Duration, Instant};

use haggle_core::{Bytes, Digest, MilliCpu};
use haggle_kit::{AgentFlags, Cluster, guests};
use haggle_sdk::{Client, Progress, Runner, Session, Task};
use tokio::sync::oneshot;

use crate::Effort;
use crate::figure::{Figure, Goal};
use crate::tasks::submit;

/// Measures over the shortest time that there is.
const OVERSUBSCRIBES: &[&str] = &["--oversubscribe=1s"];

/// What each of the four tasks is promised: together all that there is.
const PROMISED: MilliCpu = MilliCpu::new(500);
const CPUS: f64 = 2.0;

/// What one revocable task has, and how many of them wait for as much as there is.
const GRAIN: MilliCpu = MilliCpu::new(100);
const EAGER: usize = 20;

/// The work of a task that uses a fifth of what it is promised, and its pause: 36 ms on average.
const WORK: Duration = Duration::from_millis(4);
const PAUSE_MIN: Duration = Duration::from_millis(18);
const PAUSE_SPREAD: Duration = Duration::from_millis(36);

/// Longer than all of it takes.
const FOR_EVER: u32 = 1_000_000;

pub(crate) async fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let (window, rounds) = (effort.of(Duration::from_secs(10), Duration::from_secs(2)), effort.of(6, 1));
    let mut cluster = Cluster::start(&[]).await;
    cluster.spawn_agent_with(&AgentFlags { cpus: "2", mem: "2GiB" }, OVERSUBSCRIBES);
    cluster.registered(1).await;
    let bench = Bench::new(&cluster, window).await?;
    let firm = Runner::new(&bench.client).name("firm").start().await?;
    for napper in &bench.nappers[1..] {
        firm.submit(bench.a_fifth(*napper)).await?;
    }
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push(bench.round().await?);
        let eager = bench.eager().await?;
        beside.push(bench.round().await?);
        eager.close().await;
    }
    firm.close().await;
    let figure = |name: &str, unit, goal, of: fn(&Round) -> f64, rounds: &[Round]| {
        Figure::new(name, unit, goal, rounds.iter().map(of).collect())
    };
    let percent = |of: fn(&Round) -> f64| {
        alone.iter().zip(&beside).map(|(alone, beside)| of(beside) / of(alone) * 100.0 - 100.0).collect::<Vec<_>>()
    };
    // Of each, how far the figures with and without are apart.
    let apart = |name: &str, goal: Goal, of: fn(&Round) -> f64| {
        let goal = if effort.quick { Goal::Reported } else { goal };
        let apart = percent(of).into_iter().map(f64::abs).collect();
        Figure::new(format!("{name}, with revocable tasks beside it against without"), "%", goal, apart)
    };
    let unnoticed = Goal::Below(1.0);
    Ok(vec![
        figure("utilisation by tasks with a promise alone", "%", Goal::Reported, |round| round.utilisation, &alone),
        figure("utilisation with revocable tasks", "%", Goal::Reported, |round| round.utilisation, &beside),
        apart("CPU rate of a task that uses all of its promise", unnoticed, |round| round.rates[1]),
        apart("time off the processor of a task that uses a fifth, for as much work", unnoticed, |round| round.waits),
        apart("… its CPU rate", Goal::Reported, |round| round.rates[0]),
        apart("… its instructions a second", Goal::Reported, |round| round.done),
        apart("instructions a second of CPU time of a task that uses all", Goal::Reported, |round| round.speed),
        figure(
            "CPU rate of a task promised 0.5 cpus that uses all, alone",
            "cpus",
            Goal::Reported,
            |r| r.rates[1],
            &alone,
        ),
        figure("the same beside revocable tasks", "cpus", Goal::Reported, |round| round.rates[1], &beside),
    ])
}

/// What one round came to.
struct Round {
    /// Of the two that were measured: CPU time by the time that they ran.
    rates: [f64; 2],
    /// Instructions a second of the one that pauses.
    done: f64,
    /// For each of its instructions the time that it was not on a processor: its pauses, which are the same in each round, and what it
    /// waited for one. How fast that was does not matter: with work on the next core a processor may take longer for the same.
    waits: f64,
    /// Instructions for each second of CPU time of the one that does not.
    speed: f64,
    /// Per cent of the agent's processors that its executors used.
    utilisation: f64,
}

struct Bench<'a> {
    cluster: &'a Cluster,
    client: Client,
    window: Duration,
    spinner: Digest,
    /// The first is measured.
    nappers: [Digest; 3],
}

impl<'a> Bench<'a> {
    async fn new(cluster: &'a Cluster, window: Duration) -> anyhow::Result<Self> {
        let client = cluster.client().await;
        let spinner = client.upload_bytes(guests::compile(guests::LOOP)).await?;
        let rounds = calibrate(&client).await?;
        let mut nappers = [spinner; 3];
        for (seed, napper) in (1..).zip(&mut nappers) {
            *napper = client.upload_bytes(guests::compile(&napping(rounds, seed))).await?;
        }
        Ok(Self { cluster, client, window, spinner, nappers })
    }

    /// A task that uses a fifth of what it is promised, until it is killed.
    fn a_fifth(&self, napper: Digest) -> Task {
        Task::new(napper).name("a fifth").cpus(PROMISED).mem(Bytes::from_mib(1))
    }

    /// Runs the two that are measured for a window.
    async fn round(&self) -> anyhow::Result<Round> {
        let spinner = Task::new(self.spinner).cpus(PROMISED).mem(Bytes::from_mib(1)).timeout(self.window);
        let tasks = vec![self.a_fifth(self.nappers[0]).timeout(self.window), spinner];
        let (before, began) = (self.cpu_time(), Instant::now());
        let ends = submit(&self.client, tasks).await?;
        let (used, passed) = (self.cpu_time().saturating_sub(before), began.elapsed());
        let spent = |at: usize| {
            let status = &ends[at];
            let usage = status.usage.as_ref();
            let usage = usage.ok_or_else(|| anyhow::anyhow!("a task is {}: {}", status.state, status.message))?;
            Ok::<_, anyhow::Error>((usage.cpu.as_secs_f64(), usage.wall.as_secs_f64(), usage.fuel.get() as f64))
        };
        let [(cpu, wall, work), (spun, wall_spun, spins)] = [spent(0)?, spent(1)?];
        let utilisation = used.as_secs_f64() / (CPUS * passed.as_secs_f64()) * 100.0;
        Ok(Round {
            rates: [cpu / wall, spun / wall_spun],
            done: work / wall,
            waits: (wall - cpu) / work,
            speed: spins / spun,
            utilisation,
        })
    }

    /// Tasks on whatever is unused, run again whenever they were preempted. Comes back when one of them runs.
    async fn eager(&self) -> anyhow::Result<Session> {
        let (runs, is_running) = oneshot::channel();
        let mut runs = Some(runs);
        let tell = move |progress: &Progress| {
            if matches!(progress, Progress::Running { .. })
                && let Some(runs) = runs.take()
            {
                let _ = runs.send(());
            }
        };
        let session = Runner::new(&self.client).name("eager").retries(FOR_EVER).start_with(tell).await?;
        for _ in 0..EAGER {
            session.submit(Task::new(self.spinner).name("eager").revocable(GRAIN).mem(Bytes::from_mib(1))).await?;
        }
        is_running.await?;
        Ok(session)
    }

    /// CPU time of all executors.
    fn cpu_time(&self) -> Duration {
        let pids = self.cluster.executors(0).into_iter().map(|(_, pid)| pid);
        pids.filter_map(|pid| cpu_time(pid.as_raw_nonzero().get())).sum()
    }
}

/// CPU time of a process that runs: user and system time, in hundredths of a second (`man proc_pid_stat`).
fn cpu_time(pid: i32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (ticks()? + ticks()?)))
}

/// How many rounds of [`napping`] are [`WORK`] on this machine.
async fn calibrate(client: &Client) -> anyhow::Result<u64> {
    const ROUNDS: u64 = 50_000_000;
    let work = client.upload_bytes(guests::compile(&guests::work(ROUNDS))).await?;
    let task = Task::new(work).cpus(MilliCpu::from_cores(1)).mem(Bytes::from_mib(1));
    let status = submit(client, vec![task]).await?.remove(0);
    let usage = status.usage.ok_or_else(|| anyhow::anyhow!("it did not run: {}", status.message))?;
    Ok((ROUNDS as f64 * WORK.as_secs_f64() / usage.cpu.as_secs_f64()) as u64)
}

/// Works so many rounds, pauses for a time that varies as the seed has it, and so on for ever.
fn napping(rounds: u64, seed: u64) -> String {
    let (least, spread) = (PAUSE_MIN.as_nanos(), PAUSE_SPREAD.as_nanos());
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $sink (mut i64) (i64.const 1))
  (global $dice (mut i64) (i64.const {seed}))
  (func (export "_start") (local $left i64)
    (i32.store (i32.const 16) (i32.const 1))
    (loop $ever
      (global.set $dice (i64.add
        (i64.mul (global.get $dice) (i64.const 6364136223846793005))
        (i64.const 1442695040888963407)))
      (i64.store (i32.const 24) (i64.add
        (i64.const {least})
        (i64.rem_u (i64.shr_u (global.get $dice) (i64.const 33)) (i64.const {spread}))))
      (local.set $left (i64.const {rounds}))
      (loop $again
        (global.set $sink (i64.rotl (i64.mul (global.get $sink) (i64.const 6364136223846793005)) (i64.const 7)))
        (local.set $left (i64.sub (local.get $left) (i64.const 1)))
        (br_if $again (i64.ne (local.get $left) (i64.const 0))))
      (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
      (br $ever))))"#
    )
}
