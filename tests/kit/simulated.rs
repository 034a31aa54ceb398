//! Agents that compute nothing: sessions of their own at a real master, with tasks that they say they hold.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use haggle_core::cluster::{AgentCommand, AgentIdentity, HeldTask};
use haggle_core::{
    AgentInfo, AgentKey, Bytes, MilliCpu, Resources, Source, TaskSpec, TaskState, TaskStatus, UpdateId, attributes,
};
use haggle_proto::v1::agent_order::Order;
use haggle_proto::v1::agent_report::Report;
use haggle_proto::v1::agents_client::AgentsClient;
use haggle_proto::v1::{AgentOrder, AgentReport, AgentReports, LogChunk, UsageSoFar};
use haggle_proto::{MESSAGE_MAX, v1};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::home::Home;

/// As a real agent's, unless its master wants to hear from it less often.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// Tasks in one piece of a registration, about as many as an agent puts into one.
const PIECE: usize = 8_000;

/// Who an agent is and what it has: as a real one on a small machine would say it.
pub fn small_machine(number: u64) -> (AgentIdentity, AgentInfo) {
    let resources = Resources::new(MilliCpu::from_cores(4), Bytes::from_mib(16 << 10), Bytes::from_mib(64 << 10));
    let runtimes = ["wasip1", "wasip2"].map(|runtime| (format!("{}{runtime}", attributes::RUNTIME), "yes".to_owned()));
    let machine = [(attributes::OS, "linux"), (attributes::ARCH, "x86_64"), ("rack", "b7")];
    let machine = machine.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let identity = AgentIdentity { member: None, key: AgentKey(u128::from(number) + 1), run: number + 1 };
    let info = AgentInfo {
        name: format!("node-{number}.example.net"),
        resources,
        attributes: machine.into_iter().chain(runtimes).collect(),
        reserved: BTreeMap::new(),
    };
    (identity, info)
}

/// What an agent with these tasks says when it registers, in pieces.
pub fn registration(
    (identity, info): (AgentIdentity, AgentInfo),
    tasks: impl IntoIterator<Item = HeldTask>,
) -> impl Iterator<Item = AgentCommand> {
    let mut who = Some((identity, info));
    let mut tasks = tasks.into_iter().peekable();
    std::iter::from_fn(move || {
        if who.is_none() && tasks.peek().is_none() {
            return None;
        }
        let piece: Vec<HeldTask> = tasks.by_ref().take(PIECE).collect();
        let complete = tasks.peek().is_none();
        Some(match who.take() {
            Some((identity, info)) => AgentCommand::Register { identity, info, tasks: piece, complete },
            None => AgentCommand::Holds { tasks: piece, complete },
        })
    })
}

/// An agent that lives, ends each task as soon as it is sent it, and knows nothing of those that it holds. Gone with its value.
pub struct Simulated {
    lives: JoinHandle<anyhow::Result<()>>,
    reports: mpsc::Sender<AgentReports>,
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.lives.abort();
    }
}

impl Simulated {
    /// Registers, and keeps its session from then on. It is heard for the first time after `pause`, so that many are not heard at once.
    ///
    /// # Errors
    /// When the master does not take it.
    pub async fn join(
        home: &Home,
        url: &str,
        registration: impl Iterator<Item = AgentCommand> + Send + 'static,
        pause: Duration,
    ) -> anyhow::Result<Self> {
        let agents = AgentsClient::new(home.for_session(url).await?);
        let (reports, waiting) = mpsc::channel(4);
        let says = reports.clone();
        // The master reads all of it before it answers, and so it is said meanwhile.
        let telling = tokio::spawn(async move {
            for piece in registration {
                says.send(alone(piece.into())).await.context("the session ended while the agent registered")?;
            }
            anyhow::Ok(())
        });
        let mut agents = agents.max_decoding_message_size(MESSAGE_MAX);
        let mut orders = agents.session(ReceiverStream::new(waiting)).await?.into_inner();
        while !is_registered(&orders.message().await?.context("the master closed the session")?)? {}
        telling.await??;
        let lives = tokio::spawn(live(orders, reports.clone(), Instant::now() + pause));
        Ok(Self { lives, reports })
    }

    /// How long the first of so many agents is heard before this one, so that all are heard evenly.
    pub fn pause(number: u64, of: u64) -> Duration {
        HEARTBEAT.mul_f64(number as f64 / of.max(1) as f64)
    }

    /// Says something.
    ///
    /// # Errors
    /// When its session is over.
    pub async fn say(&self, report: AgentReport) -> anyhow::Result<()> {
        Ok(self.reports.send(alone(report)).await?)
    }
}

fn alone(report: AgentReport) -> AgentReports {
    AgentReports { reports: vec![report] }
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

fn every(pause: Duration, first: Instant) -> Interval {
    let mut every = interval_at(first, pause);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    every
}

async fn live(
    mut orders: Streaming<v1::AgentOrders>,
    reports: mpsc::Sender<AgentReports>,
    first: Instant,
) -> anyhow::Result<()> {
    let mut heartbeat = every(HEARTBEAT, first);
    let mut updates = 0;
    loop {
        tokio::select! {
            heard = orders.message() => {
                let heard = heard?.context("the master closed the session")?;
                for AgentOrder { order } in heard.orders {
                    if let Some(Order::Heartbeat(told)) = order {
                        let wanted = Duration::from_millis(told.every_ms.into()).max(HEARTBEAT);
                        if wanted != heartbeat.period() {
                            heartbeat = every(wanted, Instant::now() + wanted);
                        }
                    } else if let Some(report) = order.map(|order| answer(order, &mut updates)).transpose()?.flatten() {
                        reports.send(alone(report)).await?;
                    }
                }
            }
            _ = heartbeat.tick() => reports.send(alone(AgentCommand::Heartbeat.into())).await?,
        }
    }
}

/// What it says to an order. Whoever looks at one of its tasks does not wait.
fn answer(order: Order, updates: &mut u64) -> anyhow::Result<Option<AgentReport>> {
    let report = match order {
        Order::Launch(task) => {
            let task = TaskSpec::try_from(task)?.id;
            *updates += 1;
            let end = TaskStatus::new(task, UpdateId(*updates), TaskState::Finished, Source::Executor);
            return Ok(Some(AgentCommand::Updates(vec![end]).into()));
        }
        Order::ReadLog(v1::ReadLogOrder { request, .. }) => {
            Report::Log(LogChunk { request, end: true, ..LogChunk::default() })
        }
        Order::ReadUsage(v1::ReadUsageOrder { request, .. }) => Report::Usage(UsageSoFar { request, usage: None }),
        _ => return Ok(None),
    };
    Ok(Some(AgentReport { report: Some(report) }))
}
