//! The side that calls.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, TE, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, split};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;
use tracing::debug;

use crate::incoming::{Asking, FromServer, Source};
use crate::outgoing::say;
use crate::signs::asking;
use crate::{GRPC, PROTOCOL, SIGNS};

/// A connection that is for one call: a service for a client that tonic has generated.
#[derive(Debug)]
pub struct Upgrading<S> {
    stream: Option<S>,
    host: HeaderValue,
    signs: Option<Signs>,
}

/// The signs of life that a client wants.
#[derive(Clone, Copy, Debug)]
struct Signs {
    every: Duration,
    within: Duration,
}

impl<S> Upgrading<S> {
    /// `host` is whom the connection leads to, as a URL has it.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when that cannot be said in a header.
    pub fn new(stream: S, host: &str) -> Result<Self, Status> {
        let said = HeaderValue::from_str(host);
        let host = said.map_err(|_| Status::invalid_argument(format!("{host:?} is no host")))?;
        Ok(Self { stream: Some(stream), host, signs: None })
    }

    /// Each side says something at least each `every`, half a second or more. The call breaks when nothing was heard for that and
    /// `within` longer.
    #[must_use]
    pub fn with_signs(self, every: Duration, within: Duration) -> Self {
        Self { signs: Some(Signs { every, within }), ..self }
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Service<Request<Body>> for Upgrading<S> {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (stream, host, signs) = (self.stream.take(), self.host.clone(), self.signs);
        Box::pin(async move {
            let stream = stream.ok_or_else(|| Status::failed_precondition("the connection is for one call"))?;
            call(stream, host, signs, request).await
        })
    }
}

async fn call<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    host: HeaderValue,
    signs: Option<Signs>,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let serving = Asking(tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            debug!("a connection for one call ended: {error}");
        }
    }));
    let (head, body) = request.into_parts();
    let mut answer = sender.send_request(question(head, host, signs)).await.map_err(failed)?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return refusal(answer.status(), answer.headers());
    }
    let upgraded = hyper::upgrade::on(&mut answer).await.map_err(failed)?;
    drop(serving);
    let parts = upgraded.downcast::<TokioIo<S>>().map_err(|_| Status::internal("the connection is another one"))?;
    let (reader, mut writer) = split(parts.io.into_inner());
    let asking = Asking(tokio::spawn(async move {
        if let Err(error) = say(body, &mut writer, signs.map(|signs| signs.every)).await {
            debug!("what a call has to say was not said: {error}");
        }
    }));
    let source = Source::new(&parts.read_buf, reader, signs.map(|signs| signs.every + signs.within));
    let mut response = answer.map(|_| Body::new(FromServer::new(source, asking)));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.remove(CONNECTION);
    headers.remove(UPGRADE);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    Ok(response)
}

/// What is asked before the connection is the call's.
fn question(head: Parts, host: HeaderValue, signs: Option<Signs>) -> Request<Empty<Bytes>> {
    let mut asked = Request::new(Empty::new());
    *asked.uri_mut() = head.uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
    *asked.headers_mut() = head.headers;
    let headers = asked.headers_mut();
    headers.remove(TE);
    headers.remove(CONTENT_TYPE);
    headers.insert(HOST, host);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    if let Some(signs) = signs {
        headers.insert(SIGNS, asking(signs.every));
    }
    asked
}

/// A call that was not taken, and why.
fn refusal(code: StatusCode, headers: &HeaderMap) -> Result<Response<Body>, Status> {
    Err(Status::from_header_map(headers).filter(|status| status.code() != Code::Ok).unwrap_or_else(|| {
        Status::unimplemented(format!(
            "whoever answers takes no call of {PROTOCOL}, it said {code}: is it a master as new as this program?"
        ))
    }))
}

fn failed(error: hyper::Error) -> Status {
    let why = format!("the call did not come about: {error}");
    let mut status = Status::unavailable(why);
    status.set_source(Arc::new(error));
    status
}
