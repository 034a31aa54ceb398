//! A real master with very many idle agents: what it computes for them, what it holds for each, how long a list of them takes, and a
//! task among them.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use haggle_core::cluster::{AgentCommand, AgentIdentity};
use haggle_core::{
    AgentInfo, AgentKey, Bytes, MilliCpu, Resources, Source, TaskSpec, TaskState, TaskStatus, UpdateId, attributes,
};
use haggle_kit::{Cluster, Home};
use haggle_proto::v1::agent_order::Order;
use haggle_proto::v1::agent_report::Report;
use haggle_proto::v1::agents_client::AgentsClient;
use haggle_proto::v1::{AgentReport, AgentReports, LogChunk};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_stream::wrappers::ReceiverStream;

use crate::executor::proc;
use crate::figure::{Figure, Goal};
use crate::{Effort, among};

const AGENTS: u64 = 10_000;

/// Of the master. Connections on which nobody was let in yet may be a few hundred from one address.
pub(crate) const FLAGS: [&str; 6] =
    ["--places", "agents=12000", "--places", "frameworks=64", "--places", "operators=64"];
const JOIN_AT_ONCE: usize = 100;

/// As a real agent's, unless its master wants to hear from it less often.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// What each agent says before anything is measured: so much that every buffer of its connection has been filled once, as hours of
/// heartbeats fill it. One word after the other, as those come.
const WORDS: usize = 36;
const WORD: usize = 250;

pub(crate) async fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let agents = effort.of(AGENTS, AGENTS / 20);
    let cluster = Cluster::start_with(&FLAGS, &[]).await;
    let master = cluster.master.pid();
    let before = proc::held(master)?;
    let home = cluster.home();
    let joining = stream::iter(0..agents).map(|number| Simulated::join(&home, &cluster.url, number, agents));
    let joined: Vec<Simulated> = joining.buffer_unordered(JOIN_AT_ONCE).try_collect().await?;
    cluster.registered(usize::try_from(agents)?).await;
    for _ in 0..WORDS {
        for agent in &joined {
            agent.say_a_word().await?;
        }
    }

    let mut busy = Vec::new();
    for _ in 0..effort.of(4, 1) {
        busy.push(load(master, effort.of(Duration::from_secs(10), Duration::from_secs(4))).await?);
    }
    // The first has what is left of the beginning in it.
    if busy.len() > 1 {
        busy.remove(0);
    }
    let each = (proc::held(master)?.get().saturating_sub(before.get())) as f64 / 1024.0 / agents as f64;
    let mut took = Vec::new();
    for _ in 0..effort.of(15, 3) {
        took.push(list(&cluster).await?);
    }
    let mut figures = vec![
        Figure::new(format!("a master with {agents} idle agents: CPU of one core"), "%", Goal::Below(5.0), busy),
        Figure::new("… what it holds for each, with page tables", "KiB", Goal::Below(16.0), vec![each]),
        Figure::new("… `haggle agents --json`", "ms", Goal::Below(50.0), took),
    ];
    figures.extend(among::measure(&cluster, usize::try_from(agents)?, effort).await?);
    Ok(figures)
}

/// How much of one core a process takes, in percent.
async fn load(process: u32, window: Duration) -> anyhow::Result<f64> {
    let (began, before) = (Instant::now(), proc::cpu_of(process)?);
    tokio::time::sleep(window).await;
    let spent = proc::cpu_of(process)?.saturating_sub(before);
    Ok(spent.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0)
}

/// Milliseconds for a list of all agents, from the start of the command to its end.
async fn list(cluster: &Cluster) -> anyhow::Result<f64> {
    let mut command = cluster.command(&["agents", "--json"]);
    let listing = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        let status = command.stdout(Stdio::null()).status()?;
        anyhow::ensure!(status.success(), "haggle agents ended with {status}");
        Ok(began.elapsed().as_secs_f64() * 1e3)
    });
    listing.await?
}

/// An agent that lives and ends each task as soon as it hears of it, on a connection of its own. Gone with its value.
pub(crate) struct Simulated {
    lives: tokio::task::JoinHandle<anyhow::Result<()>>,
    reports: mpsc::Sender<AgentReports>,
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.lives.abort();
    }
}

impl Simulated {
    /// Registers, and keeps its session from then on.
    pub(crate) async fn join(home: &Home, url: &str, number: u64, of: u64) -> anyhow::Result<Self> {
        let mut client = AgentsClient::new(home.for_session(url).await?);
        let (reports, waiting) = mpsc::channel(4);
        say(&reports, registration(number).into()).await?;
        let mut orders = client.session(ReceiverStream::new(waiting)).await?.into_inner();
        loop {
            let message = orders.message().await?.context("the master closed the session")?;
            if message.orders.iter().any(|order| matches!(order.order, Some(Order::Registered(_)))) {
                break;
            }
        }
        let to_master = reports.clone();
        let mut updates = 0;
        let first = tokio::time::Instant::now() + HEARTBEAT.mul_f64(number as f64 / of as f64);
        let lives = tokio::spawn(async move {
            let mut heartbeat = interval_at(first, HEARTBEAT);
            heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    heard = orders.message() => {
                        let heard = heard?.context("the master closed the session")?;
                        let mut told = None;
                        for order in heard.orders {
                            match order.order {
                                Some(Order::Heartbeat(heartbeat)) => {
                                    told = Some(Duration::from_millis(heartbeat.every_ms.into()));
                                }
                                Some(Order::Launch(task)) => {
                                    let task = TaskSpec::try_from(task)?.id;
                                    updates += 1;
                                    let end = TaskState::Finished;
                                    let end = TaskStatus::new(task, UpdateId(updates), end, Source::Executor);
                                    say(&reports, AgentCommand::Updates(vec![end]).into()).await?;
                                }
                                _ => {}
                            }
                        }
                        if let Some(wanted) = told.map(|told| told.max(HEARTBEAT)).filter(|wanted| *wanted != heartbeat.period()) {
                            heartbeat = interval_at(tokio::time::Instant::now() + wanted, wanted);
                            heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
                        }
                    }
                    _ = heartbeat.tick() => say(&reports, AgentCommand::Heartbeat.into()).await?,
                }
            }
        });
        Ok(Self { lives, reports: to_master })
    }

    async fn say_a_word(&self) -> anyhow::Result<()> {
        // Nobody has asked for it.
        let answer = LogChunk { data: vec![0; WORD].into(), ..LogChunk::default() };
        say(&self.reports, AgentReport { report: Some(Report::Log(answer)) }).await
    }
}

async fn say(reports: &mpsc::Sender<AgentReports>, report: AgentReport) -> anyhow::Result<()> {
    Ok(reports.send(AgentReports { reports: vec![report] }).await?)
}

/// As a real one on a small machine would say it.
pub(crate) fn registration(number: u64) -> AgentCommand {
    let resources = Resources::new(MilliCpu::from_cores(4), Bytes::from_mib(16 << 10), Bytes::from_mib(64 << 10));
    let runtimes = ["wasip1", "wasip2"].map(|runtime| (format!("{}{runtime}", attributes::RUNTIME), "yes".to_owned()));
    let machine = [(attributes::OS, "linux"), (attributes::ARCH, "x86_64"), ("rack", "b7")];
    let machine = machine.map(|(name, value)| (name.to_owned(), value.to_owned()));
    AgentCommand::Register {
        identity: AgentIdentity { member: None, key: AgentKey(u128::from(number) + 1), run: number + 1 },
        info: AgentInfo {
            name: format!("node-{number}.example.net"),
            resources,
            attributes: machine.into_iter().chain(runtimes).collect(),
            reserved: BTreeMap::new(),
        },
        tasks: Vec::new(),
        complete: true,
    }
}
