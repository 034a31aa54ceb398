//! The cluster over sockets: how long one task takes, how many a second, and how close it comes to plain threads.

use std::hint::black_box;
use std::time::{Duration, Instant};

use haggle_core::{Bytes, Digest, MilliCpu, TaskState, TaskStatus};
use haggle_kit::{AgentFlags, Cluster, guests};
use haggle_sdk::{Client, Runner, Session, Task};

use crate::figure::{Figure, Goal};
use crate::idle::Awake;
use crate::local::Local;
use crate::processes::Up;

/// One task after another: enough for a p99.
const ONE_BY_ONE: usize = 2_000;

/// The first ones compile the module, warm the caches and are not counted.
const WARM_UP: usize = 100;

/// No-op tasks of one framework at once.
const MANY: usize = 10_000;

/// Of 20 ms each, on two cores: two seconds of work.
const WORKERS: usize = 200;
pub(crate) const WORK: Duration = Duration::from_millis(20);
const CORES: usize = 2;

/// Two at once fill two cores, four at once do so while one of them is being replaced.
const WHOLE: MilliCpu = MilliCpu::from_cores(1);
const HALF: MilliCpu = MilliCpu::new(500);
const ROUNDS: usize = 9;

/// A task that does nothing, small enough that two hundred of them run at once on two cpus.
pub(crate) fn noop(module: Digest) -> Task {
    Task::new(module).cpus(MilliCpu::new(10)).mem(Bytes::from_mib(1))
}

/// Runs these to their end.
pub(crate) async fn submit(client: &Client, tasks: Vec<Task>) -> anyhow::Result<Vec<TaskStatus>> {
    let report = Runner::new(client).name("bench").run(tasks, |_| {}).await?;
    report
        .outcomes
        .into_iter()
        .map(|outcome| outcome.status.ok_or_else(|| anyhow::anyhow!("{} was never launched", outcome.name)))
        .collect()
}

/// As it comes, and with cores that do not fall asleep between two tasks.
pub(crate) async fn latency() -> anyhow::Result<Vec<Figure>> {
    let (_up, client) = Up::ready().await?;
    let module = client.upload_bytes(guests::compile(guests::NOOP)).await?;
    let session = Runner::new(&client).name("one by one").start().await?;
    let as_it_comes = one_by_one(&session, module).await?;
    let with_cores_awake = {
        let _awake = Awake::new()?;
        one_by_one(&session, module).await?
    };
    session.close().await;
    let name = "one no-op task over sockets, submit to result";
    Ok(vec![
        Figure::new(name, "ms", Goal::Below(0.4), as_it_comes.clone()),
        Figure::new("… 99 of 100 of them", "ms", Goal::P99Below(1.0), as_it_comes),
        Figure::new("… with the cores kept awake", "ms", Goal::Below(0.25), with_cores_awake),
    ])
}

async fn one_by_one(session: &Session, module: Digest) -> anyhow::Result<Vec<f64>> {
    let mut samples = Vec::with_capacity(ONE_BY_ONE);
    for round in 0..WARM_UP + ONE_BY_ONE {
        let began = Instant::now();
        let status = session.submit(noop(module)).await?.ended().await?;
        anyhow::ensure!(status.state == TaskState::Finished, "a no-op is {}: {}", status.state, status.message);
        if round >= WARM_UP {
            samples.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(samples)
}

pub(crate) async fn throughput() -> anyhow::Result<Vec<Figure>> {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let module = client.upload_bytes(guests::compile(guests::NOOP)).await?;
    submit(&client, vec![noop(module)]).await?;
    let mut samples = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let ends = submit(&client, vec![noop(module); MANY]).await?;
        let rate = MANY as f64 / began.elapsed().as_secs_f64();
        anyhow::ensure!(ends.iter().all(|end| end.state == TaskState::Finished), "not every no-op finished");
        samples.push(rate);
    }
    let name = "10,000 no-op tasks, one framework, one agent of 2 cpus";
    Ok(vec![Figure::new(name, "tasks/s", Goal::AtLeast(45_000.0), samples)])
}

/// The same CPU time as tasks and as plain threads, in turn, so that the machine's mood touches both alike.
pub(crate) async fn against_threads() -> anyhow::Result<Vec<Figure>> {
    let guest = guests::compile(&guests::work(calibrate(guest_cpu)?));
    let native = calibrate(native_cpu)?;
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let module = client.upload_bytes(guest).await?;
    let worker = |cpus| Task::new(module).cpus(cpus).mem(Bytes::from_mib(1));
    let session = Runner::new(&client).name("workers").start().await?;
    session.submit(worker(HALF)).await?.ended().await?;

    let (mut threads, mut halves, mut wholes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        threads.push(on_threads(native));
        halves.push(on_cluster(&session, vec![worker(HALF); WORKERS]).await?);
        wholes.push(on_cluster(&session, vec![worker(WHOLE); WORKERS]).await?);
    }
    session.close().await;
    let over_threads = |times: &[f64]| times.iter().zip(&threads).map(|(time, floor)| time / floor).collect();
    let ratios = [over_threads(&halves), over_threads(&wholes)];
    let [half_ratio, whole_ratio] = ratios;
    Ok(vec![
        Figure::new("200 tasks of 20 ms CPU: plain threads", "s", Goal::Reported, threads),
        Figure::new("200 tasks of 20 ms CPU: tasks of 0.5 cpus", "s", Goal::Reported, halves),
        Figure::new("… as a multiple of plain threads", "times", Goal::Below(1.03), half_ratio),
        Figure::new("200 tasks of 20 ms CPU: tasks of 1 cpu", "s", Goal::Reported, wholes),
        Figure::new("… as a multiple of plain threads", "times", Goal::Below(1.03), whole_ratio),
    ])
}

/// Seconds that tasks of a framework which is connected already take, as if they had used exactly the CPU time that
/// was wanted: what is left of a wrong calibration drops out.
async fn on_cluster(session: &Session, tasks: Vec<Task>) -> anyhow::Result<f64> {
    let began = Instant::now();
    let ends = all(session, tasks).await?;
    let taken = began.elapsed().as_secs_f64();
    anyhow::ensure!(ends.iter().all(|end| end.state == TaskState::Finished), "not every worker finished");
    let used: f64 = ends.iter().filter_map(|end| end.usage).map(|usage| usage.cpu.as_secs_f64()).sum();
    Ok(taken * WORK.as_secs_f64() * WORKERS as f64 / used)
}

/// Hands these to a framework that is connected already, and waits for them.
pub(crate) async fn all(session: &Session, tasks: Vec<Task>) -> anyhow::Result<Vec<TaskStatus>> {
    let mut handles = Vec::with_capacity(tasks.len());
    for task in tasks {
        handles.push(session.submit(task).await?);
    }
    let mut ends = Vec::with_capacity(handles.len());
    for handle in handles {
        ends.push(handle.ended().await?);
    }
    Ok(ends)
}

/// Seconds that plain threads take, as if they had used exactly the CPU time that was wanted.
fn on_threads(rounds: u64) -> f64 {
    let work = || {
        let before = thread_cpu();
        for _ in 0..WORKERS / CORES {
            native_work(rounds);
        }
        (thread_cpu() - before).as_secs_f64()
    };
    let began = Instant::now();
    let used: f64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CORES).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("arithmetic does not panic")).sum()
    });
    began.elapsed().as_secs_f64() * WORK.as_secs_f64() * WORKERS as f64 / used
}

/// How many rounds take [`WORK`] of CPU time: measured once in small, then with what that gives.
pub(crate) fn calibrate(cpu_of: fn(u64) -> anyhow::Result<Duration>) -> anyhow::Result<u64> {
    let mut rounds = 1_000_000_u64;
    for _ in 0..3 {
        let mut times = (0..5).map(|_| cpu_of(rounds)).collect::<anyhow::Result<Vec<_>>>()?;
        times.sort();
        rounds = (rounds as f64 * WORK.as_secs_f64() / times[2].as_secs_f64()) as u64;
    }
    Ok(rounds)
}

pub(crate) fn guest_cpu(rounds: u64) -> anyhow::Result<Duration> {
    let mut local = Local::start(1, 1)?;
    let work = local.task(&guests::compile(&guests::work(rounds)))?;
    Ok(local.run(&work)?.usage.cpu)
}

fn native_cpu(rounds: u64) -> anyhow::Result<Duration> {
    let before = thread_cpu();
    native_work(rounds);
    Ok(thread_cpu() - before)
}

/// The same arithmetic as [`guests::work`].
fn native_work(rounds: u64) {
    let mut sink = 1_u64;
    for _ in 0..black_box(rounds) {
        sink = black_box(sink.wrapping_mul(6_364_136_223_846_793_005).rotate_left(7));
    }
}

fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
