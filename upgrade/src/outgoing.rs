//! What this side says, from the body of a message of HTTP to the connection.

use std::future::{pending, poll_fn};
use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::Buf;
use futures_util::future::poll_immediate;
use http_body_util::BodyExt;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tonic::body::Body;

use crate::signs::{FRAME, Since};
use crate::trailers::frame;

/// How long nothing may be taken of what is said. It holds a connection, and whoever takes nothing for so long hears nothing.
const STALLED: Duration = Duration::from_secs(30);

/// Says all of it, and closes this half of the connection. With `signs` it says something at least so often.
///
/// # Errors
/// When the connection breaks, nothing of it is taken for [`STALLED`], or the body breaks before its end.
pub(crate) async fn say(
    mut body: Body,
    stream: &mut (impl AsyncWrite + Unpin),
    signs: Option<Duration>,
) -> io::Result<()> {
    let mut silence = signs.map(Since::now);
    loop {
        let next = tokio::select! {
            biased;
            next = body.frame() => next,
            () = end_of(&mut silence) => {
                taken(stream.write_all(&FRAME)).await?;
                taken(stream.flush()).await?;
                silence = signs.map(Since::now);
                continue;
            }
        };
        let Some(next) = next else { break };
        let mut bytes = match next.map_err(io::Error::other)?.into_data() {
            Ok(bytes) => bytes,
            Err(last) => last.trailers_ref().map(frame).unwrap_or_default(),
        };
        while bytes.has_remaining() {
            taken(stream.write_buf(&mut bytes)).await?;
        }
        taken(stream.flush()).await?;
        if let Some(silence) = &mut silence {
            silence.restart();
        }
    }
    taken(stream.shutdown()).await
}

/// Waits for a step. There is a timer for those only that are not done at once: sessions are many, and few of them wait.
async fn taken<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let mut step = pin!(step);
    match poll_immediate(&mut step).await {
        Some(done) => done,
        None => Box::pin(timeout(STALLED, step)).await?,
    }
}

async fn end_of(silence: &mut Option<Since>) {
    match silence {
        Some(silence) => poll_fn(|context| silence.poll_end(context)).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;
    use tokio::io::duplex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up() {
        let (mut stream, _untouched) = duplex(8);
        let body = Body::new(Full::new(Bytes::from_static(b"more than fits")));

        let given_up = say(body, &mut stream, None).await.unwrap_err();

        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
    }
}
