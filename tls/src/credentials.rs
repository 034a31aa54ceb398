//! What an agent is known by: its certificate, its key, and the authorities that it believes.

use std::fmt;
use std::sync::{Arc, RwLock};
use std::time::SystemTime;

use haggle_core::{AgentId, Member};
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use crate::{
    AGENT_RENEWABLE, Certificate, CertificateError, Fingerprint, KeyError, PrivateFolder, PrivateFolderError,
    PrivateKey, Trust, pem, provider,
};

/// One file, so that key and certificate are replaced together.
const FILE: &str = "agent.pem";

/// An agent's certificate with all that belongs to it.
#[derive(Clone, Debug)]
pub struct Credentials {
    key: PrivateKey,
    certificate: Certificate,
    authorities: Vec<CertificateDer<'static>>,
    member: Member<AgentId>,
    shown: Arc<CertifiedKey>,
}

impl Credentials {
    /// What a master answered to a request of this key: the certificate, and the authorities to believe, all in DER.
    ///
    /// # Errors
    /// When one of them cannot be read, the certificate is of another key, or names no agent.
    pub fn new(
        key: PrivateKey,
        certificate: &[u8],
        authorities: &[impl AsRef<[u8]>],
    ) -> Result<Self, CredentialsError> {
        let authorities: Vec<_> = authorities
            .iter()
            .map(|der| Ok(Certificate::from_der(der.as_ref())?.der().clone()))
            .collect::<Result<_, CertificateError>>()?;
        if authorities.is_empty() {
            return Err(CredentialsError::NoAuthority);
        }
        let certificate = Certificate::from_der(certificate)?;
        if certificate.spki() != key.spki() {
            return Err(CredentialsError::OtherKey);
        }
        let member = certificate.agent().ok_or(CredentialsError::NoAgent)?;
        let shown = CertifiedKey::from_der(vec![certificate.der().clone()], key.der(), &provider());
        let shown = Arc::new(shown.map_err(|_| CredentialsError::OtherKey)?);
        Ok(Self { key, certificate, authorities, member, shown })
    }

    /// What a folder keeps; `None` when that agent has not joined yet.
    ///
    /// # Errors
    /// When it cannot be read, others can read it too, or it is not what [`Credentials::save`] wrote.
    pub fn load(folder: &PrivateFolder) -> Result<Option<Self>, CredentialsError> {
        let Some(text) = folder.read(FILE)? else {
            return Ok(None);
        };
        let key = PrivateKey::from_pem(&text)?;
        let certificates = pem::certificates_from_pem(&text).map_err(|_| CertificateError)?;
        let (own, authorities) = certificates.split_first().ok_or(CertificateError)?;
        Self::new(key, own, authorities).map(Some)
    }

    /// Keeps them, all or nothing.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, folder: &PrivateFolder) -> Result<(), PrivateFolderError> {
        let mut text = self.key.pem();
        text.push_str(&pem::certificates([self.certificate.der()].into_iter().chain(&self.authorities)));
        folder.write(FILE, text.as_bytes())
    }

    /// Which agent it is, of which cluster.
    pub fn member(&self) -> Member<AgentId> {
        self.member
    }

    /// Its key, which also signs the request for the next certificate.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// How it knows the masters from now on.
    pub fn trust(&self) -> Trust {
        Trust::Authorities { cluster: self.member.cluster, certificates: self.authorities.clone() }
    }

    /// Whether it knows masters of this authority.
    pub fn believes(&self, authority: Fingerprint) -> bool {
        let mut read = self.authorities.iter().filter_map(|der| Certificate::from_der(der).ok());
        read.any(|believed| believed.fingerprint() == authority)
    }

    /// Whether a master would still trade it for a new one. Else the agent must join anew.
    pub fn is_renewable(&self, now: SystemTime) -> bool {
        now < self.certificate.not_after() + AGENT_RENEWABLE
    }
}

/// Why they are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Their folder cannot be used.
    #[error(transparent)]
    Folder(#[from] PrivateFolderError),
    /// There is no key.
    #[error("of the agent's key: {0}")]
    Key(#[from] KeyError),
    /// One of the certificates is none.
    #[error("of the agent's certificate or its authority: {0}")]
    Certificate(#[from] CertificateError),
    /// The certificate is of another key.
    #[error("the certificate is not of the agent's key")]
    OtherKey,
    /// The certificate names no agent.
    #[error("the certificate names no agent")]
    NoAgent,
    /// There is nobody to believe.
    #[error("there is no authority with it")]
    NoAuthority,
}

/// The certificate that a program shows to masters at the moment; clones share it. It can be replaced while connections
/// are made; those that are there live on. One that has expired is not shown, for a master would hang up: renewing goes
/// without one.
#[derive(Clone, Default)]
pub struct Identity(Arc<RwLock<Option<Shown>>>);

#[derive(Clone)]
struct Shown {
    key: Arc<CertifiedKey>,
    until: SystemTime,
}

impl Identity {
    /// Shows these.
    pub fn new(credentials: &Credentials) -> Self {
        let identity = Self::default();
        identity.replace(credentials);
        identity
    }

    /// Shows these from now on.
    pub fn replace(&self, credentials: &Credentials) {
        let shown = Shown { key: Arc::clone(&credentials.shown), until: credentials.certificate.not_after() };
        *self.0.write().expect("nobody panics while holding it") = Some(shown);
    }

    fn shown_at(&self, now: SystemTime) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.read().expect("nobody panics while holding it");
        shown.as_ref().filter(|shown| now < shown.until).map(|shown| Arc::clone(&shown.key))
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.shown_at(SystemTime::now())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}
