//! The framework is killed under load, and subscribes again with its id.

use std::time::Duration;

use haggle_kit::record::now_us;

use super::{Scene, every};
use crate::form::FRAMEWORK;
use crate::world::lasting;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn framework() {
    let mut scene = Scene::start(FRAMEWORK, Scene::plan()).await;
    let period = Duration::from_secs(scene.form.of(10, 4));
    let lasts = scene.form.lasts(FRAMEWORK, Duration::from_secs(11));
    let mut kills = Vec::new();

    every(period, lasts, async |turn| {
        kills.push(now_us());
        scene.recorder.kill();
        // It comes back at once, and the next time after a while.
        lasting(Duration::from_secs(turn as u64 % 2)).await;
        scene.recorder.restart();
    })
    .await;

    let mut settled = scene.settle().await;
    let gaps = settled.joined.gaps(&kills);
    settled.figures.count("kills of the framework", kills.len());
    settled.figures.spread("between its launches, for each kill", "s", &gaps);
    settled.undisturbed();
    settled.report();
}
