//! Very many tasks: how long their agent takes to register with all of them, how long it takes to list them, and what both
//! cost in memory.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use haggle_core::cluster::{AgentIdentity, HeldTask};
use haggle_core::{AgentInfo, AgentKey, Bytes, MilliCpu, Resources, TaskId, TaskState, UpdateId};
use haggle_kit::{Cluster, Simulated, registration, until};
use haggle_sdk::{Framework, FrameworkInfo};

use crate::Effort;
use crate::executor::proc::memory;
use crate::figure::{Figure, Goal};

/// The most that one framework may have.
const HELD: u64 = 1_000_000;

/// What is listed.
const LISTED: u64 = 300_000;

const AN_HOUR: Duration = Duration::from_secs(3600);

pub(crate) async fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    registering(effort.of(HELD, 10_000), &mut figures).await?;
    listing(effort.of(LISTED, 10_000), &mut figures).await?;
    Ok(figures)
}

/// An agent that holds so many tasks, of which every second has ended and is not acknowledged, comes back to a master that
/// was restarted.
async fn registering(held: u64, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    let cluster = Cluster::start(&[]).await;
    let before = of_master(&cluster)?;
    let (agent, took) = Played::register(&cluster, held).await?;
    let after = of_master(&cluster)?;
    let name = format!("one agent with {held} tasks, half of them ended, registers");
    figures.push(Figure::new(&name, "s", Goal::Below(60.0), vec![took.as_secs_f64()]));
    figures.push(Figure::new(
        "… and the most that the master held in memory",
        "MiB",
        Goal::Below(4_096.0),
        vec![after],
    ));
    let each = (after - before) * 1024.0 * 1024.0 / held as f64;
    figures.push(Figure::new("… for each task", "bytes", Goal::Reported, vec![each]));
    drop(agent);
    Ok(())
}

/// `haggle ps --all` of so many, into nothing.
async fn listing(tasks: u64, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    let cluster = Cluster::start(&[]).await;
    let _agent = Played::register(&cluster, tasks).await?;
    let before = of_master(&cluster)?;
    let began = Instant::now();
    let mut ps = cluster.command(&["ps", "--all"]).stdout(Stdio::null()).spawn()?;
    let (ended, most) = most_held(&mut ps).await?;
    anyhow::ensure!(ended, "haggle ps failed");
    let took = began.elapsed().as_secs_f64();
    let more = of_master(&cluster)? - before;
    figures.push(Figure::new(format!("`haggle ps --all` with {tasks} tasks"), "s", Goal::Below(30.0), vec![took]));
    figures.push(Figure::new("… and the most that it held in memory", "MiB", Goal::Below(2_048.0), vec![most]));
    figures.push(Figure::new("… and what the master's memory grew by", "MiB", Goal::Below(256.0), vec![more]));
    Ok(())
}

/// An agent that does nothing but hold tasks, and the session of their framework.
struct Played {
    _agent: Simulated,
    _framework: Framework,
    _events: haggle_sdk::Events,
}

impl Played {
    /// Registers with so many tasks in pieces; from its first word until the master knows all of them.
    async fn register(cluster: &Cluster, held: u64) -> anyhow::Result<(Self, Duration)> {
        let client = cluster.client().await;
        let info = FrameworkInfo { name: "held".into(), roles: vec!["held".into()], failover_timeout: AN_HOUR };
        let (framework, events) = Framework::connect(&client, info).await?;
        let id = framework.id();
        let tasks = (1..=held).map(move |number| task(TaskId { framework: id, number }));
        let began = Instant::now();
        let agent =
            Simulated::join(&cluster.home(), &cluster.url, registration(holder(held), tasks), Duration::ZERO).await?;
        // Every second has ended.
        let runs = usize::try_from(held - held / 2)?;
        until("the master knows every task", async || {
            client.agents().await.ok()?.iter().any(|agent| agent.tasks == runs).then_some(())
        })
        .await;
        Ok((Self { _agent: agent, _framework: framework, _events: events }, began.elapsed()))
    }
}

fn holder(held: u64) -> (AgentIdentity, AgentInfo) {
    let resources = Resources::new(MilliCpu::new(held), Bytes::from_mib(held), Bytes::ZERO);
    let info = AgentInfo { name: "holds".into(), resources, ..AgentInfo::default() };
    (AgentIdentity { member: None, key: AgentKey(1), run: 1 }, info)
}

fn task(id: TaskId) -> HeldTask {
    HeldTask {
        id,
        name: "one of very many".into(),
        role: "role".to_owned(),
        volumes: Vec::new(),
        module: None,
        resources: Resources::new(MilliCpu::new(1), Bytes::from_mib(1), Bytes::ZERO),
        state: if id.number.is_multiple_of(2) { TaskState::Finished } else { TaskState::Running },
        update: UpdateId(2),
        group: None,
        trace: None,
        life: None,
    }
}

/// The most that the master has held so far, in MiB.
fn of_master(cluster: &Cluster) -> anyhow::Result<f64> {
    Ok(in_mib(memory(cluster.master.pid(), "status", "VmHWM")?))
}

/// Whether the process succeeded, and the most that it held, in MiB.
async fn most_held(process: &mut Child) -> anyhow::Result<(bool, f64)> {
    let mut most = 0.0_f64;
    loop {
        if let Some(status) = process.try_wait()? {
            return Ok((status.success(), most));
        }
        // Between its end and its being waited for, nothing is known of it.
        most = most.max(memory(process.id(), "status", "VmHWM").map_or(0.0, in_mib));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn in_mib(bytes: Bytes) -> f64 {
    bytes.get() as f64 / f64::from(1 << 20)
}
