//! The one client by which everything is asked: it follows where answers lead, and nothing is waited for for ever.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use url::Url;

use crate::connect::{Connection, Connector};
use crate::error::{SourceError, readable};
use crate::hosts::{Hosts, Target};
use crate::pace::{Pace, Paced};

/// Redirects that are followed, one after the other.
const REDIRECTS_MAX: usize = 5;

/// How long an upload may take beside what a slow line needs for its bytes.
const UPLOAD_GRACE: Duration = Duration::from_secs(60);

pub(crate) const AGENT: HeaderValue = HeaderValue::from_static(concat!("haggle/", env!("CARGO_PKG_VERSION")));

/// Asks servers. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    connector: Connector,
    pace: Pace,
}

/// What is asked of a URL.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What a server answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Paced,
    /// Who answers, for people.
    pub(crate) host: String,
}

impl Ask {
    pub(crate) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), body: Bytes::new() }
    }

    pub(crate) fn with(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl Http {
    pub(crate) fn new(connector: Connector, pace: Pace) -> Self {
        Self { connector, pace }
    }

    pub(crate) fn hosts(&self) -> &Hosts {
        &self.connector.hosts
    }

    /// Asks, and follows where the answer leads to. A login goes to nobody but who was asked first.
    pub(crate) async fn follow(&self, ask: Ask, by: Option<&str>) -> Result<Answer, SourceError> {
        let first = host_of(&ask.url);
        let mut ask = ask;
        let mut by = by.map(str::to_owned);
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.send(ask.clone(), by.as_deref()).await?;
            let is_redirect = matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308);
            let Some(location) = answer.headers.get(LOCATION).filter(|_| is_redirect) else {
                return Ok(answer);
            };
            let garbled =
                || SourceError::Garbled { host: answer.host.clone(), what: "a redirect to no URL".to_owned() };
            let next = location.to_str().ok().and_then(|text| ask.url.join(text).ok()).ok_or_else(garbled)?;
            if !is_same_place(&ask.url, &next) {
                ask.headers.remove(AUTHORIZATION);
                by = Some(answer.host);
            }
            ask.url = next;
        }
        Err(SourceError::Redirects { host: first, most: REDIRECTS_MAX })
    }

    /// Asks once; `by` has named the host, if that was not the source.
    pub(crate) async fn send(&self, ask: Ask, by: Option<&str>) -> Result<Answer, SourceError> {
        let Ask { method, url, headers, body } = ask;
        let target = Target::of(&url).ok_or_else(|| SourceError::NotAllowed {
            host: readable(url.as_str().as_bytes()),
            by: by.map(str::to_owned),
        })?;
        let host = target.to_string();
        let upload = UPLOAD_GRACE + Duration::from_secs(body.len() as u64 / u64::from(self.pace.least.max(1)));
        let within = if body.is_empty() { self.pace.answer } else { upload };
        let connection = timeout(self.pace.connect, self.connector.connect(&target, by)).await;
        let connection = connection.map_err(|_| slow(&host, "a connection", self.pace.connect))??;

        let mut request = Request::builder().method(method).uri(origin_form(&url));
        *request.headers_mut().expect("nothing is wrong so far") = headers;
        let broken = |why: String| SourceError::Broken { host: host.clone(), why };
        let request = request.header(HOST, host.as_str()).header(USER_AGENT, AGENT).body(Full::new(body));
        let request = request.map_err(|error| broken(error.to_string()))?;
        let answered = timeout(within, ask_on(connection, request)).await;
        let answered = answered.map_err(|_| slow(&host, "an answer", within))?;
        let answered = answered.map_err(|error| broken(error.to_string()))?;
        let (parts, body) = answered.into_parts();
        Ok(Answer { status: parts.status, headers: parts.headers, body: Paced::new(body, self.pace), host })
    }
}

async fn ask_on(
    stream: Connection,
    request: Request<Full<Bytes>>,
) -> hyper::Result<http::Response<hyper::body::Incoming>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the body, or when nobody reads that any more. How it ended the body says.
    tokio::spawn(async move { drop(connection.await) });
    sender.send_request(request).await
}

impl Answer {
    /// The answer, if it has the content that was asked for.
    pub(crate) async fn content(self, what: &str, hint: &'static str) -> Result<Self, SourceError> {
        if self.status.is_success() { Ok(self) } else { Err(self.refusal(what, hint).await) }
    }

    /// What it says instead of what was asked for.
    pub(crate) async fn refusal(self, what: &str, hint: &'static str) -> SourceError {
        let Self { status, body, host, .. } = self;
        match status.as_u16() {
            status @ (401 | 403) => SourceError::Unauthorized { host, status, hint },
            404 | 410 => SourceError::NotFound { host, what: what.to_owned() },
            status => {
                let said = readable(&body.beginning(&host).await);
                SourceError::Status { host, status, what: what.to_owned(), said }
            }
        }
    }
}

/// Whether both URLs are of one server.
pub(crate) fn is_same_place(one: &Url, other: &Url) -> bool {
    Target::of(one) == Target::of(other)
}

/// Its host, for people.
pub(crate) fn host_of(url: &Url) -> String {
    Target::of(url).map_or_else(|| "nobody".to_owned(), |target| target.to_string())
}

fn origin_form(url: &Url) -> &str {
    &url[url::Position::BeforePath..url::Position::AfterQuery]
}

fn slow(host: &str, what: &str, within: Duration) -> SourceError {
    SourceError::Slow { host: host.to_owned(), what: format!("{what} is wanted within {} s", within.as_secs_f32()) }
}
