//! One task after another among very many agents: from its submission to its end, alone, and while somebody else is offered all of
//! them and declines.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use haggle_core::{Digest, TaskState};
use haggle_kit::{Cluster, guests};
use haggle_sdk::{Client, Event, Framework, FrameworkInfo, Runner, Session};
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
    let session = Runner::new(&client).name("one by one").start().await?;
    let mut alone = Vec::new();
    for round in 0..WARM_UP + effort.of(ALONE, ALONE / 10) {
        let took = one(&session, module).await?;
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
        beside.push(one(&session, module).await?);
    }
    declining.join().map_err(|_| anyhow::anyhow!("whoever declines has panicked"))??;
    session.close().await;
    Ok(vec![
        Figure::new(format!("one task among {agents} agents, submit to end"), "ms", Goal::P99Below(1.0), alone),
        Figure::new("… while another declines offers of all of them", "ms", Goal::AllBelow(20.0), beside),
    ])
}

/// Milliseconds for a task.
async fn one(session: &Session, module: Digest) -> anyhow::Result<f64> {
    let began = Instant::now();
    let status = session.submit(noop(module)).await?.ended().await?;
    anyhow::ensure!(status.state == TaskState::Finished, "a no-op is {}: {}", status.state, status.message);
    Ok(began.elapsed().as_secs_f64() * 1e3)
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
