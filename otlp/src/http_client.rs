//! One request to a collector after the other, each until it is answered for good.

use std::fmt::{self, Debug};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{HOST, HeaderValue, RETRY_AFTER};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;

use crate::collector::Collector;

/// How long one try may take, connection and all: the standard's.
const TRY_MAX: Duration = Duration::from_secs(10);

/// How long to wait after the first failed try, and at most. Doubles with each.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A collector answers with a few words.
const ANSWER_MAX: usize = 64 << 10;

/// When to give up, once somebody has said so.
pub(crate) type Deadline = watch::Receiver<Option<Instant>>;

/// Speaks to one collector. A connection for each request: there is one in a second at most.
pub(crate) struct Client {
    collector: Collector,
    deadline: Deadline,
}

impl Client {
    pub(crate) fn new(collector: Collector, deadline: Deadline) -> Self {
        Self { collector, deadline }
    }

    /// Tries until the collector has taken it, or will not. What it cannot take now waits here.
    async fn deliver(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (mut pause, mut is_told) = (PAUSE_FIRST, false);
        loop {
            let failed = match timeout(TRY_MAX, self.once(request.clone())).await {
                Ok(Ok(answer)) if !is_passing(answer.status()) => {
                    if is_told {
                        tracing::info!(collector = %self.collector.url(), "the collector takes spans again");
                    }
                    return Ok(answer);
                }
                Ok(Ok(answer)) => {
                    pause = retry_after(&answer).unwrap_or(pause).clamp(PAUSE_FIRST, PAUSE_MAX);
                    format!("it answers {}", answer.status())
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("it has not answered within {TRY_MAX:?}"),
            };
            if !is_told {
                is_told = true;
                tracing::warn!(
                    collector = %self.collector.url(),
                    "the collector takes no spans now: {failed}; they wait, and there is room for some thousands"
                );
            }
            sleep(pause).await;
            pause = (2 * pause).min(PAUSE_MAX);
        }
    }

    async fn once(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let url = self.collector.url();
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_tls = self.collector.tls().is_some();
        let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await?;
        match self.collector.tls() {
            None => exchange(stream, request).await,
            Some(config) => {
                let name = match host.parse::<IpAddr>() {
                    Ok(address) => ServerName::IpAddress(address.into()),
                    Err(_) => ServerName::try_from(host.to_owned())?,
                };
                exchange(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?, request).await
            }
        }
    }
}

/// Whether it may be otherwise later, by the standard.
fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

fn retry_after(answer: &Response<Bytes>) -> Option<Duration> {
    answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

async fn exchange<S>(stream: S, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str())?;
        request.headers_mut().insert(HOST, host);
    }
    // Scheme and host are for proxies alone.
    let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    let talk = async {
        let (head, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    };
    tokio::pin!(talk, connection);
    tokio::select! {
        answer = &mut talk => answer,
        // The answer may have come with the end of the connection.
        ended = &mut connection => match ended {
            Ok(()) => talk.await,
            Err(error) => Err(error.into()),
        },
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        tokio::select! {
            answer = self.deliver(request) => answer,
            () = passed(self.deadline.clone()) => Err(TooLate.into()),
        }
    }
}

impl Debug for Client {
    /// Without what it tells the collector.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", self.collector.url()).finish_non_exhaustive()
    }
}

/// The program ends first.
#[derive(Debug, thiserror::Error)]
#[error("the program ends, and the collector does not answer")]
struct TooLate;

async fn passed(mut deadline: Deadline) {
    let until = match deadline.wait_for(Option::is_some).await {
        Ok(until) => *until,
        // Whoever would say it is gone.
        Err(_) => None,
    };
    sleep_until(until.unwrap_or_else(Instant::now)).await;
}
