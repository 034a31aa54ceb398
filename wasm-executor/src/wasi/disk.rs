//! The ledger of a scratch folder or of a volume: how long each of its files is, and how many there are.
//!
//! A file counts by its length, whether it is sparse or not, and for as long as it has a name or is open; a symbolic
//! link by the length of its text. Each name is an entry, so a hard link is one more, and no more bytes. All that
//! happens to a file happens through its guest: there is no other way into a scratch folder, nor into a volume while it is
//! written.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use haggle_core::{Bytes, Exceeded};
use parking_lot::Mutex;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::filesystem::{Descriptor, File as WasiFile, WasiFilesystemCtx, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::types::HostDescriptor;
use wasmtime_wasi::{FsPerms, OpenMode};

use crate::meters::Meters;

/// Each so many bytes of quota allow one file or folder: what a file costs the host's file system at least.
const BYTES_PER_ENTRY: u64 = 4096;

/// A small quota still allows a few temporary files.
const ENTRIES_MIN: u64 = 64;

/// Beyond this, listing a folder takes the host longer than a slice of CPU time.
const ENTRIES_MAX: u64 = 1 << 14;

/// What identifies a file while it exists.
pub(crate) type FileId = u64;

/// There is no room for that.
#[derive(Debug)]
pub(crate) struct Full;

/// What a scratch folder or a volume had no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskRefusal {
    /// Lengths of files.
    Bytes(Exceeded),
    /// Files and folders.
    Entries(Exceeded),
}

/// See the module's documentation.
pub(crate) struct Disk {
    ledger: Mutex<Ledger>,
    meters: Arc<Meters>,
}

struct Ledger {
    bytes_max: u64,
    entries_max: u64,
    bytes: u64,
    entries: u64,
    files: HashMap<FileId, File>,
    refused: Option<DiskRefusal>,
}

#[derive(Debug)]
struct File {
    size: u64,
    /// Descriptors and streams on it.
    holders: usize,
    names: u64,
}

/// Keeps a file in the ledger while somebody has it open.
pub(crate) struct Held {
    disk: Arc<Disk>,
    pub(crate) file: FileId,
}

impl Disk {
    pub(crate) fn new(quota: Bytes, meters: Arc<Meters>) -> Self {
        let ledger = Ledger {
            bytes_max: quota.get(),
            entries_max: (quota.get() / BYTES_PER_ENTRY).clamp(ENTRIES_MIN, ENTRIES_MAX),
            bytes: 0,
            entries: 0,
            files: HashMap::new(),
            refused: None,
        };
        Self { ledger: Mutex::new(ledger), meters }
    }

    /// Whether something can be renamed or linked from here to there: each counts for itself.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }

    /// The first thing for which there was no room.
    pub(crate) fn refused(&self) -> Option<DiskRefusal> {
        self.ledger.lock().refused
    }

    /// Whether the file may become this long.
    pub(crate) fn may_reach(&self, file: FileId, length: u64) -> Result<(), Full> {
        let mut ledger = self.ledger.lock();
        let more = length.saturating_sub(ledger.size(file));
        ledger.may_grow(more)
    }

    /// Whether there may be so many more bytes.
    pub(super) fn may_grow(&self, more: u64) -> Result<(), Full> {
        self.ledger.lock().may_grow(more)
    }

    /// The file is this long at least.
    pub(crate) fn reached(&self, file: FileId, length: u64) {
        let mut ledger = self.ledger.lock();
        let length = length.max(ledger.size(file));
        ledger.set_size(file, length);
        self.meters.disk_peak(ledger.bytes);
    }

    /// The file is exactly this long.
    pub(super) fn resized(&self, file: FileId, length: u64) {
        let mut ledger = self.ledger.lock();
        ledger.set_size(file, length);
        self.meters.disk_peak(ledger.bytes);
    }

    pub(super) fn size(&self, file: FileId) -> u64 {
        self.ledger.lock().size(file)
    }

    /// Whether there may be one more file or folder.
    pub(super) fn may_add_entry(&self) -> Result<(), Full> {
        let mut ledger = self.ledger.lock();
        let wanted = ledger.entries + 1;
        if wanted > ledger.entries_max {
            let exceeded = Exceeded { limit: ledger.entries_max, used: wanted };
            ledger.refused.get_or_insert(DiskRefusal::Entries(exceeded));
            return Err(Full);
        }
        Ok(())
    }

    /// One more file or folder, if there is room for it.
    pub(crate) fn add_entry(&self) -> Result<(), Full> {
        self.may_add_entry()?;
        self.entry_added();
        Ok(())
    }

    pub(super) fn entry_added(&self) {
        self.ledger.lock().entries += 1;
    }

    pub(super) fn entry_removed(&self) {
        let mut ledger = self.ledger.lock();
        ledger.entries = ledger.entries.saturating_sub(1);
    }

    /// A folder is there from before.
    pub(crate) fn found_folder(&self) {
        self.entry_added();
    }

    /// A file of this length is there from before, under one name more.
    pub(crate) fn found_file(&self, file: FileId, length: u64) {
        let mut ledger = self.ledger.lock();
        ledger.entries += 1;
        ledger.files.entry(file).or_insert(File { size: 0, holders: 0, names: 0 }).names += 1;
        ledger.set_size(file, length);
    }

    /// A symbolic link of this length is there from before. It counts until the ledger is made anew.
    pub(crate) fn found_link(&self, length: u64) {
        let mut ledger = self.ledger.lock();
        ledger.entries += 1;
        ledger.bytes = ledger.bytes.saturating_add(length);
    }

    /// The file has one more name.
    pub(super) fn linked(&self, file: FileId) {
        let mut ledger = self.ledger.lock();
        ledger.entries += 1;
        if let Some(known) = ledger.files.get_mut(&file) {
            known.names += 1;
        }
    }

    /// A symbolic link of this length is there.
    pub(super) fn link_made(&self, link: FileId, length: u64) {
        let mut ledger = self.ledger.lock();
        ledger.entries += 1;
        ledger.files.entry(link).or_insert(File { size: 0, holders: 0, names: 1 });
        ledger.set_size(link, length);
        self.meters.disk_peak(ledger.bytes);
    }

    /// The file has lost a name. Its bytes stay counted while it has others or is open.
    pub(super) fn unlinked(&self, file: FileId) {
        let mut ledger = self.ledger.lock();
        ledger.entries = ledger.entries.saturating_sub(1);
        if let Some(known) = ledger.files.get_mut(&file) {
            known.names = known.names.saturating_sub(1);
            ledger.forget_if_gone(file);
        }
    }

    /// Somebody has the file open; it is this long.
    pub(crate) fn hold(self: &Arc<Self>, file: FileId, length: u64) -> Held {
        let mut ledger = self.ledger.lock();
        ledger.files.entry(file).or_insert(File { size: 0, holders: 0, names: 1 }).holders += 1;
        ledger.set_size(file, length);
        self.meters.disk_peak(ledger.bytes);
        Held { disk: Arc::clone(self), file }
    }
}

impl Held {
    /// For one more descriptor or stream on the same file.
    pub(super) fn again(&self) -> Self {
        self.disk.hold(self.file, self.disk.size(self.file))
    }

    pub(super) fn disk(&self) -> &Arc<Disk> {
        &self.disk
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut ledger = self.disk.ledger.lock();
        if let Some(file) = ledger.files.get_mut(&self.file) {
            file.holders -= 1;
            ledger.forget_if_gone(self.file);
        }
    }
}

impl Ledger {
    fn may_grow(&mut self, more: u64) -> Result<(), Full> {
        let wanted = self.bytes.saturating_add(more);
        if more > 0 && wanted > self.bytes_max {
            let exceeded = Exceeded { limit: self.bytes_max, used: wanted };
            self.refused.get_or_insert(DiskRefusal::Bytes(exceeded));
            return Err(Full);
        }
        Ok(())
    }

    fn size(&self, file: FileId) -> u64 {
        self.files.get(&file).map_or(0, |file| file.size)
    }

    fn set_size(&mut self, file: FileId, size: u64) {
        if let Some(known) = self.files.get_mut(&file) {
            self.bytes = self.bytes - known.size + size;
            known.size = size;
        }
    }

    /// The file system may give its number to the next file.
    fn forget_if_gone(&mut self, file: FileId) {
        if self.files.get(&file).is_some_and(|known| known.names == 0 && known.holders == 0) {
            let gone = self.files.remove(&file);
            self.bytes -= gone.map_or(0, |gone| gone.size);
        }
    }
}

/// The number under which wasmtime knows a file, and shows it to guests.
pub(crate) async fn file_id(file: std::fs::File) -> io::Result<FileId> {
    let mut table = ResourceTable::new();
    let opened = Descriptor::File(WasiFile::new(file, FsPerms::ReadOnly, OpenMode::READ, true));
    let fd = table.push(opened).map_err(io::Error::other)?;
    let mut view = WasiFilesystemCtxView { ctx: &mut WasiFilesystemCtx::default(), table: &mut table };
    let hash = view.metadata_hash(fd).await.map_err(|error| io::Error::other(error.to_string()))?;
    Ok(hash.lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(quota: u64) -> Arc<Disk> {
        Arc::new(Disk::new(Bytes::new(quota), Arc::default()))
    }

    #[test]
    fn a_deleted_file_counts_while_it_is_open() {
        let disk = disk(100);
        let held = disk.hold(1, 80);

        disk.unlinked(1);
        assert!(disk.may_reach(2, 30).is_err());

        drop(held);
        assert!(disk.may_reach(2, 30).is_ok());
    }

    #[test]
    fn a_file_counts_once_and_until_its_last_name_is_gone() {
        let disk = disk(100);
        drop(disk.hold(1, 80));
        disk.linked(1);

        disk.unlinked(1);
        assert!(disk.may_reach(2, 30).is_err());

        disk.unlinked(1);
        assert!(disk.may_reach(2, 30).is_ok());
    }

    #[test]
    fn overwriting_needs_no_room() {
        let disk = disk(100);
        let _held = disk.hold(1, 100);

        assert!(disk.may_reach(1, 100).is_ok());
        assert!(disk.may_reach(1, 101).is_err());
        assert_eq!(disk.refused(), Some(DiskRefusal::Bytes(Exceeded { limit: 100, used: 101 })));
    }

    #[test]
    fn closing_a_file_keeps_its_bytes() {
        let disk = disk(100);

        drop(disk.hold(1, 60));

        assert!(disk.may_reach(2, 41).is_err());
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        let disk = disk(1);
        for _ in 0..ENTRIES_MIN {
            disk.may_add_entry().unwrap();
            disk.entry_added();
        }

        assert!(disk.may_add_entry().is_err());
        disk.entry_removed();
        assert!(disk.may_add_entry().is_ok());
    }
}
