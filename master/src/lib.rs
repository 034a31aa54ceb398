//! The Haggle master: sockets, registry and artifacts around the cluster's state machine.
//!
//! ```text
//! wire -> Command -> driver: cluster.apply(now, command) -> effects -> registry write -> outbox -> wire
//! ```
//!
//! One thread, the driver, owns the [`Cluster`]. Everybody else holds a handle to it.

mod agent_mail;
mod artifacts;
mod clock;
mod config;
mod driver;
mod error;
mod grpc;
mod handle;
mod logs;
mod outbox;
mod registry;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use haggle_core::Now;
use haggle_core::cluster::{Cluster, Recovered};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

pub use config::{ArtifactLimits, Config};
pub use error::{Failure, StartError};
pub use registry::{BadRow, LocalError, RegistryError};

use artifacts::Store;
use clock::Clock;
use handle::{Handle, Reign};
use registry::{LocalRegistry, Registry};

/// How long calls that are under way may take to end when the master stops. Sessions and watches end at once;
/// this is for an upload.
const LAST_CALLS: Duration = Duration::from_secs(2);

/// How often to try again when there is no room for the registry.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// A running master. It runs on the runtime that started it, until [`Master::stop`]; dropped, it stops too, but
/// nobody waits for it.
#[derive(Debug)]
pub struct Master {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    /// Everything that runs; ends when the driver and the server have.
    run: JoinHandle<()>,
    failure: watch::Receiver<Option<Failure>>,
}

impl Master {
    /// Starts a master: when this returns, it serves. While the disk of its state folder is full, it waits for room.
    ///
    /// # Errors
    /// When it must not or cannot listen there, or cannot use its state folder.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let listener = listen(config.listen).await?;
        let address = listener.local_addr().map_err(|source| StartError::Listen { address: config.listen, source })?;

        let mut registry: Box<dyn Registry> = Box::new(LocalRegistry::new(config.state.as_deref()));
        let (recovered, origin) = recover(registry.as_mut()).await?;
        // Behind the registry's lock: nobody else uses the folder.
        let folder = config.state.as_ref().map(|state| state.join("artifacts"));
        let store = Store::open(folder.as_deref(), config.artifacts)
            .map_err(|source| StartError::Artifacts { folder: folder.unwrap_or_else(std::env::temp_dir), source })?;
        let reign = Reign::from(&recovered);
        info!(
            "leads {} as {}; {} agents and {} frameworks are remembered",
            reign.cluster,
            reign.epoch,
            recovered.agents.len(),
            recovered.frameworks.len()
        );
        let cluster = Cluster::new(config.cluster, recovered, origin);
        let clock = Clock::starting_at(origin, Instant::now());
        let (handle, driver) = driver::start(cluster, registry, clock, reign).map_err(StartError::Thread)?;

        let (stop, stopping) = oneshot::channel();
        let (failed, failure) = watch::channel(None);
        let run = tokio::spawn(async move {
            if let Err(why) = run(listener, handle, Arc::new(store), driver, stopping).await {
                failed.send_replace(Some(why));
            }
        });
        info!("listening on {address}");
        Ok(Self { address, stop, run, failure })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Ends every stream, writes what is to be remembered, and waits for that.
    pub async fn stop(self) {
        // It may have ended by itself already.
        let _ = self.stop.send(());
        let _ = self.run.await;
    }

    /// Waits until the master ends by itself.
    ///
    /// # Errors
    /// Why it did. It never ends by itself without a reason.
    pub async fn stopped(&mut self) -> Result<(), Failure> {
        match self.failure.wait_for(Option::is_some).await {
            Ok(failure) => failure.clone().map_or(Ok(()), Err),
            Err(_) => Err(Failure::Server("the server ended unexpectedly; this is a bug".to_owned())),
        }
    }
}

/// Takes the lead, as soon as there is room to remember it.
async fn recover(registry: &mut dyn Registry) -> Result<(Recovered, Now), RegistryError> {
    loop {
        match registry.recover() {
            Err(full @ RegistryError::Full(_)) => {
                warn!("{full}; the master starts when there is, and tries each second")
            }
            outcome => return outcome,
        }
        sleep(TRY_EVERY).await;
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    if !address.ip().to_canonical().is_loopback() {
        return Err(StartError::NotLoopback(address));
    }
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse(address),
        _ => StartError::Listen { address, source },
    })
}

/// Runs until told to stop, or until the driver or the server ends.
async fn run(
    listener: TcpListener,
    handle: Handle,
    store: Arc<Store>,
    mut driver: oneshot::Receiver<Result<(), Failure>>,
    stopping: oneshot::Receiver<()>,
) -> Result<(), Failure> {
    let (close, closing) = oneshot::channel::<()>();
    let closed = async {
        // Closed or dropped: both mean the end.
        let _ = closing.await;
    };
    let server = grpc::serve(listener, handle.clone(), store, closed);
    tokio::pin!(server);

    let driver_ended = |outcome| match outcome {
        Ok(outcome) => outcome,
        Err(oneshot::error::RecvError { .. }) => Err(Failure::Driver),
    };
    let outcome = tokio::select! {
        served = &mut server => {
            let why = served.err().map_or_else(|| "the socket was closed".to_owned(), |error| error.to_string());
            let _ = handle.stop().await;
            let _ = driver.await;
            return Err(Failure::Server(why));
        }
        outcome = &mut driver => driver_ended(outcome),
        // Told to, or dropped.
        _ = stopping => match handle.stop().await {
            Ok(()) | Err(handle::Stopping) => driver_ended(driver.await),
        },
    };
    // The driver has ended every session; what is left are calls that somebody waits for.
    drop(close);
    let _ = timeout(LAST_CALLS, server).await;
    outcome
}
