//! The authority of a cluster: one key, whose certificates every peer believes.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use haggle_core::{AgentId, ClusterId, Member};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, PublicKeyData,
    SanType, SerialNumber,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use time::OffsetDateTime;

use crate::certificate::{agent_uri, authority_uri};
use crate::request::RequestedKey;
use crate::{
    Certificate, CertificateError, Fingerprint, PrivateKey, RequestError, ServerCertificate, master_name, provider,
};

/// How long an authority holds.
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What every authority is called. The same in all of them, for peers tell them apart by their keys.
const AUTHORITY_NAME: &str = "haggle authority";

/// How long a certificate holds that an authority signs. A day, so that renewing them is nothing special.
pub const LEAF_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Certificates hold from so much before they are made, for clocks that are behind.
const BACKDATED: Duration = Duration::from_secs(3600);

/// How long an agent's certificate that has expired may still be traded for a new one: its machine was off.
pub const AGENT_RENEWABLE: Duration = Duration::from_secs(30 * 24 * 3600);

/// An authority with its key.
pub struct Authority {
    cluster: ClusterId,
    certificate: Certificate,
    key: PrivateKey,
    issuer: Issuer<'static, PrivateKey>,
}

impl Authority {
    /// A fresh authority, and its key.
    ///
    /// # Panics
    /// When the system has no randomness.
    pub fn make(cluster: ClusterId, now: SystemTime) -> (Self, PrivateKey) {
        let key = PrivateKey::generate();
        let mut params = params(AUTHORITY_NAME, now, AUTHORITY_LIFE);
        // One below it: the one that takes its place, for as long as both are believed.
        of_authority(&mut params, cluster, 1);
        let certificate = params.self_signed(&key).expect("a key can sign what it is asked to");
        let certificate = Certificate::from_der(certificate.der()).expect("it was made just now");
        (Self::of(cluster, certificate, key.clone()), key)
    }

    /// The one of this certificate and its key, which belong together.
    pub(crate) fn of(cluster: ClusterId, certificate: Certificate, key: PrivateKey) -> Self {
        // Of these, only what the issuer is called gets into certificates.
        let issuer = Issuer::new(params(AUTHORITY_NAME, UNIX_EPOCH, AUTHORITY_LIFE), key.clone());
        Self { cluster, certificate, key, issuer }
    }

    pub(crate) fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// A second certificate of another authority of this cluster: whoever believes this one believes that one by it. Holds
    /// no longer than this one.
    pub(crate) fn vouch_for(&self, other: &Self, now: SystemTime) -> Certificate {
        let life = self.certificate.not_after().duration_since(now).unwrap_or_default();
        let mut params = params(AUTHORITY_NAME, now, life);
        of_authority(&mut params, self.cluster, 0);
        Certificate::from_der(&self.sign(&params, &other.key)).expect("it was made just now")
    }

    /// The cluster whose authority it is.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// What peers believe.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// What a token says of it.
    pub fn fingerprint(&self) -> Fingerprint {
        self.certificate.fingerprint()
    }

    /// A master's certificate with a key of its own: for the cluster's name, and for these hosts (names or addresses) so
    /// that browsers believe it too. Holds for `life`, [`LEAF_LIFE`] usually.
    ///
    /// # Errors
    /// When a host is neither a name nor an address.
    pub fn server(
        &self,
        hosts: &[String],
        now: SystemTime,
        life: Duration,
    ) -> Result<ServerCertificate, AuthorityError> {
        self.server_under(&[], hosts, now, life)
    }

    /// The same, with more certificates behind its own in the chain.
    pub(crate) fn server_under(
        &self,
        above: &[CertificateDer<'static>],
        hosts: &[String],
        now: SystemTime,
        life: Duration,
    ) -> Result<ServerCertificate, AuthorityError> {
        let key = PrivateKey::generate();
        let name = master_name(self.cluster);
        let mut params = params(&name, now, life);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names =
            hosts.iter().chain([&name]).map(|host| server_name(host)).collect::<Result<_, _>>()?;
        let leaf = self.sign(&params, &key);
        let mut chain = vec![leaf, self.certificate.der().clone()];
        chain.extend_from_slice(above);
        Ok(ServerCertificate::new(chain, key.der(), self.certificate.clone()).expect("it was made just now"))
    }

    /// A certificate that names an agent, for the key of its request (PKCS#10 in DER). Nothing else of the request is
    /// taken.
    ///
    /// # Errors
    /// When the request is none, or not signed by its key.
    pub fn agent(&self, agent: AgentId, request: &[u8], now: SystemTime) -> Result<Certificate, RequestError> {
        let key = RequestedKey::read(request)?;
        let mut params = params(&agent.to_string(), now, LEAF_LIFE);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![uri(agent_uri(Member { cluster: self.cluster, id: agent }))];
        Ok(Certificate::from_der(&self.sign(&params, &key)).expect("it was made just now"))
    }

    fn sign(&self, params: &CertificateParams, key: &impl PublicKeyData) -> CertificateDer<'static> {
        params.signed_by(key, &self.issuer).expect("a key can sign what it is asked to").into()
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({}, {:.8})", self.cluster, self.fingerprint())
    }
}

/// Whether that authority has signed an agent's certificate, as it was judged at that time.
///
/// # Errors
/// When it has not.
pub(crate) fn has_signed(
    authority: &Certificate,
    client: &CertificateDer<'_>,
    judged: SystemTime,
) -> Result<(), RenewalError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).map_err(|error| RenewalError::Stranger(error.to_string()))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider());
    let verifier = verifier.build().expect("it has an authority");
    let judged = UnixTime::since_unix_epoch(judged.duration_since(UNIX_EPOCH).unwrap_or_default());
    verifier.verify_client_cert(client, &[], judged).map_err(|error| RenewalError::Stranger(error.to_string()))?;
    Ok(())
}

fn of_authority(params: &mut CertificateParams, cluster: ClusterId, below: u8) {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.subject_alt_names = vec![uri(authority_uri(cluster))];
}

fn params(name: &str, now: SystemTime, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date(now.checked_sub(BACKDATED).unwrap_or(UNIX_EPOCH));
    params.not_after = date(now + life);
    params.serial_number = Some(random_serial());
    params.use_authority_key_identifier_extension = true;
    params
}

fn random_serial() -> SerialNumber {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has no randomness");
    // Neither negative nor with a zero in front.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

fn date(time: SystemTime) -> OffsetDateTime {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn uri(name: String) -> SanType {
    SanType::URI(name.try_into().expect("it is ASCII"))
}

fn server_name(host: &str) -> Result<SanType, AuthorityError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let named = rustls::pki_types::DnsName::try_from(host).ok().and_then(|_| host.try_into().ok());
    named.map(SanType::DnsName).ok_or_else(|| AuthorityError::Host(host.to_owned()))
}

/// Why there is no certificate of it.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// It cannot stand in a certificate.
    #[error("{0:?} is neither the name of a host nor an address")]
    Host(String),
}

/// Why an agent's certificate is not renewed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenewalError {
    /// The request is none.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The old certificate is none.
    #[error("of the old certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// Somebody else signed it.
    #[error("the old certificate is not of this cluster ({0}): the agent must join anew, with a token of this cluster")]
    Stranger(String),
    /// It is of another key than the request.
    #[error("the request is not of the key of the old certificate")]
    OtherKey,
    /// It expired long ago.
    #[error("the old certificate expired more than 30 days ago: the agent must join anew, with a new token")]
    TooLate,
    /// It names no agent.
    #[error("the old certificate names no agent of this cluster")]
    NoAgent,
}
