//! How a client knows the masters of its cluster.

use std::sync::Arc;

use haggle_core::ClusterId;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::version::TLS13;

use crate::verify::MasterVerifier;
use crate::{Fingerprint, Identity, Pins, provider};

/// What makes a client believe that it speaks to a master of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing: plain text, which is for loopback only.
    Plain,
    /// An authority in the master's chain has this key, as a token says; or the master itself has it.
    Pinned {
        /// Which cluster.
        cluster: ClusterId,
        /// Of the authority's key, and of those that have taken its place since.
        authorities: Pins,
    },
    /// The master's certificate is signed by one of these.
    Authorities {
        /// Which cluster.
        cluster: ClusterId,
        /// One, or two while the authority changes.
        certificates: Vec<CertificateDer<'static>>,
    },
}

impl Trust {
    /// As a token says it.
    pub fn pinned(cluster: ClusterId, authority: Fingerprint) -> Self {
        Self::Pinned { cluster, authorities: Pins::new(authority) }
    }

    /// How to speak TLS; `None` for plain text.
    pub(crate) fn client_config(&self, identity: Option<Identity>) -> Result<Option<Arc<ClientConfig>>, TrustError> {
        let verifier = match self {
            Self::Plain => return Ok(None),
            Self::Pinned { cluster, authorities } => MasterVerifier::pinned(*cluster, authorities.clone()),
            Self::Authorities { cluster, certificates } => MasterVerifier::signed(*cluster, certificates)?,
        };
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("ring speaks it")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match identity {
            Some(identity) => config.with_client_cert_resolver(Arc::new(identity)),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Some(Arc::new(config)))
    }
}

/// A trust that nobody can be measured by.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TrustError {
    /// It names no authority.
    #[error("there is no authority to believe")]
    NoAuthority,
    /// One of the authorities cannot be read.
    #[error("an authority to believe cannot be read: {0}")]
    Unreadable(rustls::Error),
}
