//! A guest's standard streams: input from its spec, output counted, limited and sent on while it runs.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use haggle_core::{Exceeded, OutputOverrun, TaskId, TaskSpec};
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::event::{Event, Listener, Stream};
use crate::memory::Memory;
use crate::meters::Meters;

/// Output is sent on in pieces of about this size; a task that pauses or has had its turn sends what it has.
const PIECE: usize = 16 << 10;

/// What a piece costs those who hold it beside its bytes.
const PIECE_COST: u64 = 256;

/// So often in a turn a guest may write to its other stream, and what it wrote comes out in that order. More often,
/// both streams are collected, since an event for every byte would cost the host more than the guest.
const SWITCHES_MAX: u32 = 16;

/// Bytes that a guest may write to a stream in one call. It asks before it writes.
const WRITE_MAX: usize = 64 << 10;

/// A write beyond the output limit. Stops the guest on the spot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("output limit reached")]
pub(crate) struct OutputExceeded(pub(crate) Exceeded);

/// Both output streams of one task.
pub(crate) struct Output {
    task: TaskId,
    limit: u64,
    overrun: OutputOverrun,
    listener: Arc<dyn Listener>,
    pending: Mutex<Pending>,
    memory: Arc<Memory>,
}

#[derive(Default)]
struct Pending {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Whether what is collected of the standard error began before that of the standard output.
    stderr_first: bool,
    /// Since the last turn began.
    switches: u32,
    /// Of both streams, sent or not.
    written: u64,
}

/// Counts as the guest's memory until everyone has let go of it.
struct Piece {
    bytes: Vec<u8>,
    memory: Arc<Memory>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.memory.output_taken(self.bytes.len() as u64 + PIECE_COST);
    }
}

impl Output {
    pub(crate) fn new(spec: &TaskSpec, meters: Arc<Meters>, listener: Arc<dyn Listener>) -> Self {
        Self {
            task: spec.id,
            limit: spec.limits.output.get(),
            overrun: spec.limits.output_overrun,
            listener,
            pending: Mutex::default(),
            memory: Arc::new(Memory::new(spec.resources.mem, meters)),
        }
    }

    /// The memory of the task, in which its output counts.
    pub(crate) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Sends on what was written so far. A turn is over.
    pub(crate) fn flush(&self) {
        let mut pending = self.pending.lock();
        pending.switches = 0;
        self.send(&mut pending);
    }

    /// Bytes that were kept so far.
    pub(crate) fn written(&self) -> u64 {
        self.pending.lock().written
    }

    pub(crate) fn pipe(self: &Arc<Self>, stream: Stream) -> Pipe {
        Pipe { output: Arc::clone(self), stream }
    }

    /// What fits the limit goes out, even if not all does. Whether there is room for it is asked before.
    fn write(&self, stream: Stream, bytes: &[u8]) -> Result<(), OutputExceeded> {
        let mut pending = self.pending.lock();
        let room = usize::try_from(self.limit - pending.written).unwrap_or(usize::MAX);
        let fitting = &bytes[..bytes.len().min(room)];
        let wanted = pending.written + bytes.len() as u64;
        if !fitting.is_empty() {
            self.keep(&mut pending, stream, fitting);
        }
        if wanted > self.limit && self.overrun == OutputOverrun::End {
            return Err(OutputExceeded(Exceeded { limit: self.limit, used: wanted }));
        }
        Ok(())
    }

    fn keep(&self, pending: &mut Pending, stream: Stream, bytes: &[u8]) {
        let (mine, other) = match stream {
            Stream::Stdout => (&pending.stdout, &pending.stderr),
            Stream::Stderr => (&pending.stderr, &pending.stdout),
        };
        if mine.is_empty() && !other.is_empty() {
            if pending.switches < SWITCHES_MAX {
                pending.switches += 1;
                self.send(pending);
            }
            pending.stderr_first = stream == Stream::Stdout;
        }
        pending.written += bytes.len() as u64;
        self.memory.output_held(bytes.len() as u64);
        let mine = match stream {
            Stream::Stdout => &mut pending.stdout,
            Stream::Stderr => &mut pending.stderr,
        };
        mine.extend_from_slice(bytes);
        if mine.len() >= PIECE {
            self.send(pending);
        }
    }

    fn send(&self, pending: &mut Pending) {
        let (stdout, stderr) = (mem::take(&mut pending.stdout), mem::take(&mut pending.stderr));
        let (stdout, stderr) = ((Stream::Stdout, stdout), (Stream::Stderr, stderr));
        for (stream, mut bytes) in if pending.stderr_first { [stderr, stdout] } else { [stdout, stderr] } {
            if !bytes.is_empty() {
                bytes.shrink_to_fit();
                self.memory.output_held(PIECE_COST);
                let bytes = Bytes::from_owner(Piece { bytes, memory: Arc::clone(&self.memory) });
                self.listener.hear(Event::Output { task: self.task, stream, bytes });
            }
        }
    }

    /// Whether nothing that is written from now on is kept.
    fn is_cut_off(&self) -> bool {
        self.overrun == OutputOverrun::Truncate && self.pending.lock().written >= self.limit
    }

    /// Bytes that may be written in one call.
    fn room(&self) -> usize {
        if self.is_cut_off() {
            return WRITE_MAX;
        }
        usize::try_from(self.memory.output_room()).map_or(WRITE_MAX, |room| room.min(WRITE_MAX))
    }

    /// Waits until some of what was written is taken, unless there is room.
    fn poll_room(&self, context: &Context<'_>) -> Poll<usize> {
        if self.is_cut_off() {
            return Poll::Ready(WRITE_MAX);
        }
        let room = self.memory.poll_output_room(context);
        room.map(|room| usize::try_from(room).map_or(WRITE_MAX, |room| room.min(WRITE_MAX)))
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

    async fn blocking_write_and_flush(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        while !bytes.is_empty() {
            let room = poll_fn(|context| self.output.poll_room(context)).await;
            self.write(bytes.split_to(bytes.len().min(room)))?;
        }
        Ok(())
    }

    /// The host decides when to send on; a guest that flushes every line would cost it an event a line.
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(self.output.room())
    }
}

#[async_trait]
impl Pollable for Pipe {
    async fn ready(&mut self) {
        poll_fn(|context| self.output.poll_room(context)).await;
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.output.poll_room(context).map(|room| {
            let fitting = &bytes[..bytes.len().min(room)];
            self.output.write(self.stream, fitting).map(|()| fitting.len()).map_err(io::Error::other)
        })
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
