//! No-op tasks through the queue of an allocation, over sockets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use haggle_core::{Bytes, Digest, MilliCpu};
use haggle_kit::{AgentFlags, Cluster, guests};
use haggle_sdk::{
    AllocationSpec, Event, Events, Framework, FrameworkInfo, QueuedTasks, Resources, TaskId, TaskState, UpdateId,
};

use crate::Effort;
use crate::figure::{Figure, Goal};
use crate::tasks::{noop, submit};

/// Of each round.
const MANY: u64 = 100_000;
const ROUNDS: usize = 5;

/// In the queue at most; it is refilled when it is half empty.
const DEPTH: u64 = 16_384;

/// The first number of tasks; below is the allocation's.
const FIRST: u64 = 10;

pub(crate) async fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let module = client.upload_bytes(guests::compile(guests::NOOP)).await?;
    submit(&client, vec![noop(module)]).await?;
    let info = FrameworkInfo {
        name: "queue".to_owned(),
        roles: vec!["bench".to_owned()],
        failover_timeout: Duration::from_secs(60),
    };
    let (framework, events) = Framework::connect(&client, info).await?;
    let mut queue = Queue { framework, events, module, next: FIRST, heard: UpdateId::UNACKNOWLEDGED };
    queue.open().await?;
    queue.run(1_000).await?;
    let mut samples = Vec::new();
    for _ in 0..ROUNDS {
        let many = effort.of(MANY, MANY / 100);
        let began = Instant::now();
        queue.run(many).await?;
        samples.push(many as f64 / began.elapsed().as_secs_f64());
    }
    queue.framework.teardown(queue.events).await?;
    let name = "no-op tasks through an allocation's queue, one framework, one agent of 2 cpus";
    Ok(vec![Figure::new(name, "tasks/s", Goal::AtLeast(100_000.0), samples)])
}

/// A framework with one allocation of two cpus.
struct Queue {
    framework: Framework,
    events: Events,
    module: Digest,
    next: u64,
    /// The latest update of the allocation: one may be told again.
    heard: UpdateId,
}

impl Queue {
    fn id(&self, number: u64) -> TaskId {
        TaskId { framework: self.framework.id(), number }
    }

    async fn open(&mut self) -> anyhow::Result<()> {
        let offer = loop {
            if let Event::Offers(mut offers) = self.next().await? {
                break offers.remove(0);
            }
        };
        let spec = AllocationSpec {
            id: self.id(1),
            name: "queue".to_owned(),
            role: String::new(),
            resources: Resources::new(MilliCpu::from_cores(2), Bytes::from_mib(1024), Bytes::ZERO),
            volumes: Vec::new(),
            idle_timeout: Duration::from_secs(60),
        };
        self.framework.open([offer.id], spec, Duration::from_secs(60)).await?;
        Ok(())
    }

    /// Runs so many no-ops.
    async fn run(&mut self, many: u64) -> anyhow::Result<()> {
        let (mut left, mut queued, mut ended) = (many, 0, 0);
        while ended < many {
            if queued <= DEPTH / 2 && left > 0 {
                let count = left.min(DEPTH - queued);
                let spec = Arc::new(noop(self.module).spec(self.id(self.next)));
                let tasks = QueuedTasks { spec, count: u32::try_from(count)?, index: None };
                self.framework.enqueue(self.id(1), [tasks], false).await?;
                self.next += count;
                queued += count;
                left -= count;
            }
            match self.next().await? {
                Event::Queue(update) => {
                    self.framework.acknowledge_queue(&update).await?;
                    if update.update <= self.heard {
                        continue;
                    }
                    self.heard = update.update;
                    for end in &update.ended {
                        anyhow::ensure!(end.ending.state == TaskState::Finished, "a no-op is {:?}", end.ending);
                        ended += end.count;
                        queued -= end.count;
                    }
                }
                Event::Update(status) => self.framework.acknowledge([&status]).await?,
                _ => {}
            }
        }
        Ok(())
    }

    async fn next(&mut self) -> anyhow::Result<Event> {
        match self.events.next().await {
            Some(Event::Error(why)) => anyhow::bail!("the master ended the session: {why}"),
            Some(event) => Ok(event),
            None => anyhow::bail!("the session is over"),
        }
    }
}
