//! One request and its response: checked, resolved, connected, sent, and waited for; no redirect is followed.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1;
use hyper::http::uri::{PathAndQuery, Scheme};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::super::connections::{Permit, SOCKET_BUFFER};
use super::super::resolve::{Unresolved, resolve};
use super::super::traffic::CountedStream;
use super::super::{Granted, Host};
use crate::charge::charged;

/// How long a connection may take, TLS and all, where the guest does not say; twice what TCP takes to send its
/// second packet four times.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait for the response, and then for each piece of it, where the guest does not say.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(120);
/// The longest that a guest may wait for anything here. It may ask again.
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// Bytes that hyper may hold of what it reads, and as many of what it writes. Bounds a response's head, too.
const HTTP_BUFFER: usize = 64 << 10;
/// Header fields of a response, as many as browsers take.
const HEADERS_MAX: usize = 128;

/// The response, and what moves its body along.
pub(super) type Response = (hyper::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

/// Sends a request as far as the grants allow. Runs off the guest's thread, and is charged to it all the same.
pub(super) async fn send(
    granted: Arc<Granted>,
    permit: Permit,
    request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<Response, Error> {
    let debt = Arc::clone(granted.meters.debt());
    charged(exchange(granted, permit, request, options), &debt).await
}

async fn exchange(
    granted: Arc<Granted>,
    permit: Permit,
    mut request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<Response, Error> {
    let target = Target::of(request.method(), request.uri())?;
    if !granted.policy.may_request(&target.host, target.port) {
        return Err(Error::HttpRequestDenied);
    }
    let patience = |wanted: Option<Duration>, usual| wanted.unwrap_or(usual).min(TIMEOUT_MAX);
    let stream = timeout(patience(options.connect_timeout, CONNECT_TIMEOUT), connect(&granted, &target))
        .await
        .map_err(|_| Error::ConnectionTimeout)??;
    let mut builder = http1::Builder::new();
    let (mut sender, connection) = builder
        .max_buf_size(HTTP_BUFFER)
        .max_headers(HEADERS_MAX)
        .handshake::<_, WasiBody>(TokioIo::new(stream))
        .await?;

    // Scheme and host are for proxies alone.
    let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);

    let mut connection = Box::pin(connection);
    let mut over = false;
    let answered = async {
        let answer = sender.send_request(request);
        tokio::pin!(answer);
        tokio::select! {
            biased;
            response = &mut answer => response,
            ended = &mut connection => {
                over = true;
                // What came before the end may hold the response.
                match ended {
                    Ok(()) => answer.await,
                    Err(error) => Err(error),
                }
            }
        }
    };
    let response = timeout(patience(options.first_byte_timeout, RESPONSE_TIMEOUT), answered)
        .await
        .map_err(|_| Error::ConnectionReadTimeout)??;

    let patience = patience(options.between_bytes_timeout, RESPONSE_TIMEOUT);
    let held = permit.clone();
    let response = response.map(|incoming| {
        ResponseBody { incoming, patience, timer: Box::pin(sleep(patience)), _held: held }.boxed_unsync()
    });
    let debt = Arc::clone(granted.meters.debt());
    let rest = async move {
        if !over {
            // What goes wrong is seen by whoever reads the body.
            let _ = charged(connection, &debt).await;
        }
        drop(permit);
        Ok(())
    };
    Ok((response, Box::new(rest)))
}

/// Whom a request is for.
struct Target {
    host: Host,
    /// As it is written, for the certificate.
    name: String,
    port: u16,
    secure: bool,
}

impl Target {
    fn of(method: &Method, uri: &Uri) -> Result<Self, Error> {
        // A tunnel to a host that no grant names.
        if *method == Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or(Error::HttpRequestUriInvalid)?;
        let bare = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if authority.as_str().len() > authority.host().len() => return Err(Error::HttpRequestUriInvalid),
            None if secure => 443,
            None => 80,
        };
        Ok(Self { host: Host::new(authority.host()), name: bare.to_owned(), port, secure })
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection to one of the addresses that the host is allowed to have.
async fn connect(granted: &Granted, target: &Target) -> Result<Box<dyn Stream>, Error> {
    let addresses =
        resolve(&granted.policy, &target.host, granted.meters.debt()).await.map_err(|unresolved| match unresolved {
            Unresolved::Unknown => {
                Error::DnsError { rcode: Some("no address for this name".to_owned()), info_code: None }
            }
            Unresolved::Reserved => Error::DestinationIpProhibited,
        })?;
    let stream = CountedStream {
        stream: connect_any(&addresses, target.port).await.map_err(|error| refused(&error))?,
        meters: Arc::clone(&granted.meters),
    };
    if !target.secure {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(target.name.clone()).map_err(|_| Error::TlsCertificateError)?;
    let secured = tls().connect(name, stream).await.map_err(|error| insecure(&error))?;
    Ok(Box::new(secured))
}

async fn connect_any(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for &address in addresses {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let connected = async {
            let socket = socket?;
            socket.set_recv_buffer_size(SOCKET_BUFFER)?;
            socket.set_send_buffer_size(SOCKET_BUFFER)?;
            socket.connect(SocketAddr::new(address, port)).await
        };
        match connected.await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn refused(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        io::ErrorKind::TimedOut => Error::ConnectionTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Error::DestinationIpUnroutable,
        _ => Error::DestinationUnavailable,
    }
}

fn insecure(error: &io::Error) -> Error {
    match error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::TlsCertificateError
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            Error::TlsAlertReceived { alert_id: Some(u8::from(*alert)), alert_message: Some(format!("{alert:?}")) }
        }
        _ => Error::TlsProtocolError,
    }
}

/// Servers are believed by the certificates that Mozilla trusts, whatever the agent's machine says.
fn tls() -> TlsConnector {
    static CONFIG: LazyLock<Arc<rustls::ClientConfig>> = LazyLock::new(|| {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has what TLS 1.2 and 1.3 need")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    });
    TlsConnector::from(Arc::clone(&CONFIG))
}

/// A response's body that does not let the guest wait for ever between two pieces.
struct ResponseBody {
    incoming: Incoming,
    patience: Duration,
    timer: Pin<Box<Sleep>>,
    _held: Permit,
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                let until = tokio::time::Instant::now() + self.patience;
                self.timer.as_mut().reset(until);
                Poll::Ready(frame.map(|frame| frame.map_err(Error::from)))
            }
            Poll::Pending => self.timer.as_mut().poll(cx).map(|()| Some(Err(Error::ConnectionReadTimeout))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.incoming.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> Option<(Host, u16, bool)> {
        let target = Target::of(&Method::GET, &uri.parse().ok()?).ok()?;
        Some((target.host, target.port, target.secure))
    }

    #[test]
    fn a_target_is_read_as_the_connection_would_go() {
        assert_eq!(target("http://Api.Example./x"), Some((Host::new("api.example"), 80, false)));
        assert_eq!(target("https://api.example"), Some((Host::new("api.example"), 443, true)));
        assert_eq!(target("http://[::1]:81/"), Some((Host::new("::1"), 81, false)));
        assert_eq!(target("http://[::ffff:127.0.0.1]/"), Some((Host::new("127.0.0.1"), 80, false)));
        for odd in ["http://granted.example@evil.example/", "http://api.example:/", "/path", "http://a:b@c/"] {
            assert_eq!(target(odd), None, "{odd}");
        }
    }

    #[test]
    fn no_tunnel_is_asked_for() {
        let refused = Target::of(&Method::CONNECT, &"http://api.example:80/".parse().unwrap());

        assert!(matches!(refused, Err(Error::HttpRequestMethodInvalid)));
    }
}
