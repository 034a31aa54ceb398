//! Whether a certificate is that of a master of the cluster.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use haggle_core::ClusterId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError as Bad, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

use crate::{Certificate, Fingerprint, Pins, TrustError, master_name, provider};

/// Believes a master by its authority. The name that counts is the cluster's, so that no address, balancer or NAT stands
/// in between; an operator's own certificate, which does not name the cluster, must name the host that was dialled. Whoever
/// pins the master's own key needs no name.
#[derive(Debug)]
pub(crate) struct MasterVerifier {
    believed: Believed,
    name: ServerName<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Believed {
    Pinned(Pins),
    Signed { roots: RootCertStore, authorities: Vec<Fingerprint> },
}

impl MasterVerifier {
    pub(crate) fn pinned(cluster: ClusterId, authorities: Pins) -> Self {
        Self::new(cluster, Believed::Pinned(authorities))
    }

    pub(crate) fn signed(cluster: ClusterId, authorities: &[CertificateDer<'static>]) -> Result<Self, TrustError> {
        if authorities.is_empty() {
            return Err(TrustError::NoAuthority);
        }
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone()).map_err(TrustError::Unreadable)?;
        }
        let authorities = authorities.iter().map(fingerprint).collect::<Result<_, _>>();
        let authorities = authorities.map_err(TrustError::Unreadable)?;
        Ok(Self::new(cluster, Believed::Signed { roots, authorities }))
    }

    fn new(cluster: ClusterId, believed: Believed) -> Self {
        let name = ServerName::try_from(master_name(cluster)).expect("it is a name");
        Self { believed, name, algorithms: provider().signature_verification_algorithms }
    }

    fn chain_holds(
        &self,
        leaf: &ParsedCertificate<'_>,
        roots: &RootCertStore,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        verify_server_cert_signed_by_trust_anchor(leaf, roots, others, now, self.algorithms.all)
    }
}

impl ServerCertVerifier for MasterVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        dialled: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let leaf = ParsedCertificate::try_from(end_entity)?;
        let last = intermediates.last().unwrap_or(end_entity);
        match &self.believed {
            Believed::Pinned(pins) => {
                let pins = pins.all();
                if pins.contains(&fingerprint(end_entity)?) {
                    return holds_by_itself(end_entity, now);
                }
                // The one that was pinned may be in the middle: while the authority changes, the chain leads to both.
                let mut pinned = None;
                for above in intermediates {
                    if pins.contains(&fingerprint(above)?) {
                        pinned = Some(above);
                    }
                }
                let Some(pinned) = pinned else {
                    return Err(Distrust::OtherAuthority { wanted: pins[0], met: fingerprint(last)? }.into());
                };
                let mut roots = RootCertStore::empty();
                roots.add(pinned.clone().into_owned())?;
                self.chain_holds(&leaf, &roots, intermediates, now)?;
            }
            Believed::Signed { roots, authorities } => {
                let outcome = self.chain_holds(&leaf, roots, intermediates, now);
                // Authorities have the same name, so that another one's signature looks like a bad one.
                if let Err(Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature)) = outcome {
                    let met = fingerprint(last)?;
                    if !authorities.contains(&met) {
                        return Err(Distrust::OtherAuthority { wanted: authorities[0], met }.into());
                    }
                }
                outcome?;
            }
        }
        verify_server_name(&leaf, &self.name).or_else(|_| verify_server_name(&leaf, dialled))?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    /// That the master has the key of its certificate. Without this, a copied chain would do.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Of a master whose own key is known: that it has the key, the handshake proves.
fn holds_by_itself(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<ServerCertVerified, Error> {
    let read = Certificate::from_der(certificate).map_err(|_| Error::InvalidCertificate(Bad::BadEncoding))?;
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
    if now < read.not_before() {
        return Err(Bad::NotValidYet.into());
    }
    if now > read.not_after() {
        return Err(Bad::Expired.into());
    }
    Ok(ServerCertVerified::assertion())
}

fn fingerprint(certificate: &CertificateDer<'_>) -> Result<Fingerprint, Error> {
    Ok(Fingerprint::of(&ParsedCertificate::try_from(certificate)?.subject_public_key_info()))
}

/// Why a master is not believed, beyond what is wrong with any certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// Its authority is not the one that the token, or an earlier answer, told of.
    #[error(
        "it is of another authority: wanted {wanted:.8}, met {met:.8}; either the master was made anew, and its operator \
         has a new token (haggle token create), or somebody is in between"
    )]
    OtherAuthority {
        /// Which one was told of.
        wanted: Fingerprint,
        /// Which one its chain ends with.
        met: Fingerprint,
    },
}

impl From<Distrust> for Error {
    fn from(distrust: Distrust) -> Self {
        Bad::Other(OtherError(Arc::new(distrust))).into()
    }
}
