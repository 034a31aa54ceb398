//! Connections to masters, as an endpoint of tonic wants them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use haggle_core::ClusterId;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tower::Service;

use crate::{Distrust, Identity, Pins, Stream, Trust, TrustError};

/// Dials masters: `Endpoint::connect_with_connector` takes it. Endpoints have `http://` URLs also with TLS, for TLS is
/// this one's part and not theirs.
#[derive(Clone, Debug)]
pub struct Connector {
    /// `None`: plain text.
    tls: Option<Arc<ClientConfig>>,
    /// What follows the authority of this cluster.
    pins: Option<(ClusterId, Pins)>,
}

impl Connector {
    /// Believes masters by `trust`, and shows them `identity` if there is one.
    ///
    /// # Errors
    /// When the trust names no authority, or one that cannot be read.
    pub fn new(trust: &Trust, identity: Option<Identity>) -> Result<Self, TrustError> {
        let pins = match trust {
            Trust::Pinned { cluster, authorities } => Some((*cluster, authorities.clone())),
            Trust::Plain | Trust::Authorities { .. } => None,
        };
        Ok(Self { tls: trust.client_config(identity)?, pins })
    }

    /// The same, for connections that begin in HTTP/1.1.
    #[must_use]
    pub fn in_http1(mut self) -> Self {
        if let Some(tls) = &mut self.tls {
            Arc::make_mut(tls).alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        self
    }

    /// Connects, and with TLS is sure of the master when this returns. There is no limit on how long that takes but the
    /// caller's.
    ///
    /// # Errors
    /// When nobody listens there, or it is not a master of the cluster.
    pub async fn dial(&self, host: &str, port: u16) -> Result<Stream, ConnectError> {
        // As a URL writes an address of version 6.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address = format!("{}:{port}", if host.contains(':') { format!("[{host}]") } else { host.to_owned() });
        let tcp = |source| ConnectError::Tcp { address: address.clone(), source };
        let resolved: Vec<_> = lookup_host((host, port)).await.map_err(tcp)?.collect();
        if self.tls.is_none() && !resolved.iter().all(|address| address.ip().to_canonical().is_loopback()) {
            return Err(ConnectError::PlainAbroad(address));
        }
        let stream = TcpStream::connect(&*resolved).await.map_err(tcp)?;
        // Messages are small, and somebody waits for each.
        stream.set_nodelay(true).map_err(tcp)?;
        let Some(tls) = &self.tls else {
            return Ok(Stream::plain(stream));
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|_| ConnectError::Url(address.clone()))?;
        match TlsConnector::from(Arc::clone(tls)).connect(name, stream).await {
            Ok(stream) => {
                if let Some((cluster, pins)) = &self.pins {
                    pins.follow(*cluster, stream.get_ref().1.peer_certificates().unwrap_or_default());
                }
                Ok(Stream::tls(stream))
            }
            Err(error) => Err(ConnectError::of_handshake(address, error)),
        }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let (Some(host), Some(port)) = (url.host(), url.port_u16()) else {
                return Err(ConnectError::Url(url.to_string()));
            };
            connector.dial(host, port).await.map(TokioIo::new)
        })
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It does not say whom to dial.
    #[error("{0} does not name a host and a port")]
    Url(String),
    /// Nobody listens there, or the way is closed.
    #[error("cannot connect to {address}: {source}")]
    Tcp {
        /// Where.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// Everybody on the way would read along.
    #[error(
        "refusing to speak plain text to {0}: that is for loopback only; take a token of the cluster (hgl1.…), which \
         says how to know its master"
    )]
    PlainAbroad(String),
    /// It answers, but not with TLS.
    #[error(
        "{address} does not speak TLS: is it a master of this cluster, and the port right? A master on loopback speaks \
         plain text unless it was started with --tls ({source})"
    )]
    NoTls {
        /// Where.
        address: String,
        /// What came instead.
        source: io::Error,
    },
    /// It is not the master that it should be.
    #[error("refusing the master at {address}: {source}")]
    Untrusted {
        /// Where.
        address: String,
        /// Why.
        source: Distrust,
    },
    /// The certificate of the master does not hold, or it refused ours.
    #[error("no secure connection to {address}: {}", told(source))]
    Tls {
        /// Where.
        address: String,
        /// Why.
        source: rustls::Error,
    },
}

impl ConnectError {
    fn of_handshake(address: String, error: io::Error) -> Self {
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned() else {
            return match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => Self::NoTls { address, source: error },
                _ => Self::Tcp { address, source: error },
            };
        };
        match tls {
            rustls::Error::InvalidMessage(_) => Self::NoTls { address, source: error },
            rustls::Error::InvalidCertificate(rustls::CertificateError::Other(ref other))
                if let Some(distrust) = other.0.downcast_ref::<Distrust>() =>
            {
                Self::Untrusted { address, source: *distrust }
            }
            source => Self::Tls { address, source },
        }
    }

    /// Whether the certificate does not hold at this time, by the clock of this machine.
    pub(crate) fn is_untimely(&self) -> bool {
        use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
        use rustls::Error::InvalidCertificate;
        let Self::Tls { source: InvalidCertificate(why), .. } = self else { return false };
        matches!(why, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
    }
}

/// An error of TLS, with what to do about it where that is known.
pub(crate) fn told(error: &rustls::Error) -> String {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error};
    let advice = match error {
        Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "the master's certificate has expired, or the clock of this machine is ahead"
        }
        Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            "the master's certificate does not hold yet: the clock of this machine is behind"
        }
        Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            "the master's certificate names neither this cluster nor the host"
        }
        Error::AlertReceived(Alert::ProtocolVersion) => "the master does not speak TLS 1.3",
        Error::PeerIncompatible(_) => "the other side does not speak TLS 1.3 as a master does",
        _ => return error.to_string(),
    };
    format!("{advice} ({error})")
}
