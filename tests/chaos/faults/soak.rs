//! Twenty minutes under load, with a fault of any kind every so often: nothing breaks, and nothing grows.

use std::time::Duration;

use haggle_kit::record::now_us;
use rustix::process::Signal;
use tokio::time::Instant;

use super::{Scene, every};
use crate::form::SOAK;
use crate::world::{Held, Load, Plan, Way, World, lasting, signal};

/// What may happen.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Leader,
    Agent,
    Pause,
    Refused,
    Silent,
    Framework,
    Etcd,
}

const FAULTS: [Fault; 7] =
    [Fault::Leader, Fault::Agent, Fault::Pause, Fault::Refused, Fault::Silent, Fault::Framework, Fault::Etcd];

/// Memory and descriptors may be this much above what they were: what allocators and caches waver.
const FLAT: f64 = 1.25;
/// The same, where there is little to take a part of.
const SLACK_MIB: f64 = 64.0;
const SLACK_DESCRIPTORS: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak() {
    let load = Load { rate: 200, ..Scene::load(Scene::plan()) };
    let mut scene = Scene::start_with(SOAK, Plan { proxies: true, ..Scene::plan() }, load).await;
    let period = Duration::from_secs(scene.form.of(15, 6));
    let lasts = scene.form.lasts(SOAK, Duration::from_secs(18));
    let mut random = Random::new();
    println!("the faults of seed {}", random.0);
    let (began, mut samples) = (Instant::now(), Vec::new());

    every(period, lasts, async |_| {
        let fault = FAULTS[random.below(FAULTS.len())];
        let (agent, away) = (random.below(scene.world.agents.len()), Duration::from_secs(1 + random.below(4) as u64));
        hit(&mut scene, fault, agent, away).await;
        samples.push((began.elapsed(), held(&scene.world)));
    })
    .await;

    let mut settled = scene.settle().await;
    settled.figures.count("faults", samples.len());
    // The first quarter is for what grows to its bound: caches, pools, the history of tasks.
    let later: Vec<Held> = samples.iter().filter(|(at, _)| *at > lasts / 4).map(|(_, held)| *held).collect();
    let (early, late) = later.split_at(later.len() / 2);
    for (name, middle) in [("early", middle(early)), ("late", middle(late))] {
        settled.figures.spread(&format!("memory of all masters and agents, {name}"), "MiB", &[middle.mib]);
        settled.figures.count(&format!("descriptors of all masters and agents, {name}"), middle.descriptors);
    }
    let (early, late) = (middle(early), middle(late));
    // A short run shows no trend.
    let grown = late.mib > early.mib * FLAT + SLACK_MIB
        || late.descriptors as f64 > early.descriptors as f64 * FLAT + SLACK_DESCRIPTORS as f64;
    settled.figures.none("growth", usize::from(settled.form.of(grown, false)));
    settled.report();
}

/// Does it, and undoes it after a while.
async fn hit(scene: &mut Scene, fault: Fault, agent: usize, away: Duration) {
    println!("{} {fault:?}, agent {agent}, for {away:?}", now_us());
    let world = &mut scene.world;
    match fault {
        Fault::Leader => {
            let leader = world.reign.leads().await.master;
            world.masters[leader].kill();
            lasting(away).await;
            world.restart_master(leader);
        }
        Fault::Agent => {
            world.agents[agent].process.kill();
            lasting(away).await;
            world.restart_agent(agent);
        }
        Fault::Pause => {
            let leader = world.reign.leads().await.master;
            signal(&world.masters[leader], Signal::STOP);
            lasting(away * 2).await;
            signal(&world.masters[leader], Signal::CONT);
        }
        Fault::Refused | Fault::Silent => {
            let way = if matches!(fault, Fault::Silent) { Way::Silent } else { Way::Refused };
            let proxy = world.agents[agent].proxy.as_ref().expect("every agent has a proxy");
            proxy.set(way);
            lasting(away * 2).await;
            proxy.set(Way::Open);
        }
        Fault::Framework => {
            scene.recorder.kill();
            lasting(away).await;
            scene.recorder.restart();
        }
        Fault::Etcd => {
            let etcds = world.etcds.as_mut().expect("several masters share etcds");
            etcds.kill(agent % 3);
            lasting(away).await;
            etcds.restart(agent % 3).await;
        }
    }
}

/// By all masters and agents.
fn held(world: &World) -> Held {
    let agents = world.agents.iter().map(|agent| &agent.process);
    world.masters.iter().chain(agents).map(Held::by).sum()
}

/// Of each, the one in the middle.
fn middle(samples: &[Held]) -> Held {
    let mut mib: Vec<f64> = samples.iter().map(|held| held.mib).collect();
    mib.sort_by(f64::total_cmp);
    let mut descriptors: Vec<usize> = samples.iter().map(|held| held.descriptors).collect();
    descriptors.sort_unstable();
    let at = samples.len() / 2;
    Held {
        mib: mib.get(at).copied().unwrap_or_default(),
        descriptors: descriptors.get(at).copied().unwrap_or_default(),
    }
}

/// Numbers that look random: xorshift, from a seed that is printed, or given again as `HAGGLE_CHAOS_SEED`.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let given = std::env::var("HAGGLE_CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
        Self(given.unwrap_or_else(now_us).max(1))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound
    }
}
