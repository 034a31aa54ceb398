//! Streams over files for components: synchronous, so that their work is charged to the guest, and counted.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::disk::Held;
use super::files::Slot;

/// Bytes that the host holds for one call of a guest.
const CALL_MAX: usize = 64 << 10;

/// Reads a file from a position on.
pub(super) struct FileInput {
    file: Arc<File>,
    position: u64,
    /// For files in scratch: they stay counted while they are read.
    _held: Option<Held>,
    _slot: Option<Arc<Slot>>,
}

impl FileInput {
    pub(super) fn new(file: Arc<File>, position: u64, held: Option<Held>, slot: Option<Arc<Slot>>) -> Self {
        Self { file, position, _held: held, _slot: slot }
    }
}

#[async_trait]
impl InputStream for FileInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        let mut bytes = vec![0; size.min(CALL_MAX)];
        let read = read_at(&self.file, &mut bytes, self.position)
            .map_err(|error| StreamError::LastOperationFailed(error.into()))?;
        if read == 0 {
            return Err(StreamError::Closed);
        }
        bytes.truncate(read);
        self.position += read as u64;
        Ok(bytes.into())
    }
}

#[async_trait]
impl Pollable for FileInput {
    async fn ready(&mut self) {}
}

/// Where the next byte goes.
pub(super) enum Place {
    At(u64),
    End,
}

/// Writes a file in scratch.
pub(super) struct FileOutput {
    file: Arc<File>,
    place: Place,
    held: Held,
    _slot: Option<Arc<Slot>>,
}

impl FileOutput {
    pub(super) fn new(file: Arc<File>, place: Place, held: Held, slot: Option<Arc<Slot>>) -> Self {
        Self { file, place, held, _slot: slot }
    }
}

#[async_trait]
impl OutputStream for FileOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let disk = self.held.disk();
        let start = match self.place {
            Place::At(position) => position,
            Place::End => disk.size(self.held.file),
        };
        let end = start.saturating_add(bytes.len() as u64);
        let written = disk
            .may_reach(self.held.file, end)
            .map_err(|_| no_space())
            .and_then(|()| write_all_at(&self.file, &bytes, start));
        written.map_err(|error| StreamError::LastOperationFailed(error.into()))?;
        disk.reached(self.held.file, end);
        if let Place::At(position) = &mut self.place {
            *position = end;
        }
        Ok(())
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CALL_MAX)
    }
}

#[async_trait]
impl Pollable for FileOutput {
    async fn ready(&mut self) {}
}

/// In which the guest's libc finds its `ENOSPC`: see `filesystem_error_code`.
fn no_space() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, position)
}

#[cfg(windows)]
fn read_at(file: &File, bytes: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, bytes, position)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], position: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, position)
}

#[cfg(windows)]
fn write_at(file: &File, bytes: &[u8], position: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, position)
}

fn write_all_at(file: &File, mut bytes: &[u8], mut position: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match write_at(file, bytes, position) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                position += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
