//! How slow a server may be.

use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::error::SourceError;

/// How slow a server may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// For a connection, with TLS.
    pub connect: Duration,
    /// For the head of an answer.
    pub answer: Duration,
    /// Before anything of a body has come, and beside what its bytes may take.
    pub grace: Duration,
    /// What comes in a second from then on, in bytes, on average.
    pub least: u32,
}

impl Default for Pace {
    /// A slow line passes: 32 KiB a second are a module of 2 MiB in a minute. Whoever trickles is left after half of one.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            grace: Duration::from_secs(30),
            least: 32 << 10,
        }
    }
}

/// A body that keeps pace.
#[derive(Debug)]
pub(crate) struct Paced {
    body: Incoming,
    pace: Pace,
    began: Instant,
    got: u64,
}

impl Paced {
    pub(crate) fn new(body: Incoming, pace: Pace) -> Self {
        Self { body, pace, began: Instant::now(), got: 0 }
    }

    /// How long it is, where its head says that.
    pub(crate) fn size(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next bytes; `None` at the end.
    pub(crate) async fn next(&mut self, host: &str) -> Result<Option<Bytes>, SourceError> {
        loop {
            let earned = Duration::from_secs_f64(self.got as f64 / f64::from(self.pace.least.max(1)));
            let frame = match timeout_at(self.began + self.pace.grace + earned, self.body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => {
                    return Err(SourceError::Broken { host: host.to_owned(), why: error.to_string() });
                }
                Ok(None) => return Ok(None),
                Err(_) => {
                    let what = format!(
                        "{} bytes came in {} s; at least {} a second are wanted",
                        self.got,
                        self.began.elapsed().as_secs(),
                        self.pace.least
                    );
                    return Err(SourceError::Slow { host: host.to_owned(), what });
                }
            };
            // Trailers say nothing to us.
            let Ok(bytes) = frame.into_data() else { continue };
            if !bytes.is_empty() {
                self.got += bytes.len() as u64;
                return Ok(Some(bytes));
            }
        }
    }

    /// All of it, if that is no more than `most` bytes.
    pub(crate) async fn all(mut self, host: &str, most: usize) -> Result<Vec<u8>, SourceError> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next(host).await? {
            if all.len() + bytes.len() > most {
                let what = format!("more than the {most} bytes that such an answer may have");
                return Err(SourceError::Garbled { host: host.to_owned(), what });
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }

    /// The beginning of it, for an error that is told in any case.
    pub(crate) async fn beginning(mut self, host: &str) -> Vec<u8> {
        /// As much as is looked at.
        const MOST: usize = 4 << 10;
        let mut said = Vec::new();
        while said.len() < MOST
            && let Ok(Some(bytes)) = self.next(host).await
        {
            said.extend_from_slice(&bytes[..bytes.len().min(MOST - said.len())]);
        }
        said
    }
}
