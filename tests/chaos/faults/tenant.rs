//! One tenant does its worst: another one's tasks are as quick as before, and masters and agents stay small.

mod greedy;

use std::time::Duration;

use haggle_kit::record::now_us;

use super::Scene;
use crate::checker::{quantile, seconds};
use crate::form::{Form, TENANT};
use crate::world::{Held, Load, World, lasting};
use greedy::{Greed, Greedy};

/// The memory that a master may come to. By arithmetic, not by measurement: the tenant's large messages are two of 16 MiB at
/// a time, each of which is there as it came and as what it says, and waits so for its agents; as much again is on its way
/// out. 100,000 ends that nobody acknowledges take a few hundred bytes each, and a session some ten KiB. The rest is for
/// what the allocator keeps.
const MASTER_MIB: f64 = 512.0;

/// The memory that an agent may come to; its executors, which hold inputs and guests, are not counted. Measured: 80 MiB
/// in optimised programs, 165 MiB in others, on a busy machine. This leaves room for a message of the largest kind for
/// each of a few frameworks.
const AGENT_MIB: f64 = 512.0;

/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How much longer another framework's tasks may wait.
const SLOWER: f64 = 2.0;

/// How much longer half of them may wait in the short form. It lasts for seconds, most of which is the moment in which a
/// hundred frameworks subscribe, and its programs are not optimised: there the slowest of a hundred tell the mood of the
/// machine.
const SLOWER_SHORT: f64 = 5.0;

/// The least that this is a multiple of, in seconds.
const AT_LEAST_SHORT: f64 = 0.01;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenant() {
    let form = Form::get();
    let load = Load { rate: form.of(100, 50), ..Scene::load(Scene::plan()) };
    let mut scene = Scene::start_with(TENANT, Scene::plan(), load).await;
    let half = form.lasts(TENANT, Duration::from_secs(14)) / 2;

    let alone = now_us();
    lasting(half).await;
    let beside = now_us();
    let greed = Greed {
        subscriptions: form.of(1_000, 100),
        waiting: form.of(100_000, 10_000),
        noop: scene.world.noop,
        sleeper: scene.world.sleeper,
    };
    let tenant = Greedy::start(&scene.world.home(), &scene.world.url(), greed).await;
    let (mut master, mut agent) = (0.0_f64, 0.0_f64);
    while seconds(beside, now_us()) < half.as_secs_f64() {
        lasting(LOOK_EVERY).await;
        master = master.max(largest_master(&scene.world));
        agent = agent.max(largest_agent(&scene.world));
    }
    let until = now_us();
    let tally = tenant.tally();
    tenant.end();

    scene.figures.count("subscriptions of the greedy tenant", tally.subscribed);
    scene.figures.count("tasks that it launched", tally.launched);
    scene.figures.count("updates that it heard and did not acknowledge", tally.heard);
    scene.figures.all_below("memory of the largest master", "MiB", MASTER_MIB, &[master]);
    scene.figures.all_below("memory of the largest agent", "MiB", AGENT_MIB, &[agent]);
    // The greedy frameworks are gone when their failover time is over; until then they hold what they launched.
    let mut settled = scene.settle().await;
    let before = settled.joined.latencies_between(alone, beside);
    let during = settled.joined.latencies_between(beside, until);
    let [p99, p99_during] = [&before, &during].map(|samples| quantile(samples, 0.99));
    settled.figures.spread("another framework's tasks, alone", "s", &before);
    settled.figures.spread("the same beside the greedy tenant", "s", &during);
    settled.figures.spread(
        "from its accept to the first answer, alone",
        "s",
        &settled.joined.answers_between(alone, beside),
    );
    settled.figures.spread("the same beside", "s", &settled.joined.answers_between(beside, until));
    let slower = p99_during / p99;
    settled.figures.spread("p99 beside, as a multiple of p99 alone", "", &[slower]);
    let [half, half_during] = [&before, &during].map(|samples| quantile(samples, 0.5));
    let holds = form.of(slower < SLOWER, half_during < SLOWER_SHORT * half.max(AT_LEAST_SHORT));
    settled.figures.none("other frameworks that were held up", usize::from(!holds));
    settled.report();
}

fn largest_master(world: &World) -> f64 {
    world.masters.iter().map(|master| Held::by(master).mib).fold(0.0, f64::max)
}

fn largest_agent(world: &World) -> f64 {
    world.agents.iter().map(|agent| Held::by(&agent.process).mib).fold(0.0, f64::max)
}
