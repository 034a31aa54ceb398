//! How late an honest framework's tasks are while one principal floods the master in each way that has a limit.

mod ways;

use std::time::{Duration, Instant};

use haggle_core::{Digest, TaskState};
use haggle_kit::guests;
use haggle_sdk::{Client, Runner, Session};

use crate::Effort;
use crate::figure::{Figure, Goal, quantile};
use crate::secured::Secured;
use crate::tasks::noop;
use ways::{Flood, Way};

/// How long each phase is, and how often one without the flood and one beside it follow each other.
const PHASE: Duration = Duration::from_secs(4);
const ROUNDS: usize = 3;

/// Between two tasks of the honest framework: it is no flood itself.
const PAUSE: Duration = Duration::from_millis(4);

/// The first ones compile the module and warm the caches.
const WARM_UP: usize = 200;

/// How much later the honest framework's tasks may be.
const LATER: f64 = 2.0;

/// Low ones, so that each is met within a phase and the disk is not filled.
const LIMITS: [&str; 4] = ["upload-bytes=64MiB", "upload-bytes-per-day=256MiB", "tasks=1000", "frameworks=300"];

pub(crate) async fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let flags: Vec<&str> = LIMITS.iter().flat_map(|limit| ["--limit", *limit]).collect();
    let secured = Secured::start(&flags).await?;
    let honest = Honest::start(Secured::client(&secured.token("honest").await?).await?).await?;
    let greedy = secured.token("greedy").await?;
    let (phase, rounds) = (effort.of(PHASE, Duration::from_millis(300)), effort.of(ROUNDS, 1));
    let mut figures = Vec::new();
    for way in Way::ALL {
        let (mut ratios, mut alone, mut beside, mut tried) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for _ in 0..rounds {
            let mut before = honest.tasks_for(phase).await?;
            let flood = Flood::start(way, &greedy, &secured.address, honest.module)?;
            haggle_kit::until("the flood has begun", async || (flood.tried() > 0).then_some(())).await;
            let mut during = honest.tasks_for(phase).await?;
            tried += flood.end();
            ratios.push(quantile(&during, 0.99) / quantile(&before, 0.99));
            alone.append(&mut before);
            beside.append(&mut during);
            settle(&secured).await?;
        }
        let tries = tried as f64 / (phase.as_secs_f64() * rounds as f64);
        let name = way.what();
        figures.push(Figure::new("an honest no-op, nobody beside", "ms", Goal::Reported, alone));
        figures.push(Figure::new(
            format!("… beside a flood of {name}, {tries:.0} tries a second"),
            "ms",
            Goal::Reported,
            beside,
        ));
        figures.push(Figure::new("… its p99 over that with nobody beside", "times", Goal::Below(LATER), ratios));
    }
    Ok(figures)
}

/// Nothing of a flood is left.
async fn settle(secured: &Secured) -> anyhow::Result<()> {
    haggle_kit::until("the flood is over", async || {
        let frameworks = secured.owner.frameworks().await.ok()?;
        (!frameworks.iter().any(|framework| framework.info.name.starts_with("greedy"))).then_some(())
    })
    .await;
    Ok(())
}

/// A framework that runs one small task after another.
struct Honest {
    session: Session,
    module: Digest,
}

impl Honest {
    async fn start(client: Client) -> anyhow::Result<Self> {
        let module = client.upload_bytes(guests::compile(guests::NOOP)).await?;
        let honest = Self { session: Runner::new(&client).name("honest").start().await?, module };
        for _ in 0..WARM_UP {
            honest.one().await?;
        }
        Ok(honest)
    }

    async fn one(&self) -> anyhow::Result<f64> {
        let began = Instant::now();
        let status = self.session.submit(noop(self.module)).await?.ended().await?;
        anyhow::ensure!(status.state == TaskState::Finished, "a no-op is {}: {}", status.state, status.message);
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }

    /// How long each task took, in ms.
    async fn tasks_for(&self, phase: Duration) -> anyhow::Result<Vec<f64>> {
        let (began, mut samples) = (Instant::now(), Vec::new());
        while began.elapsed() < phase {
            samples.push(self.one().await?);
            tokio::time::sleep(PAUSE).await;
        }
        Ok(samples)
    }
}
