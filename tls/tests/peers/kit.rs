//! A cluster's authority, and masters that answer one connection each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use haggle_core::{AgentId, ClusterId};
use haggle_tls::{
    Authority, ConnectError, Connector, Credentials, Identity, LEAF_LIFE, PrivateKey, ServerCertificate,
    ServerIdentity, Stream, Trust, agent_of, explain, master_name, server_config,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub(crate) const CLUSTER: ClusterId = ClusterId(0xc1);

/// What a client says when it believes the master.
pub(crate) const SECRET: &[u8] = b"the secret of a token";

pub(crate) fn authority() -> Authority {
    Authority::make(CLUSTER, SystemTime::now()).0
}

pub(crate) fn leaf(authority: &Authority, made: SystemTime) -> ServerCertificate {
    authority.server(&["127.0.0.1".into()], made, LEAF_LIFE).unwrap()
}

pub(crate) fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3600)
}

/// How a master of this authority speaks TLS.
pub(crate) fn config(authority: &Authority, certificate: ServerCertificate) -> Arc<ServerConfig> {
    let identity = Arc::new(ServerIdentity::new(certificate));
    server_config(identity, &[authority.certificate().der().clone()]).unwrap()
}

/// A master that answers one connection.
pub(crate) struct Master {
    pub(crate) address: SocketAddr,
    pub(crate) met: JoinHandle<Met>,
}

/// What it saw.
#[derive(Debug)]
pub(crate) struct Met {
    /// Whether the handshake came to its end.
    pub(crate) secure: bool,
    pub(crate) agent: Option<AgentId>,
    /// What the client said in it.
    pub(crate) said: Vec<u8>,
}

impl Master {
    pub(crate) async fn start(config: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let met = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut said = Vec::new();
            let Ok(mut stream) = TlsAcceptor::from(config).accept(stream).await else {
                return Met { secure: false, agent: None, said };
            };
            let agent = agent_of(stream.get_ref().1.peer_certificates(), CLUSTER);
            let _ = stream.read_to_end(&mut said).await;
            Met { secure: true, agent, said }
        });
        Self { address, met }
    }

    /// What it has met, once the client is gone.
    pub(crate) async fn met(self) -> Met {
        self.met.await.unwrap()
    }

    pub(crate) async fn dialled_by(&self, trust: &Trust, identity: Option<Identity>) -> Result<Stream, ConnectError> {
        let connector = Connector::new(trust, identity).unwrap();
        connector.dial("127.0.0.1", self.address.port()).await
    }
}

/// Dials a master and says the secret, as soon as it is believed.
pub(crate) async fn tell(master: &Master, trust: &Trust, identity: Option<Identity>) -> Result<(), ConnectError> {
    let mut stream = master.dialled_by(trust, identity).await?;
    stream.write_all(SECRET).await.unwrap();
    stream.shutdown().await.unwrap();
    Ok(())
}

pub(crate) fn pinned(authority: &Authority) -> Trust {
    Trust::pinned(CLUSTER, authority.fingerprint())
}

pub(crate) fn signed(authority: &Authority) -> Trust {
    Trust::Authorities { cluster: CLUSTER, certificates: vec![authority.certificate().der().clone()] }
}

/// An agent that has joined.
pub(crate) fn credentials(authority: &Authority, agent: AgentId, made: SystemTime) -> Credentials {
    let key = PrivateKey::generate();
    let certificate = authority.agent(agent, &key.request(), made).unwrap();
    Credentials::new(key, certificate.der(), &[authority.certificate().der()]).unwrap()
}

/// Shows a certificate whatever the time is, as an agent does whose clock is wrong.
pub(crate) struct Careless(Arc<rustls::sign::CertifiedKey>);

pub(crate) fn showing(credentials: &Credentials) -> Careless {
    let provider = rustls::crypto::ring::default_provider();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(credentials.key().pem().as_bytes()).unwrap();
    let chain = vec![credentials.certificate().der().clone()];
    Careless(Arc::new(rustls::sign::CertifiedKey::from_der(chain, key, &provider).unwrap()))
}

impl Careless {
    /// Why this master refuses it.
    pub(crate) async fn against(self, master: &Master, authority: &Authority) -> String {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.certificate().der().clone()).unwrap();
        let mut config = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(self.0)));
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = tokio::net::TcpStream::connect(master.address).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from(master_name(CLUSTER)).unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(name, stream).await.unwrap();
        explain(&stream.read_to_end(&mut Vec::new()).await.unwrap_err()).unwrap()
    }
}
