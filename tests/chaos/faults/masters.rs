//! The master that leads is killed, or stopped for longer than its lease.

use std::time::Duration;

use haggle_core::TaskState;
use haggle_kit::record::{Entry, Line, now_us};
use haggle_kit::until;
use rustix::process::Signal;
use tokio::time::Instant;

use super::{Scene, bound, every};
use crate::checker::since;
use crate::form::{LEADER, PAUSE};
use crate::world::{lasting, signal};

/// How long a killed master stays away.
const AWAY: Duration = Duration::from_secs(1);

/// Three times as long as a lease lasts.
const THREE_LEASES: Duration = Duration::from_secs(9);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leader() {
    let mut scene = Scene::start(LEADER, Scene::plan()).await;
    let (period, lasts) = (scene.form.of(10, 6), scene.form.lasts(LEADER, Duration::from_secs(12)));
    let (mut kills, mut elections) = (Vec::new(), Vec::new());

    every(Duration::from_secs(period), lasts, async |_| {
        let world = &mut scene.world;
        let before = world.reign.leads().await;
        kills.push(now_us());
        let killed = Instant::now();
        world.masters[before.master].kill();
        world.reign.leads_after(before.epoch).await;
        elections.push(killed.elapsed().as_secs_f64());
        lasting(AWAY).await;
        world.restart_master(before.master);
    })
    .await;

    let mut settled = scene.settle().await;
    let gaps = settled.joined.gaps(&kills);
    let below = bound(settled.form, 3.0);
    settled.figures.count("leaders killed", kills.len());
    settled.figures.spread("until another one leads", "s", &elections);
    settled.figures.p99_below("without service, for each kill", "s", below, &gaps);
    settled.undisturbed();
    settled.report();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pause() {
    let scene = Scene::start(PAUSE, Scene::plan()).await;
    let lasts = scene.form.lasts(PAUSE, Duration::from_millis(1));
    let mut pauses = Vec::new();
    let mut effects = Vec::new();

    every(scene.form.of(Duration::from_secs(20), THREE_LEASES), lasts, async |turn| {
        let world = &scene.world;
        let before = world.reign.leads().await;
        let log = world.master_log(before.master);
        pauses.push(now_us());
        signal(&world.masters[before.master], Signal::STOP);
        let length = std::fs::metadata(&log).expect("the leader logs").len();
        lasting(THREE_LEASES).await;
        world.reign.leads_after(before.epoch).await;
        signal(&world.masters[before.master], Signal::CONT);
        let ended = |line: &String| line.contains("no longer leads");
        until("the stopped leader has noticed", async || since(&log, length).iter().any(ended).then_some(())).await;
        let said = since(&log, length).into_iter().take_while(|line| !ended(line));
        let did = said.filter(|line| line.starts_with("agent-") || line.starts_with("framework-"));
        effects.extend(did.map(|line| format!("pause {turn}: after its lease the stale leader said: {line}")));
        world.connected(world.agents.len()).await;
        scene.recorder.served().await;
    })
    .await;

    let unreachable = scene.recorder.lines().iter().filter(|line| is_unreachable(line)).count();
    let mut settled = scene.settle().await;
    let gaps = settled.joined.gaps(&pauses);
    settled.figures.count("leaders stopped", pauses.len());
    settled.figures.none("effects of a stale epoch", effects.len());
    settled.figures.none("tasks told to be unreachable", unreachable);
    // Agents and frameworks notice a silent master after three and a half.
    let below = bound(settled.form, 5.0);
    settled.figures.all_below("without service, for each pause", "s", below, &gaps);
    settled.figures.violations.extend(effects);
    settled.undisturbed();
    settled.report();
}

fn is_unreachable(line: &Line) -> bool {
    matches!(&line.entry, Entry::Update(heard) if heard.state == TaskState::Unreachable)
}
