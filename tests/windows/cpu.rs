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

/// What the kernel says of all threads of a process: time on a processor, and time that they waited for one.
struct Counted {
    ran: f64,
    waited: f64,
}

/// Of the process whose working folder this is: so an executor is found whose id only Wine knows.
fn counted(folder: &Path) -> Option<Counted> {
    let is_it = |process: &Path| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder);
    let process = fs::read_dir("/proc").ok()?.filter_map(|entry| Some(entry.ok()?.path())).find(|path| is_it(path))?;
    let mut all = Counted { ran: 0.0, waited: 0.0 };
    for thread in fs::read_dir(process.join("task")).ok()? {
        let stat = fs::read_to_string(thread.ok()?.path().join("schedstat")).unwrap_or_default();
        let mut seconds = stat.split_whitespace().map(|number| number.parse::<f64>().unwrap_or_default() / 1e9);
        all.ran += seconds.next().unwrap_or_default();
        all.waited += seconds.next().unwrap_or_default();
    }
    Some(all)
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

    // What a task is short of, it must have waited for: for a processor that others had. Whoever reads on is told.
    let waited = after.waited - before.waited;
    let ran = (after.ran - before.ran) / passed;
    let wanted: f64 = QUOTAS.iter().sum();
    println!(
        "of {wanted:.3} cpus, the executor ran {ran:.3} by the kernel; its threads waited {waited:.2} of {passed:.2} s"
    );
    if waited > OFF * passed {
        println!("WARNING: this machine was too busy to show that a task gets its rate. It shows that none gets more");
    }
    let least = |wanted: f64, wall: f64| wanted * (1.0 - OFF) - waited / wall;
    assert!(ran <= wanted * (1.0 + OFF) + ITSELF, "by the kernel, with what the process needs itself: {ran}");
    assert!(ran >= least(wanted, passed), "by the kernel: {ran} of {wanted}");
    for (quota, handle) in QUOTAS.into_iter().zip(handles) {
        let usage = handle.ended().await.unwrap().usage.expect("an end tells what was used");
        let (cpu, wall) = (usage.cpu.as_secs_f64(), usage.wall.as_secs_f64());
        let rate = cpu / wall;
        println!("{quota} cpus: {rate:.4}, which is {:.4} of it", rate / quota);
        assert!(rate <= quota * (1.0 + OFF), "{rate} of {quota}");
        assert!(rate >= least(quota, wall), "{rate} of {quota}, and its threads waited {waited} s only");
    }
    session.close().await;
}
