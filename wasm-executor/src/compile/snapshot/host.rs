//! The surroundings of a run that a snapshot is taken of or tried in: a few files in memory, and nothing of any task.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use wasmtime::{Caller, Linker, Module, Val};

/// Where modules of WASI 0.1 find their imports.
pub(super) const WASI: &str = "wasi_snapshot_preview1";

/// Any time does, as long as it is the same in all runs.
const NOW: u64 = 1_700_000_000_000_000_000;

/// The number of the first folder that a guest is given.
pub(super) const FIRST_FOLDER: u32 = 3;

/// Kinds of files, as WASI numbers them.
const FOLDER: u8 = 3;
const FILE: u8 = 4;

/// Errors, as WASI numbers them.
const DONE: i32 = 0;
const BADF: i32 = 8;
const INVAL: i32 = 28;
const NOENT: i32 = 44;
const NOSYS: i32 = 52;
const SPIPE: i32 = 70;

/// Why a run ended before its function returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stop {
    /// It said so itself.
    #[error("exited with {0}")]
    Exited(i32),
    /// It came to where the snapshot is taken.
    #[error("is ready")]
    Ready,
    /// It named memory that it does not have.
    #[error("reached out of its memory")]
    OutOfMemory,
}

/// A folder that the guest is given, and the files in it.
pub(super) type Folder = (&'static str, &'static [(&'static str, &'static str)]);

/// What a guest is given.
pub(super) struct Given {
    pub(super) args: &'static [&'static str],
    pub(super) env: &'static [&'static str],
    pub(super) folders: &'static [Folder],
    /// The link that is read where the run is to stop.
    pub(super) stops_at: Option<&'static str>,
}

/// What a guest is given, and what it has done with it.
pub(super) struct Host {
    given: Given,
    /// What was written to standard output and standard error.
    pub(super) output: Vec<u8>,
    /// Where random bytes were put, and how many.
    pub(super) drawn: Vec<(u32, u32)>,
    open: BTreeMap<u32, Open>,
}

#[derive(Clone, Copy)]
enum Open {
    Folder(Folder),
    File { text: &'static str, at: usize },
}

/// A linker with everything that the module imports.
///
/// # Errors
/// When wasmtime refuses an import.
pub(super) fn linker(module: &Module) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(module.engine());
    linker.allow_shadowing(true);
    for import in module.imports() {
        let Some(of_type) = import.ty().func().cloned() else { continue };
        let name = import.name().to_owned();
        linker.func_new(import.module(), import.name(), of_type, move |mut caller, params, results| {
            let answer = called(&mut caller, &name, params)?;
            if let Some(result) = results.first_mut() {
                *result = Val::I32(answer);
            }
            Ok(())
        })?;
    }
    Ok(linker)
}

fn called(caller: &mut Caller<'_, Host>, name: &str, params: &[Val]) -> Result<i32, Stop> {
    let memory = caller.get_export("memory").and_then(wasmtime::Extern::into_memory).ok_or(Stop::OutOfMemory)?;
    let (memory, host) = memory.data_and_store_mut(caller);
    let params: Vec<u64> = params
        .iter()
        .map(|param| match param {
            Val::I32(number) => u64::from(number.cast_unsigned()),
            Val::I64(number) => number.cast_unsigned(),
            _ => 0,
        })
        .collect();
    host.call(name, &params, &mut Guest(memory))
}

/// A guest's memory.
struct Guest<'a>(&'a mut [u8]);

impl Guest<'_> {
    fn slice(&mut self, at: u32, len: usize) -> Result<&mut [u8], Stop> {
        let at = at as usize;
        self.0.get_mut(at..at.saturating_add(len)).ok_or(Stop::OutOfMemory)
    }

    fn put(&mut self, at: u32, bytes: &[u8]) -> Result<i32, Stop> {
        self.slice(at, bytes.len())?.copy_from_slice(bytes);
        Ok(DONE)
    }

    fn number(&mut self, at: u32) -> Result<u32, Stop> {
        let bytes = self.slice(at, 4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn text(&mut self, at: u32, len: u32) -> Result<String, Stop> {
        Ok(String::from_utf8_lossy(self.slice(at, len as usize)?).into_owned())
    }

    /// Words with a zero behind each, and where each begins.
    fn words(&mut self, words: &[&str], mut pointers: u32, mut at: u32) -> Result<i32, Stop> {
        for word in words {
            self.put(pointers, &at.to_le_bytes())?;
            self.put(at, word.as_bytes())?;
            self.put(at.saturating_add(size(word)), &[0])?;
            pointers = pointers.saturating_add(4);
            at = at.saturating_add(size(word) + 1);
        }
        Ok(DONE)
    }

    fn sizes(&mut self, words: &[&str], count: u32, bytes: u32) -> Result<i32, Stop> {
        self.put(count, &u32::try_from(words.len()).unwrap_or(u32::MAX).to_le_bytes())?;
        self.put(bytes, &words.iter().map(|word| size(word) + 1).sum::<u32>().to_le_bytes())
    }

    /// What is known of a file.
    fn stat(&mut self, at: u32, kind: u8, size: usize) -> Result<i32, Stop> {
        let mut stat = [0; 64];
        stat[16] = kind;
        stat[32..40].copy_from_slice(&(size as u64).to_le_bytes());
        self.put(at, &stat)
    }
}

fn size(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

impl Host {
    pub(super) fn new(given: Given) -> Self {
        Self { given, output: Vec::new(), drawn: Vec::new(), open: BTreeMap::new() }
    }

    fn call(&mut self, name: &str, params: &[u64], guest: &mut Guest<'_>) -> Result<i32, Stop> {
        let wide = |index: usize| params.get(index).copied().unwrap_or(0);
        #[expect(clippy::cast_possible_truncation, reason = "these parameters have 32 bits")]
        let param = |index: usize| wide(index) as u32;
        let fd = param(0);
        match name {
            "args_sizes_get" => guest.sizes(self.given.args, param(0), param(1)),
            "args_get" => guest.words(self.given.args, param(0), param(1)),
            "environ_sizes_get" => guest.sizes(self.given.env, param(0), param(1)),
            "environ_get" => guest.words(self.given.env, param(0), param(1)),
            "clock_res_get" => guest.put(param(1), &1_u64.to_le_bytes()),
            "clock_time_get" => guest.put(param(2), &NOW.to_le_bytes()),
            "random_get" => self.random(guest, param(0), param(1)),
            "proc_exit" => Err(Stop::Exited(param(0).cast_signed())),
            "sched_yield" => Ok(DONE),
            "fd_prestat_get" => match self.folder(fd) {
                Some((path, _)) => {
                    guest.put(param(1), &[0; 4])?;
                    guest.put(param(1).saturating_add(4), &size(path).to_le_bytes())
                }
                None => Ok(BADF),
            },
            "fd_prestat_dir_name" => match self.folder(fd) {
                Some((path, _)) => guest.put(param(1), &path.as_bytes()[..path.len().min(param(2) as usize)]),
                None => Ok(BADF),
            },
            "fd_fdstat_get" => match self.kind(fd) {
                Some((kind, _)) => {
                    let mut stat = [0xff; 24];
                    stat[..8].copy_from_slice(&[kind, 0, 0, 0, 0, 0, 0, 0]);
                    guest.put(param(1), &stat)
                }
                None => Ok(BADF),
            },
            "fd_filestat_get" => match self.kind(fd) {
                Some((kind, size)) => guest.stat(param(1), kind, size),
                None => Ok(BADF),
            },
            "fd_read" => self.read(guest, fd, param(1), param(2), param(3)),
            "fd_write" => self.write(guest, param(1), param(2), param(3)),
            "fd_seek" => self.seek(guest, fd, wide(1).cast_signed(), param(2), param(3)),
            "fd_tell" => self.seek(guest, fd, 0, 1, param(1)),
            "fd_readdir" => self.read_folder(guest, fd, (param(1), param(2)), wide(3), param(4)),
            "fd_close" => Ok(self.open.remove(&fd).map_or(BADF, |_| DONE)),
            "path_filestat_get" => {
                let path = guest.text(param(2), param(3))?;
                match self.find(fd, &path) {
                    Some(Open::Folder(_)) => guest.stat(param(4), FOLDER, 0),
                    Some(Open::File { text, .. }) => guest.stat(param(4), FILE, text.len()),
                    None => Ok(NOENT),
                }
            }
            "path_open" => {
                let path = guest.text(param(2), param(3))?;
                let Some(found) = self.find(fd, &path) else { return Ok(NOENT) };
                let first = FIRST_FOLDER + u32::try_from(self.given.folders.len()).unwrap_or(u32::MAX);
                let number = self.open.last_key_value().map_or(first, |(last, _)| last + 1);
                self.open.insert(number, found);
                guest.put(param(8), &number.to_le_bytes())
            }
            "path_readlink" => match self.given.stops_at {
                Some(path) if guest.text(param(1), param(2))? == path => Err(Stop::Ready),
                _ => Ok(INVAL),
            },
            _ => Ok(NOSYS),
        }
    }

    fn folder(&self, fd: u32) -> Option<Folder> {
        self.given.folders.get(fd.checked_sub(FIRST_FOLDER)? as usize).copied()
    }

    fn opened(&self, fd: u32) -> Option<Open> {
        self.folder(fd).map(Open::Folder).or_else(|| self.open.get(&fd).copied())
    }

    /// Kind and size.
    fn kind(&self, fd: u32) -> Option<(u8, usize)> {
        if fd < FIRST_FOLDER {
            return Some((0, 0));
        }
        Some(match self.opened(fd)? {
            Open::Folder(_) => (FOLDER, 0),
            Open::File { text, .. } => (FILE, text.len()),
        })
    }

    fn find(&self, fd: u32, path: &str) -> Option<Open> {
        let Open::Folder(folder) = self.opened(fd)? else { return None };
        if path == "." || path.is_empty() {
            return Some(Open::Folder(folder));
        }
        let (_, text) = folder.1.iter().find(|(name, _)| *name == path)?;
        Some(Open::File { text, at: 0 })
    }

    fn random(&mut self, guest: &mut Guest<'_>, at: u32, len: u32) -> Result<i32, Stop> {
        self.drawn.push((at, len));
        for piece in guest.slice(at, len as usize)?.chunks_mut(8) {
            // Keys that the system has drawn for this process.
            let drawn = RandomState::new().build_hasher().finish().to_le_bytes();
            piece.copy_from_slice(&drawn[..piece.len()]);
        }
        Ok(DONE)
    }

    fn read(&mut self, guest: &mut Guest<'_>, fd: u32, buffers: u32, count: u32, done: u32) -> Result<i32, Stop> {
        let mut read = 0;
        if let Some(Open::File { text, at }) = self.open.get_mut(&fd) {
            for number in 0..count.min(1024) {
                let buffer = buffers.saturating_add(8 * number);
                let (to, len) = (guest.number(buffer)?, guest.number(buffer.saturating_add(4))?);
                let left = text.as_bytes().get(*at..).unwrap_or_default();
                let piece = &left[..left.len().min(len as usize)];
                guest.put(to, piece)?;
                *at += piece.len();
                read += piece.len();
            }
        } else if fd != 0 {
            return Ok(BADF);
        }
        guest.put(done, &u32::try_from(read).unwrap_or(u32::MAX).to_le_bytes())
    }

    fn write(&mut self, guest: &mut Guest<'_>, buffers: u32, count: u32, done: u32) -> Result<i32, Stop> {
        let before = self.output.len();
        for number in 0..count.min(1024) {
            let buffer = buffers.saturating_add(8 * number);
            let (from, len) = (guest.number(buffer)?, guest.number(buffer.saturating_add(4))?);
            self.output.extend_from_slice(guest.slice(from, len as usize)?);
        }
        guest.put(done, &u32::try_from(self.output.len() - before).unwrap_or(u32::MAX).to_le_bytes())
    }

    fn seek(&mut self, guest: &mut Guest<'_>, fd: u32, by: i64, whence: u32, to: u32) -> Result<i32, Stop> {
        let Some(Open::File { text, at }) = self.open.get_mut(&fd) else { return Ok(SPIPE) };
        let from = match whence {
            0 => 0,
            1 => *at,
            _ => text.len(),
        };
        let reached = i64::try_from(from).ok().and_then(|from| from.checked_add(by));
        let Some(reached) = reached.and_then(|reached| usize::try_from(reached).ok()) else { return Ok(INVAL) };
        *at = reached;
        guest.put(to, &(reached as u64).to_le_bytes())
    }

    fn read_folder(
        &self,
        guest: &mut Guest<'_>,
        fd: u32,
        (buffer, len): (u32, u32),
        from: u64,
        done: u32,
    ) -> Result<i32, Stop> {
        let Some(Open::Folder((_, files))) = self.opened(fd) else { return Ok(BADF) };
        let mut entries = Vec::new();
        for (number, (name, _)) in (1_u64..).zip(files).skip(usize::try_from(from).unwrap_or(usize::MAX)) {
            entries.extend_from_slice(&number.to_le_bytes());
            entries.extend_from_slice(&0_u64.to_le_bytes());
            entries.extend_from_slice(&size(name).to_le_bytes());
            entries.extend_from_slice(&u32::from(FILE).to_le_bytes());
            entries.extend_from_slice(name.as_bytes());
        }
        entries.truncate(len as usize);
        guest.put(buffer, &entries)?;
        guest.put(done, &u32::try_from(entries.len()).unwrap_or(u32::MAX).to_le_bytes())
    }
}
