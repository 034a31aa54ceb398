//! The CPU rate, held by clocks that Windows has, and checked by those of the kernel below.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use haggle_core::TaskState;
use haggle_kit::{AgentFlags, Cluster, guests, until, windows_binary};
use haggle_sdk::{Runner, Task, TaskHandle};

/// Of a core, each.
const QUOTAS: [f64; 3] = [0.1, 0.25, 0.4];

/// How long they run.
const WHILE: Duration = Duration::from_secs(12);

/// How far off a task may be.
const OFF: f64 = 0.02;

/// What the process may need beside its tasks, unoptimised and on Wine.
const ITSELF: f64 = 0.03;

/// Cores that stand idle on average where a machine had more to give. On one that is busy, tasks and what Wine does for them
/// wait for others.
const ROOM: f64 = 0.1;

/// What the kernel says, in seconds.
struct Counted {
    /// All threads of a process were on a processor.
    ran: f64,
    /// All processors had nothing to do.
    idle: f64,
}

/// Of the process whose working folder this is: so an executor is found whose id only Wine knows.
fn counted(folder: &Path) -> Option<Counted> {
    let is_it = |process: &Path| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder);
    let process = fs::read_dir("/proc").ok()?.filter_map(|entry| Some(entry.ok()?.path())).find(|path| is_it(path))?;
    let mut ran = 0.0;
    for thread in fs::read_dir(process.join("task")).ok()? {
        let stat = fs::read_to_string(thread.ok()?.path().join("schedstat")).unwrap_or_default();
        let nanos = stat.split_whitespace().next().and_then(|nanos| nanos.parse::<f64>().ok());
        ran += nanos.unwrap_or_default() / 1e9;
    }
    // cpu, user, nice, system, idle: in ticks, of all processors.
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let idle: f64 = stat.split_whitespace().nth(4)?.parse().ok()?;
    Some(Counted { ran, idle: idle / rustix::param::clock_ticks_per_second() as f64 })
}

#[tokio::test]
#[ignore = "needs haggle.exe and Wine: cargo xtask windows"]
async fn the_cpu_rate_holds_within_two_percent() {
    let mut cluster = Cluster::start(&[]).await;
    cluster.spawn_agent_of(windows_binary("haggle"), &AgentFlags::default());
    cluster.registered(1).await;
    let client = cluster.client().await;
    let session = Runner::new(&client).name("rates").start().await.unwrap();
    let module = client.upload_bytes(guests::compile(guests::LOOP)).await.unwrap();
    let mut handles: Vec<TaskHandle> = Vec::new();
    for quota in QUOTAS {
        let task = Task::new(module).cpus(format!("{quota}").as_str()).mem("16MiB").timeout(WHILE);
        handles.push(session.submit(task).await.unwrap());
    }
    until("all run", async || {
        let tasks = client.tasks(false).await.ok()?;
        (tasks.iter().filter(|task| task.status.state == TaskState::Running).count() == QUOTAS.len()).then_some(())
    })
    .await;
    let folder = fs::read_dir(cluster.work_dir(0).join("executors")).unwrap().next().unwrap().unwrap().path();

    let (began, before) = (Instant::now(), counted(&folder).expect("the executor runs"));
    let mut last = (Duration::ZERO, None);
    until("most of the time has passed", async || {
        last = (began.elapsed(), counted(&folder));
        (began.elapsed() > WHILE.mul_f64(0.8)).then_some(())
    })
    .await;
    let (passed, after) = (last.0.as_secs_f64(), last.1.expect("the executor runs"));

    let per_second = |of: fn(&Counted) -> f64| (of(&after) - of(&before)) / passed;
    let (ran, idle) = (per_second(|counted| counted.ran), per_second(|counted| counted.idle));
    let wanted: f64 = QUOTAS.iter().sum();
    println!("of {wanted:.3} cpus, the executor ran {ran:.3} by the kernel, and {idle:.3} were idle");
    let had_room = idle >= ROOM;
    if !had_room {
        println!(
            "WARNING: this machine was too busy to show that a task gets its rate; only that none gets more was tested"
        );
    }
    assert!(ran <= wanted * (1.0 + OFF) + ITSELF, "by the kernel, with what the process needs itself: {ran}");
    assert!(ran >= wanted * (1.0 - OFF) || !had_room, "by the kernel: {ran} of {wanted}");
    for (quota, handle) in QUOTAS.into_iter().zip(handles) {
        let usage = handle.ended().await.unwrap().usage.expect("an end tells what was used");
        let rate = usage.cpu.as_secs_f64() / usage.wall.as_secs_f64();
        println!("{quota} cpus: {rate:.4}, which is {:.4} of it", rate / quota);
        assert!(rate <= quota * (1.0 + OFF), "{rate} of {quota}");
        assert!(rate >= quota * (1.0 - OFF) || !had_room, "{rate} of {quota}, and {idle} cores were idle");
    }
    session.close().await;
}
