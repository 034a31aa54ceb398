//! One connection to a master, shared by everything that a program wants of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use haggle_proto::DEFAULT_PORT;
use haggle_proto::convert::Malformed;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Response, Status};

use crate::backoff::Backoff;
use crate::error::{CallError, ConnectError, call_error, is_connection_trouble, root_cause};

/// How long a call goes on trying while nobody answers. A master that restarts is back well before.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long one attempt to connect may take: a host that drops packets would hold it for minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a master may take to begin its answer. Its decisions take microseconds; only a stopped one takes longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A silent connection is asked for a sign of life this often, so that a master that vanished without a word is
/// noticed.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Unread bytes on one stream. A megabyte keeps a download busy on any network we know.
const STREAM_WINDOW: u32 = 1 << 20;

/// Unread bytes on the whole connection: several downloads must not hold up the stream of offers and updates.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// A connection to a master. Clones share it; it comes back by itself when it was lost.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    url: Arc<str>,
}

impl Client {
    /// Connects to the master at `url`: `http://127.0.0.1:5050`, `127.0.0.1:5050` or just `127.0.0.1`. Tries for
    /// two seconds, so that a master that is starting just now is found.
    ///
    /// # Errors
    /// When `url` is no address, or nobody answers there.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::connect_within(url, Duration::from_secs(2)).await
    }

    /// As [`Self::connect`], trying for as long as `patience`.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_within(url: &str, patience: Duration) -> Result<Self, ConnectError> {
        let address = normalised(url)?;
        let endpoint = endpoint(&address)
            .map_err(|reason| ConnectError::BadUrl { url: url.to_owned(), got: format!("but {reason}") })?;
        let deadline = Instant::now() + patience;
        let mut backoff = Backoff::new();
        loop {
            match endpoint.connect().await {
                Ok(channel) => return Ok(Self { channel, url: address.into() }),
                Err(error) => {
                    let pause = backoff.pause();
                    if Instant::now() + pause > deadline {
                        return Err(ConnectError::Unanswered { url: address, patience, reason: root_cause(&error) });
                    }
                    sleep(pause).await;
                }
            }
        }
    }

    /// Where the master is, as `http://HOST:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Calls the master, again and again while it cannot be reached. Only for calls that may be made twice.
    pub(crate) async fn call<T, F>(&self, mut attempt: impl FnMut(Channel) -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let bounded = |channel| {
            let call = attempt(channel);
            async { timeout(ANSWER_TIMEOUT, call).await.unwrap_or_else(|_| Err(no_answer())) }
        };
        self.call_patiently(bounded).await
    }

    /// As [`Self::call`] for calls whose answer only comes once everything was sent, however long that takes.
    pub(crate) async fn call_patiently<T, F>(&self, mut attempt: impl FnMut(Channel) -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = Instant::now() + PATIENCE;
        let mut backoff = Backoff::new();
        loop {
            match attempt(self.channel()).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => {
                    let pause = backoff.pause();
                    if !is_connection_trouble(&status) || Instant::now() + pause > deadline {
                        return Err(self.error(&status));
                    }
                    sleep(pause).await;
                }
            }
        }
    }

    pub(crate) fn error(&self, status: &Status) -> CallError {
        call_error(&self.url, status)
    }

    pub(crate) fn garbled(&self, source: Malformed) -> CallError {
        CallError::Garbled { url: self.url.to_string(), source }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.url).finish_non_exhaustive()
    }
}

fn no_answer() -> Status {
    Status::deadline_exceeded(format!("no answer within {ANSWER_TIMEOUT:?}"))
}

fn endpoint(address: &str) -> Result<Endpoint, String> {
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|error| root_cause(&error))?;
    Ok(endpoint
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW))
}

/// `http://HOST:PORT`, whichever of the shorter forms was typed.
fn normalised(url: &str) -> Result<String, ConnectError> {
    let bad = |got: &str| ConnectError::BadUrl { url: url.to_owned(), got: got.to_owned() };
    let rest = match url.split_once("://") {
        Some(("http", rest)) => rest,
        Some((scheme, _)) => return Err(bad(&format!("got the scheme {scheme}"))),
        None => url,
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let uri: Uri = format!("http://{authority}").parse().map_err(|error| bad(&format!("but {error}")))?;
    if uri.path() != "/" || uri.query().is_some() {
        return Err(bad("got a path behind it"));
    }
    let Some(parsed) = uri.authority().filter(|authority| !authority.host().is_empty()) else {
        return Err(bad("got no host"));
    };
    if parsed.as_str().contains('@') {
        return Err(bad("got a user in it"));
    }
    let port = match parsed.port() {
        Some(port) => port.as_str().parse::<u16>().ok().filter(|&port| port != 0),
        None if parsed.as_str() == parsed.host() => Some(DEFAULT_PORT),
        None => None,
    };
    let port = port.ok_or_else(|| bad("got no port between 1 and 65535"))?;
    Ok(format!("http://{}:{port}", parsed.host()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<String, String> {
        normalised(url).map_err(|error| error.to_string())
    }

    #[test]
    fn every_way_to_write_an_address_means_the_same() {
        for url in ["http://127.0.0.1:5050", "http://127.0.0.1:5050/", "127.0.0.1:5050", "127.0.0.1"] {
            assert_eq!(read(url).as_deref(), Ok("http://127.0.0.1:5050"), "{url}");
        }
        assert_eq!(read("localhost:1").as_deref(), Ok("http://localhost:1"));
        assert_eq!(read("[::1]:5051").as_deref(), Ok("http://[::1]:5051"));
    }

    #[test]
    fn what_is_no_address_is_refused_in_one_line_that_says_what_is() {
        for url in ["", "https://127.0.0.1", "127.0.0.1:port", "127.0.0.1:0", "127.0.0.1:99999", "a b", "http://h/x"] {
            let said = read(url).expect_err(url);
            assert!(said.contains("wanted http://HOST:PORT or HOST:PORT"), "{said}");
            assert!(!said.contains('\n'), "{said}");
        }
    }
}
