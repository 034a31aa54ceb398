//! A real master with very many idle agents: what it computes for them, what it holds for each, how long a list of them takes, and a
//! task among them.

use std::process::Stdio;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use haggle_kit::{Cluster, Simulated, registration, small_machine};
use haggle_proto::v1::agent_report::Report;
use haggle_proto::v1::{AgentReport, LogChunk};

use crate::executor::proc;
use crate::figure::{Figure, Goal};
use crate::{Effort, among};

const AGENTS: u64 = 10_000;

/// Of the master. Connections on which nobody was let in yet may be a few hundred from one address.
const FLAGS: [&str; 6] = ["--places", "agents=12000", "--places", "frameworks=64", "--places", "operators=64"];
const JOIN_AT_ONCE: usize = 100;

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
    let joining = stream::iter(0..agents).map(|number| {
        let pause = Simulated::pause(number, agents);
        Simulated::join(&home, &cluster.url, registration(small_machine(number), []), pause)
    });
    let joined: Vec<Simulated> = joining.buffer_unordered(JOIN_AT_ONCE).try_collect().await?;
    cluster.registered(usize::try_from(agents)?).await;
    for _ in 0..WORDS {
        for agent in &joined {
            agent.say(a_word()).await?;
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

/// So much as it might answer about a log, and nobody has asked for.
fn a_word() -> AgentReport {
    AgentReport { report: Some(Report::Log(LogChunk { data: vec![0; WORD].into(), ..LogChunk::default() })) }
}
