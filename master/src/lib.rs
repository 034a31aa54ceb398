//! The Haggle master: sockets, registry and artifacts around the cluster's state machine.
//!
//! ```text
//! wire -> Command -> driver: cluster.apply(now, command) -> effects -> registry write -> outbox -> wire
//! ```
//!
//! One task, the driver, owns the [`Cluster`]. Everybody else holds a handle to it.

mod acceptor;
mod access;
mod again;
mod agent_mail;
mod artifacts;
mod audit;
mod clock;
mod config;
mod driver;
mod election;
mod error;
mod first;
mod grpc;
mod handle;
mod happenings;
mod inbox;
mod limits;
mod listening;
mod logs;
mod mesos;
mod metrics;
mod outbox;
mod pages;
mod port;
mod pull;
mod reach;
mod registry;
mod replicas;
mod security;
mod traces;
mod web;

use std::convert::Infallible;
use std::fs::{File, TryLockError};
use std::future::pending;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream};
use haggle_core::cluster::{Cluster, Recovered};
use haggle_core::{ClusterId, Now};
use haggle_otlp::Tracer;
use haggle_sources::Sources;
use haggle_tls::{PrivateFolder, Token};
use tokio::runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

pub use artifacts::{Keeper, NotKept};
pub use config::{Advertised, ArtifactLimits, CertificateFiles, Config, NotAHost, Several, Tls};
pub use error::{Failure, StartError};
pub use first::FirstTokens;
pub use haggle_etcd::{EtcdConfig, EtcdError, LeaseLost};
pub use haggle_otlp::{BadCollector, Collector, Ratio};
pub use haggle_sources::{HostRule, Hosts, Settings as SourceSettings};
pub use limits::{Limit, LimitSetting, Limits, NotALimit, NotPlaces, Places, PlacesSetting};
pub use pull::Pulled;
pub use registry::{BadRow, LocalError, RegistryError};
pub use security::SecurityError;

use acceptor::{Closed, Connection};
use access::{BetweenMasters, Guard, Known, MastersSecret, Owner};
use artifacts::Store;
use audit::Audit;
use clock::Clock;
use driver::Observers;
use election::{Aside, Election, Role, Standby, Switch};
use first::First;
use handle::{Handle, Reign};
use limits::{House, Limiter};
use listening::{check_plain, is_secured, listen, names, nearest, secure};
use pull::Puller;
use reach::Reach;
use registry::{Announced, Campaign, LocalRegistry, NoRegistry, Registry};
use replicas::Replicas;
use security::{Place, Security, Shared};

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
    artifacts: Arc<Store>,
    puller: Arc<Puller>,
    owner: Token,
    first: Option<FirstTokens>,
    stop: oneshot::Sender<()>,
    /// Everything that runs; ends when the driver and the server have.
    run: JoinHandle<()>,
    failure: watch::Receiver<Option<Failure>>,
}

impl Master {
    /// Starts a master: when this returns, it serves. While the disk of its state folder is full, it waits for room.
    ///
    /// # Errors
    /// When it must not or cannot listen there, cannot use its state folder, or is told of TLS what it would not do.
    pub async fn start(mut config: Config) -> Result<Self, StartError> {
        let listener = listen(config.listen).await?;
        let address = listener.local_addr().map_err(|source| StartError::Listen { address: config.listen, source })?;

        check_plain(&config, address)?;

        let audit = config.audit.clone().map_or(Ok(Audit::default()), |file| {
            Audit::open(&file).map_err(|source| StartError::Audit { file, source })
        })?;
        let (tracer, exporting) = match config.traces.take() {
            Some(collector) => Some(Tracer::start(&traces::service(), collector)?).unzip(),
            None => (None, None),
        };
        let sources = Sources::new(mem::take(&mut config.sources))?;
        let owner = Arc::new(Owner::draw());
        let limiter = Limiter::new(config.limits);
        let connections = acceptor::given(config.places.connections());
        let house = House::new(config.places, connections);
        let (doors, door) = (acceptor::Limits::of(connections), house.door().clone());
        let guard = Guard::new(Arc::clone(&owner), Known::default(), audit.clone(), limiter.clone(), house.clone());
        config.cluster.frameworks_per_principal = config.limits.count(Limit::Frameworks);
        config.cluster.roles_per_principal = config.limits.count(Limit::Roles);
        config.cluster.tasks_per_principal = config.limits.count(Limit::Tasks);
        let hosts = reach::hosts(&config.advertise, address);
        let addresses: Vec<_> = hosts.iter().map(|host| host.address(address.port())).collect();
        // Which cluster it is, and who vouches for it, is known below.
        let mut reach = Reach { cluster: ClusterId::default(), addresses, others: None, security: None };
        let (first, first_term) = First::term();
        let mut seal_key = None;

        let (role, current) = watch::channel(Role::StandsBy(Standby::Vacant));
        let (artifacts, puller);
        let sessions = runtime::Handle::current();
        let (stop, stopping) = oneshot::channel();
        let (halt, halted) = oneshot::channel();
        let (failed, failure) = watch::channel(None);
        let run = match config.several.take() {
            None => {
                let mut registry: Box<dyn Registry> = match &config.state {
                    Some(state) => Box::new(LocalRegistry::new(state)),
                    None => Box::new(NoRegistry),
                };
                let (recovered, origin) = recover(registry.as_mut()).await?;
                // Behind the registry's lock: nobody else uses the folder.
                let store = open_store(&config)?;
                artifacts = Arc::clone(&store);
                puller = Arc::new(Puller::new(Arc::clone(&store), sources, limiter.clone()));
                let observers = Observers { store: Some(Arc::clone(&store)), tracer };
                announce(&recovered);
                let security = secure(&config, address, recovered.cluster)?.map(Arc::new);
                let reign = Reign::from(&recovered);
                reach = Reach { cluster: reign.cluster, security: security.clone(), ..reach };
                let cluster = Cluster::new(config.cluster, recovered, origin);
                let clock = Clock::starting_at(origin, Instant::now());
                let (handle, driver) =
                    driver::start(&sessions, cluster, registry, clock, reign, guard.clone(), observers);
                let services = grpc::leading(handle.clone(), store, None, &puller, &guard, reach.clone());
                role.send_replace(Role::Leads(Box::new(services)));
                first.leads(&handle, &reach);
                let alone = async move {
                    // What the port answers does not change any more.
                    let _role = role;
                    lead(&handle, driver, async {
                        // Told to, or dropped.
                        drop(halted.await);
                    })
                    .await
                };
                let secured = security.as_ref().map(|security| security.secured());
                let accepting = acceptor::accept(listener, secured, doors, door).map_err(StartError::Thread)?;
                run(accepting, Switch::new(current, None), alone.boxed(), halt, stopping).boxed()
            }
            Some(several) => {
                let lock = config.state.as_deref().map(lock_state).transpose()?;
                let store = open_store(&config)?;
                artifacts = Arc::clone(&store);
                puller = Arc::new(Puller::new(Arc::clone(&store), sources, limiter.clone()));
                let observers = Observers { store: Some(Arc::clone(&store)), tracer };
                let is_secured = is_secured(&config, address);
                let scheme = if is_secured { "https" } else { "http" };
                let url = format!("{scheme}://{}", reach.addresses[0]);
                if let Some(url) = several.etcd.in_plain_text() {
                    warn!(
                        "{url} is spoken to in plain text: whoever is on the way may take over the cluster; use https"
                    );
                }
                let aside = Aside::start().map_err(StartError::Thread)?;
                let etcd = aside.make(|| haggle_etcd::Client::new(&several.etcd))?;
                let own = Announced { url, addresses: reach.addresses.clone(), owner: owner.announced() };
                let campaign = Campaign::new(etcd, &several.etcd.prefix, own);
                reach.others = Some(campaign.clone());
                let mut secret = MastersSecret::shared(campaign.clone());
                if is_secured {
                    let place = Place::find(several.seal_key.as_deref(), config.state.as_deref())?;
                    let shared = share_authority(&campaign, &place).await?;
                    secret = MastersSecret::sealed(&shared.secrets());
                    let security =
                        Security::of_several(&config.tls, shared, names(&config, address), SystemTime::now())?;
                    reach.cluster = security.authorities().current().cluster();
                    if security.made_now() {
                        let seal = place.path().display();
                        info!(%seal, "the authority is made; every other master needs a copy of the key that seals it");
                        seal_key = Some(place.path().to_owned());
                    }
                    reach.security = Some(Arc::new(security));
                }
                let security = reach.security.clone();
                let replicas = Replicas::new(campaign.clone(), secret.clone(), security.clone(), Arc::clone(&store));
                let replicas = Arc::new(replicas);
                let (joined, joins) = watch::channel(0);
                let services = {
                    let (store, replicas, puller) = (Arc::clone(&store), Arc::clone(&replicas), Arc::clone(&puller));
                    let (guard, reach, first) = (guard.clone(), reach.clone(), first.clone());
                    move |handle: Handle| {
                        let reach = Reach { cluster: handle.reign().cluster, ..reach.clone() };
                        first.leads(&handle, &reach);
                        grpc::leading(handle, Arc::clone(&store), Some(Arc::clone(&replicas)), &puller, &guard, reach)
                    }
                };
                let (rules, owner, others) = (config.cluster, Arc::clone(&owner), campaign.clone());
                let services = Box::new(services);
                let election = Election { campaign, rules, services, sessions, guard, role, joined, observers };
                let among_others = async move {
                    let _lock = lock;
                    tokio::select! {
                        outcome = aside.run(election.run(halted)) => outcome.unwrap_or(Err(Failure::Driver)),
                        never = replicas.keep_up(joins) => match never {},
                        never = owner.know_others(&others) => match never {},
                    }
                };
                let between = BetweenMasters::new(secret, audit.clone(), grpc::between_masters(store, &house, limiter));
                let switch = Switch::new(current, Some(between));
                let secured = security.as_ref().map(|security| security.secured());
                let accepting = acceptor::accept(listener, secured, doors, door).map_err(StartError::Thread)?;
                run(accepting, switch, among_others.boxed(), halt, stopping).boxed()
            }
        };
        let security = reach.security;
        let token = {
            let (owner, security, cluster) = (Arc::clone(&owner), security.clone(), reach.cluster);
            move || {
                let authority = security.as_ref().map(|security| security.fingerprint_for_owner());
                // It is good on this machine, so that this is the way.
                owner.token(cluster, nearest(address), authority)
            }
        };
        let now = token();
        let publish = {
            let owner = Arc::clone(&owner);
            let tokens = config.owner_tokens;
            move |token: &Token| {
                if let Some(tokens) = &tokens {
                    owner.publish(tokens, address, token);
                }
            }
        };
        publish(&now);
        let is_founded = security.as_ref().is_some_and(|security| security.made_now());
        let fresh = keep_fresh(security, move || publish(&token()));
        let run = tokio::spawn(async move {
            let outcome = tokio::select! {
                outcome = run => outcome,
                never = fresh => match never {},
                never = audit.keep_up() => match never {},
            };
            owner.withdraw();
            audit.finish();
            if let Some(exporting) = exporting {
                exporting.finish().await;
            }
            if let Err(why) = outcome {
                failed.send_replace(Some(why));
            }
        });
        let mut master = Self { address, artifacts, puller, owner: now, first: None, stop, run, failure };
        if is_founded {
            master.first = first_term.tokens(seal_key).await?;
        }
        info!("listening on {address}");
        Ok(master)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Where artifacts lie that are whole, under the hexadecimal names of their digests. Files there are never changed, and
    /// are gone with their master when it has no state folder.
    pub fn artifacts(&self) -> &Path {
        self.artifacts.kept()
    }

    /// Puts artifacts there, for whoever runs a master in its own process.
    pub fn keeper(&self) -> Keeper {
        Keeper::new(Arc::clone(&self.artifacts), Arc::clone(&self.puller))
    }

    /// The token of the user that runs it, which does everything. Good until the master stops.
    pub fn owner_token(&self) -> &Token {
        &self.owner
    }

    /// At the first start of a master that others can reach: how they get in. Nowhere else are these ever told.
    pub fn first_tokens(&self) -> Option<&FirstTokens> {
        self.first.as_ref()
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
                warn!("{full}; the master starts when there is, and tries each second");
            }
            outcome => return outcome,
        }
        sleep(TRY_EVERY).await;
    }
}

/// Finds the authority that the masters share, as soon as etcd answers.
async fn share_authority(campaign: &Campaign, place: &Place) -> Result<Shared, SecurityError> {
    let mut told = false;
    loop {
        match security::share(campaign.clone(), place, SystemTime::now()).await {
            Err(error) if error.is_passing() => {
                if !told {
                    warn!("{error}; the master starts when the authority can be had, and tries each second");
                    told = true;
                }
            }
            outcome => return outcome,
        }
        sleep(TRY_EVERY).await;
    }
}

/// Keeps the certificate fresh for ever, and calls `publish` when its user is to know it in another way.
async fn keep_fresh(security: Option<Arc<Security>>, publish: impl Fn()) -> Infallible {
    let Some(security) = security else { return pending().await };
    let mut changes = security.secured();
    let publishes = async {
        loop {
            // The sender is here.
            let _ = changes.changed().await;
            publish();
        }
    };
    tokio::select! {
        never = security.keep_fresh() => never,
        never = publishes => never,
    }
}

/// The artifact store, in the state folder if there is one.
fn open_store(config: &Config) -> Result<Arc<Store>, StartError> {
    let folder = config.state.as_ref().map(|state| state.join("artifacts"));
    let store = match (&folder, &config.transient) {
        (None, Some(transient)) => Store::open_transient(transient, config.artifacts),
        _ => Store::open(folder.as_deref(), config.artifacts),
    };
    let folder = || folder.or_else(|| config.transient.clone()).unwrap_or_else(std::env::temp_dir);
    Ok(Arc::new(store.map_err(|source| StartError::Artifacts { folder: folder(), source })?))
}

/// Makes sure that no other master has the state folder: where the registry is elsewhere, its lock is too. A crash
/// leaves no lock behind.
fn lock_state(state: &Path) -> Result<File, StartError> {
    let unusable = |source| StartError::Artifacts { folder: state.to_owned(), source };
    PrivateFolder::make(state).map_err(unusable)?;
    let lock = File::create(state.join("lock")).map_err(unusable)?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => StartError::StateInUse(state.to_owned()),
        TryLockError::Error(source) => unusable(source),
    })?;
    Ok(lock)
}

/// Says what a master that begins to lead finds.
fn announce(recovered: &Recovered) {
    info!(
        "leads {} as {}; {} agents and {} frameworks are remembered",
        recovered.cluster,
        recovered.epoch,
        recovered.agents.len(),
        recovered.frameworks.len()
    );
}

/// Leads until `over`, or until the driver ends by itself. Every session has ended then.
async fn lead(
    handle: &Handle,
    mut driver: oneshot::Receiver<Result<(), Failure>>,
    over: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let ended = |outcome| match outcome {
        Ok(outcome) => outcome,
        Err(oneshot::error::RecvError { .. }) => Err(Failure::Driver),
    };
    tokio::select! {
        outcome = &mut driver => ended(outcome),
        () = over => match handle.stop().await {
            Ok(()) | Err(handle::Stopping) => ended(driver.await),
        },
    }
}

/// Serves until told to stop, or until the server or `part` ends: the part that this master plays. `halt` ends that.
async fn run(
    (connections, port): (impl Stream<Item = io::Result<Connection>>, Closed),
    switch: Switch,
    mut part: BoxFuture<'static, Result<(), Failure>>,
    halt: oneshot::Sender<()>,
    stopping: oneshot::Receiver<()>,
) -> Result<(), Failure> {
    let (close, closing) = oneshot::channel::<()>();
    let closed = async {
        // Closed or dropped: both mean the end.
        let _ = closing.await;
    };
    let server = port::serve(connections, switch, closed);
    tokio::pin!(server);

    let outcome = tokio::select! {
        () = &mut server => {
            drop(halt);
            let _ = part.await;
            return Err(Failure::Server("the socket was closed".to_owned()));
        }
        outcome = &mut part => outcome,
        // Told to, or dropped.
        _ = stopping => {
            drop(halt);
            part.await
        }
    };
    // Every session has ended; what is left are calls that somebody waits for.
    drop(close);
    let _ = timeout(LAST_CALLS, server).await;
    // Whoever starts another one finds the port free.
    let _ = timeout(LAST_CALLS, port).await;
    outcome
}
