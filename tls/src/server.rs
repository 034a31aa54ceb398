//! What a master shows, and what it asks of who connects.

use std::sync::{Arc, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use haggle_core::{AgentId, ClusterId};
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{RootCertStore, ServerConfig};

use crate::verify::MasterVerifier;
use crate::{Certificate, Fingerprint, Pins, master_name, pem, provider};

/// A master's certificate: its chain, the authority that clients are told to believe, and its key.
#[derive(Clone, Debug)]
pub struct ServerCertificate {
    key: Arc<CertifiedKey>,
    leaf: Certificate,
    authority: Certificate,
}

impl ServerCertificate {
    /// Reads PEM files: a chain, from the certificate to its authority, and its private key.
    ///
    /// # Errors
    /// When one of them cannot be read, or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, rustls::Error> {
        let unreadable = |what: &str| {
            rustls::Error::General(format!("no {what} can be read (PEM) in the file that was named for it"))
        };
        let chain = pem::certificates_from_pem(chain).map_err(|_| unreadable("certificate"))?;
        let key = pem::read_key(key).map_err(|_| unreadable("private key"))?;
        let authority = read(chain.last())?;
        Self::new(chain, key, authority)
    }

    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        authority: Certificate,
    ) -> Result<Self, rustls::Error> {
        let leaf = read(chain.first())?;
        let key = Arc::new(CertifiedKey::from_der(chain, key, &provider())?);
        Ok(Self { key, leaf, authority })
    }

    /// What is shown, from the certificate to its authority.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }

    /// What clients are told to believe: of an operator's, the certificate at the end of its chain.
    pub fn authority(&self) -> &Certificate {
        &self.authority
    }

    /// What a token says of it.
    pub fn fingerprint(&self) -> Fingerprint {
        self.authority.fingerprint()
    }

    /// Of its own key: whoever knows the master by that need know nothing else of it.
    pub fn own_fingerprint(&self) -> Fingerprint {
        self.leaf.fingerprint()
    }

    /// Makes sure that clients will believe it: it holds, its chain leads to its authority, and it names the cluster or
    /// one of these hosts.
    ///
    /// # Errors
    /// Why they would not, in words.
    pub fn check(&self, cluster: ClusterId, hosts: &[String], now: SystemTime) -> Result<(), String> {
        let verifier = MasterVerifier::pinned(cluster, Pins::new(self.fingerprint()));
        let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        let name = master_name(cluster);
        let mut outcome = Ok(());
        for host in hosts.iter().chain([&name]) {
            let dialled = ServerName::try_from(host.as_str()).map_err(|_| format!("{host:?} is no name of a host"))?;
            match verifier.verify_server_cert(&self.chain()[0], &self.chain()[1..], &dialled, &[], now) {
                Ok(_) => return Ok(()),
                Err(error) => outcome = Err(format!("no client would believe it: {error}")),
            }
        }
        outcome
    }

    /// Whether half of its life is over, or more.
    pub fn is_due(&self, now: SystemTime) -> bool {
        now >= self.leaf.renew_at(0)
    }
}

fn read(der: Option<&CertificateDer<'_>>) -> Result<Certificate, rustls::Error> {
    let der = der.ok_or(rustls::Error::NoCertificatesPresented)?;
    Certificate::from_der(der).map_err(|error| rustls::Error::General(error.to_string()))
}

/// The certificate that a master shows at the moment. It can be replaced while connections are made; those that are
/// there live on.
#[derive(Debug)]
pub struct ServerIdentity {
    shown: RwLock<ServerCertificate>,
}

impl ServerIdentity {
    /// Shows this one.
    pub fn new(certificate: ServerCertificate) -> Self {
        Self { shown: RwLock::new(certificate) }
    }

    /// Shows another one from now on.
    pub fn replace(&self, certificate: ServerCertificate) {
        *self.shown.write().expect("nobody panics while holding it") = certificate;
    }

    /// The one that is shown.
    pub fn shown(&self) -> ServerCertificate {
        self.shown.read().expect("nobody panics while holding it").clone()
    }
}

impl ResolvesServerCert for ServerIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown().key)
    }
}

/// How a master speaks TLS: 1.3 only, HTTP/2 only, and no resumption, which would outlive what a certificate is good
/// for. A client need not have a certificate; one that it shows must be signed by one of `authorities`.
///
/// # Errors
/// When there is no authority, or one that cannot be read.
pub fn server_config(
    identity: Arc<ServerIdentity>,
    authorities: &[CertificateDer<'static>],
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone())?;
    }
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider())
        .allow_unauthenticated()
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(identity);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The agent of this cluster that a client's certificate names, after the handshake has verified it. `None` for a client
/// without one, or with one that names none.
pub fn agent_of(chain: Option<&[CertificateDer<'_>]>, cluster: ClusterId) -> Option<AgentId> {
    let certificate = Certificate::from_der(chain?.first()?).ok()?;
    certificate.agent().filter(|agent| agent.cluster == cluster).map(|agent| agent.id)
}
