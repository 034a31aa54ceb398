//! The authority that the holder of a token believes, as it changes.

use std::sync::{Arc, PoisonError, RwLock};

use haggle_core::ClusterId;
use rustls::pki_types::CertificateDer;

use crate::{Certificate, Fingerprint};

/// The authority that a token names, and those of the same cluster that masters have shown since; clones share them. Two
/// are equal when they began with the same.
#[derive(Clone, Debug)]
pub struct Pins {
    first: Fingerprint,
    /// Never empty. The one that signs at the moment is the first.
    believed: Arc<RwLock<Vec<Fingerprint>>>,
}

impl Pins {
    /// Believes this one.
    pub fn new(authority: Fingerprint) -> Self {
        Self { first: authority, believed: Arc::new(RwLock::new(vec![authority])) }
    }

    /// The one that signs at the moment, when that is no more the one that it began with.
    pub fn followed(&self) -> Option<Fingerprint> {
        Some(self.all()[0]).filter(|newest| *newest != self.first)
    }

    /// Those that are believed.
    pub(crate) fn all(&self) -> Vec<Fingerprint> {
        self.believed.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Believes from now on the authorities of the cluster that a master has shown, whose handshake has ended: what is in
    /// its chain, it has said itself. One without any of them has a certificate of an operator's, and changes nothing.
    pub(crate) fn follow(&self, cluster: ClusterId, chain: &[CertificateDer<'_>]) {
        let above = chain.iter().skip(1).filter_map(|der| Certificate::from_der(der).ok());
        let mut shown = Vec::new();
        for authority in above.filter(|certificate| certificate.is_authority_of(cluster)) {
            let fingerprint = authority.fingerprint();
            if !shown.contains(&fingerprint) {
                shown.push(fingerprint);
            }
        }
        if !shown.is_empty() && shown != self.all() {
            *self.believed.write().unwrap_or_else(PoisonError::into_inner) = shown;
        }
    }
}

impl PartialEq for Pins {
    fn eq(&self, other: &Self) -> bool {
        self.first == other.first
    }
}

impl Eq for Pins {}
