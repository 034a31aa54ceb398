//! Named pipes, whose names are in files.
//!
//! All users share one space of names for pipes. So a name is drawn that nobody can guess, and is written to a file in a
//! folder of this user's; and the pipe lets in nobody but this user, from this machine.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use windows_sys::Win32::Foundation::{
    ERROR_BROKEN_PIPE, ERROR_IO_PENDING, ERROR_NO_DATA, ERROR_OPERATION_ABORTED, ERROR_PIPE_CONNECTED,
    ERROR_PIPE_NOT_CONNECTED, HANDLE, INVALID_HANDLE_VALUE, WAIT_TIMEOUT,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, PIPE_ACCESS_DUPLEX, ReadFile, SECURITY_IDENTIFICATION,
    WriteFile,
};
use windows_sys::Win32::System::IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED};
use windows_sys::Win32::System::Pipes::{
    ConnectNamedPipe, CreateNamedPipeW, PIPE_READMODE_BYTE, PIPE_REJECT_REMOTE_CLIENTS, PIPE_TYPE_BYTE,
    PIPE_UNLIMITED_INSTANCES, PIPE_WAIT,
};
use windows_sys::Win32::System::Threading::{CreateEventW, INFINITE, WaitForSingleObject};

use crate::windows::Descriptor;

/// What the names of our pipes begin with.
const PREFIX: &str = r"\\.\pipe\haggle-";

/// Bytes that wait in a pipe for their reader, in each direction.
const BUFFER: u32 = 64 << 10;

/// Clones share it; it is closed with the last one.
#[derive(Clone, Debug)]
pub struct Socket(Arc<End>);

#[derive(Debug)]
struct End {
    pipe: OwnedHandle,
    /// Reads and writes go on at the same time. One that is called back needs to be known from the other, so each has an
    /// event of its own.
    reads: Mutex<OwnedHandle>,
    writes: Mutex<OwnedHandle>,
    /// Milliseconds that a read may wait.
    patience: AtomicU32,
}

/// Whom others connect to.
#[derive(Debug)]
pub(in crate::process) struct Listener {
    name: Vec<u16>,
    owner: Descriptor,
    /// Who connects finds one that waits, also while nobody accepts.
    next: Mutex<Option<OwnedHandle>>,
}

impl Listener {
    /// Listens at a pipe whose name is then in this file.
    pub(in crate::process) fn bind(path: &Path) -> io::Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!("{PREFIX}{:032x}", u128::from_ne_bytes(random));
        let wide = name.encode_utf16().chain([0]).collect();
        let listener = Self { name: wide, owner: Descriptor::own_and_of_low_integrity()?, next: Mutex::new(None) };
        *listener.next.lock() = Some(listener.instance(FILE_FLAG_FIRST_PIPE_INSTANCE)?);
        fs::write(path, name)?;
        Ok(listener)
    }

    /// Waits for somebody to connect.
    pub(in crate::process) fn accept(&self) -> io::Result<Socket> {
        let mut next = self.next.lock();
        let pipe = next.take().map_or_else(|| self.instance(0), Ok)?;
        let connected = complete(&pipe, &event()?, INFINITE, |pipe, operation| {
            #[expect(unsafe_code, reason = "a call of the system")]
            // SAFETY: `complete` gives a pipe that is open and an operation that lives until it is over.
            unsafe {
                ConnectNamedPipe(pipe, operation)
            }
        });
        match connected {
            // It came before it was waited for, or came and has gone: then the first read finds the end.
            Err(error) if is(&error, ERROR_PIPE_CONNECTED) || is(&error, ERROR_NO_DATA) => {}
            connected => _ = connected?,
        }
        *next = self.instance(0).inspect_err(|error| tracing::warn!(%error, "there is no further pipe yet")).ok();
        Socket::new(pipe)
    }

    fn instance(&self, flags: u32) -> io::Result<OwnedHandle> {
        let attributes = self.owner.attributes();
        #[expect(unsafe_code, reason = "a call of the system")]
        // SAFETY: the name ends with a zero, and the attributes live until the call returns.
        let pipe = unsafe {
            CreateNamedPipeW(
                self.name.as_ptr(),
                PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | flags,
                PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
                PIPE_UNLIMITED_INSTANCES,
                BUFFER,
                BUFFER,
                0,
                &raw const attributes,
            )
        };
        owned(pipe)
    }
}

/// Connects to who listens at the pipe whose name is in this file.
pub(in crate::process) fn connect(path: &Path) -> io::Result<Socket> {
    let name = fs::read_to_string(path)?;
    if !name.starts_with(PREFIX) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} names no pipe", path.display())));
    }
    // Whoever listens learns who connects, and cannot act in its name.
    let pipe = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(FILE_FLAG_OVERLAPPED)
        .security_qos_flags(SECURITY_IDENTIFICATION)
        .open(name)?;
    Socket::new(pipe.into())
}

impl Socket {
    fn new(pipe: OwnedHandle) -> io::Result<Self> {
        let (reads, writes) = (Mutex::new(event()?), Mutex::new(event()?));
        Ok(Self(Arc::new(End { pipe, reads, writes, patience: AtomicU32::new(INFINITE) })))
    }

    /// A pipe does not tell how much of a write there was room for before it was called back: what is written is left to
    /// who can wait.
    #[expect(clippy::unnecessary_wraps, reason = "it can fail on other systems")]
    pub(in crate::process) fn try_write(&self, _: &[u8]) -> io::Result<usize> {
        Ok(0)
    }

    /// How long a read may wait; `None` is for ever.
    #[expect(clippy::unnecessary_wraps, reason = "it can fail on other systems")]
    pub(in crate::process) fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        let limited =
            |patience: Duration| u32::try_from(patience.as_millis()).unwrap_or(u32::MAX).clamp(1, INFINITE - 1);
        self.0.patience.store(patience.map_or(INFINITE, limited), Ordering::Relaxed);
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let event = self.0.reads.lock();
        let patience = self.0.patience.load(Ordering::Relaxed);
        let read = complete(&self.0.pipe, &event, patience, |pipe, operation| {
            let length = u32::try_from(into.len()).unwrap_or(u32::MAX);
            #[expect(unsafe_code, reason = "a call of the system")]
            // SAFETY: `complete` gives a pipe that is open and an operation that lives until it is over, as the buffer does.
            unsafe {
                ReadFile(pipe, into.as_mut_ptr(), length, ptr::null_mut(), operation)
            }
        });
        match read {
            Err(error)
                if [ERROR_BROKEN_PIPE, ERROR_PIPE_NOT_CONNECTED, ERROR_NO_DATA].iter().any(|&it| is(&error, it)) =>
            {
                Ok(0)
            }
            read => read,
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let event = self.0.writes.lock();
        complete(&self.0.pipe, &event, INFINITE, |pipe, operation| {
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            #[expect(unsafe_code, reason = "a call of the system")]
            // SAFETY: `complete` gives a pipe that is open and an operation that lives until it is over, as the bytes do.
            unsafe {
                WriteFile(pipe, bytes.as_ptr(), length, ptr::null_mut(), operation)
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a pipe for a task: whoever else is on its thread does not wait. A thread of its own does, for a pipe does not tell when
/// there is something to read.
#[derive(Debug)]
pub struct Reader {
    pieces: mpsc::Receiver<io::Result<Vec<u8>>>,
    /// Of the last piece.
    rest: Vec<u8>,
}

/// Pieces that wait to be taken: with more, the other side has to wait.
const PIECES: usize = 4;

impl Reader {
    /// # Errors
    /// When there is no thread to be had.
    pub(in crate::process) fn new(mut socket: Socket) -> io::Result<Self> {
        let (sender, pieces) = mpsc::channel(PIECES);
        let read = move || {
            loop {
                let mut piece = vec![0; BUFFER as usize];
                let read = socket.read(&mut piece).map(|read| {
                    piece.truncate(read);
                    piece
                });
                let is_last = read.as_ref().map_or(true, Vec::is_empty);
                if sender.blocking_send(read).is_err() || is_last {
                    return;
                }
            }
        };
        thread::Builder::new().name("haggle-reader".to_owned()).spawn(read)?;
        Ok(Self { pieces, rest: Vec::new() })
    }

    /// Waits for something to read. Nothing is read where the other side has hung up. May be dropped: nothing is lost.
    pub(in crate::process) async fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            // The thread ends behind what it found last.
            let Some(piece) = self.pieces.recv().await else { return Ok(0) };
            self.rest = piece?;
        }
        let read = self.rest.len().min(into.len());
        into[..read].copy_from_slice(&self.rest[..read]);
        self.rest.drain(..read);
        Ok(read)
    }
}

/// Starts an operation and waits for its end; one that takes longer than so many milliseconds is called back. Says how many
/// bytes it moved.
///
/// Whatever happens, the operation is over when this returns: the system holds none of the caller's memory any more.
fn complete(
    pipe: &OwnedHandle,
    event: &OwnedHandle,
    patience: u32,
    start: impl FnOnce(HANDLE, *mut OVERLAPPED) -> i32,
) -> io::Result<usize> {
    let pipe = pipe.as_raw_handle();
    let mut operation = OVERLAPPED { hEvent: event.as_raw_handle(), ..OVERLAPPED::default() };
    if start(pipe, &raw mut operation) == 0 {
        let error = io::Error::last_os_error();
        if !is(&error, ERROR_IO_PENDING) {
            return Err(error);
        }
    }
    let mut moved = 0;
    #[expect(unsafe_code, reason = "calls of the system")]
    // SAFETY: both handles are open, and `operation` was started on this pipe and stays where it is until it is over.
    let (in_time, done) = unsafe {
        let in_time = WaitForSingleObject(operation.hEvent, patience) != WAIT_TIMEOUT;
        if !in_time {
            // It may be over already, which the next call tells.
            CancelIoEx(pipe, &raw const operation);
        }
        (in_time, GetOverlappedResult(pipe, &raw const operation, &raw mut moved, 1) != 0)
    };
    if done {
        return Ok(moved as usize);
    }
    let error = io::Error::last_os_error();
    Err(if !in_time && is(&error, ERROR_OPERATION_ABORTED) { io::ErrorKind::TimedOut.into() } else { error })
}

fn event() -> io::Result<OwnedHandle> {
    #[expect(unsafe_code, reason = "a call of the system")]
    // SAFETY: no pointer is given.
    let event = unsafe { CreateEventW(ptr::null(), 1, 0, ptr::null()) };
    owned(event)
}

fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() || handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    #[expect(unsafe_code, reason = "takes over a handle")]
    // SAFETY: it was just made, and nobody else has it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

fn is(error: &io::Error, code: u32) -> bool {
    error.raw_os_error().map(i32::cast_unsigned) == Some(code)
}
