//! From nothing to a result, and what a cluster costs that does nothing.

use std::process::{Command, Stdio};
use std::time::Instant;

use haggle_core::TaskState;
use haggle_kit::{AgentFlags, Cluster, Home, binary, guests};
use sysinfo::{Pid, ProcessesToUpdate, System};
use tempfile::TempDir;

use crate::figure::{Figure, Goal};
use crate::processes::Up;
use crate::tasks::{noop, submit};

const SAMPLES: usize = 9;

pub(crate) async fn measure() -> anyhow::Result<Vec<Figure>> {
    Ok(vec![up_to_first_result().await?, embedded_run().await?, idle_memory().await?])
}

async fn up_to_first_result() -> anyhow::Result<Figure> {
    let module = guests::compile(guests::NOOP);
    let mut samples = Vec::new();
    for _ in 0..SAMPLES {
        let began = Instant::now();
        let up = Up::spawn(&["--agents", "1", "--cpus", "2"])?;
        let client = haggle_kit::until("the master answers", async || up.connect().await).await;
        let digest = client.upload_bytes(module.clone()).await?;
        let status = submit(&client, vec![noop(digest)]).await?;
        anyhow::ensure!(status.iter().all(|status| status.state == TaskState::Finished), "the task did not finish");
        samples.push(began.elapsed().as_secs_f64());
    }
    Ok(Figure::new("`haggle up` to the first task's result", "s", Goal::Below(0.015), samples))
}

async fn embedded_run() -> anyhow::Result<Figure> {
    let dir = TempDir::new()?;
    let module = dir.path().join("hello.wasm");
    std::fs::write(&module, guests::compile(guests::NOOP))?;
    let mut samples = Vec::new();
    for round in 0..=SAMPLES {
        let began = Instant::now();
        let mut command = Command::new(binary("haggle"));
        Home::below(dir.path()).take_in(&mut command);
        let status = command.arg("run").arg(&module).env("XDG_CACHE_HOME", dir.path()).stdin(Stdio::null()).status()?;
        anyhow::ensure!(status.success(), "haggle run ended with {status}");
        // The first one compiles.
        if round > 0 {
            samples.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(Figure::new(
        "`haggle run hello.wasm`, embedded, from nothing to exit, already compiled",
        "ms",
        Goal::Below(15.0),
        samples,
    ))
}

async fn idle_memory() -> anyhow::Result<Figure> {
    let mut samples = Vec::new();
    for _ in 0..3 {
        let cluster = Cluster::start(&[AgentFlags::default()]).await;
        let pids = [Pid::from_u32(cluster.master.pid()), Pid::from_u32(cluster.agents[0].pid())];
        let mut system = System::new()?;
        system.refresh_processes(ProcessesToUpdate::Some(&pids), true);
        let resident: u64 = pids.iter().filter_map(|&pid| system.process(pid)).map(|process| process.memory()).sum();
        samples.push(resident as f64 / f64::from(1 << 20));
    }
    Ok(Figure::new("resident memory of an idle cluster, one master and one agent", "MiB", Goal::Below(80.0), samples))
}
