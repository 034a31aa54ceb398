//! The descriptors of a core module that are open files of the host, and which of them lie in its scratch folder.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use wasmtime_wasi::p1::types::{Error, Fd, Filestat, Filetype, Size};

use super::disk::{Disk, FileId, Held};
use super::files::Slot;

/// A guest's open files and folders, but for the folders to read that it was given.
pub(super) struct Descriptors {
    disk: Option<Arc<Disk>>,
    open: HashMap<u32, Open>,
}

struct Open {
    what: What,
    /// A folder that the guest was given has none.
    _slot: Option<Slot>,
}

enum What {
    /// Nothing can be written there.
    Elsewhere,
    ScratchFolder,
    ScratchFile {
        held: Held,
        append: bool,
    },
}

impl Descriptors {
    /// With the scratch folder itself in these descriptors.
    pub(super) fn new(disk: Option<Arc<Disk>>, folders: Range<u32>) -> Self {
        Self { disk, open: folders.map(|fd| (fd, Open { what: What::ScratchFolder, _slot: None })).collect() }
    }

    /// The ledger, if this is a folder in scratch.
    pub(super) fn folder(&self, folder: Fd) -> Option<Arc<Disk>> {
        match self.open.get(&folder.into())?.what {
            What::ScratchFolder => self.disk.clone(),
            _ => None,
        }
    }

    /// The ledger, if this is a file in scratch; also whether writes go to its end.
    pub(super) fn file(&self, file: Fd) -> Option<(Arc<Disk>, FileId, bool)> {
        match &self.open.get(&file.into())?.what {
            What::ScratchFile { held, append } => Some((self.disk.clone()?, held.file, *append)),
            _ => None,
        }
    }

    /// Opened below a folder to read.
    pub(super) fn opened_elsewhere(&mut self, fd: Fd, slot: Slot) {
        self.open.insert(fd.into(), Open { what: What::Elsewhere, _slot: Some(slot) });
    }

    /// Opened below a scratch folder with this ledger.
    pub(super) fn opened(&mut self, fd: Fd, slot: Slot, disk: &Arc<Disk>, stat: &Filestat, append: bool) {
        let what = if stat.filetype == Filetype::Directory {
            What::ScratchFolder
        } else {
            What::ScratchFile { held: disk.hold(stat.ino, stat.size), append }
        };
        self.open.insert(fd.into(), Open { what, _slot: Some(slot) });
    }

    pub(super) fn closed(&mut self, fd: Fd) {
        self.open.remove(&fd.into());
    }

    pub(super) fn renumbered(&mut self, from: Fd, to: Fd) {
        if u32::from(from) == u32::from(to) {
            return;
        }
        let moved = self.open.remove(&from.into());
        self.open.remove(&to.into());
        self.open.extend(moved.map(|moved| (to.into(), moved)));
    }

    /// Whether writes go to the end of the file from now on.
    pub(super) fn appends(&mut self, fd: Fd, to_the_end: bool) {
        if let Some(Open { what: What::ScratchFile { append, .. }, .. }) = self.open.get_mut(&fd.into()) {
            *append = to_the_end;
        }
    }
}

/// A write that began at this length of a file in scratch is over.
pub(super) fn count_written(written: &Result<Size, Error>, counted: Option<(u64, Arc<Disk>, FileId)>) {
    if let (Ok(written @ 1..), Some((start, disk, file))) = (written, counted) {
        disk.reached(file, start.saturating_add((*written).into()));
    }
}
