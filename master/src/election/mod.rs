//! One master among several: stands by until it wins, leads until its lease may have ended, and stands by again.
//!
//! A term begins with a fresh [`Cluster`] from the registry and ends with it. Nothing of one term reaches the next.

mod aside;
mod switch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use haggle_core::cluster::{self, Cluster};
use haggle_etcd::{EtcdError, Session};
use tokio::runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::access::{Guard, Guarded};
use crate::clock::Clock;
use crate::driver::{self, Observers};
use crate::error::Failure;
use crate::handle::{Handle, Reign};
use crate::registry::{Campaign, EtcdRegistry, Registry, Term};
use crate::{announce, lead};

pub(crate) use aside::Aside;
pub(crate) use switch::{Role, Standby, Switch};

/// Between two looks at who leads: a part of the time without service when a master dies, and a cheap read.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Between two attempts when etcd does not answer.
const RETRY_EVERY: Duration = Duration::from_millis(200);

/// Takes part in every election of a cluster.
pub(crate) struct Election {
    pub(crate) campaign: Campaign,
    /// The rules of the cluster.
    pub(crate) rules: cluster::Config,
    /// Makes the services of a term.
    pub(crate) services: Box<dyn Fn(Handle) -> Guarded + Send + Sync>,
    /// What serves the sessions of a term. What is said to etcd has a thread of its own.
    pub(crate) sessions: runtime::Handle,
    pub(crate) guard: Guard,
    pub(crate) role: watch::Sender<Role>,
    /// Counts how often this master said that it is up.
    pub(crate) joined: watch::Sender<u64>,
    pub(crate) observers: Observers,
}

impl Election {
    /// Stands by and leads in turn, until `stopping` resolves.
    ///
    /// # Errors
    /// When a term ended for another reason than its lease, or when etcd refuses.
    pub(crate) async fn run(self, mut stopping: oneshot::Receiver<()>) -> Result<(), Failure> {
        let mut place = Place::default();
        loop {
            let term = tokio::select! {
                won = self.stand_by(&mut place) => won,
                // Told to, or dropped.
                _ = &mut stopping => {
                    place.leave().await;
                    return Ok(());
                }
            };
            let outcome = match (term, &place.session) {
                (Ok(term), Some(session)) => self.lead(term, session, &mut stopping).await,
                (Ok(_), None) => Ok(Next::StandBy),
                (Err(refused), _) => Err(refused),
            };
            self.stands(Standby::Vacant);
            // Also when the term was lost: whoever comes next need not wait for the lease's end, if it has not ended.
            place.leave().await;
            match outcome? {
                Next::StandBy => {}
                Next::Stop => return Ok(()),
            }
        }
    }

    /// Waits until this master has won a term, in the session that its place has then.
    async fn stand_by(&self, place: &mut Place) -> Result<Term, Failure> {
        loop {
            match self.look(place).await {
                Ok(Some(term)) => return Ok(term),
                Ok(None) => sleep(LOOK_EVERY).await,
                Err(error @ (EtcdError::Unreachable { .. } | EtcdError::Full(_))) => {
                    self.stands(Standby::Blind(error.to_string()));
                    sleep(RETRY_EVERY).await;
                }
                // The machine or etcd was slow for longer than it is: a new one is taken.
                Err(EtcdError::LeaseEnded) => place.leave().await,
                Err(error) => return Err(Failure::Registry(error.to_string())),
            }
        }
    }

    /// Joins the masters when this one is not among them, and takes the lead when nobody has it.
    async fn look(&self, place: &mut Place) -> Result<Option<Term>, EtcdError> {
        if let Some(lease) = place.owed {
            self.campaign.give_back(lease).await?;
            place.owed = None;
        }
        if place.session.as_ref().is_some_and(|session| session.lease().doubted_for().is_none()) {
            // Its lease has ended, and with it its word that it is up.
            place.leave().await;
        }
        let session = match &mut place.session {
            Some(session) => session,
            none => {
                let session = self.campaign.join().await?;
                self.joined.send_modify(|times| *times += 1);
                none.insert(session)
            }
        };
        match self.campaign.leader(session).await? {
            Some(leader) => {
                self.stands(Standby::Behind(leader));
                Ok(None)
            }
            None => {
                self.stands(Standby::Vacant);
                self.campaign.stand(session).await
            }
        }
    }

    /// One term, from its first word to its last.
    async fn lead(&self, term: Term, session: &Session, stopping: &mut oneshot::Receiver<()>) -> Result<Next, Failure> {
        let lease = Arc::clone(session.lease());
        let mut registry = Box::new(EtcdRegistry::new(self.campaign.clone(), term, Arc::clone(&lease)));
        let read = spawn_blocking(move || registry.recover().map(|recovered| (registry, recovered)));
        let (registry, (recovered, origin)) = match read.await.map_err(|_| Failure::Driver)? {
            Ok(read) => read,
            Err(error) if error.is_passing() => {
                warn!("the lead is given back: {error}");
                return Ok(Next::StandBy);
            }
            Err(error) => return Err(Failure::Registry(error.to_string())),
        };
        announce(&recovered);
        let reign = Reign::from(&recovered);
        let cluster = Cluster::new(self.rules.clone(), recovered, origin);
        let clock = Clock::starting_at(origin, Instant::now());
        let (handle, driver) = {
            let (guard, observers) = (self.guard.clone(), self.observers.clone());
            driver::start(&self.sessions, cluster, registry, clock, reign, guard, observers)
        };

        self.role.send_replace(Role::Leads(Box::new((self.services)(handle.clone()))));
        let mut next = Next::StandBy;
        let over = async {
            tokio::select! {
                () = lease.lost() => {}
                _ = stopping => next = Next::Stop,
            }
        };
        match lead(&handle, driver, over).await {
            Err(Failure::Deposed) => {
                info!("no longer leads");
                Ok(Next::StandBy)
            }
            outcome => outcome.map(|()| next),
        }
    }

    fn stands(&self, standby: Standby) {
        self.role.send_if_modified(|role| {
            let changed = !matches!(role, Role::StandsBy(before) if *before == standby);
            if changed {
                match &standby {
                    Standby::Behind(url) => info!("stands by, {url} leads"),
                    Standby::Vacant => info!("stands by, nobody leads"),
                    Standby::Blind(why) => warn!("stands by: {why}"),
                }
                *role = Role::StandsBy(standby);
            }
            changed
        });
    }
}

/// What comes after a term.
#[derive(Clone, Copy)]
enum Next {
    StandBy,
    Stop,
}

/// A master's place among the masters.
#[derive(Default)]
struct Place {
    session: Option<Session>,
    /// A lease that could not be given back: while it lives, what was said under it stands.
    owed: Option<i64>,
}

impl Place {
    async fn leave(&mut self) {
        if let Some(session) = self.session.take() {
            self.owed = session.end().await.err();
        }
    }
}
