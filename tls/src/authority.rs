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
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::certificate::{agent_uri, authority_uri};
use crate::request::RequestedKey;
use crate::{
    Certificate, CertificateError, Fingerprint, KeyError, PrivateFolder, PrivateFolderError, PrivateKey, RequestError,
    ServerCertificate, master_name, pem, provider,
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

const CERTIFICATE_FILE: &str = "authority.pem";
const KEY_FILE: &str = "authority.key";

/// An authority with its key.
pub struct Authority {
    cluster: ClusterId,
    certificate: Certificate,
    issuer: Issuer<'static, PrivateKey>,
}

impl Authority {
    /// The authority that a folder keeps, and whether it was made just now.
    ///
    /// # Errors
    /// When the folder cannot be used, or holds what is no authority of this cluster.
    pub fn open(folder: &PrivateFolder, cluster: ClusterId, now: SystemTime) -> Result<(Self, bool), AuthorityError> {
        let of_file =
            |name: &'static str| move |why: String| AuthorityError::File { path: folder.path().join(name), why };
        let Some(certificate) = folder.read(CERTIFICATE_FILE)? else {
            // The certificate is written last: without it the key has signed nothing yet.
            let (made, key) = Self::make(cluster, now);
            folder.write(KEY_FILE, key.pem().as_bytes())?;
            folder.write(CERTIFICATE_FILE, pem::certificates([made.certificate.der()]).as_bytes())?;
            return Ok((made, true));
        };
        let key = folder.read(KEY_FILE)?.ok_or_else(|| of_file(KEY_FILE)("it is missing".to_owned()))?;
        let key = PrivateKey::from_pem(&key).map_err(|error: KeyError| of_file(KEY_FILE)(error.to_string()))?;
        let unreadable = |error: CertificateError| of_file(CERTIFICATE_FILE)(error.to_string());
        let ders = pem::certificates_from_pem(&certificate).map_err(|_| unreadable(CertificateError))?;
        let der = ders.first().ok_or_else(|| unreadable(CertificateError))?;
        let certificate = Certificate::from_der(der).map_err(unreadable)?;
        if !certificate.names(&authority_uri(cluster)) {
            return Err(AuthorityError::OtherCluster { path: folder.path().to_owned(), wanted: cluster });
        }
        if certificate.spki() != key.spki() {
            return Err(of_file(KEY_FILE)(format!("it is not the key of {CERTIFICATE_FILE}")));
        }
        Ok((Self::of(cluster, certificate, key), false))
    }

    /// A fresh authority, and its key.
    ///
    /// # Panics
    /// When the system has no randomness.
    pub fn make(cluster: ClusterId, now: SystemTime) -> (Self, PrivateKey) {
        let key = PrivateKey::generate();
        let mut params = params(AUTHORITY_NAME, now, AUTHORITY_LIFE);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![uri(authority_uri(cluster))];
        let certificate = params.self_signed(&key).expect("a key can sign what it is asked to");
        let certificate = Certificate::from_der(certificate.der()).expect("it was made just now");
        (Self::of(cluster, certificate, key.clone()), key)
    }

    fn of(cluster: ClusterId, certificate: Certificate, key: PrivateKey) -> Self {
        // Of these, only what the issuer is called gets into certificates.
        let issuer = Issuer::new(params(AUTHORITY_NAME, UNIX_EPOCH, AUTHORITY_LIFE), key);
        Self { cluster, certificate, issuer }
    }

    /// The cluster whose authority it is.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// What peers believe.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// A secret that follows from its key: the same wherever and whenever that key is, and of no use to find the key by.
    pub fn secret(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mut hash = Sha256::new();
        // Each part with its length, so that none runs into the next.
        for part in [b"haggle secret".as_slice(), purpose.as_bytes(), self.issuer.key().der().secret_der()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Zeroizing::new(hash.finalize().into())
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
        let key = PrivateKey::generate();
        let name = master_name(self.cluster);
        let mut params = params(&name, now, life);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names =
            hosts.iter().chain([&name]).map(|host| server_name(host)).collect::<Result<_, _>>()?;
        let leaf = self.sign(&params, &key);
        Ok(ServerCertificate::new(vec![leaf, self.certificate.der().clone()], key.der()).expect("it was made just now"))
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

    /// Whose certificate may be renewed by this request: it is of this authority, and of the key that signed the
    /// request, and expired less than [`AGENT_RENEWABLE`] ago if it did.
    ///
    /// # Errors
    /// When one of these is not so.
    pub fn check_renewal(&self, old: &[u8], request: &[u8], now: SystemTime) -> Result<AgentId, RenewalError> {
        let key = RequestedKey::read(request)?;
        let old = Certificate::from_der(old)?;
        if now >= old.not_after() + AGENT_RENEWABLE {
            return Err(RenewalError::TooLate);
        }
        // Judged as when it still held.
        let judged = now.min(old.not_after());
        self.has_signed(old.der(), judged)?;
        if key.subject_public_key_info() != old.spki() {
            return Err(RenewalError::OtherKey);
        }
        old.agent().filter(|agent| agent.cluster == self.cluster).map(|agent| agent.id).ok_or(RenewalError::NoAgent)
    }

    fn has_signed(&self, client: &CertificateDer<'_>, judged: SystemTime) -> Result<(), RenewalError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("it can be read");
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider());
        let verifier = verifier.build().expect("it has an authority");
        let judged = UnixTime::since_unix_epoch(judged.duration_since(UNIX_EPOCH).unwrap_or_default());
        verifier.verify_client_cert(client, &[], judged).map_err(|error| RenewalError::Stranger(error.to_string()))?;
        Ok(())
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

/// Why there is no authority, or no certificate of it.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Its folder cannot be used.
    #[error(transparent)]
    Folder(#[from] PrivateFolderError),
    /// One of its files is not what it should be.
    #[error("cannot use {}: {why}; restore it, or remove the folder to begin anew with new tokens for everybody", path.display())]
    File {
        /// Which file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It belongs to another cluster.
    #[error(
        "the authority in {} is not that of {wanted}, which the state folder is of: put the folder back that belongs to it, \
         or remove this one to begin anew with new tokens for everybody",
        path.display()
    )]
    OtherCluster {
        /// The folder.
        path: std::path::PathBuf,
        /// Whose it should be.
        wanted: ClusterId,
    },
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
