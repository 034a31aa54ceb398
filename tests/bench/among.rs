//! One task after another among very many agents: from the accept to its end, and from its submission, alone, and while somebody else is
//! offered all of them and declines. Whoever submits then may have to wait for an offer: all agents are offered to the other.

use std::collections::BTreeSet;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use haggle_core::{Digest, TaskState};
use haggle_kit::{Cluster, guests};
use haggle_sdk::{Client, Event, Framework, FrameworkInfo, Progress, Runner, Session};
use tokio::runtime::Builder;

use crate::Effort;
use crate::figure::{Figure, Goal};
use crate::tasks::noop;

/// One by one, alone. The first ones warm the caches and are not counted.
const ALONE: usize = 2_000;
const WARM_UP: usize = 100;

/// How often all that is offered is declined.
const DECLINES: usize = 10;

/// How long what was declined is not offered to the same framework again: no time, so that the next round is offered it.
const REFUSED_FOR: Duration = Duration::ZERO;

/// Of a cluster whose agents end each task as soon as they hear of it.
pub(crate) async fn measure(cluster: &Cluster, agents: usize, effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let client = cluster.client().await;
    let module = client.upload_bytes(guests::compile(guests::NOOP)).await?;
    let (launches, launched) = mpsc::channel();
    let tell = move |progress: &Progress| {
        if let Progress::Launched { .. } = progress {
            // Whoever waits for it may have ended.
            let _ = launches.send(Instant::now());
        }
    };
    let session = Runner::new(&client).name("one by one").start_with(tell).await?;
    let mut alone = Vec::new();
    for round in 0..WARM_UP + effort.of(ALONE, ALONE / 10) {
        let took = one(&session, module, &launched).await?;
        if round >= WARM_UP {
            alone.push(took);
        }
    }
    // A framework of somebody else: with a connection and a thread of its own.
    let (home, url, rounds) = (cluster.home(), cluster.url.clone(), effort.of(DECLINES, 2));
    let declining = thread::spawn(move || {
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            // Connected to here, so that what comes is also read on this thread.
            decline_all(home.connect(&url).await?, agents, rounds).await
        })
    });
    let mut beside = Vec::new();
    while !declining.is_finished() {
        beside.push(one(&session, module, &launched).await?);
    }
    declining.join().map_err(|_| anyhow::anyhow!("whoever declines has panicked"))??;
    session.close().await;
    let figure = |name: String, goal, took: &[Took], of: fn(&Took) -> f64| {
        Figure::new(name, "ms", goal, took.iter().map(of).collect())
    };
    let name = format!("one task among {agents} agents");
    let declines = "while another declines offers of all of them";
    Ok(vec![
        figure(format!("{name}, accept to end"), Goal::P99Below(1.0), &alone, |took| took.since_accept),
        figure(format!("… {declines}"), Goal::AllBelow(20.0), &beside, |took| took.since_accept),
        figure(format!("{name}, submit to end"), Goal::P99Below(1.0), &alone, |took| took.since_submit),
        figure(format!("… {declines}"), Goal::Reported, &beside, |took| took.since_submit),
    ])
}

/// Milliseconds for a task.
struct Took {
    since_submit: f64,
    since_accept: f64,
}

async fn one(session: &Session, module: Digest, launched: &Receiver<Instant>) -> anyhow::Result<Took> {
    let submitted = Instant::now();
    let status = session.submit(noop(module)).await?.ended().await?;
    let ended = Instant::now();
    anyhow::ensure!(status.state == TaskState::Finished, "a no-op is {}: {}", status.state, status.message);
    // The last one: what it was launched on before may have been gone when the accept came.
    let accepted = launched.try_iter().last().context("a task that ended was launched")?;
    let milliseconds = |since: Instant| (ended - since).as_secs_f64() * 1e3;
    Ok(Took { since_submit: milliseconds(submitted), since_accept: milliseconds(accepted) })
}

/// A framework that is offered all agents, so often, and takes nothing.
async fn decline_all(client: Client, agents: usize, rounds: usize) -> anyhow::Result<()> {
    let info = FrameworkInfo {
        name: "declines".to_owned(),
        roles: vec!["other".to_owned()],
        failover_timeout: Duration::from_secs(60),
    };
    let (framework, mut events) = Framework::connect(&client, info).await?;
    let mut held = BTreeSet::new();
    let mut declined = 0;
    while declined < rounds {
        match events.next().await {
            Some(Event::Offers(offers)) => held.extend(offers.into_iter().map(|offer| offer.id)),
            Some(Event::Rescinded(gone)) => held.retain(|offer| !gone.contains(offer)),
            Some(Event::Error(why)) => anyhow::bail!("the master ended the session: {why}"),
            Some(_) => {}
            None => anyhow::bail!("the session is over"),
        }
        // What somebody else holds, or was given just now, is not offered.
        if held.len() * 10 >= agents * 9 {
            framework.decline(std::mem::take(&mut held), REFUSED_FOR).await?;
            declined += 1;
        }
    }
    framework.teardown(events).await?;
    Ok(())
}
