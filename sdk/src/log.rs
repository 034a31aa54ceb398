//! What a task writes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::{self, BoxStream, StreamExt};
use haggle_core::TaskId;
use haggle_proto::v1;
use tokio::time::sleep;
use tonic::Streaming;

use crate::client::Client;
use crate::error::{CallError, is_connection_trouble};
use crate::masters::pauses;
use crate::operator::operator;

/// How often in a row a log that breaks off is taken up again without one more byte of it: a few seconds in all.
const ATTEMPTS: u32 = 10;

/// Which of a task's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl From<OutputStream> for v1::OutputStream {
    fn from(stream: OutputStream) -> Self {
        match stream {
            OutputStream::Stdout => Self::Stdout,
            OutputStream::Stderr => Self::Stderr,
        }
    }
}

/// The output of a task, from its start: a stream of `Result<Bytes, CallError>`. Ends after what there is, or, when
/// it follows, after the task has. Goes on where it was when the connection was lost in between.
pub struct LogStream {
    pieces: BoxStream<'static, Result<Bytes, CallError>>,
    missed: Arc<AtomicU64>,
}

impl LogStream {
    /// Bytes left out so far, because the agent does not keep them any longer.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When the task is not known, or the connection is lost for good.
    pub async fn next(&mut self) -> Option<Result<Bytes, CallError>> {
        self.pieces.next().await
    }

    /// Everything to the end.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn read_to_end(mut self) -> Result<Vec<u8>, CallError> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all)
    }
}

impl Stream for LogStream {
    type Item = Result<Bytes, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.poll_next_unpin(cx)
    }
}

impl Client {
    /// Reads what a task writes, from its first byte; with `follow`, until it has ended. Nothing is asked of the
    /// master before the stream is read.
    pub fn log(&self, task: TaskId, stream: OutputStream, follow: bool) -> LogStream {
        let missed = Arc::new(AtomicU64::new(0));
        let reader = Reader {
            client: self.clone(),
            task,
            stream,
            follow,
            offset: 0,
            missed: Arc::clone(&missed),
            inbound: None,
        };
        let pieces =
            stream::try_unfold(
                reader,
                |mut reader| async move { Ok(reader.next().await?.map(|piece| (piece, reader))) },
            );
        LogStream { pieces: pieces.boxed(), missed }
    }
}

struct Reader {
    client: Client,
    task: TaskId,
    stream: OutputStream,
    follow: bool,
    offset: u64,
    missed: Arc<AtomicU64>,
    inbound: Option<Streaming<v1::LogData>>,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        let mut backoff = pauses(1);
        let mut attempts = 0;
        loop {
            let inbound = match &mut self.inbound {
                Some(inbound) => inbound,
                None => self.inbound.insert(open(&self.client, self.request()).await?),
            };
            match inbound.message().await {
                Ok(Some(piece)) if piece.data.is_empty() => {}
                Ok(Some(piece)) => return Ok(Some(self.take(piece))),
                Ok(None) => return Ok(None),
                Err(status) => {
                    self.inbound = None;
                    attempts += 1;
                    if !is_connection_trouble(&status) || attempts >= ATTEMPTS {
                        return Err(self.client.error(&status));
                    }
                    sleep(backoff.pause()).await;
                }
            }
        }
    }

    fn request(&self) -> v1::ReadLogRequest {
        v1::ReadLogRequest {
            task: Some(self.task.into()),
            stream: v1::OutputStream::from(self.stream).into(),
            offset: self.offset,
            follow: self.follow,
        }
    }

    fn take(&mut self, piece: v1::LogData) -> Bytes {
        self.missed.fetch_add(piece.offset.saturating_sub(self.offset), Ordering::Relaxed);
        self.offset = piece.offset.saturating_add(piece.data.len() as u64);
        piece.data
    }
}

async fn open(client: &Client, request: v1::ReadLogRequest) -> Result<Streaming<v1::LogData>, CallError> {
    client.call(|channel| async move { operator(channel).read_log(request).await }).await
}
