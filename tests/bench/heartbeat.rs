//! How late the agent's network threads are while guests spin on every CPU.
//!
//! The probe goes the way of a heartbeat: over the agent's own stream, through its network threads, and back.
//! It asks for a piece of a task's output, which the agent answers from memory.

use std::time::{Duration, Instant};

use haggle_core::{MilliCpu, TaskState};
use haggle_kit::{guests, until};
use haggle_sdk::{OutputStream, Task};

use crate::figure::{Figure, Goal};
use crate::processes::Up;

const WINDOW: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);

pub(crate) async fn measure() -> anyhow::Result<Vec<Figure>> {
    let (_up, client) = Up::ready().await?;
    let digest = client.upload_bytes(guests::compile(guests::LOOP)).await?;
    let session = haggle_sdk::Runner::new(&client).name("spinners").start().await?;
    let spinner = || Task::new(digest).cpus(MilliCpu::from_cores(1));
    let _spinners = [session.submit(spinner()).await?, session.submit(spinner()).await?];
    let task = until("the spinners run", async || {
        let tasks = client.tasks(false).await.ok()?;
        let running = tasks.iter().filter(|task| task.status.state == TaskState::Running).count();
        (running == 2).then(|| tasks[0].id)
    })
    .await;

    let mut delays = Vec::new();
    let began = Instant::now();
    while began.elapsed() < WINDOW {
        let asked = Instant::now();
        let mut pieces = client.log(task, OutputStream::Stdout, false);
        while let Some(piece) = pieces.next().await {
            piece?;
        }
        delays.push(asked.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(PAUSE).await;
    }
    let worst = delays.iter().copied().fold(0.0, f64::max);
    Ok(vec![
        Figure::new("answer of an agent beside spinners on every cpu", "ms", Goal::Below(50.0), delays),
        Figure::new("the latest of those answers", "ms", Goal::Below(50.0), vec![worst]),
    ])
}
