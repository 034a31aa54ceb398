//! The descriptors of a core module that are open files of the host, and which of them lie in its scratch folder or a volume.

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime_wasi::p1::types::{Error, Fd, Filestat, Filetype, Size};

use super::disk::{Disk, FileId, Held};
use super::files::Slot;

/// A guest's open files and folders, but for the folders to read that it was given.
pub(super) struct Descriptors {
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
    Folder(Arc<Disk>),
    File {
        held: Held,
        append: bool,
    },
}

impl Descriptors {
    /// With folders that may be written in the descriptors from this one on, by their ledgers.
    pub(super) fn new(first: u32, writable: Vec<Arc<Disk>>) -> Self {
        let given = |(fd, disk)| (fd, Open { what: What::Folder(disk), _slot: None });
        Self { open: (first..).zip(writable).map(given).collect() }
    }

    /// The ledger, if this is a folder that may be written.
    pub(super) fn folder(&self, folder: Fd) -> Option<Arc<Disk>> {
        match &self.open.get(&folder.into())?.what {
            What::Folder(disk) => Some(Arc::clone(disk)),
            _ => None,
        }
    }

    /// The ledger, if this is a file that may be written; also whether writes go to its end.
    pub(super) fn file(&self, file: Fd) -> Option<(Arc<Disk>, FileId, bool)> {
        match &self.open.get(&file.into())?.what {
            What::File { held, append } => Some((Arc::clone(held.disk()), held.file, *append)),
            _ => None,
        }
    }

    /// Opened below a folder to read.
    pub(super) fn opened_elsewhere(&mut self, fd: Fd, slot: Slot) {
        self.open.insert(fd.into(), Open { what: What::Elsewhere, _slot: Some(slot) });
    }

    /// Opened below a folder with this ledger.
    pub(super) fn opened(&mut self, fd: Fd, slot: Slot, disk: &Arc<Disk>, stat: &Filestat, append: bool) {
        let what = if stat.filetype == Filetype::Directory {
            What::Folder(Arc::clone(disk))
        } else {
            What::File { held: disk.hold(stat.ino, stat.size), append }
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
        if let Some(Open { what: What::File { append, .. }, .. }) = self.open.get_mut(&fd.into()) {
            *append = to_the_end;
        }
    }
}

/// A write that began at this length of a file with a ledger is over.
pub(super) fn count_written(written: &Result<Size, Error>, counted: Option<(u64, Arc<Disk>, FileId)>) {
    if let (Ok(written @ 1..), Some((start, disk, file))) = (written, counted) {
        disk.reached(file, start.saturating_add((*written).into()));
    }
}
