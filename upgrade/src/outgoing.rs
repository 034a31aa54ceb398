//! What this side says, from the body of a message of HTTP to the connection.

use std::io;

use bytes::Buf;
use http_body_util::BodyExt;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tonic::body::Body;

use crate::trailers::frame;

/// Says all of it, and closes this half of the connection.
///
/// # Errors
/// When the connection breaks, or the body does before its end.
pub(crate) async fn say(mut body: Body, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    while let Some(next) = body.frame().await {
        let mut bytes = match next.map_err(io::Error::other)?.into_data() {
            Ok(bytes) => bytes,
            Err(last) => last.trailers_ref().map(frame).unwrap_or_default(),
        };
        while bytes.has_remaining() {
            stream.write_buf(&mut bytes).await?;
        }
        stream.flush().await?;
    }
    stream.shutdown().await
}
