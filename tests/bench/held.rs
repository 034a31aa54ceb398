//! Very many tasks: how long their agent takes to register with all of them, how long it takes to list them, and what both
//! cost in memory.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use haggle_core::cluster::{AgentCommand, AgentIdentity, HeldTask};
use haggle_core::{AgentInfo, AgentKey, Bytes, FrameworkId, MilliCpu, Resources, TaskId, TaskState, UpdateId};
use haggle_kit::{Cluster, until};
use haggle_proto::v1::agent_order::Order;
use haggle_proto::v1::agent_report::Report;
use haggle_proto::v1::agents_client::AgentsClient;
use haggle_proto::v1::{AgentOrders, AgentReport, AgentReports};
use haggle_proto::{MESSAGE_MAX, v1};
use haggle_sdk::{Framework, FrameworkInfo};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

use crate::Effort;
use crate::executor::proc::memory;
use crate::figure::{Figure, Goal};

/// The most that one framework may have.
const HELD: u64 = 1_000_000;

/// What is listed.
const LISTED: u64 = 300_000;

/// Tasks in one piece, about as many as an agent puts into one.
const PIECE: u64 = 8_000;

const AN_HOUR: Duration = Duration::from_secs(3600);

pub(crate) async fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    registration(effort.of(HELD, 10_000), &mut figures).await?;
    listing(effort.of(LISTED, 10_000), &mut figures).await?;
    Ok(figures)
}

/// An agent that holds so many tasks, of which every second has ended and is not acknowledged, comes back to a master that
/// was restarted.
async fn registration(held: u64, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
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
pub(crate) struct Played {
    answering: JoinHandle<()>,
    _framework: Framework,
    _events: haggle_sdk::Events,
}

impl Played {
    /// Registers with so many tasks in pieces; from its first word until the master knows all of them.
    pub(crate) async fn register(cluster: &Cluster, held: u64) -> anyhow::Result<(Self, Duration)> {
        let client = cluster.client().await;
        let info = FrameworkInfo { name: "held".into(), roles: vec!["held".into()], failover_timeout: AN_HOUR };
        let (framework, events) = Framework::connect(&client, info).await?;
        let endpoint = Endpoint::from_shared(cluster.url.clone())?.tcp_nodelay(true);
        let connection = cluster.home().show(&cluster.url, endpoint.connect().await?);
        let mut agents = AgentsClient::new(connection).max_decoding_message_size(MESSAGE_MAX);
        let (reports, waiting) = mpsc::channel(4);
        let id = framework.id();
        let says = reports.clone();
        let began = Instant::now();
        let telling = tokio::spawn(async move {
            for piece in pieces(id, held) {
                let report = AgentReports { reports: vec![AgentReport::from(piece)] };
                says.send(report).await.context("the session ended while the agent registered")?;
            }
            anyhow::Ok(())
        });
        let mut orders = agents.session(ReceiverStream::new(waiting)).await?.into_inner();
        while !is_registered(&orders.message().await?.context("the master closed the session")?)? {}
        telling.await??;
        // Every second has ended.
        let runs = usize::try_from(held - held / 2)?;
        until("the master knows every task", async || {
            client.agents().await.ok()?.iter().any(|agent| agent.tasks == runs).then_some(())
        })
        .await;
        let took = began.elapsed();
        let answering = tokio::spawn(answer(orders, reports));
        Ok((Self { answering, _framework: framework, _events: events }, took))
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        self.answering.abort();
    }
}

/// Knows nothing of its tasks, and says so: whoever looks at one does not wait.
async fn answer(mut orders: Streaming<AgentOrders>, reports: mpsc::Sender<AgentReports>) {
    while let Ok(Some(message)) = orders.message().await {
        for order in message.orders {
            let report = match order.order {
                Some(Order::ReadLog(v1::ReadLogOrder { request, .. })) => {
                    Report::Log(v1::LogChunk { request, end: true, ..v1::LogChunk::default() })
                }
                Some(Order::ReadUsage(v1::ReadUsageOrder { request, .. })) => {
                    Report::Usage(v1::UsageSoFar { request, usage: None })
                }
                _ => continue,
            };
            let said = AgentReports { reports: vec![AgentReport { report: Some(report) }] };
            if reports.send(said).await.is_err() {
                return;
            }
        }
    }
}

fn is_registered(message: &v1::AgentOrders) -> anyhow::Result<bool> {
    for order in &message.orders {
        match &order.order {
            Some(Order::Registered(_)) => return Ok(true),
            Some(Order::Refused(why)) => anyhow::bail!("the master refused the agent: {}", why.why),
            _ => {}
        }
    }
    Ok(false)
}

fn pieces(framework: FrameworkId, held: u64) -> impl Iterator<Item = AgentCommand> {
    let resources = Resources::new(MilliCpu::new(held), Bytes::from_mib(held), Bytes::ZERO);
    let info = AgentInfo { name: "holds".into(), resources, ..AgentInfo::default() };
    let mut who = Some((AgentIdentity { member: None, key: AgentKey(1), run: 1 }, info));
    (1..=held).step_by(PIECE as usize).map(move |first| {
        let last = (first + PIECE - 1).min(held);
        let tasks = (first..=last).map(|number| task(TaskId { framework, number })).collect();
        let complete = last == held;
        match who.take() {
            Some((identity, info)) => AgentCommand::Register { identity, info, tasks, complete },
            None => AgentCommand::Holds { tasks, complete },
        }
    })
}

fn task(id: TaskId) -> HeldTask {
    HeldTask {
        id,
        name: "one of very many".into(),
        role: "role".to_owned(),
        volumes: Vec::new(),
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
