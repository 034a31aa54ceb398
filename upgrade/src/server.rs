//! The side that answers.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::Either;
use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf, copy, sink, split};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;
use tracing::debug;

use crate::incoming::{FromClient, Source};
use crate::outgoing::say;
use crate::signs::{asked, patience};
use crate::{GRPC, PROTOCOL};

/// How long a client may take to close its half of a connection when the call is over. What it has said unheard would
/// otherwise have the system reset the connection, and the client not hear how its call ended.
const CLOSED_WITHIN: Duration = Duration::from_secs(2);

/// Services whose calls may have connections for themselves, beside those that come in HTTP/2. The connections are of type `S`.
///
/// `held` is kept for as long as such a call lasts: whoever served the connection does not know it any more.
#[derive(Debug)]
pub struct Upgrades<S, I, H> {
    inner: I,
    held: H,
    connections: PhantomData<fn() -> S>,
}

impl<S, I, H> Upgrades<S, I, H> {
    /// Calls of these services.
    pub fn new(inner: I, held: H) -> Self {
        Self { inner, held, connections: PhantomData }
    }
}

impl<S, I: Clone, H: Clone> Clone for Upgrades<S, I, H> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.held.clone())
    }
}

impl<S, I, H> Service<Request<Body>> for Upgrades<S, I, H>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    I: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    I::Future: Send + 'static,
    H: Clone + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<I::Future, Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if !wants_upgrade(request.method(), request.headers()) {
            return Either::Left(self.inner.call(request));
        }
        let upgrade = hyper::upgrade::on(&mut request);
        let signs = asked(request.headers());
        let (begin, coming) = oneshot::channel();
        let (back, over) = oneshot::channel();
        let answering = self.inner.call(as_grpc(request, Body::new(FromClient::new(coming, back))));
        let held = self.held.clone();
        Either::Right(Box::pin(async move {
            let answer = answering.await?;
            let is_refused = Status::from_header_map(answer.headers()).is_some_and(|status| status.code() != Code::Ok);
            if is_refused || answer.status() != StatusCode::OK || answer.body().is_end_stream() {
                return Ok(answer);
            }
            let (mut head, body) = answer.into_parts();
            tokio::spawn(async move {
                if let Err(error) = talk::<S>(upgrade, signs, begin, body, over).await {
                    debug!("a call on a connection for itself ended: {error}");
                }
                drop(held);
            });
            head.status = StatusCode::SWITCHING_PROTOCOLS;
            head.headers.remove(CONTENT_TYPE);
            head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            head.headers.insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
            Ok(Response::from_parts(head, Body::empty()))
        }))
    }
}

/// Whether the client asks for a connection for its call.
fn wants_upgrade(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::GET
        && headers.get(UPGRADE).is_some_and(|named| named.as_bytes().eq_ignore_ascii_case(PROTOCOL.as_bytes()))
}

/// The same call, as it comes in HTTP/2.
fn as_grpc(request: Request<Body>, body: Body) -> Request<Body> {
    let mut call = request.map(|_| body);
    *call.method_mut() = Method::POST;
    let headers = call.headers_mut();
    headers.remove(CONNECTION);
    headers.remove(UPGRADE);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    call
}

/// Carries a call from when the connection is its own, to its end.
async fn talk<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    upgrade: OnUpgrade,
    signs: Option<Duration>,
    begin: oneshot::Sender<Source<ReadHalf<S>>>,
    answers: Body,
    over: oneshot::Receiver<Source<ReadHalf<S>>>,
) -> io::Result<()> {
    let (source, mut writer) = halves(upgrade.await.map_err(io::Error::other)?, signs)?;
    // Whoever does not listen has ended the call, and says so.
    let _ = begin.send(source);
    say(answers, &mut writer, signs).await?;
    let rest = async {
        if let Ok(rest) = over.await {
            let _ = copy(&mut rest.into_stream(), &mut sink()).await;
        }
    };
    // In a place of its own, since calls wait long for their end.
    let _ = timeout(CLOSED_WITHIN, Box::pin(rest)).await;
    Ok(())
}

/// What is heard on a connection and where is said something. The buffer into which hyper read goes here, and does not wait for the end
/// of the call: empty or not, it has 8 KiB.
fn halves<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    upgraded: Upgraded,
    signs: Option<Duration>,
) -> io::Result<(Source<ReadHalf<S>>, WriteHalf<S>)> {
    let parts = downcast::<TokioIo<S>>(upgraded).map_err(|_| io::Error::other("the connection is another one"))?;
    let (stream, writer) = split(parts.io.into_inner());
    Ok((Source::new(&parts.read_buf, stream, signs.map(patience)), writer))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[test]
    fn a_call_that_lasts_holds_little() {
        let (begin, _coming) = oneshot::channel();
        let (_back, over) = oneshot::channel();
        let upgrade = hyper::upgrade::on(Request::new(()));

        let call = talk::<TcpStream>(upgrade, None, begin, Body::empty(), over);

        let size = size_of_val(&call);
        assert!(size <= 640, "a future of {size} bytes");
    }
}
