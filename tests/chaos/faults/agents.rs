//! Agents are killed under load, and come back in the same folder.

use std::time::Duration;

use haggle_kit::record::now_us;

use super::{Scene, bound, every};
use crate::form::AGENT;
use crate::world::lasting;

/// How long a killed agent stays away.
const AWAY: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent() {
    let mut scene = Scene::start(AGENT, Scene::plan()).await;
    let period = Duration::from_secs(scene.form.of(5, 4));
    let lasts = scene.form.lasts(AGENT, Duration::from_secs(12));
    let ids = scene.world.client().await.agents().await.expect("the master answers");
    let id = |index: usize| {
        let name = format!("agent{index}");
        ids.iter().find(|agent| agent.info.name == name).expect("the agent is registered").id.0
    };
    let mut returns = Vec::new();

    every(period, lasts, async |turn| {
        let world = &mut scene.world;
        // Each in its turn, in an order that is not that of their ids.
        let index = turn * 5 % world.agents.len();
        world.agents[index].process.kill();
        lasting(AWAY).await;
        returns.push((now_us(), id(index)));
        world.restart_agent(index);
    })
    .await;

    // The last one is to be seen at work as well.
    lasting(AWAY).await;
    let mut settled = scene.settle().await;
    let back: Vec<f64> =
        returns.iter().filter_map(|&(at, agent)| settled.joined.served_after(at, Some(agent))).collect();
    let below = bound(settled.form, 2.0);
    settled.figures.count("agents killed", returns.len());
    settled.figures.none("agents that came to no task again", returns.len() - back.len());
    settled.figures.all_below("from its start to its next task", "s", below, &back);
    settled.undisturbed();
    settled.report();
}
