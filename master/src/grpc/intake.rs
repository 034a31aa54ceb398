//! Large messages on their way in: none is received before there is room for it.
//!
//! The length of a gRPC message stands before it. So whoever waits for room has sent no more than the wire holds by itself,
//! and thousands of sessions that send 16 MiB each at once do not fill the memory.
//!
//! Nor do sessions that sent one a while ago: the buffer in which a stream finds its messages never shrinks. So a large
//! message is received here, the stream finds an empty one in its place, and the session takes it from the intake. Small ones are
//! passed on one by one, for that buffer grows to what it finds at once.

use std::convert::Infallible;
use std::mem;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::stream::try_unfold;
use haggle_proto::MESSAGE_MAX;
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
    let gate = Gate { body: BodyDataStream::new(body), intake, messages: Messages::default(), chunk: Bytes::new() };
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
}

impl Gate {
    /// What comes next; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            let Passage { small, large } = self.messages.pass(&self.chunk);
            if small > 0 {
                return Ok(Some(self.chunk.split_to(small)));
            }
            if let Some(length) = large {
                return self.receive_large(length).await.map(Some);
            }
            let Some(chunk) = self.body.next().await.transpose()? else {
                // What is left is a part of a head, whose stream says what is wrong with that.
                return Ok(Some(mem::take(&mut self.chunk)).filter(|rest| !rest.is_empty()));
            };
            self.chunk = if self.chunk.is_empty() { chunk } else { [&self.chunk[..], &chunk].concat().into() };
        }
    }

    /// Receives the large message whose head the chunk begins with, once there is room for it. Gives an empty one.
    async fn receive_large(&mut self, length: usize) -> Result<Bytes, Status> {
        self.intake.make_room(length).await;
        let whole_by = Instant::now() + WHOLE_WITHIN;
        self.chunk.advance(HEAD);
        let mut whole = Vec::with_capacity(length);
        loop {
            let part = self.chunk.split_to(self.chunk.len().min(length - whole.len()));
            whole.extend_from_slice(&part);
            if whole.len() == length {
                break;
            }
            let chunk = timeout_at(whole_by, self.body.next()).await.map_err(|_| {
                let within = WHOLE_WITHIN.as_secs();
                Status::deadline_exceeded(format!("a message above {LARGE} bytes was not whole within {within} s"))
            })?;
            let cut = || Status::internal(format!("a message of {length} bytes ended behind {}", whole.len()));
            self.chunk = chunk.transpose()?.ok_or_else(cut)?;
        }
        self.intake.keep(whole);
        Ok(Bytes::from_static(&[0; HEAD]))
    }
}

/// Where in a sequence of messages a stream is.
#[derive(Debug, Default)]
struct Messages {
    /// Bytes of a message that are still to come.
    left: usize,
}

/// How much of a chunk may be passed on as it is.
#[derive(Debug, PartialEq, Eq)]
struct Passage {
    small: usize,
    /// Behind it, a large message of so many bytes begins.
    large: Option<usize>,
}

impl Messages {
    /// Reads a chunk, up to the end of the first message, or to the head of one that is large or not whole.
    fn pass(&mut self, chunk: &[u8]) -> Passage {
        let mut at = 0;
        loop {
            let more = self.left.min(chunk.len() - at);
            self.left -= more;
            at += more;
            if at > 0 && self.left == 0 {
                return Passage { small: at, large: None };
            }
            let Some(&[flag, ref length @ ..]) = chunk[at..].first_chunk::<HEAD>() else {
                return Passage { small: at, large: None };
            };
            let length = u32::from_be_bytes(*length) as usize;
            // One that is too large, or compressed, is refused for it behind its head.
            if flag == 0 && length > LARGE && length <= MESSAGE_MAX {
                return Passage { small: at, large: Some(length) };
            }
            self.left = length;
            at += HEAD;
        }
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

    /// What passes the gate: as it is, and large messages as the intake has them.
    async fn read(mut metered: Body, intake: &Intake) -> Vec<u8> {
        let mut passed = Vec::new();
        while let Some(frame) = metered.frame().await {
            let chunk = frame.unwrap().into_data().unwrap();
            match intake.take_whole() {
                Some(whole) => {
                    assert_eq!(chunk, [0; HEAD][..], "an empty message stands for it");
                    passed.push(0);
                    passed.extend(u32::try_from(whole.len()).unwrap().to_be_bytes());
                    passed.extend(whole);
                }
                None => passed.extend(chunk),
            }
        }
        passed
    }

    #[tokio::test]
    async fn what_comes_in_is_passed_on_however_it_is_cut() {
        for chunk in [1, 3, 7, 1_000, LARGE, 10 * LARGE] {
            let (speakers, _hearing) = inbox();
            let (body, whole) = body(&[10, 0, LARGE + 1, 1, LARGE, LARGE + 7, 3], chunk);
            let intake = speakers.intake(Kind::Framework);

            let passed = read(metered(body, intake.clone()), &intake).await;

            assert!(passed == whole, "in chunks of {chunk}");
        }
    }

    #[tokio::test]
    async fn small_messages_that_come_together_are_passed_on_one_by_one() {
        let (speakers, _hearing) = inbox();
        let (body, _) = body(&[10, 0, 300], 1_000);
        let mut metered = metered(body, speakers.intake(Kind::Framework));

        let mut passed = Vec::new();
        while let Some(frame) = metered.frame().await {
            passed.push(frame.unwrap().into_data().unwrap().len());
        }

        assert_eq!(passed, [15, 5, 305]);
    }

    #[tokio::test]
    async fn what_is_too_large_or_compressed_is_left_to_the_stream_which_refuses_it() {
        let (speakers, _hearing) = inbox();
        let mut compressed = message(LARGE + 1);
        compressed[0] = 1;
        for refused in [message(MESSAGE_MAX + 1), compressed] {
            let frames = stream::iter([Ok::<_, Status>(Frame::data(Bytes::from(refused.clone())))]);
            let intake = speakers.intake(Kind::Framework);

            let passed = metered(Body::new(StreamBody::new(frames)), intake.clone()).collect().await.unwrap();

            assert!(passed.to_bytes() == refused && intake.take_whole().is_none());
        }
    }

    #[tokio::test]
    async fn of_a_large_message_nothing_is_received_before_there_is_room() {
        let (speakers, _hearing) = inbox();
        let intake = || speakers.intake(Kind::Framework);
        let holders = [intake(), intake()];
        for holder in &holders {
            holder.make_room(LARGE + 1).await;
        }
        let (body, whole) = body(&[10, LARGE + 1], 1_000);
        let waiting = intake();
        let mut metered = metered(body, waiting.clone());

        let before = metered.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(before, whole[..15], "what is before it is passed on");
        assert!(metered.frame().now_or_never().is_none());

        drop(holders);
        assert!(read(metered, &waiting).await == whole[15..]);
    }

    #[tokio::test]
    async fn a_large_message_that_is_cut_short_ends_the_stream() {
        let (speakers, _hearing) = inbox();
        let begin = Bytes::from(message(LARGE + 1)).split_to(1_000);
        let frames = stream::iter([Ok::<_, Status>(Frame::data(begin))]);

        let cut = metered(Body::new(StreamBody::new(frames)), speakers.intake(Kind::Framework)).collect().await;

        let error = cut.unwrap_err();
        assert!(error.message().contains("ended behind 995"), "{error}");
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
