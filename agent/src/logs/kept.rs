//! What is kept of one output of one task: its head in a file, its tail in memory.

use std::fs::{self, OpenOptions};
use std::io::{self, SeekFrom, Write};
use std::path::PathBuf;

use bytes::Bytes;
use haggle_proto::LOG_CHUNK;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::Piece;

/// Bytes of one output that stay in memory. Most tasks say less; who says more pays one write each time.
const MEMORY_MAX: usize = 16 << 10;

/// One output. The file holds bytes from `start`, memory those after them.
///
/// The file is opened for each write and each read: thousands of tasks may be kept, and descriptors are few.
#[derive(Debug)]
pub(super) struct Kept {
    /// Of the file, less the offset at its end. Each file has a name of its own, so that a reader who is late never
    /// takes one for another, and an agent that comes back knows what it holds.
    name: PathBuf,
    /// Offset of the oldest byte that is kept.
    start: u64,
    in_file: u64,
    in_memory: Vec<u8>,
}

/// Where a piece is to be had.
pub(super) enum Place {
    Memory(Piece),
    File(FilePlace),
}

/// A piece that is in a file.
pub(super) struct FilePlace {
    path: PathBuf,
    offset: u64,
    /// In the file.
    position: u64,
    len: usize,
    end: bool,
}

impl Kept {
    pub(super) fn new(name: PathBuf) -> Self {
        Self { name, start: 0, in_file: 0, in_memory: Vec::new() }
    }

    /// Goes on with a file that an earlier agent has left.
    pub(super) fn resume(&mut self, start: u64, len: u64) {
        self.start = start;
        self.in_file = len;
    }

    /// How long the output is by now, kept or not.
    pub(super) fn len(&self) -> u64 {
        self.start + self.bytes()
    }

    /// Everything before this offset is in the file, or given up.
    pub(super) fn stored(&self) -> u64 {
        self.start + self.in_file
    }

    pub(super) fn bytes(&self) -> u64 {
        self.in_file + self.memory()
    }

    pub(super) fn memory(&self) -> u64 {
        self.in_memory.len() as u64
    }

    /// Adds what lies from this offset on and is not kept yet. With `crowded` memory, all of it goes to the file.
    ///
    /// # Errors
    /// When the file takes no more. What was kept so far is then given up, so that nothing wrong is ever read.
    pub(super) fn append(&mut self, offset: u64, bytes: &[u8], crowded: bool) -> io::Result<()> {
        if offset > self.len() {
            // An earlier agent had what lies between, and lost it.
            self.discard();
            self.start = offset;
        }
        let known = usize::try_from(self.len() - offset).unwrap_or(usize::MAX).min(bytes.len());
        self.in_memory.extend_from_slice(&bytes[known..]);
        if !crowded && self.in_memory.len() <= MEMORY_MAX {
            return Ok(());
        }
        let file = OpenOptions::new().create(true).append(true).open(self.path());
        match file.and_then(|mut file| file.write_all(&self.in_memory)) {
            Ok(()) => {
                self.in_file += self.memory();
                self.in_memory = Vec::new();
                Ok(())
            }
            Err(error) => {
                // Some of it may be there.
                self.remove_file();
                self.discard();
                Err(error)
            }
        }
    }

    /// Where the bytes after `offset` are. `ended`: no more will come.
    pub(super) fn find(&self, offset: u64, ended: bool) -> Place {
        let len = self.len();
        let offset = offset.clamp(self.start, len);
        let in_file = (self.start + self.in_file).saturating_sub(offset);
        if in_file > 0 {
            let wanted = in_file.min(LOG_CHUNK as u64);
            return Place::File(FilePlace {
                path: self.path(),
                offset,
                position: offset - self.start,
                len: usize::try_from(wanted).expect("a chunk is small"),
                end: ended && offset + wanted == len,
            });
        }
        let skip = usize::try_from(offset - self.start - self.in_file).expect("it is within memory");
        let rest = &self.in_memory[skip..];
        let data = &rest[..rest.len().min(LOG_CHUNK)];
        Place::Memory(Piece { offset, data: Bytes::copy_from_slice(data), end: ended && data.len() == rest.len() })
    }

    /// Gives up everything that is kept; what comes next is kept again.
    pub(super) fn discard(&mut self) {
        if self.in_file > 0 {
            self.remove_file();
        }
        self.start += self.bytes();
        self.in_file = 0;
        self.in_memory = Vec::new();
    }

    fn remove_file(&self) {
        // Where there is none, or it cannot be removed, the folder is cleared at the next start.
        let _ = fs::remove_file(self.path());
    }

    fn path(&self) -> PathBuf {
        self.name.with_added_extension(self.start.to_string())
    }
}

impl FilePlace {
    /// # Errors
    /// When the file cannot be read, or was discarded in the meantime.
    pub(super) async fn read(self) -> io::Result<Piece> {
        let mut file = tokio::fs::File::open(&self.path).await?;
        file.seek(SeekFrom::Start(self.position)).await?;
        let mut data = vec![0; self.len];
        file.read_exact(&mut data).await?;
        Ok(Piece { offset: self.offset, data: data.into(), end: self.end })
    }
}
