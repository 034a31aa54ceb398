//! Which descriptors of a core module lie in its scratch folder, and what is open there.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use wasmtime_wasi::p1::types::{Error, Fd, Filestat, Filetype, Size};

use super::disk::{Disk, FileId, Held};

/// A guest's descriptors below its scratch folder; those of inputs can write nothing and are not followed.
pub(super) struct Scratch {
    disk: Arc<Disk>,
    open: HashMap<u32, Open>,
}

enum Open {
    Folder,
    File { held: Held, append: bool },
}

impl Scratch {
    /// With the scratch folder itself in these descriptors.
    pub(super) fn new(disk: Arc<Disk>, folders: Range<u32>) -> Self {
        Self { disk, open: folders.map(|fd| (fd, Open::Folder)).collect() }
    }

    /// The ledger, if this is a folder in scratch.
    pub(super) fn folder(&self, folder: Fd) -> Option<Arc<Disk>> {
        matches!(self.open.get(&folder.into())?, Open::Folder).then(|| Arc::clone(&self.disk))
    }

    /// The ledger, if this is a file in scratch; also whether writes go to its end.
    pub(super) fn file(&self, file: Fd) -> Option<(Arc<Disk>, FileId, bool)> {
        match self.open.get(&file.into())? {
            Open::File { held, append } => Some((Arc::clone(&self.disk), held.file, *append)),
            Open::Folder => None,
        }
    }

    pub(super) fn opened(&mut self, fd: Fd, stat: &Filestat, append: bool) {
        let open = if stat.filetype == Filetype::Directory {
            Open::Folder
        } else {
            Open::File { held: self.disk.hold(stat.ino, stat.size), append }
        };
        self.open.insert(fd.into(), open);
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
        if let Some(Open::File { append, .. }) = self.open.get_mut(&fd.into()) {
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
