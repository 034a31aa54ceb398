//! What the other side says, as the body of a message of HTTP.

use std::collections::VecDeque;
use std::mem::{MaybeUninit, take};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::oneshot;
use tonic::Status;

use crate::signs::{SIGN, Since};
use crate::trailers::{HEAD, TRAILERS, TRAILERS_MAX, read};

/// Bytes that are read at once. On the stack, so that a connection on which nothing comes holds none.
const ROOM: usize = 16 << 10;

/// A half of a connection from which is read, and what was read of it already.
pub(crate) struct Source<R> {
    early: Bytes,
    stream: R,
    /// The longest that may be.
    silence: Option<Since>,
}

impl<R: AsyncRead + Unpin> Source<R> {
    /// One that is given up when it is silent for so long, while somebody reads.
    pub(crate) fn new(early: &[u8], stream: R, silence: Option<Duration>) -> Self {
        // As a copy: an empty part of a large buffer holds all of it.
        Self { early: Bytes::copy_from_slice(early), stream, silence: silence.map(Since::now) }
    }

    /// The stream alone.
    pub(crate) fn into_stream(self) -> R {
        self.stream
    }

    /// What comes next; empty at the end.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, Status>> {
        if !self.early.is_empty() {
            return Poll::Ready(Ok(take(&mut self.early)));
        }
        let mut room = [MaybeUninit::uninit(); ROOM];
        let mut came = ReadBuf::uninit(&mut room);
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, &mut came) {
            if let Some(silence) = &mut self.silence {
                silence.restart();
            }
            let came = read.map(|()| Bytes::copy_from_slice(came.filled()));
            return Poll::Ready(came.map_err(|error| Status::unavailable(format!("the connection broke: {error}"))));
        }
        let Some(silence) = &mut self.silence else { return Poll::Pending };
        ready!(silence.poll_end(context));
        Poll::Ready(Err(Status::unavailable(format!("nothing was heard for {:?}", silence.lasts()))))
    }
}

/// What the other side says, as messages of gRPC, and how it ends.
struct Heard<R> {
    source: Source<R>,
    frames: Frames,
    /// What was read and not passed on.
    read: VecDeque<Frame<Bytes>>,
}

impl<R: AsyncRead + Unpin> Heard<R> {
    fn new(source: Source<R>, frames: Frames) -> Self {
        Self { source, frames, read: VecDeque::new() }
    }

    /// The next frame; `None` when the connection has ended.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Status>> {
        loop {
            if let Some(frame) = self.read.pop_front() {
                return Poll::Ready(Ok(Some(frame)));
            }
            let chunk = ready!(self.source.poll_next(context))?;
            if chunk.is_empty() {
                return Poll::Ready(Ok(None));
            }
            self.frames.pass(chunk, &mut self.read)?;
        }
    }
}

/// What a client says. It may begin before the connection is the call's.
pub(crate) struct FromClient<R> {
    coming: Option<oneshot::Receiver<Source<R>>>,
    heard: Option<Heard<R>>,
    /// Who reads the connection to its end when nobody wants what comes any more.
    back: Option<oneshot::Sender<Source<R>>>,
}

impl<R> FromClient<R> {
    pub(crate) fn new(coming: oneshot::Receiver<Source<R>>, back: oneshot::Sender<Source<R>>) -> Self {
        Self { coming: Some(coming), heard: None, back: Some(back) }
    }
}

impl<R: AsyncRead + Unpin> Body for FromClient<R> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(coming) = &mut self.coming {
            let source = ready!(Pin::new(coming).poll(context));
            self.coming = None;
            match source {
                Ok(source) => self.heard = Some(Heard::new(source, Frames::of_client())),
                Err(_) => return Poll::Ready(Some(Err(Status::unavailable("the client left before the call began")))),
            }
        }
        let Some(heard) = &mut self.heard else { return Poll::Ready(None) };
        let frame = match ready!(heard.poll_frame(context)) {
            Ok(frame) => return Poll::Ready(frame.map(Ok)),
            Err(status) => Err(status),
        };
        self.heard = None;
        Poll::Ready(Some(frame))
    }
}

impl<R> Drop for FromClient<R> {
    fn drop(&mut self) {
        if let (Some(heard), Some(back)) = (self.heard.take(), self.back.take()) {
            // Where nobody waits for it, the call has been given up.
            let _ = back.send(heard.source);
        }
    }
}

/// What a server says, to its last frame.
pub(crate) struct FromServer<R> {
    /// `None` behind the last frame.
    heard: Option<Heard<R>>,
    /// Ends what is said to the server, when nobody wants its answers any more.
    _asking: Asking,
}

/// A task that ends with this.
pub(crate) struct Asking(pub(crate) tokio::task::JoinHandle<()>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<R: AsyncRead + Unpin> FromServer<R> {
    pub(crate) fn new(source: Source<R>, asking: Asking) -> Self {
        Self { heard: Some(Heard::new(source, Frames::of_server())), _asking: asking }
    }
}

impl<R: AsyncRead + Unpin> Body for FromServer<R> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(heard) = &mut self.heard else { return Poll::Ready(None) };
        let frame = match ready!(heard.poll_frame(context)) {
            Ok(Some(frame)) if frame.is_data() => return Poll::Ready(Some(Ok(frame))),
            Ok(Some(last)) => Ok(last),
            Ok(None) => Err(Status::unavailable("the connection was cut")),
            Err(status) => Err(status),
        };
        self.heard = None;
        Poll::Ready(Some(frame))
    }
}

/// Where in a sequence of frames a stream is.
#[derive(Debug)]
struct Frames {
    /// A server ends with a last frame. Of a client none is kept.
    has_last: bool,
    /// Bytes of a message that are still to come.
    left: usize,
    /// The part of a head, or of the last frame, that has come.
    held: Vec<u8>,
}

impl Frames {
    fn of_client() -> Self {
        Self { has_last: false, left: 0, held: Vec::new() }
    }

    fn of_server() -> Self {
        Self { has_last: true, ..Self::of_client() }
    }

    /// Passes on what a chunk has of messages as it came, nothing of a sign of life, and of the last frame what that says.
    fn pass(&mut self, mut chunk: Bytes, into: &mut VecDeque<Frame<Bytes>>) -> Result<(), Status> {
        // What is passed on as it is.
        let mut whole = 0;
        while whole < chunk.len() {
            let more = self.left.min(chunk.len() - whole);
            self.left -= more;
            whole += more;
            if whole == chunk.len() {
                break;
            }
            let flag = *self.held.first().unwrap_or(&chunk[whole]);
            if flag & (TRAILERS | SIGN) == 0 {
                whole += self.head(&chunk[whole..]);
                continue;
            }
            pass(chunk.split_to(whole), into);
            whole = 0;
            if flag == TRAILERS && !self.has_last {
                return Err(Status::internal("a client has no last frame to send"));
            }
            if flag == TRAILERS {
                self.held.extend_from_slice(&chunk);
                return self.end(into);
            }
            let more = self.head(&chunk);
            chunk.advance(more);
            if self.left > 0 {
                return Err(Status::internal("a sign of life has nothing to say"));
            }
        }
        pass(chunk, into);
        Ok(())
    }

    /// Reads what is there of a head; gives back how many bytes that are.
    fn head(&mut self, bytes: &[u8]) -> usize {
        let more = (HEAD - self.held.len()).min(bytes.len());
        self.held.extend_from_slice(&bytes[..more]);
        if let Some(&[_, ref length @ ..]) = self.held.first_chunk::<HEAD>() {
            self.left = u32::from_be_bytes(*length) as usize;
            self.held.clear();
        }
        more
    }

    /// Reads the last frame, if it is whole.
    fn end(&mut self, into: &mut VecDeque<Frame<Bytes>>) -> Result<(), Status> {
        let Some(&[_, ref length @ ..]) = self.held.first_chunk::<HEAD>() else { return Ok(()) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > TRAILERS_MAX {
            let why = format!("the end of the call has {length} bytes, at most {TRAILERS_MAX} are read");
            return Err(Status::internal(why));
        }
        if let Some(lines) = self.held.get(HEAD..HEAD + length) {
            let trailers = read(lines).ok_or_else(|| Status::internal("the end of the call cannot be read"))?;
            into.push_back(Frame::trailers(trailers));
        }
        Ok(())
    }
}

fn pass(bytes: Bytes, into: &mut VecDeque<Frame<Bytes>>) {
    if !bytes.is_empty() {
        into.push_back(Frame::data(bytes));
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::*;
    use crate::signs::FRAME;
    use crate::trailers;

    fn message(size: usize) -> Vec<u8> {
        let mut message = vec![0];
        message.extend(u32::try_from(size).unwrap().to_be_bytes());
        // Bytes that look like the flag of the last frame.
        message.extend(std::iter::repeat_n(TRAILERS, size));
        message
    }

    fn ending() -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))])
    }

    /// What is passed on of these bytes when they come in chunks of this size.
    fn passed(bytes: &[u8], chunk: usize) -> (Vec<u8>, Option<HeaderMap>) {
        let (mut frames, mut into) = (Frames::of_server(), VecDeque::new());
        for chunk in bytes.chunks(chunk) {
            frames.pass(Bytes::copy_from_slice(chunk), &mut into).unwrap();
        }
        let (mut data, mut ended) = (Vec::new(), None);
        for frame in into {
            match frame.into_data() {
                Ok(bytes) => data.extend_from_slice(&bytes),
                Err(frame) => ended = frame.into_trailers().ok(),
            }
        }
        (data, ended)
    }

    proptest! {
        #[test]
        fn messages_signs_and_the_last_frame_are_told_apart_however_they_are_cut(
            sizes in prop::collection::vec(prop::option::of(0..300usize), 0..6),
            chunk in 1..400usize,
        ) {
            let sent: Vec<u8> = sizes.iter().flat_map(|size| size.map_or(FRAME.to_vec(), message)).collect();
            let messages: Vec<u8> = sizes.iter().flatten().flat_map(|&size| message(size)).collect();
            let whole = [&sent[..], &trailers::frame(&ending())].concat();

            prop_assert_eq!(passed(&sent, chunk), (messages.clone(), None));
            prop_assert_eq!(passed(&whole, chunk), (messages, Some(ending())));
        }
    }

    #[test]
    fn an_end_that_is_too_long_or_garbled_is_refused_and_so_is_a_sign_that_says_something() {
        let long = [&[TRAILERS][..], &u32::MAX.to_be_bytes()].concat();
        let garbled = [&[TRAILERS][..], &3_u32.to_be_bytes(), b"abc"].concat();
        let talkative = [SIGN, 0, 0, 0, 1].to_vec();
        for (end, why) in [(long, "at most 65536"), (garbled, "cannot be read"), (talkative, "nothing to say")] {
            let refused = Frames::of_server().pass(end.into(), &mut VecDeque::new()).unwrap_err();
            assert!(refused.message().contains(why), "{refused}");
        }
    }

    #[test]
    fn of_a_client_that_sends_a_last_frame_nothing_is_kept() {
        let mut frames = Frames::of_client();

        let refused = frames.pass(vec![TRAILERS].into(), &mut VecDeque::new()).unwrap_err();

        assert!(refused.message().contains("no last frame") && frames.held.is_empty(), "{refused}");
    }
}
