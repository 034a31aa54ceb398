//! One principal that wants more than it may have, in each way that has a limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use haggle_core::{Digest, TaskState};
use haggle_sdk::{Client, Event, Framework, FrameworkInfo, OutputStream, Task, TaskId, Token};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use crate::idle::give_way;
use crate::secured::Secured;

/// So many of it try at once.
const AT_ONCE: usize = 64;

/// Tasks in one accept.
const BATCH: u64 = 5_000;

/// How long it waits for an offer before it launches tasks on one that is gone.
const PATIENCE: Duration = Duration::from_millis(10);

/// After a refusal that comes at once. Without, one core would do nothing but be refused.
const BREATH: Duration = Duration::from_millis(1);

/// Much of what?
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Connections,
    Streams,
    Calls,
    ArtifactBytes,
    Frameworks,
    Roles,
    WaitingTasks,
    LogReads,
    Handshakes,
}

impl Way {
    pub(crate) const ALL: [Self; 9] = [
        Self::Connections,
        Self::Streams,
        Self::Calls,
        Self::ArtifactBytes,
        Self::Frameworks,
        Self::Roles,
        Self::WaitingTasks,
        Self::LogReads,
        Self::Handshakes,
    ];

    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Streams => "streams",
            Self::Calls => "calls",
            Self::ArtifactBytes => "artifact bytes",
            Self::Frameworks => "frameworks",
            Self::Roles => "roles",
            Self::WaitingTasks => "waiting tasks",
            Self::LogReads => "log reads",
            Self::Handshakes => "handshakes",
        }
    }
}

/// A flood that goes on until it is ended. What it costs the principal to ask for so much is its own affair: on machines of
/// its own it would take nothing from others, so here its threads run when nobody else's do, and give way at once.
pub(crate) struct Flood {
    tried: Arc<AtomicUsize>,
    threads: Runtime,
}

impl Flood {
    pub(crate) fn start(way: Way, token: &Token, address: &str, noop: Digest) -> anyhow::Result<Self> {
        let threads = Builder::new_multi_thread().worker_threads(2).enable_all().on_thread_start(give_way).build()?;
        let tried = Arc::new(AtomicUsize::new(0));
        for number in 0..AT_ONCE {
            let one =
                One { way, number, token: token.clone(), address: address.to_owned(), noop, tried: Arc::clone(&tried) };
            threads.spawn(one.flood());
        }
        Ok(Self { tried, threads })
    }

    /// How often it tried so far.
    pub(crate) fn tried(&self) -> usize {
        self.tried.load(Ordering::Relaxed)
    }

    /// Ends it, and says how often it tried.
    pub(crate) fn end(self) -> usize {
        self.threads.shutdown_background();
        self.tried.load(Ordering::Relaxed)
    }
}

/// One of those that try at once.
struct One {
    way: Way,
    number: usize,
    token: Token,
    address: String,
    noop: Digest,
    tried: Arc<AtomicUsize>,
}

impl One {
    async fn flood(self) {
        let mut held = Held::default();
        loop {
            let Ok(client) = Secured::client(&self.token).await else { continue };
            // As much as it can over one connection, until that is of no use any more.
            while self.once(&client, &mut held).await {
                self.tried.fetch_add(1, Ordering::Relaxed);
            }
            sleep(BREATH).await;
        }
    }

    /// Wants one more; whether this connection will do for the next.
    async fn once(&self, client: &Client, held: &mut Held) -> bool {
        match self.way {
            Way::Connections => {
                let Ok(another) = Secured::client(&self.token).await else { return false };
                if another.whoami().await.is_ok() {
                    held.clients.push(another);
                }
            }
            Way::Streams => match client.watch().await {
                Ok(watch) => held.streams.push(watch.map(drop).boxed()),
                Err(_) => sleep(BREATH).await,
            },
            Way::Calls => drop(client.whoami().await),
            Way::ArtifactBytes => {
                let seed = self.tried.load(Ordering::Relaxed);
                let bytes: Vec<u8> = (0..4_usize << 20).map(|at| (at ^ (at >> 9) ^ seed ^ self.number) as u8).collect();
                let _ = client.upload_bytes(bytes).await;
            }
            Way::Frameworks | Way::Roles => {
                let role = match self.way {
                    Way::Roles => format!("greedy/{}", self.tried.load(Ordering::Relaxed)),
                    _ => "greedy".to_owned(),
                };
                match Framework::connect(client, info(&role)).await {
                    Ok((framework, events)) => {
                        // It wants places, and no offers: who holds those up is measured by `cargo xtask chaos tenant`.
                        let _ = framework.suppress().await;
                        held.frameworks.push((framework, events));
                    }
                    Err(_) => sleep(BREATH).await,
                }
            }
            Way::WaitingTasks => {
                let Ok((framework, mut events)) = Framework::connect(client, info("greedy")).await else {
                    return false;
                };
                let (mut last, mut latest) = (0, None);
                loop {
                    let news = match timeout(PATIENCE, events.next()).await {
                        Ok(None) => return false,
                        Ok(news) => news,
                        Err(_) => None,
                    };
                    let offers = match news {
                        Some(Event::Offers(offers)) => offers.into_iter().map(|offer| offer.id).collect(),
                        Some(Event::Update(status)) => {
                            if status.state == TaskState::Dropped {
                                self.tried.fetch_add(1, Ordering::Relaxed);
                            }
                            continue;
                        }
                        Some(_) => continue,
                        // There is none for whoever is at its limit. It tries all the same.
                        None => Vec::from_iter(latest),
                    };
                    for offer in offers {
                        latest = Some(offer);
                        let task = Task::new(self.noop).cpus("0.001").mem("1MiB").name("waiting");
                        let (first, id) = (last + 1, framework.id());
                        last += BATCH;
                        let tasks = (first..=last).map(|number| task.clone().spec(TaskId { framework: id, number }));
                        if framework.accept([offer], tasks, Duration::ZERO).await.is_err() {
                            return false;
                        }
                    }
                }
            }
            Way::LogReads => {
                let Ok(tasks) = client.tasks(true).await else { return false };
                let Some(task) = tasks.first() else {
                    // Something of its own whose log it can read.
                    let _ = crate::tasks::submit(client, vec![crate::tasks::noop(self.noop)]).await;
                    return true;
                };
                for _ in 0..AT_ONCE {
                    let mut log = client.log(task.id, OutputStream::Stdout, true);
                    let _ = log.next().await;
                    self.tried.fetch_add(1, Ordering::Relaxed);
                }
            }
            Way::Handshakes => {
                if let Ok(mut stream) = TcpStream::connect(&self.address).await {
                    // The beginning of a handshake of 512 bytes.
                    let _ = stream.write_all(&[0x16, 3, 1, 2, 0]).await;
                    held.sockets.push(stream);
                }
                if held.sockets.len() > AT_ONCE {
                    held.sockets.remove(0);
                }
                sleep(BREATH).await;
            }
        }
        true
    }
}

/// What it has got.
#[derive(Default)]
struct Held {
    clients: Vec<Client>,
    streams: Vec<futures_util::stream::BoxStream<'static, ()>>,
    frameworks: Vec<(Framework, haggle_sdk::Events)>,
    sockets: Vec<TcpStream>,
}

fn info(role: &str) -> FrameworkInfo {
    // It is of no use to anybody once it is gone.
    FrameworkInfo { name: "greedy".into(), roles: vec![role.into()], failover_timeout: Duration::from_millis(1) }
}
