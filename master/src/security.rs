//! How a master proves itself: its authority, its certificate, and what it signs for agents.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use haggle_core::ClusterId;
use haggle_tls::{
    Authority, AuthorityError, Fingerprint, LEAF_LIFE, PrivateFolder, PrivateFolderError, ServerCertificate,
    ServerIdentity, server_config,
};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::acceptor::Secured;
use crate::config::{CertificateFiles, Tls};

/// How often to see whether the certificate is due. By the wall clock each time, for a machine may have slept.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Where a master that listens to others keeps its authority, below its state folder.
const FOLDER: &str = "pki";

/// What a master that speaks TLS has.
#[derive(Debug)]
pub(crate) struct Security {
    /// Signs agents' certificates, and the master's own unless an operator brought one.
    authority: Authority,
    identity: Arc<ServerIdentity>,
    secured: Secured,
    origin: Origin,
    /// Under which names and addresses others reach it.
    hosts: Vec<String>,
    made_now: bool,
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
        let (authority, made_now) = match state {
            Some(state) => Authority::open(&PrivateFolder::open(&state.join(FOLDER))?, cluster, now)?,
            None => (Authority::make(cluster, now).0, true),
        };
        let origin = tls.certificate.clone().map_or(Origin::Authority, Origin::Files);
        let identity = Arc::new(ServerIdentity::new(origin.certificate(&authority, &hosts, now)?));
        let mut clients = vec![authority.certificate().der().clone()];
        if let Some(path) = &tls.client_authorities {
            let unusable = |why: String| SecurityError::File { path: path.clone(), why };
            let text = fs::read(path).map_err(|error| unusable(error.to_string()))?;
            clients.extend(haggle_tls::certificates_from_pem(&text).map_err(|error| unusable(error.to_string()))?);
        }
        let config = server_config(Arc::clone(&identity), &clients).map_err(SecurityError::Config)?;
        Ok(Self { authority, identity, secured: Secured { config, cluster }, origin, hosts, made_now })
    }

    /// Signs for agents.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether the authority was made at this start.
    pub(crate) fn made_now(&self) -> bool {
        self.made_now
    }

    /// How connections are accepted.
    pub(crate) fn secured(&self) -> Secured {
        self.secured.clone()
    }

    /// How tokens tell who this master is.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.identity.shown().fingerprint()
    }

    /// What agents believe from now on, DER.
    pub(crate) fn believed(&self) -> Vec<Vec<u8>> {
        vec![self.identity.shown().authority().der().to_vec()]
    }

    /// Replaces the master's certificate when it is due; says whether it did.
    pub(crate) fn renew(&self, now: SystemTime) -> Result<bool, SecurityError> {
        let shown = self.identity.shown();
        if matches!(self.origin, Origin::Authority) && !shown.is_due(now) {
            return Ok(false);
        }
        let next = self.origin.certificate(&self.authority, &self.hosts, now)?;
        if next.chain() == shown.chain() {
            return Ok(false);
        }
        self.identity.replace(next);
        Ok(true)
    }

    /// Keeps the certificate fresh for ever.
    pub(crate) async fn keep_fresh(&self) -> Infallible {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut told = None;
        loop {
            look.tick().await;
            match self.renew(SystemTime::now()) {
                Ok(false) => told = None,
                Ok(true) => info!("the master shows a fresh certificate from now on"),
                Err(error) => {
                    let error = error.to_string();
                    // Once, and not each minute.
                    if told.as_ref() != Some(&error) {
                        warn!("the master keeps its certificate, for there is no fresh one: {error}");
                        told = Some(error);
                    }
                }
            }
        }
    }
}

impl Origin {
    fn certificate(
        &self,
        authority: &Authority,
        hosts: &[String],
        now: SystemTime,
    ) -> Result<ServerCertificate, SecurityError> {
        let Self::Files(CertificateFiles { chain, key }) = self else {
            return Ok(authority.server(hosts, now, LEAF_LIFE)?);
        };
        let unusable = |path: &Path, why: String| SecurityError::File { path: path.to_owned(), why };
        let read = |path: &Path| fs::read(path).map_err(|error| unusable(path, error.to_string()));
        let certificate = ServerCertificate::from_pem(&read(chain)?, &read(key)?)
            .map_err(|error| unusable(chain, error.to_string()))?;
        certificate.check(authority.cluster(), hosts, now).map_err(|why| unusable(chain, why))?;
        Ok(certificate)
    }
}

/// Why a master cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// Its authority cannot be used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The folder of its authority cannot be used.
    #[error(transparent)]
    Folder(#[from] PrivateFolderError),
    /// A file that was named cannot be used.
    #[error("cannot use the certificate {}: {why}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What was given does not make a master.
    #[error("cannot speak TLS: {0}")]
    Config(rustls::Error),
}

#[cfg(test)]
mod tests;
