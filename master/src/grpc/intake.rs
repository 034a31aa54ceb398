//! Large messages on their way in: none is received before there is room for it.
//!
//! The length of a gRPC message stands before it. So whoever waits for room has sent no more than the wire holds by itself,
//! and thousands of sessions that send 16 MiB each at once do not fill the memory.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::try_unfold;
use http_body::Frame;
use http_body_util::{BodyDataStream, StreamBody};
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::Request;
use tonic::server::NamedService;
use tower::Service;

use crate::handle::Handle;
use crate::inbox::{Intake, Kind, LARGE};

/// How long a large message may take to come, from when there is room for it: it holds a place that others wait for. Half
/// a MiB a second is enough for the largest.
const WHOLE_WITHIN: Duration = Duration::from_secs(30);

/// A flag, and the length of what follows.
const HEAD: usize = 5;

/// A service whose large messages wait for room.
#[derive(Clone)]
pub(super) struct Metered<S> {
    inner: S,
    handle: Handle,
    kind: Kind,
}

impl<S> Metered<S> {
    pub(super) fn new(inner: S, handle: Handle, kind: Kind) -> Self {
        Self { inner, handle, kind }
    }
}

impl<S: NamedService> NamedService for Metered<S> {
    const NAME: &'static str = S::NAME;
}

impl<S: Service<Request<Body>, Error = Infallible>> Service<Request<Body>> for Metered<S> {
    type Response = S::Response;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        let intake = self.handle.intake(self.kind);
        let mut request = request.map(|body| metered(body, intake.clone()));
        request.extensions_mut().insert(intake);
        self.inner.call(request)
    }
}

/// Where the messages of a call come in.
///
/// # Errors
/// When the call came by another way than [`Metered`], which is a bug.
pub(super) fn of<T>(call: &tonic::Request<T>) -> Result<Intake, Status> {
    let intake = call.extensions().get::<Intake>().cloned();
    intake.ok_or_else(|| Status::internal("the call has no intake; this is a bug"))
}

/// The same body, in which large messages wait for room.
fn metered(body: Body, intake: Intake) -> Body {
    let gate = Gate {
        body: BodyDataStream::new(body),
        intake,
        messages: Messages::default(),
        chunk: Bytes::new(),
        waits: None,
        whole_by: None,
    };
    let chunks = try_unfold(gate, |mut gate| async move {
        Ok::<_, Status>(gate.next().await?.map(|chunk| (Frame::data(chunk), gate)))
    });
    Body::new(StreamBody::new(chunks))
}

struct Gate {
    body: BodyDataStream<Body>,
    intake: Intake,
    messages: Messages,
    /// What has come and was not passed on.
    chunk: Bytes,
    /// A large message begins with the chunk, and so many bytes of that are its head.
    waits: Option<usize>,
    /// When the large message that is being received has to be whole.
    whole_by: Option<Instant>,
}

impl Gate {
    /// What comes next; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(head) = self.waits.take() {
                self.intake.make_room().await;
                self.whole_by = Some(Instant::now() + WHOLE_WITHIN);
                return Ok(Some(self.chunk.split_to(head)));
            }
            if self.chunk.is_empty() {
                let Some(chunk) = self.receive().await? else { return Ok(None) };
                self.chunk = chunk;
            }
            let Passage { small, large } = self.messages.pass(&self.chunk);
            self.waits = large;
            if self.messages.left == 0 {
                self.whole_by = None;
            }
            if small > 0 {
                return Ok(Some(self.chunk.split_to(small)));
            }
        }
    }

    async fn receive(&mut self) -> Result<Option<Bytes>, Status> {
        let next = self.body.next();
        let next = match self.whole_by {
            None => next.await,
            Some(whole_by) => timeout_at(whole_by, next).await.map_err(|_| {
                let within = WHOLE_WITHIN.as_secs();
                Status::deadline_exceeded(format!("a message above {LARGE} bytes was not whole within {within} s"))
            })?,
        };
        next.transpose()
    }
}

/// Where in a sequence of messages a stream is.
#[derive(Debug, Default)]
struct Messages {
    head: [u8; HEAD],
    /// Bytes of the head that have come.
    known: usize,
    /// Bytes of the message that are still to come.
    left: usize,
}

/// How much of a chunk may be passed on as it is.
#[derive(Debug, PartialEq, Eq)]
struct Passage {
    small: usize,
    /// Behind it a large message begins, or goes on behind the first bytes of its head: so many bytes of that are here.
    large: Option<usize>,
}

impl Messages {
    /// Reads a chunk, up to the head of the first large message.
    fn pass(&mut self, chunk: &[u8]) -> Passage {
        let mut at = 0;
        while at < chunk.len() {
            if self.left > 0 {
                let more = self.left.min(chunk.len() - at);
                self.left -= more;
                at += more;
                continue;
            }
            let more = (HEAD - self.known).min(chunk.len() - at);
            self.head[self.known..self.known + more].copy_from_slice(&chunk[at..at + more]);
            self.known += more;
            if self.known < HEAD {
                break;
            }
            self.known = 0;
            let [_, length @ ..] = self.head;
            self.left = u32::from_be_bytes(length) as usize;
            if self.left > LARGE {
                return Passage { small: at, large: Some(more) };
            }
            at += more;
        }
        Passage { small: chunk.len(), large: None }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::stream;
    use http_body_util::BodyExt;

    use super::*;
    use crate::inbox::inbox;

    fn message(size: usize) -> Vec<u8> {
        let mut message = vec![0];
        message.extend(u32::try_from(size).unwrap().to_be_bytes());
        message.extend((0..size).map(|at| at as u8));
        message
    }

    /// A body that comes in chunks of this size.
    fn body(messages: &[usize], chunk: usize) -> (Body, Vec<u8>) {
        let whole: Vec<u8> = messages.iter().flat_map(|&size| message(size)).collect();
        let chunks: Vec<_> = whole.chunks(chunk).map(Bytes::copy_from_slice).collect();
        let frames = stream::iter(chunks).map(|chunk| Ok::<_, Status>(Frame::data(chunk)));
        (Body::new(StreamBody::new(frames)), whole)
    }

    #[tokio::test]
    async fn what_comes_in_is_passed_on_however_it_is_cut() {
        for chunk in [1, 3, 7, 1_000, LARGE, 10 * LARGE] {
            let (speakers, _hearing) = inbox();
            let (body, whole) = body(&[10, 0, LARGE + 1, 1, LARGE, LARGE + 7, 3], chunk);

            let passed = metered(body, speakers.intake(Kind::Framework)).collect().await.unwrap().to_bytes();

            assert!(passed == whole, "in chunks of {chunk}");
        }
    }

    #[tokio::test]
    async fn of_a_large_message_nothing_is_received_before_there_is_room() {
        let (speakers, _hearing) = inbox();
        let intake = || speakers.intake(Kind::Framework);
        let holders = [intake(), intake()];
        for holder in &holders {
            holder.make_room().await;
        }
        let (body, whole) = body(&[10, LARGE + 1], 1_000);
        let mut metered = metered(body, intake());

        let before = metered.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(before, whole[..15], "what is before it is passed on");
        assert!(metered.frame().now_or_never().is_none());

        drop(holders);
        let rest = metered.collect().await.unwrap().to_bytes();
        assert!(rest == whole[15..]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_message_that_does_not_come_gives_up_its_place() {
        let (speakers, _hearing) = inbox();
        let begin = Bytes::from(message(LARGE + 1)).split_to(1_000);
        let frames = stream::iter([Ok::<_, Status>(Frame::data(begin))]).chain(stream::pending());
        let stalled = metered(Body::new(StreamBody::new(frames)), speakers.intake(Kind::Framework));

        let error = stalled.collect().await.unwrap_err();

        assert!(error.message().contains("was not whole within 30 s"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn small_messages_may_be_as_far_apart_as_they_like() {
        let (speakers, _hearing) = inbox();
        let first = stream::iter([Ok::<_, Status>(Frame::data(Bytes::from(message(LARGE + 1))))]);
        let later = stream::once(async {
            tokio::time::sleep(10 * WHOLE_WITHIN).await;
            Ok(Frame::data(Bytes::from(message(1))))
        });

        let body = Body::new(StreamBody::new(Box::pin(first.chain(later))));

        assert!(metered(body, speakers.intake(Kind::Framework)).collect().await.is_ok());
    }
}
