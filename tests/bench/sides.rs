//! Two clusters beside each other, task by task in turn, so that the machine's mood touches both alike.

use std::time::{Duration, Instant};

use haggle_core::{Digest, TaskState};
use haggle_kit::guests;
use haggle_sdk::{Client, Runner, Session};

use crate::Effort;
use crate::figure::{Figure, Goal, median};
use crate::tasks::{noop, submit};

/// One task after another on each side: blocks of so many, and how many blocks. Of each block one ratio.
const BLOCK: usize = 200;
const BLOCKS: usize = 20;

/// The first ones compile the module, warm the caches and are not counted.
const WARM_UP: usize = 200;

/// No-op tasks of one framework at once, and how often on each side.
const MANY: usize = 10_000;
const ROUNDS: usize = 9;

/// One of the two clusters.
pub(crate) struct Side {
    /// What it is.
    name: &'static str,
    client: Client,
    module: Digest,
}

impl Side {
    pub(crate) async fn new(name: &'static str, client: Client) -> anyhow::Result<Self> {
        let module = client.upload_bytes(guests::compile(guests::NOOP)).await?;
        Ok(Self { name, client, module })
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

/// What both take, and how much more one of them takes than the plain one, which is to be as `goal` says.
pub(crate) async fn compare(plain: &Side, other: &Side, goal: Goal, effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let mut figures = latency(plain, other, goal, effort.of(BLOCKS, 2)).await?;
    figures.extend(throughput(plain, other, goal, effort.of(ROUNDS, 1), effort.of(MANY, 500)).await?);
    Ok(figures)
}

async fn latency(plain: &Side, other: &Side, goal: Goal, blocks: usize) -> anyhow::Result<Vec<Figure>> {
    let sessions = (plain.session().await?, other.session().await?);
    for _ in 0..WARM_UP {
        plain.one(&sessions.0).await?;
        other.one(&sessions.1).await?;
    }
    let (mut all_plain, mut all_other, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..blocks {
        let (mut of_plain, mut of_other) = (Vec::new(), Vec::new());
        for _ in 0..BLOCK {
            of_plain.push(plain.one(&sessions.0).await?.as_secs_f64() * 1e3);
            of_other.push(other.one(&sessions.1).await?.as_secs_f64() * 1e3);
        }
        ratios.push(median(&of_other) / median(&of_plain));
        all_plain.append(&mut of_plain);
        all_other.append(&mut of_other);
    }
    sessions.0.close().await;
    sessions.1.close().await;
    Ok(vec![
        Figure::new(format!("one no-op task, {}", plain.name), "ms", Goal::Reported, all_plain),
        Figure::new(format!("one no-op task, {}", other.name), "ms", Goal::Reported, all_other),
        Figure::new(format!("… its p50 over that of {}, in blocks of 200 in turn", plain.name), "times", goal, ratios),
    ])
}

async fn throughput(plain: &Side, other: &Side, goal: Goal, rounds: usize, many: usize) -> anyhow::Result<Vec<Figure>> {
    let (mut of_plain, mut of_other, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let rates = (plain.many(many).await?, other.many(many).await?);
        // Tasks that take longer: above 1 is dearer, as above.
        ratios.push(rates.0 / rates.1);
        of_plain.push(rates.0);
        of_other.push(rates.1);
    }
    Ok(vec![
        Figure::new(format!("{many} no-op tasks at once, {}", plain.name), "tasks/s", Goal::Reported, of_plain),
        Figure::new(format!("{many} no-op tasks at once, {}", other.name), "tasks/s", Goal::Reported, of_other),
        Figure::new(format!("… its time over that of {}, in turn", plain.name), "times", goal, ratios),
    ])
}
