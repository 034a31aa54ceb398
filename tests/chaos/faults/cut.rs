//! Agents are cut off for longer than they may be silent, and come back.

use std::time::Duration;

use haggle_core::TaskState;
use haggle_kit::until;
use haggle_sdk::Client;
use tokio::time::Instant;

use super::{Scene, bound};
use crate::form::{CUT, Form};
use crate::world::{Plan, Way, World, lasting};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut() {
    let agent_timeout = Form::get().of(Plan::FULL.agent_timeout, Duration::from_secs(5));
    let mut scene = Scene::start(CUT, Plan { proxies: true, agent_timeout, ..Scene::plan() }).await;
    let client = scene.world.client().await;
    let (mut reconciled, mut unreachable) = (Vec::new(), 0);

    for turn in 0..scene.form.times(10, 2) {
        let world = &scene.world;
        let way = if turn % 2 == 0 { Way::Refused } else { Way::Silent };
        // Every second one, so that there is somebody to work on.
        let cut = || world.agents.iter().step_by(2).filter_map(|agent| agent.proxy.as_ref());
        cut().for_each(|proxy| proxy.set(way));
        lasting(scene.form.of(Duration::from_secs(30), Duration::from_secs(8))).await;
        unreachable += sleeping(&client, TaskState::Unreachable).await;
        cut().for_each(|proxy| proxy.set(Way::Open));
        let healed = Instant::now();
        all_back(world, &client).await;
        reconciled.push(healed.elapsed().as_secs_f64());
    }

    let below = bound(scene.form, 5.0);
    scene.figures.count("cuts", reconciled.len());
    scene.figures.count("running tasks told to be unreachable meanwhile", unreachable);
    scene.figures.all_below("from the healing until all is as it was", "s", below, &reconciled);
    scene.settle().await.report();
}

/// Waits until every agent is connected and every lasting task runs.
async fn all_back(world: &World, client: &Client) {
    world.connected(world.agents.len()).await;
    until("every lasting task runs again", async || {
        (sleeping(client, TaskState::Running).await == world.agents.len()).then_some(())
    })
    .await;
}

/// Lasting tasks in this state.
async fn sleeping(client: &Client, state: TaskState) -> usize {
    let tasks = client.tasks(false).await.unwrap_or_default();
    tasks.iter().filter(|task| task.name == "sleeper" && task.status.state == state).count()
}
