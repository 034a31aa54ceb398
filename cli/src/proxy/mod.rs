//! A port of this machine in plain text, behind which every request goes to the master as the user of this command.
//!
//! ```text
//! curl, a browser ── HTTP/1 or 2 ──► Door (a token of its own) ──► Client ── TLS, the user's token ──► master
//! ```
//!
//! What is carried is HTTP, whatever it says: trailers, streams both ways, and nobody's reader is waited for longer than
//! the windows of its own streams.

mod answer;
mod door;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use haggle_sdk::Client;
use haggle_tls::{LetIn, StrangerBounds, Strangers, Tally};
use http::header::COOKIE;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

pub(crate) use door::Door;

/// Connections at once: those of one user's browsers and programs.
const CONNECTIONS: usize = 512;

/// On so many of them may nobody have shown the token yet, and for so long.
const STRANGERS: StrangerBounds = StrangerBounds { all: 64, from_one: 64, within: Duration::from_secs(10) };

/// Streams of one connection, and what waits on one stream and on all of a connection: as at the master.
const STREAMS: u32 = 256;
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// The headers of one request.
const HEADERS_MAX: usize = 64 << 10;

/// How long a request's headers may take.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// How often a silent connection is asked whether it lives, and how long it may take to answer.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_WITHIN: Duration = Duration::from_secs(20);

/// How long to wait when the system has no descriptor left. Without, accepting would spin.
const PAUSE: Duration = Duration::from_millis(100);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What is answered, whoever says it.
type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// Carries requests for as long as it is polled.
pub(crate) async fn serve(listener: TcpListener, door: Door, client: Client) -> Infallible {
    let (door, room) = (Arc::new(door), Arc::new(Semaphore::new(CONNECTIONS)));
    let mut strangers = Strangers::new(STRANGERS, Tally::default());
    let server = server();
    loop {
        let (stream, place) = next(&listener, &room).await;
        let visit = strangers.watch((), stream);
        let (door, client, let_in) = (Arc::clone(&door), client.clone(), visit.let_in());
        let carry = service_fn(move |request| carry(Arc::clone(&door), client.clone(), let_in.clone(), request));
        let connection = server.serve_connection(TokioIo::new(visit), carry).into_owned();
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended: {error}");
            }
        });
    }
}

async fn next(listener: &TcpListener, room: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let place = Arc::clone(room).acquire_owned().await.expect("the room is never closed");
        let accepted: io::Result<TcpStream> = async {
            let (stream, _) = listener.accept().await?;
            // Messages are small, and somebody waits for each.
            stream.set_nodelay(true)?;
            Ok(stream)
        }
        .await;
        match accepted {
            Ok(stream) => return (stream, place),
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

fn server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN).max_buf_size(HEADERS_MAX);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADERS_MAX as u32)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_WITHIN);
    server
}

async fn carry(
    door: Arc<Door>,
    client: Client,
    let_in: LetIn,
    mut request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    if let Some(entered) = door.enter(&request) {
        return Ok(
            entered.map_or_else(|why| answer::turned_away(request.headers(), &why), |cookie| answer::entered(&cookie))
        );
    }
    if let Err(turned_away) = door.check(&request) {
        return Ok(answer::turned_away(request.headers(), &turned_away));
    }
    let_in.note();
    // A browser keeps it for this port, and it opens nothing at the master.
    request.headers_mut().remove(COOKIE);
    let is_grpc = answer::is_grpc(request.headers());
    Ok(match client.forward(request).await {
        Ok(response) => response.map(|body| body.map_err(BoxError::from).boxed_unsync()),
        Err(error) => answer::unreachable(is_grpc, &error.to_string()),
    })
}
