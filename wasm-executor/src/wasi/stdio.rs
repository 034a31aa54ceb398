//! A guest's standard streams: input from its spec, output counted, limited and sent on while it runs.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use haggle_core::{Exceeded, TaskId, TaskSpec};
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::event::{Event, Stream};
use crate::outcome::OutputExceeded;

/// Where events go.
pub(crate) type Emit = Arc<dyn Fn(Event) + Send + Sync>;

/// Output is sent on in pieces of about this size; a task that pauses or has had its turn sends what it has.
const PIECE: usize = 16 << 10;

/// Bytes that a guest may write to a stream in one call. It asks before it writes.
const WRITE_MAX: usize = 64 << 10;

/// Both output streams of one task.
pub(crate) struct Output {
    task: TaskId,
    limit: u64,
    emit: Emit,
    pending: Mutex<Pending>,
}

struct Pending {
    stream: Stream,
    bytes: BytesMut,
    /// Of both streams, sent or not.
    written: u64,
}

impl Output {
    pub(crate) fn new(spec: &TaskSpec, emit: Emit) -> Self {
        let pending = Pending { stream: Stream::Stdout, bytes: BytesMut::new(), written: 0 };
        Self { task: spec.id, limit: spec.limits.output.get(), emit, pending: Mutex::new(pending) }
    }

    /// Sends on what was written so far.
    pub(crate) fn flush(&self) {
        self.send(&mut self.pending.lock());
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        self.pending.lock().written
    }

    pub(crate) fn pipe(self: &Arc<Self>, stream: Stream) -> Pipe {
        Pipe { output: Arc::clone(self), stream }
    }

    /// What fits the limit goes out, even if not all does.
    fn write(&self, stream: Stream, bytes: &[u8]) -> Result<(), OutputExceeded> {
        let mut pending = self.pending.lock();
        if pending.stream != stream {
            self.send(&mut pending);
            pending.stream = stream;
        }
        let room = usize::try_from(self.limit - pending.written).unwrap_or(usize::MAX);
        let fitting = &bytes[..bytes.len().min(room)];
        let wanted = pending.written + bytes.len() as u64;
        pending.written += fitting.len() as u64;
        pending.bytes.extend_from_slice(fitting);
        if pending.bytes.len() >= PIECE {
            self.send(&mut pending);
        }
        if wanted > self.limit { Err(OutputExceeded(Exceeded { limit: self.limit, used: wanted })) } else { Ok(()) }
    }

    fn send(&self, pending: &mut Pending) {
        if !pending.bytes.is_empty() {
            let bytes = pending.bytes.split().freeze();
            (self.emit)(Event::Output { task: self.task, stream: pending.stream, bytes });
        }
    }
}

/// One of the two output streams.
#[derive(Clone)]
pub(crate) struct Pipe {
    output: Arc<Output>,
    stream: Stream,
}

impl IsTerminal for Pipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Pipe {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl OutputStream for Pipe {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.output.write(self.stream, &bytes).map_err(|full| StreamError::Trap(full.into()))
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.write(bytes)
    }

    /// The host decides when to send on; a guest that flushes every line would cost it an event a line.
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_MAX)
    }
}

#[async_trait]
impl Pollable for Pipe {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.output.write(self.stream, bytes).map(|()| bytes.len());
        Poll::Ready(written.map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The task's standard input, read from its spec without a copy.
pub(crate) fn stdin(spec: &Arc<TaskSpec>) -> MemoryInputPipe {
    struct StdinOf(Arc<TaskSpec>);
    impl AsRef<[u8]> for StdinOf {
        fn as_ref(&self) -> &[u8] {
            &self.0.stdin
        }
    }
    MemoryInputPipe::new(Bytes::from_owner(StdinOf(Arc::clone(spec))))
}
