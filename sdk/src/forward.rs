//! Any HTTP request, made as this program: for whoever carries the requests of others to the master.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use haggle_proto::LEADER;
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tonic::{Code, Status};
use tower::Service;

use crate::client::Client;
use crate::error::{CallError, call_error, is_connection_trouble};

/// How much of a request is kept until its answer begins, so that it can be made again at the master that leads. A call
/// of most kinds has less.
const KEPT_MAX: usize = 64 << 10;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Client {
    /// Makes a request of any kind as this program, and answers when the answer begins. What the request says of who makes
    /// it (`authorization`) and of where it goes (its authority, `host`) does not count.
    ///
    /// A request that was not carried out, since nobody was reached or the master stands by, is made again as other calls
    /// are, when it had no more than 64 KiB until then; one that may have been carried out is not, unless its method is
    /// safe.
    ///
    /// # Errors
    /// When the master cannot be reached or was lost before its answer began. What it says is an answer, whatever it says.
    pub async fn forward<B>(
        &self,
        request: Request<B>,
    ) -> Result<Response<impl Body<Data = Bytes, Error = Status> + Send + use<B>>, CallError>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut head, body) = request.into_parts();
        head.headers.remove(AUTHORIZATION);
        head.headers.remove(HOST);
        let is_safe = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let is_empty = body.is_end_stream();
        let kept = Kept::new(body);
        let mut search = self.search(self.patience());
        loop {
            let target = search.target();
            let attempt = kept.attempt();
            match make(target.channel.clone(), &head, attempt).await {
                Ok(response) => {
                    let Some(status) = kept.can_be_told_again().then(|| not_done(&response)).flatten() else {
                        kept.keep_no_more();
                        return Ok(response);
                    };
                    if !search.comes_anew(&target, &status) && !search.go_on(&target, &status).await {
                        kept.keep_no_more();
                        return Ok(response);
                    }
                }
                Err(status) => {
                    let was_not_heard = is_safe || (!is_empty && !kept.was_begun());
                    let may_help = (is_connection_trouble(&status) && was_not_heard) || search.may_hear_yet(&status);
                    let again = may_help && kept.can_be_told_again();
                    if !again || !search.go_on(&target, &status).await {
                        return Err(call_error(&target.shown(), &status));
                    }
                }
            }
        }
    }
}

async fn make<S, B>(mut connection: S, head: &Parts, body: Attempt<B>) -> Result<Response<tonic::body::Body>, Status>
where
    S: Service<Request<tonic::body::Body>, Response = Response<tonic::body::Body>, Error = tonic::transport::Error>,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let status = |error: tonic::transport::Error| Status::from_error(Box::new(error));
    std::future::poll_fn(|context| connection.poll_ready(context)).await.map_err(status)?;
    let kept = Arc::clone(&body.kept);
    let body = tonic::body::Body::new(body);
    // Making it looked at whether there is any.
    kept.lock().begun = false;
    connection.call(Request::from_parts(head.clone(), body)).await.map_err(status)
}

/// Whether the answer says that nothing was done and somebody else may, or with another token: its status.
fn not_done<B>(response: &Response<B>) -> Option<Status> {
    let status = Status::from_header_map(response.headers());
    let status = status.filter(|status| matches!(status.code(), Code::Unavailable | Code::Unauthenticated));
    status.or_else(|| of_one_that_stands_by(response))
}

/// What a master that stands by says in plain HTTP: to ask elsewhere, or later.
fn of_one_that_stands_by<B>(response: &Response<B>) -> Option<Status> {
    let code = response.status();
    let leader = response.headers().get(LEADER)?.to_str().ok()?;
    if !matches!(code, StatusCode::TEMPORARY_REDIRECT | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    let mut status = Status::unavailable("this master stands by");
    status.metadata_mut().insert(LEADER, leader.parse().ok()?);
    Some(status)
}

/// A body that can be sent again from its start, as long as that is not much.
struct Kept<B>(Arc<Shared<B>>);

type Shared<B> = Lockable<State<B>>;

/// A lock that nobody panics in.
struct Lockable<T>(Mutex<T>);

impl<T> Lockable<T> {
    fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State<B> {
    body: B,
    /// What was read of it: from its start, as long as it is kept.
    frames: Vec<Frame<Bytes>>,
    bytes: usize,
    /// Whether it may have to be told again.
    keeps: bool,
    /// Whether the connection has taken the request, or may have.
    begun: bool,
    /// Which attempt may read on.
    attempt: u64,
}

impl<B: Body<Data = Bytes> + Unpin> Kept<B> {
    fn new(body: B) -> Self {
        let state = State { body, frames: Vec::new(), bytes: 0, keeps: true, begun: false, attempt: 0 };
        Self(Arc::new(Lockable(Mutex::new(state))))
    }

    /// The body from its start. One that was handed out before has ended.
    fn attempt(&self) -> Attempt<B> {
        let mut state = self.0.lock();
        state.attempt += 1;
        Attempt { kept: Arc::clone(&self.0), number: state.attempt, told: 0 }
    }

    fn can_be_told_again(&self) -> bool {
        self.0.lock().keeps
    }

    fn was_begun(&self) -> bool {
        self.0.lock().begun
    }

    /// The present attempt is the last.
    fn keep_no_more(&self) {
        self.0.lock().keeps = false;
    }
}

/// The body of one attempt.
struct Attempt<B> {
    kept: Arc<Shared<B>>,
    number: u64,
    /// How many of the frames that are kept.
    told: usize,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Attempt<B>
where
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let kept = Arc::clone(&self.kept);
        let mut state = kept.lock();
        state.begun = true;
        if state.attempt != self.number {
            return Poll::Ready(Some(Err("the request is made again elsewhere".into())));
        }
        if let Some(frame) = state.frames.get(self.told) {
            let frame = copy(frame);
            self.told += 1;
            return Poll::Ready(Some(Ok(frame)));
        }
        if !state.keeps {
            state.frames = Vec::new();
            self.told = 0;
        }
        let Some(frame) = ready!(Pin::new(&mut state.body).poll_frame(context)) else { return Poll::Ready(None) };
        let frame = frame.map_err(Into::into)?;
        state.bytes = state.bytes.saturating_add(frame.data_ref().map_or(0, Bytes::len));
        state.keeps &= state.bytes <= KEPT_MAX;
        if state.keeps {
            state.frames.push(copy(&frame));
            self.told += 1;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        let mut state = self.kept.lock();
        // Asked by a connection that is about to send.
        state.begun = true;
        state.frames.len() <= self.told && state.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Of the whole body: of what was read, nothing is known any more.
        let state = self.kept.lock();
        if state.bytes == 0 { state.body.size_hint() } else { SizeHint::default() }
    }
}

/// Data are shared, and trailers copied.
fn copy(frame: &Frame<Bytes>) -> Frame<Bytes> {
    match (frame.data_ref(), frame.trailers_ref()) {
        (Some(data), _) => Frame::data(data.clone()),
        (None, Some(trailers)) => Frame::trailers(trailers.clone()),
        (None, None) => Frame::data(Bytes::new()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::future::poll_fn;

    use super::*;

    /// A body of these pieces, which come one by one.
    struct Pieces(VecDeque<Bytes>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
        }
    }

    fn kept(pieces: &[&'static [u8]]) -> Kept<Pieces> {
        Kept::new(Pieces(pieces.iter().map(|piece| Bytes::from_static(piece)).collect()))
    }

    async fn next(attempt: &mut Attempt<Pieces>) -> Option<Result<Bytes, String>> {
        let frame = poll_fn(|context| Pin::new(&mut *attempt).poll_frame(context)).await?;
        Some(frame.map(|frame| frame.into_data().unwrap()).map_err(|error| error.to_string()))
    }

    async fn rest(mut attempt: Attempt<Pieces>) -> Vec<u8> {
        let mut rest = Vec::new();
        while let Some(piece) = next(&mut attempt).await {
            rest.extend(piece.unwrap());
        }
        rest
    }

    #[test]
    fn an_answer_of_a_master_that_stands_by_is_known_in_plain_http_too() {
        let answer = |code: u16, leader: Option<&str>| {
            let answer = Response::builder().status(code);
            let answer = leader.into_iter().fold(answer, |answer, leader| answer.header(LEADER, leader));
            not_done(&answer.body(()).unwrap())
        };

        let behind = answer(307, Some("http://b:5050")).unwrap();
        assert_eq!(
            (behind.code(), behind.metadata().get(LEADER).unwrap().to_str().unwrap()),
            (Code::Unavailable, "http://b:5050")
        );
        assert_eq!(answer(503, Some("")).unwrap().code(), Code::Unavailable, "nobody leads yet");
        for (code, leader) in [(200, Some("http://b:5050")), (307, None), (503, None)] {
            assert!(answer(code, leader).is_none(), "{code} {leader:?} is an answer");
        }
    }

    #[tokio::test]
    async fn a_request_that_was_told_in_part_is_told_again_from_its_start() {
        let kept = kept(&[b"one", b"two", b"three"]);
        let mut first = kept.attempt();
        assert_eq!(next(&mut first).await, Some(Ok(Bytes::from_static(b"one"))));
        assert!(kept.was_begun() && kept.can_be_told_again());

        let second = kept.attempt();

        assert_eq!(next(&mut first).await, Some(Err("the request is made again elsewhere".to_owned())));
        assert_eq!(rest(second).await, b"onetwothree");
    }

    #[tokio::test]
    async fn a_large_request_is_not_kept_and_comes_through_whole() {
        let large = vec![7; KEPT_MAX];
        let kept = Kept::new(Pieces([Bytes::from_static(b"head"), large.clone().into(), large.clone().into()].into()));

        let told = rest(kept.attempt()).await;

        assert_eq!(told.len(), 4 + 2 * KEPT_MAX);
        assert!(!kept.can_be_told_again());
    }

    #[tokio::test]
    async fn when_its_answer_has_begun_the_rest_of_a_request_is_still_told() {
        let kept = kept(&[b"one", b"two"]);
        let mut only = kept.attempt();
        next(&mut only).await;

        kept.keep_no_more();

        assert_eq!(rest(only).await, b"two");
        assert!(!kept.can_be_told_again());
    }
}
