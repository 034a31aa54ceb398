//! The faults, one file each or a group: what is done to a cluster under load, and what must hold meanwhile.

mod agents;
mod cut;
mod etcds;
mod frameworks;
mod masters;
mod soak;
mod storm;
mod tenant;
mod watch;

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep_until};

use crate::checker::{AgentLogs, Figures, Joined, Task};
use crate::form::{Form, Row};
use crate::world::{Load, Plan, Recorder, World};
use watch::Watch;

/// Faults are measured, so there is one at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Violations that are printed; there may be one for each task.
const PRINTED: usize = 20;

/// A cluster under load, and all that is found out about it.
struct Scene {
    form: Form,
    row: Row,
    world: World,
    recorder: Recorder,
    watch: Watch,
    figures: Figures,
    began: Instant,
    alone: MutexGuard<'static, ()>,
}

impl Scene {
    /// Under the usual load.
    async fn start(row: Row, plan: Plan) -> Self {
        Self::start_with(row, plan, Self::load(plan)).await
    }

    async fn start_with(row: Row, plan: Plan, load: Load) -> Self {
        let alone = ALONE.lock().await;
        let form = Form::get();
        let world = World::start(plan).await;
        let watch = Watch::start(&world);
        let recorder = Recorder::start(&world, load).await;
        let (figures, began) = (Figures::default(), Instant::now());
        Self { form, row, world, recorder, watch, figures, began, alone }
    }

    /// The cluster of this form.
    fn plan() -> Plan {
        Form::get().of(Plan::FULL, Plan::SMALL)
    }

    /// As many tasks as the long form has; in the short one, as a busy machine carries.
    fn load(plan: Plan) -> Load {
        Load { name: "recorder", rate: Form::get().of(500, 100), sleepers: plan.agents }
    }

    /// Lets the recorder end, and joins what it wrote with the logs.
    async fn settle(self) -> Settled {
        let Self { form, row, mut world, recorder, watch, mut figures, began, alone } = self;
        let load = began.elapsed();
        let lines = recorder.drain().await;
        figures.violations.extend(watch.end(&world).await);
        figures.violations.extend(world.ended());
        let joined = Joined::new(&lines, &AgentLogs::read(&world.agent_logs()));
        figures.count("seconds under load", load.as_secs() as usize);
        figures.count("tasks accepted", joined.tasks.len());
        figures.none("lost", joined.lost());
        figures.none("run twice", joined.run_twice());
        figures.count("never run or given up, and told so", joined.not_run());
        figures.count("states that a later one overtook", joined.tasks.values().map(Task::overtaken).sum());
        figures.spread("from due to the first answer", "s", &joined.latencies());
        figures.violations.extend(joined.violations.iter().cloned());
        Settled { form, row, world, joined, figures, alone }
    }
}

/// What is left of a scene, for the figures that are the row's own.
struct Settled {
    form: Form,
    row: Row,
    world: World,
    joined: Joined,
    figures: Figures,
    alone: MutexGuard<'static, ()>,
}

impl Settled {
    /// Nothing but the recorder ended a lasting task.
    fn undisturbed(&mut self) {
        let disturbed = self.joined.disturbed();
        self.figures.none("running tasks disturbed", disturbed.len());
        self.figures.violations.extend(disturbed);
    }

    /// Prints the figures.
    ///
    /// # Panics
    /// When a promise was broken, saying which and where the logs are.
    fn report(self) {
        report(self.row, self.world, &self.figures);
        drop(self.alone);
    }
}

/// A bound of the long form. The short one shares its machine with other checks, and its programs are not optimised:
/// there a bound only tells a delay from a standstill.
fn bound(form: Form, seconds: f64) -> f64 {
    form.of(seconds, 5.0 * seconds)
}

fn report(row: Row, world: World, figures: &Figures) {
    println!("{}\n{}", row.name, figures.text());
    let violations = &figures.violations;
    if violations.is_empty() {
        return;
    }
    for violation in violations.iter().take(PRINTED) {
        println!("  VIOLATION {violation}");
    }
    let folder = world.keep();
    panic!("{}: {} violations; the logs are in {}", row.name, violations.len(), folder.display());
}

/// Repeats a fault every so often, for so long.
async fn every(period: Duration, lasts: Duration, mut fault: impl AsyncFnMut(usize)) {
    let end = Instant::now() + lasts;
    let mut turn = 0;
    while Instant::now() < end {
        let next = Instant::now() + period;
        fault(turn).await;
        turn += 1;
        sleep_until(next).await;
    }
}
