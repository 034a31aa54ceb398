//! What this side says, from the body of a message of HTTP to the connection.

use std::future::{pending, poll_fn};
use std::io;
use std::time::Duration;

use bytes::Buf;
use http_body_util::BodyExt;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tonic::body::Body;

use crate::signs::{FRAME, Since};
use crate::trailers::frame;

/// Says all of it, and closes this half of the connection. With `signs` it says something at least so often.
///
/// # Errors
/// When the connection breaks, or the body does before its end.
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
                stream.write_all(&FRAME).await?;
                stream.flush().await?;
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
            stream.write_buf(&mut bytes).await?;
        }
        stream.flush().await?;
        if let Some(silence) = &mut silence {
            silence.restart();
        }
    }
    stream.shutdown().await
}

async fn end_of(silence: &mut Option<Since>) {
    match silence {
        Some(silence) => poll_fn(|context| silence.poll_end(context)).await,
        None => pending().await,
    }
}
