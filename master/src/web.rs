//! What the port answers beside calls of gRPC: areas of paths, each behind the same guard.

use futures_util::future::BoxFuture;
use haggle_core::access::Verb;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::header::CONTENT_TYPE;
use tonic::codegen::http::request::Parts;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};

use crate::access::plain;

/// Paths that are answered together.
pub(crate) trait Area: Send + Sync {
    /// How a request comes in, if it is one of this area's.
    fn entrance(&self, head: &Parts) -> Option<Entrance>;

    /// What stands for the header `authorization` in a request that has none.
    fn credentials(&self, _head: &Parts) -> Option<HeaderValue> {
        None
    }

    /// Answers one that was let in; who it is is in its extensions. What goes wrong is a status, which is told by
    /// [`Area::refused`].
    fn answer(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, Status>>;

    /// How a refusal reads there.
    fn refused(&self, _head: &Parts, status: &Status) -> Response<Body> {
        plain(status.clone().into_http())
    }
}

/// Who may come in.
pub(crate) enum Entrance {
    /// Whoever may do this.
    For(Verb),
    /// Anybody: nothing of the cluster is there.
    Open,
    /// Nobody: it is answered so.
    Closed(Box<Response<Body>>),
}

/// Whether it is gRPC that asks.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}
