//! How the port is served: in HTTP/2, in HTTP/1.1 what is no call of gRPC, and sessions that leave both behind.

use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use haggle_upgrade::Upgrades;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::http::Request;
use tower::Service;
use tracing::debug;

use crate::acceptor::Connection;
use crate::election::Switch;

/// Calls that one connection may have open. A framework or an agent has one stream; a command line has a few.
const STREAMS_MAX: u32 = 256;

/// What a peer may send on one stream before the master has read it. A batch of launches fits; a stalled
/// session holds no more than this.
const STREAM_WINDOW: u32 = 2 << 20;

/// The same, for all streams of a connection.
const CONNECTION_WINDOW: u32 = 8 << 20;

/// The headers of one call, decoded. Those of an honest one have a few hundred bytes.
const HEADERS_MAX: u32 = 16 << 10;

/// Calls that were reset before anybody looked at them. Whoever has more is hung up on.
const RESETS_MAX: usize = 20;

/// How often a silent connection is asked whether it lives, and how long it may take to answer. A peer whose
/// machine is gone is noticed well before the agent's timeout.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_WITHIN: Duration = Duration::from_secs(20);

/// Serves until `stopping` resolves and the last call has ended.
pub(crate) async fn serve(
    connections: impl Stream<Item = io::Result<Connection>>,
    switch: Switch,
    stopping: impl Future<Output = ()>,
) {
    let http = http();
    let graceful = GracefulShutdown::new();
    // What calls hold that have a connection for themselves.
    let (open, held) = watch::channel(());
    let upgrades = Upgrades::<Connection, _, _>::new(switch, held);
    {
        // Gone when nobody is let in any more, so that the port is closed.
        let mut connections = pin!(connections.take_until(stopping));
        while let Some(next) = connections.next().await {
            let Ok(connection) = next.inspect_err(|error| debug!("a connection was lost: {error}")) else { continue };
            let (remote, upgrades) = (connection.remote().clone(), upgrades.clone());
            let answer = service_fn(move |request: Request<Incoming>| {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(remote.clone());
                upgrades.clone().call(request)
            });
            let served = http.serve_connection_with_upgrades(TokioIo::new(connection), answer).into_owned();
            let served = graceful.watch(served);
            tokio::spawn(async move {
                if let Err(error) = served.await {
                    debug!("a connection ended: {error}");
                }
            });
        }
    }
    drop(upgrades);
    graceful.shutdown().await;
    open.closed().await;
}

/// How the port speaks: HTTP/2, and for what is no session of gRPC HTTP/1.1.
fn http() -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    // With it, hyper gives the head of a request 30 s.
    http.http1().timer(TokioTimer::new());
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADERS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_WITHIN);
    http
}
