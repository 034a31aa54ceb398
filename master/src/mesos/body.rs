//! Bodies on their way in: bounded in size and time, and of large ones in number.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use haggle_mesos::Format;
use http_body_util::BodyDataStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::codegen::http::header::{ACCEPT, CONTENT_TYPE};
use tonic::codegen::http::{HeaderMap, Response};

use super::answer::text;
use crate::inbox::LARGE;

/// The largest body of a call, in bytes: some thousand tasks.
const BODY_MAX: usize = 4 << 20;

/// Large bodies at once: what thousands of clients send at once must not fill the memory.
pub(super) const LARGE_OF_ALL: usize = 64;

/// Of these of one principal, however many sessions it has: it must not hold up others by bodies that trickle.
pub(super) const LARGE_OF_PRINCIPAL: usize = 8;

/// How long a body may take to come. It holds a place that others want.
const WHOLE_WITHIN: Duration = Duration::from_secs(30);

/// A body that has come, and the places that it holds until it was heard.
pub(super) struct Whole {
    pub(super) bytes: Vec<u8>,
    pub(super) places: Vec<OwnedSemaphorePermit>,
}

/// Where a large body waits for its turn: among those of its session, of its principal, and among all.
pub(super) type Turns = [Arc<Semaphore>; 3];

/// Receives a body. Of a large one no more is received than makes it large, until it is its turn; without turns none is taken.
///
/// # Errors
/// The answer that says what is wrong with it.
pub(super) async fn receive(body: Body, turns: Option<Turns>) -> Result<Whole, Box<Response<Body>>> {
    let mut whole = Whole { bytes: Vec::new(), places: Vec::new() };
    let most = if turns.is_some() { BODY_MAX } else { LARGE };
    let mut turns = turns.into_iter().flatten();
    let mut chunks = BodyDataStream::new(body);
    let mut by = Instant::now() + WHOLE_WITHIN;
    loop {
        let next = timeout_at(by, chunks.next()).await.map_err(|_| {
            let within = WHOLE_WITHIN.as_secs();
            Box::new(text(408, format!("the body was not whole within {within} s\n")))
        })?;
        let Some(chunk) = next else { return Ok(whole) };
        let chunk = chunk.map_err(|error| Box::new(text(400, format!("the body is broken: {error}\n"))))?;
        if whole.bytes.len() + chunk.len() > most {
            return Err(Box::new(text(413, format!("the body is larger than {most} bytes, which is the most\n"))));
        }
        whole.bytes.extend_from_slice(&chunk);
        if whole.bytes.len() > LARGE && whole.places.is_empty() {
            for turn in turns.by_ref() {
                whole.places.push(turn.acquire_owned().await.expect("nobody closes it"));
            }
            by = Instant::now() + WHOLE_WITHIN;
        }
    }
}

/// How the body of a call is written.
///
/// # Errors
/// The answer that says what is wrong with it.
pub(super) fn content(headers: &HeaderMap) -> Result<Format, Box<Response<Body>>> {
    let Some(kind) = headers.get(CONTENT_TYPE) else {
        return Err(Box::new(text(400, "expecting 'Content-Type' to be present\n")));
    };
    Format::of_content(kind.to_str().unwrap_or_default())
        .ok_or_else(|| Box::new(text(415, "expecting 'Content-Type' of application/json or application/x-protobuf\n")))
}

/// How the answer is to be written.
///
/// # Errors
/// The answer that says that it cannot be.
pub(super) fn accepted(headers: &HeaderMap) -> Result<Format, Box<Response<Body>>> {
    let of = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    Format::of_accept(of(ACCEPT.as_str()), of("message-accept"))
        .ok_or_else(|| Box::new(text(406, "expecting 'Accept' to allow application/json or application/x-protobuf\n")))
}
