//! What TLS, certificates and tokens cost: a cluster with them beside one in plain text on loopback, task by task in turn, so
//! that the machine's mood touches both alike.

use std::time::{Duration, Instant};

use haggle_core::{Digest, TaskState};
use haggle_kit::{AgentFlags, Cluster, guests};
use haggle_sdk::{Client, Runner, Session};

use crate::Effort;
use crate::figure::{Figure, Goal, median};
use crate::secured::Secured;
use crate::tasks::{noop, submit};

/// One task after another on each side: blocks of so many, and how many blocks. Of each block one ratio.
const BLOCK: usize = 200;
const BLOCKS: usize = 20;

/// The first ones compile the module, warm the caches and are not counted.
const WARM_UP: usize = 200;

/// No-op tasks of one framework at once, and how often on each side.
const MANY: usize = 10_000;
const ROUNDS: usize = 9;

/// How much dearer the secure side may be.
const DEARER: f64 = 1.10;

/// One of the two clusters.
struct Side {
    client: Client,
    module: Digest,
}

impl Side {
    async fn new(client: Client) -> anyhow::Result<Self> {
        let module = client.upload_bytes(guests::compile(guests::NOOP)).await?;
        Ok(Self { client, module })
    }

    async fn session(&self) -> anyhow::Result<Session> {
        Ok(Runner::new(&self.client).name("one by one").start().await?)
    }

    async fn one(&self, session: &Session) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let status = session.submit(noop(self.module)).await?.ended().await?;
        anyhow::ensure!(status.state == TaskState::Finished, "a no-op is {}: {}", status.state, status.message);
        Ok(began.elapsed())
    }

    /// Tasks a second.
    async fn many(&self, count: usize) -> anyhow::Result<f64> {
        let began = Instant::now();
        let ends = submit(&self.client, vec![noop(self.module); count]).await?;
        let rate = count as f64 / began.elapsed().as_secs_f64();
        anyhow::ensure!(ends.iter().all(|end| end.state == TaskState::Finished), "not every no-op finished");
        Ok(rate)
    }
}

pub(crate) async fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let plain = Side::new(cluster.client().await).await?;
    let secured = Secured::start(&[]).await?;
    let token = secured.token("bench").await?;
    let secure = Side::new(Secured::client(&token).await?).await?;
    let mut figures = latency(&plain, &secure, effort.of(BLOCKS, 2)).await?;
    figures.extend(throughput(&plain, &secure, effort.of(ROUNDS, 1), effort.of(MANY, 500)).await?);
    Ok(figures)
}

async fn latency(plain: &Side, secure: &Side, blocks: usize) -> anyhow::Result<Vec<Figure>> {
    let sessions = (plain.session().await?, secure.session().await?);
    for _ in 0..WARM_UP {
        plain.one(&sessions.0).await?;
        secure.one(&sessions.1).await?;
    }
    let (mut all_plain, mut all_secure, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..blocks {
        let (mut of_plain, mut of_secure) = (Vec::new(), Vec::new());
        for _ in 0..BLOCK {
            of_plain.push(plain.one(&sessions.0).await?.as_secs_f64() * 1e3);
            of_secure.push(secure.one(&sessions.1).await?.as_secs_f64() * 1e3);
        }
        ratios.push(median(&of_secure) / median(&of_plain));
        all_plain.append(&mut of_plain);
        all_secure.append(&mut of_secure);
    }
    sessions.0.close().await;
    sessions.1.close().await;
    Ok(vec![
        Figure::new("one no-op task, plain text on loopback", "ms", Goal::Reported, all_plain),
        Figure::new("one no-op task, TLS, agent by certificate, framework by token", "ms", Goal::Reported, all_secure),
        Figure::new(
            "… its p50 over that of plain text, in blocks of 200 in turn",
            "times",
            Goal::Below(DEARER),
            ratios,
        ),
    ])
}

async fn throughput(plain: &Side, secure: &Side, rounds: usize, many: usize) -> anyhow::Result<Vec<Figure>> {
    let (mut of_plain, mut of_secure, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let rates = (plain.many(many).await?, secure.many(many).await?);
        // Tasks that take longer: above 1 is dearer, as above.
        ratios.push(rates.0 / rates.1);
        of_plain.push(rates.0);
        of_secure.push(rates.1);
    }
    Ok(vec![
        Figure::new(format!("{many} no-op tasks at once, plain text on loopback"), "tasks/s", Goal::Reported, of_plain),
        Figure::new(format!("{many} no-op tasks at once, secure"), "tasks/s", Goal::Reported, of_secure),
        Figure::new("… its time over that of plain text, in turn", "times", Goal::Below(DEARER), ratios),
    ])
}
