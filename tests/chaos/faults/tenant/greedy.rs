//! The tenant that does its worst, as far as the contract lets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use haggle_kit::{Home, PATIENCE};
use haggle_sdk::{Client, Digest, Event, Framework, FrameworkInfo, Offer, Task, TaskId, TaskSpec};
use rustix::process::nice;
use tokio::runtime::{Builder, Runtime};

/// Subscriptions over one connection: the master lets one have 256 streams.
const PER_CONNECTION: usize = 200;

/// Every second subscription launches. The others hold their offers until they expire.
const LAUNCHING: usize = 2;

/// Tasks in one accept.
const BATCH: usize = 5_000;

const MIB: usize = 1 << 20;

/// How much it wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Greed {
    pub(super) subscriptions: usize,
    /// Tasks that it launches, most of them on offers that they do not fit.
    pub(super) waiting: usize,
    pub(super) noop: Digest,
    pub(super) sleeper: Digest,
}

#[derive(Debug, Default)]
struct Counts {
    subscribed: AtomicUsize,
    launched: AtomicUsize,
    heard: AtomicUsize,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    pub(super) subscribed: usize,
    pub(super) launched: usize,
    pub(super) heard: usize,
}

/// The tenant at work.
pub(super) struct Greedy {
    counts: Arc<Counts>,
    threads: Runtime,
}

impl Greedy {
    /// Subscribes as often as it may. What it costs the tenant to ask for so much is its own affair: on machines of its
    /// own it would take nothing from others, so here its threads run when nobody else's do.
    pub(super) async fn start(home: &Home, url: &str, greed: Greed) -> Self {
        // Linux knows a niceness for each thread.
        let politely = || {
            let _ = nice(19);
        };
        let threads = Builder::new_multi_thread().worker_threads(2).enable_all().on_thread_start(politely).build();
        let threads = threads.expect("threads can be started");
        let counts = Arc::new(Counts::default());
        let mut client = None;
        for number in 0..greed.subscriptions {
            if number % PER_CONNECTION == 0 {
                let connecting = home.client(url).patience(PATIENCE);
                // Among those threads: whoever connects drives the connection.
                let connects = threads.spawn(connecting.connect());
                let connected = connects.await.expect("connecting does not panic");
                client = Some(connected.expect("a master answers"));
            }
            let client = client.clone().expect("connected for the first one");
            let framework = Member { number, greed, counts: Arc::clone(&counts) };
            threads.spawn(framework.live(client));
        }
        Self { counts, threads }
    }

    /// Ends all of its frameworks.
    pub(super) fn end(self) {
        self.threads.shutdown_background();
    }

    pub(super) fn tally(&self) -> Tally {
        let [subscribed, launched, heard] = [&self.counts.subscribed, &self.counts.launched, &self.counts.heard]
            .map(|count| count.load(Ordering::Relaxed));
        Tally { subscribed, launched, heard }
    }
}

/// One of its frameworks.
struct Member {
    number: usize,
    greed: Greed,
    counts: Arc<Counts>,
}

impl Member {
    async fn live(self, client: Client) {
        // It is of no use to anybody once it is gone.
        let failover_timeout = Duration::from_millis(1);
        let info =
            FrameworkInfo { name: format!("greedy{}", self.number), roles: vec!["greedy".into()], failover_timeout };
        loop {
            // Refused: the bound on frameworks, or on what one has not acknowledged.
            let Ok((framework, mut events)) = Framework::connect(&client, info.clone()).await else { continue };
            self.counts.subscribed.fetch_add(1, Ordering::Relaxed);
            let mut last = 0;
            while let Some(event) = events.next().await {
                match event {
                    Event::Offers(offers) if self.number.is_multiple_of(LAUNCHING) => {
                        for offer in offers {
                            let tasks = self.tasks(&framework, &offer, &mut last);
                            self.counts.launched.fetch_add(tasks.len(), Ordering::Relaxed);
                            if framework.accept([offer.id], tasks, Duration::ZERO).await.is_err() {
                                break;
                            }
                        }
                    }
                    Event::Update(_) => drop(self.counts.heard.fetch_add(1, Ordering::Relaxed)),
                    Event::Error(_) => break,
                    _ => {}
                }
            }
        }
    }

    /// Far more tasks than the offer has room for, until there are enough of them; then a name of 1 MiB and inputs of
    /// 1 MiB in turn.
    fn tasks(&self, framework: &Framework, offer: &Offer, last: &mut u64) -> Vec<TaskSpec> {
        let Greed { noop, sleeper, waiting, .. } = self.greed;
        let small = |task: Task| task.cpus("0.001").mem("1MiB");
        let missing = waiting.saturating_sub(self.counts.launched.load(Ordering::Relaxed));
        let (task, count) = match (missing, offer.id.0 % 2) {
            (0, 0) => (small(Task::new(sleeper)).name("n".repeat(MIB)), 1),
            (0, _) => (small(Task::new(sleeper)).stdin(vec![b'i'; MIB]), 8),
            _ => (small(Task::new(noop)).name("waiting"), missing.min(BATCH)),
        };
        let first = *last + 1;
        *last += count as u64;
        (first..=*last).map(|number| task.spec(TaskId { framework: framework.id(), number })).collect()
    }
}
