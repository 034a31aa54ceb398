//! Connections: each is allowed first, and made directly or by a proxy, in plain text or with TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::client::AGENT;
use crate::error::SourceError;
use crate::hosts::{Hosts, Reach, Target};
use crate::proxy::{Proxies, Proxy};

/// How long this machine may take to find the addresses of a name that a proxy is asked for. Where it takes longer, it cannot.
const LOOKUP_WITHIN: Duration = Duration::from_secs(2);

/// Makes connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    pub(crate) hosts: Hosts,
    pub(crate) proxies: Proxies,
    pub(crate) tls: Arc<ClientConfig>,
}

/// Something that carries bytes both ways.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub(crate) type Connection = Box<dyn Stream>;

impl Connector {
    /// To a target that `by` has named, if that was not the source.
    pub(crate) async fn connect(&self, target: &Target, by: Option<&str>) -> Result<Connection, SourceError> {
        let reach = self.hosts.allow(target, by)?;
        let stream = match self.proxies.by(target)? {
            None => open(&addresses(target, reach).await?).await.map_err(|source| refused(target, source))?,
            Some(proxy) => self.by_proxy(proxy, target, reach).await?,
        };
        self.secured(target, stream).await.map_err(|source| refused(target, source))
    }

    /// With the TLS that it speaks, if it does.
    async fn secured(&self, target: &Target, stream: Connection) -> io::Result<Connection> {
        if !target.tls {
            return Ok(stream);
        }
        let name = ServerName::try_from(target.host.clone()).map_err(io::Error::other)?;
        let secured = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?;
        Ok(Box::new(secured))
    }

    /// By a tunnel, in plain text as well: there the proxy is asked for the address that was looked at, and not for a name that
    /// may lead it elsewhere.
    async fn by_proxy(&self, proxy: &Proxy, target: &Target, reach: Reach) -> Result<Connection, SourceError> {
        let wanted = wanted(target, reach).await?;
        let failed = |why: &dyn fmt::Display| SourceError::Proxy {
            proxy: proxy.target.to_string(),
            host: target.to_string(),
            why: why.to_string(),
        };
        // Which proxy it is the operator says, and nobody else.
        let addresses = resolved(&proxy.target).await.map_err(|error| failed(&error))?;
        let stream = open(&addresses).await.map_err(|error| failed(&error))?;
        let stream = self.secured(&proxy.target, stream).await.map_err(|error| failed(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        // Ends with the tunnel.
        tokio::spawn(async move { drop(connection.with_upgrades().await) });
        let mut request = Request::builder().method(Method::CONNECT).uri(&wanted).header(HOST, &wanted);
        request = request.header(USER_AGENT, AGENT);
        if let Some(login) = &proxy.login {
            request = request.header(PROXY_AUTHORIZATION, login);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| failed(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
        match answer.status() {
            status if status.is_success() => {}
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                return Err(failed(&"it answered 407: the variable that names it has no login for it that it takes"));
            }
            status => return Err(failed(&format_args!("it answered {status}"))),
        }
        let tunnel = hyper::upgrade::on(answer).await.map_err(|error| failed(&error))?;
        Ok(Box::new(TokioIo::new(tunnel)))
    }
}

/// What a proxy is asked to connect with. A name is asked for with TLS alone, where whoever answers proves to be called so. Its
/// addresses are looked at all the same. Where this machine finds none, the proxy may find some, if the operator allowed that name.
async fn wanted(target: &Target, reach: Reach) -> Result<String, SourceError> {
    let found = timeout(LOOKUP_WITHIN, addresses(target, reach)).await;
    let found = found.unwrap_or_else(|_| Err(refused(target, io::ErrorKind::TimedOut.into())));
    match found {
        Ok(found) => Ok(found.first().filter(|_| !target.tls).map_or_else(|| target.authority(), ToString::to_string)),
        Err(SourceError::Connect { .. }) if target.tls && reach == Reach::Named => Ok(target.authority()),
        Err(error) => Err(error),
    }
}

/// Where a target is, if all of that may be reached: it does not depend on chance who is spoken to.
async fn addresses(target: &Target, reach: Reach) -> Result<Vec<SocketAddr>, SourceError> {
    let found = resolved(target).await.map_err(|source| refused(target, source))?;
    match found.iter().find(|address| !reach.allows(address.ip())) {
        Some(address) => Err(SourceError::Reserved { host: target.to_string(), address: address.ip() }),
        None => Ok(found),
    }
}

async fn resolved(target: &Target) -> io::Result<Vec<SocketAddr>> {
    let found = match target.known_addresses() {
        Some(known) => known,
        None => lookup_host((target.host.as_str(), target.port)).await?.collect(),
    };
    if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
}

async fn open(addresses: &[SocketAddr]) -> io::Result<Connection> {
    let stream = TcpStream::connect(addresses).await?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

fn refused(target: &Target, source: io::Error) -> SourceError {
    SourceError::Connect { host: target.to_string(), source }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    async fn wanted_of(url: &str, reach: Reach) -> String {
        let target = Target::of(&Url::parse(url).unwrap()).unwrap();
        wanted(&target, reach).await.unwrap_or_else(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_proxy_is_asked_for_a_name_with_tls_and_else_for_an_address_that_was_looked_at() {
        assert_eq!(wanted_of("https://10.9.9.9/", Reach::Named).await, "10.9.9.9:443");
        assert_eq!(wanted_of("http://10.9.9.9/", Reach::Named).await, "10.9.9.9:80");
        assert_eq!(wanted_of("https://[2001:db8::1]:8443/", Reach::Named).await, "[2001:db8::1]:8443");
        // No machine finds an address of this one: RFC 6761.
        assert_eq!(wanted_of("https://no.invalid/", Reach::Named).await, "no.invalid:443");
        assert!(wanted_of("http://no.invalid/", Reach::Named).await.starts_with("cannot connect to no.invalid"));
    }

    #[tokio::test]
    async fn no_proxy_is_asked_for_what_may_not_be_reached_without_one() {
        for (url, reach) in [
            ("https://127.0.0.1/", Reach::Named),
            ("http://169.254.169.254/", Reach::Named),
            ("https://10.9.9.9/", Reach::Public),
        ] {
            assert!(wanted_of(url, reach).await.contains("only naming the address itself"), "{url}");
        }
        // Whom the operator did not name must be seen to be public.
        assert!(wanted_of("https://no.invalid/", Reach::Public).await.starts_with("cannot connect to no.invalid"));
    }
}
