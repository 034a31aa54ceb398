//! How a master proves itself: the authorities of its cluster, its certificate, and what it signs for agents.

mod error;
mod held;
mod keeper;
mod sealed;

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use haggle_core::{AgentId, ClusterId};
use haggle_tls::{
    Authorities, Certificate, Connector, Fingerprint, LEAF_LIFE, PrivateFolder, RenewalError, RequestError, Secret,
    ServerCertificate, ServerIdentity, Trust, TrustError, server_config,
};
use rustls::pki_types::CertificateDer;
use tokio::sync::{Mutex, watch};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::acceptor::Secured;
use crate::config::{CertificateFiles, Tls};

pub(crate) use error::RotationError;
pub use error::SecurityError;
pub(crate) use held::Held;
pub(crate) use sealed::{Place, Shared, share};

use keeper::Keeper;

/// How often to see whether the certificate is due. By the wall clock each time, for a machine may have slept.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How often to see whether another master has changed the authority. Agents are told seconds later.
const LOOK_AT_OTHERS_EVERY: Duration = Duration::from_secs(1);

/// Where a master that listens to others keeps its authority, below its state folder.
const FOLDER: &str = "pki";

/// In it, 32 random bytes by which passes of artifacts are known.
const PASS_KEY: &str = "passes.key";

/// What a master that speaks TLS has.
#[derive(Debug)]
pub(crate) struct Security {
    cluster: ClusterId,
    keeper: Keeper,
    /// Sign agents' certificates, and the master's own unless an operator brought one. Replaced as a whole; guards no
    /// decision.
    authorities: RwLock<Arc<Authorities>>,
    identity: Arc<ServerIdentity>,
    secured: watch::Sender<Secured>,
    origin: Origin,
    /// Under which names and addresses others reach it.
    hosts: Vec<String>,
    /// By which the masters know what agents may fetch; passes are made with the first. None is of the authority's, so that
    /// they outlive that one.
    pass_keys: Vec<Secret>,
    /// Further ones whose certificates agents may have.
    clients: Vec<CertificateDer<'static>>,
    made_now: bool,
    held: Held,
    /// One change of the authority after the other.
    turn: Mutex<()>,
}

/// Where the master's certificate comes from.
#[derive(Debug)]
enum Origin {
    /// From the authority.
    Authority,
    /// From an operator, who renews the files.
    Files(CertificateFiles),
}

impl Security {
    /// Finds the authority in the state folder, or makes one there; without a folder it is in memory alone. `hosts` get
    /// into the master's certificate.
    pub(crate) fn open(
        tls: &Tls,
        state: Option<&Path>,
        cluster: ClusterId,
        hosts: Vec<String>,
        now: SystemTime,
    ) -> Result<Self, SecurityError> {
        match state {
            None => {
                let made = (Authorities::make(cluster, now), true);
                Self::new(tls, Keeper::Memory, made, vec![Secret::random()], hosts, now)
            }
            Some(state) => {
                let folder = PrivateFolder::open(&state.join(FOLDER))?;
                let opened = Authorities::open(&folder, cluster, now)?;
                let pass_keys = vec![kept_pass_key(&folder)?];
                Self::new(tls, Keeper::Folder(folder), opened, pass_keys, hosts, now)
            }
        }
    }

    /// With an authority that several masters share.
    pub(crate) fn of_several(
        tls: &Tls,
        shared: Shared,
        hosts: Vec<String>,
        now: SystemTime,
    ) -> Result<Self, SecurityError> {
        let Shared { keeper, authorities, made_now } = shared;
        let pass_keys = keeper.pass_keys();
        Self::new(tls, Keeper::Etcd(keeper), (authorities, made_now), pass_keys, hosts, now)
    }

    fn new(
        tls: &Tls,
        keeper: Keeper,
        (authorities, made_now): (Authorities, bool),
        pass_keys: Vec<Secret>,
        hosts: Vec<String>,
        now: SystemTime,
    ) -> Result<Self, SecurityError> {
        let origin = tls.certificate.clone().map_or(Origin::Authority, Origin::Files);
        let identity = Arc::new(ServerIdentity::new(origin.certificate(&authorities, &hosts, now)?));
        let mut clients = Vec::new();
        if let Some(path) = &tls.client_authorities {
            let unusable = |why: String| SecurityError::File { path: path.clone(), why };
            let text = fs::read(path).map_err(|error| unusable(error.to_string()))?;
            clients = haggle_tls::certificates_from_pem(&text).map_err(|error| unusable(error.to_string()))?;
        }
        let authorities = Arc::new(authorities);
        let secured = watch::Sender::new(secured(&identity, &authorities, &clients)?);
        Ok(Self {
            cluster: authorities.current().cluster(),
            keeper,
            authorities: RwLock::new(authorities),
            identity,
            secured,
            origin,
            hosts,
            pass_keys,
            clients,
            made_now,
            held: Held::default(),
            turn: Mutex::default(),
        })
    }

    /// Those that are believed at the moment.
    pub(crate) fn authorities(&self) -> Arc<Authorities> {
        Arc::clone(&self.authorities.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// By which the masters of the cluster know what agents may fetch; passes are made with the first.
    pub(crate) fn pass_keys(&self) -> Vec<Secret> {
        self.pass_keys.clone()
    }

    /// Whether the authority was made at this start.
    pub(crate) fn made_now(&self) -> bool {
        self.made_now
    }

    /// How connections are accepted. It changes with the authority, and also when the certificate of an operator does.
    pub(crate) fn secured(&self) -> watch::Receiver<Secured> {
        self.secured.subscribe()
    }

    /// How tokens tell who this master is.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.identity.shown().fingerprint()
    }

    /// How the token of its own user tells it. A certificate of an operator's need not name an address of this machine, so
    /// that its own key is told.
    pub(crate) fn fingerprint_for_owner(&self) -> Fingerprint {
        match self.origin {
            Origin::Authority => self.fingerprint(),
            Origin::Files(_) => self.identity.shown().own_fingerprint(),
        }
    }

    /// The authority of the certificate that an operator has brought, if one has.
    pub(crate) fn brought(&self) -> Option<Fingerprint> {
        matches!(self.origin, Origin::Files(_)).then(|| self.fingerprint())
    }

    /// What agents believe from now on, DER; the one that signs is the first.
    pub(crate) fn believed(&self) -> Vec<Vec<u8>> {
        match self.origin {
            Origin::Authority => self.authorities().believed().map(|authority| authority.der().to_vec()).collect(),
            Origin::Files(_) => vec![self.identity.shown().authority().der().to_vec()],
        }
    }

    /// Dials other masters of the cluster.
    pub(crate) fn to_masters(&self) -> Result<Connector, TrustError> {
        let authorities = self.authorities();
        let of_operator = self.identity.shown().authority().der().clone();
        let mut certificates: Vec<_> = authorities.believed().map(|authority| authority.der().clone()).collect();
        if !certificates.contains(&of_operator) {
            certificates.push(of_operator);
        }
        Connector::new(&Trust::Authorities { cluster: self.cluster, certificates }, None)
    }

    /// A certificate for an agent with the key of this request.
    pub(crate) fn sign(&self, agent: AgentId, request: &[u8], now: SystemTime) -> Result<Certificate, RequestError> {
        let authorities = self.authorities();
        let certificate = authorities.current().agent(agent, request, now)?;
        self.held.note(agent, authorities.current().fingerprint());
        Ok(certificate)
    }

    /// Whose certificate may be renewed by this request: see [`Authorities::check_renewal`].
    pub(crate) fn check_renewal(&self, old: &[u8], request: &[u8], now: SystemTime) -> Result<AgentId, RenewalError> {
        self.authorities().check_renewal(old, request, now)
    }

    /// Which agents hold certificates of whom, as far as they were seen.
    pub(crate) fn held(&self) -> &Held {
        &self.held
    }

    /// Whether an agent holds a certificate of an authority that is ending.
    pub(crate) fn must_renew(&self, agent: AgentId) -> bool {
        let former = self.authorities().former().map(Certificate::fingerprint);
        former.is_some() && self.held.of(agent) == former
    }

    /// Waits until the certificate that this agent holds is of nobody any more who is believed.
    pub(crate) async fn void(&self, agent: AgentId) {
        let mut changes = self.secured();
        loop {
            changes.mark_unchanged();
            let believed = self.authorities();
            let is_believed = |held| believed.believed().any(|authority| authority.fingerprint() == held);
            if self.held.of(agent).is_some_and(|held| !is_believed(held)) {
                return;
            }
            // The sender is here.
            let _ = changes.changed().await;
        }
    }

    /// Makes a new authority in the place of this one, which is believed until [`Self::finish`]. Asked again, it is done.
    ///
    /// # Errors
    /// When that one does not sign, another is ending already, or it cannot be kept.
    pub(crate) async fn rotate(&self, current: Fingerprint, now: SystemTime) -> Result<(), RotationError> {
        let _turn = self.turn.lock().await;
        self.follow_others(now).await?;
        let authorities = self.authorities();
        if authorities.former().is_some_and(|former| former.fingerprint() == current) {
            return Ok(());
        }
        let signs = authorities.current().fingerprint();
        if signs != current {
            return Err(RotationError::OtherSigns { wanted: current, signs });
        }
        self.replace(authorities.rotated(now)?, now).await
    }

    /// Ends the trust in this authority, which signed before. Asked again, it is done.
    ///
    /// # Errors
    /// When it signs still, or what is believed cannot be kept.
    pub(crate) async fn finish(&self, former: Fingerprint, now: SystemTime) -> Result<(), RotationError> {
        let _turn = self.turn.lock().await;
        self.follow_others(now).await?;
        let authorities = self.authorities();
        if authorities.current().fingerprint() == former {
            return Err(RotationError::SignsStill(former));
        }
        if authorities.former().is_none_or(|believed| believed.fingerprint() != former) {
            return Ok(());
        }
        self.replace(authorities.finished(), now).await
    }

    async fn replace(&self, next: Authorities, now: SystemTime) -> Result<(), RotationError> {
        if !self.keeper.replace(&next).await? {
            return Err(RotationError::Overtaken);
        }
        Ok(self.adopt(next, now)?)
    }

    /// Takes up what another master has changed.
    async fn follow_others(&self, now: SystemTime) -> Result<(), SecurityError> {
        match self.keeper.changed().await? {
            Some(authorities) => self.adopt(authorities, now),
            None => Ok(()),
        }
    }

    /// Believes these from now on, and shows a certificate of theirs.
    fn adopt(&self, authorities: Authorities, now: SystemTime) -> Result<(), SecurityError> {
        let certificate = match self.origin {
            Origin::Authority => Some(self.origin.certificate(&authorities, &self.hosts, now)?),
            // It is of another authority, and stays.
            Origin::Files(_) => None,
        };
        let authorities = Arc::new(authorities);
        let secured = secured(&self.identity, &authorities, &self.clients)?;
        info!(
            signs = %format_args!("{:.8}", authorities.current().fingerprint()),
            former = %authorities.former().map_or_else(|| "none".to_owned(), |one| format!("{:.8}", one.fingerprint())),
            "the authority has changed"
        );
        *self.authorities.write().unwrap_or_else(PoisonError::into_inner) = authorities;
        if let Some(certificate) = certificate {
            self.identity.replace(certificate);
        }
        self.secured.send_replace(secured);
        Ok(())
    }

    /// Replaces the master's certificate when it is due; says whether it did.
    pub(crate) fn renew(&self, now: SystemTime) -> Result<bool, SecurityError> {
        let shown = self.identity.shown();
        if matches!(self.origin, Origin::Authority) && !shown.is_due(now) {
            return Ok(false);
        }
        let next = self.origin.certificate(&self.authorities(), &self.hosts, now)?;
        if next.chain() == shown.chain() {
            return Ok(false);
        }
        self.identity.replace(next);
        // Of an operator's certificate, its user's token tells the key.
        self.secured.send_modify(|_| {});
        Ok(true)
    }

    /// Keeps the certificate fresh for ever, and follows what other masters change.
    pub(crate) async fn keep_fresh(&self) -> Infallible {
        let mut look = interval(LOOK_EVERY);
        let mut look_at_others = interval(LOOK_AT_OTHERS_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        look_at_others.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut told = [None, None];
        loop {
            let (of, outcome) = tokio::select! {
                _ = look.tick() => {
                    let renewed = self.renew(SystemTime::now());
                    if matches!(renewed, Ok(true)) {
                        info!("the master shows a fresh certificate from now on");
                    }
                    (0, renewed.map(|_| ()))
                }
                _ = look_at_others.tick(), if self.keeper.is_shared() => {
                    let _turn = self.turn.lock().await;
                    (1, self.follow_others(SystemTime::now()).await)
                }
            };
            let error = outcome.err().map(|error| error.to_string());
            // Once, and not each time.
            if let Some(error) = &error
                && told[of].as_ref() != Some(error)
            {
                warn!("the master keeps its certificate, for there is no fresh one: {error}");
            }
            told[of] = error;
        }
    }
}

impl Origin {
    fn certificate(
        &self,
        authorities: &Authorities,
        hosts: &[String],
        now: SystemTime,
    ) -> Result<ServerCertificate, SecurityError> {
        let Self::Files(CertificateFiles { chain, key }) = self else {
            return Ok(authorities.server(hosts, now, LEAF_LIFE)?);
        };
        let unusable = |path: &Path, why: String| SecurityError::File { path: path.to_owned(), why };
        let read = |path: &Path| fs::read(path).map_err(|error| unusable(path, error.to_string()));
        let certificate = ServerCertificate::from_pem(&read(chain)?, &read(key)?)
            .map_err(|error| unusable(chain, error.to_string()))?;
        certificate.check(authorities.current().cluster(), hosts, now).map_err(|why| unusable(chain, why))?;
        Ok(certificate)
    }
}

/// The key of passes in this folder, made at the first start.
fn kept_pass_key(folder: &PrivateFolder) -> Result<Secret, SecurityError> {
    let Some(kept) = folder.read(PASS_KEY)? else {
        let key = Secret::random();
        folder.write(PASS_KEY, key.bytes())?;
        return Ok(key);
    };
    let key = <[u8; 32]>::try_from(kept.as_slice()).map(Secret::new);
    key.map_err(|_| SecurityError::PassKey { path: folder.path().join(PASS_KEY), has: kept.len() })
}

fn secured(
    identity: &Arc<ServerIdentity>,
    authorities: &Arc<Authorities>,
    clients: &[CertificateDer<'static>],
) -> Result<Secured, SecurityError> {
    let believed = authorities.believed().map(|authority| authority.der().clone());
    let believed: Vec<_> = believed.chain(clients.iter().cloned()).collect();
    let config = server_config(Arc::clone(identity), &believed).map_err(SecurityError::Config)?;
    Ok(Secured { config, authorities: Arc::clone(authorities) })
}

#[cfg(test)]
mod tests;
