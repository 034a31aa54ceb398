//! What the other side says, as the body of a message of HTTP.

use std::collections::VecDeque;
use std::io;
use std::mem::{MaybeUninit, take};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::oneshot;
use tonic::Status;

use crate::trailers::{HEAD, TRAILERS, TRAILERS_MAX, read};

/// Bytes that are read at once. On the stack, so that a connection on which nothing comes holds none.
const ROOM: usize = 16 << 10;

/// A half of a connection from which is read, and what was read of it already.
pub(crate) struct Source<R> {
    pub(crate) early: Bytes,
    pub(crate) stream: R,
}

impl<R: AsyncRead + Unpin> Source<R> {
    /// What comes next; empty at the end.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if !self.early.is_empty() {
            return Poll::Ready(Ok(take(&mut self.early)));
        }
        let mut room = [MaybeUninit::uninit(); ROOM];
        let mut came = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut came))?;
        Poll::Ready(Ok(Bytes::copy_from_slice(came.filled())))
    }
}

fn broken(error: &io::Error) -> Status {
    Status::unavailable(format!("the connection broke: {error}"))
}

/// What a client says. It may begin before the connection is the call's.
pub(crate) struct FromClient<R> {
    coming: Option<oneshot::Receiver<Source<R>>>,
    source: Option<Source<R>>,
    /// Who reads the connection to its end when nobody wants what comes any more.
    back: Option<oneshot::Sender<Source<R>>>,
}

impl<R> FromClient<R> {
    pub(crate) fn new(coming: oneshot::Receiver<Source<R>>, back: oneshot::Sender<Source<R>>) -> Self {
        Self { coming: Some(coming), source: None, back: Some(back) }
    }
}

impl<R: AsyncRead + Unpin> Body for FromClient<R> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(coming) = &mut self.coming {
            let source = ready!(Pin::new(coming).poll(context));
            self.coming = None;
            match source {
                Ok(source) => self.source = Some(source),
                Err(_) => return Poll::Ready(Some(Err(Status::unavailable("the client left before the call began")))),
            }
        }
        let Some(source) = &mut self.source else { return Poll::Ready(None) };
        Poll::Ready(match ready!(source.poll_next(context)) {
            Ok(chunk) if chunk.is_empty() => None,
            Ok(chunk) => Some(Ok(Frame::data(chunk))),
            Err(error) => {
                self.source = None;
                Some(Err(broken(&error)))
            }
        })
    }
}

impl<R> Drop for FromClient<R> {
    fn drop(&mut self) {
        if let (Some(source), Some(back)) = (self.source.take(), self.back.take()) {
            // Where nobody waits for it, the call has been given up.
            let _ = back.send(source);
        }
    }
}

/// What a server says, to its last frame.
pub(crate) struct FromServer<R> {
    source: Source<R>,
    frames: Frames,
    /// Messages, and what ends them, that were read and not passed on.
    read: VecDeque<Frame<Bytes>>,
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

impl<R> FromServer<R> {
    pub(crate) fn new(source: Source<R>, asking: Asking) -> Self {
        Self { source, frames: Frames::default(), read: VecDeque::new(), _asking: asking }
    }
}

impl<R: AsyncRead + Unpin> Body for FromServer<R> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        loop {
            if let Some(frame) = this.read.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if this.frames.ended {
                return Poll::Ready(None);
            }
            let chunk = match ready!(this.source.poll_next(context)) {
                Ok(chunk) if !chunk.is_empty() => chunk,
                end => {
                    this.frames.ended = true;
                    let cut = || Status::unavailable("the connection was cut");
                    return Poll::Ready(Some(Err(end.err().map_or_else(cut, |error| broken(&error)))));
                }
            };
            if let Err(status) = this.frames.pass(chunk, &mut this.read) {
                this.frames.ended = true;
                this.read.clear();
                return Poll::Ready(Some(Err(status)));
            }
        }
    }
}

/// Where in a sequence of frames a stream is.
#[derive(Debug, Default)]
struct Frames {
    /// Bytes of a message that are still to come.
    left: usize,
    /// The part of a head, or of the last frame, that has come.
    held: Vec<u8>,
    /// The last frame was read, or can not be.
    ended: bool,
}

impl Frames {
    /// Passes on what a chunk has of messages as it came, and of the last frame what that says.
    fn pass(&mut self, chunk: Bytes, into: &mut VecDeque<Frame<Bytes>>) -> Result<(), Status> {
        let mut at = 0;
        let data = |into: &mut VecDeque<_>, bytes: Bytes| {
            if !bytes.is_empty() {
                into.push_back(Frame::data(bytes));
            }
        };
        while at < chunk.len() {
            let more = self.left.min(chunk.len() - at);
            self.left -= more;
            at += more;
            if at == chunk.len() {
                break;
            }
            // At a head, of which some may have come before.
            let is_last = *self.held.first().unwrap_or(&chunk[at]) == TRAILERS;
            if is_last {
                data(into, chunk.slice(..at));
                self.held.extend_from_slice(&chunk[at..]);
                return self.end(into);
            }
            let more = (HEAD - self.held.len()).min(chunk.len() - at);
            self.held.extend_from_slice(&chunk[at..at + more]);
            at += more;
            if let Some(&[_, ref length @ ..]) = self.held.first_chunk::<HEAD>() {
                self.left = u32::from_be_bytes(*length) as usize;
                self.held.clear();
            }
        }
        data(into, chunk);
        Ok(())
    }

    /// Reads the last frame, if it is whole.
    fn end(&mut self, into: &mut VecDeque<Frame<Bytes>>) -> Result<(), Status> {
        let Some(&[_, ref length @ ..]) = self.held.first_chunk::<HEAD>() else { return Ok(()) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > TRAILERS_MAX {
            return Err(Status::internal(format!("the end of the call has {length} bytes, at most {TRAILERS_MAX} are read")));
        }
        let Some(lines) = self.held.get(HEAD..HEAD + length) else { return Ok(()) };
        let trailers = read(lines).ok_or_else(|| Status::internal("the end of the call cannot be read"))?;
        into.push_back(Frame::trailers(trailers));
        self.ended = true;
        self.held = Vec::new();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::*;
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
    fn passed(bytes: &[u8], chunk: usize) -> (Vec<u8>, Option<HeaderMap>, bool) {
        let (mut frames, mut into) = (Frames::default(), VecDeque::new());
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
        (data, ended, frames.ended)
    }

    proptest! {
        #[test]
        fn messages_and_the_last_frame_are_told_apart_however_they_are_cut(
            sizes in prop::collection::vec(0..300usize, 0..6),
            chunk in 1..400usize,
        ) {
            let messages: Vec<u8> = sizes.iter().flat_map(|&size| message(size)).collect();
            let whole = [&messages[..], &trailers::frame(&ending())].concat();

            prop_assert_eq!(passed(&messages, chunk), (messages.clone(), None, false));
            prop_assert_eq!(passed(&whole, chunk), (messages, Some(ending()), true));
        }
    }

    #[test]
    fn an_end_that_is_too_long_or_garbled_is_refused() {
        let long = [&[TRAILERS][..], &u32::MAX.to_be_bytes()].concat();
        let garbled = [&[TRAILERS][..], &3_u32.to_be_bytes(), b"abc"].concat();
        for (end, why) in [(long, "at most 65536"), (garbled, "cannot be read")] {
            let refused = Frames::default().pass(end.into(), &mut VecDeque::new()).unwrap_err();
            assert!(refused.message().contains(why), "{refused}");
        }
    }
}
