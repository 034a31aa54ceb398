//! WASI 0.2 with a ledger around its scratch folder and each of its volumes: wasmtime's own, but for what writes, links or would block.

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, DescriptorType, ErrorCode, Host, HostDescriptor, HostDirectoryEntryStream, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};
use wasmtime_wasi::{FsPerms, ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::disk::{Disk, FileId, Full, Held};
use super::files::{GuestFiles, Slot, TooManyOpen};
use super::listing;
use super::streams::{FileInput, FileOutput, Place};
use super::{Preview2State, bounded, net};
use crate::memory::Memory;
use crate::names;

pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Preview2State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    linker.allow_shadowing(true);
    types::add_to_linker::<Preview2State, CountedFiles>(&mut linker, counted)?;
    preopens::add_to_linker::<Preview2State, CountedFiles>(&mut linker, counted)?;
    linker.allow_shadowing(false);
    net::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// The context of one guest.
pub(crate) struct Preview2 {
    ctx: WasiCtx,
    table: ResourceTable,
    descriptors: Descriptors,
}

/// A guest's open files and folders, by the number of their descriptor.
struct Descriptors {
    /// Of the folders that it was given, the first may be written, and have these ledgers.
    given: Vec<Arc<Disk>>,
    files: Arc<GuestFiles>,
    /// What it has opened.
    open: HashMap<u32, Open>,
    /// The ledgers of open folders that may be written, those among them that it was given.
    folders: HashMap<u32, Arc<Disk>>,
    /// Lists of folders that the guest reads, by their number, and the bytes that they take.
    lists: HashMap<u32, u64>,
}

struct Open {
    /// Shared with the streams on it, which keep it open.
    slot: Arc<Slot>,
    /// Of a file that may be written.
    held: Option<Held>,
}

impl Preview2 {
    /// The first of the builder's preopened folders may be written, and have these ledgers.
    pub(crate) fn new(mut builder: WasiCtxBuilder, given: Vec<Arc<Disk>>, files: Arc<GuestFiles>) -> Self {
        let mut table = ResourceTable::new();
        bounded(&mut table);
        Self {
            ctx: builder.build(),
            table,
            descriptors: Descriptors {
                given,
                files,
                open: HashMap::new(),
                folders: HashMap::new(),
                lists: HashMap::new(),
            },
        }
    }

    pub(super) fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

impl WasiView for Preview2State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi.ctx, table: &mut self.wasi.table }
    }
}

struct CountedFiles;

impl HasData for CountedFiles {
    type Data<'a> = CountedView<'a>;
}

/// `wasi:filesystem` of one guest, while it calls.
struct CountedView<'a> {
    inner: WasiFilesystemCtxView<'a>,
    descriptors: &'a mut Descriptors,
    memory: &'a Memory,
}

type Fd = Resource<Descriptor>;

/// What has a name in a scratch folder.
struct Named {
    id: FileId,
    size: u64,
    is_folder: bool,
}

/// Refuses a name that leads elsewhere on this machine, or means another one.
fn check_path(path: &str) -> FsResult<()> {
    if names::is_plain(path) { Ok(()) } else { Err(ErrorCode::Invalid.into()) }
}

fn again(fd: &Fd) -> Fd {
    Resource::new_borrow(fd.rep())
}

impl From<Full> for FsError {
    fn from(_: Full) -> Self {
        ErrorCode::InsufficientSpace.into()
    }
}

/// WASI 0.2 has no code of its own for it; of what the kernel lacks, memory is the nearest.
impl From<TooManyOpen> for FsError {
    fn from(_: TooManyOpen) -> Self {
        ErrorCode::InsufficientMemory.into()
    }
}

fn counted(state: &mut Preview2State) -> CountedView<'_> {
    let Preview2 { ctx, table, descriptors } = &mut state.wasi;
    let inner = WasiFilesystemCtxView { ctx: ctx.filesystem(), table };
    CountedView { inner, descriptors, memory: state.limiter.memory() }
}

impl CountedView<'_> {
    /// The ledger, if this is a folder that may be written.
    fn scratch_folder(&self, fd: &Fd) -> Option<Arc<Disk>> {
        let Ok(Descriptor::Dir(folder)) = self.inner.table.get(fd) else { return None };
        (folder.perms == FsPerms::ReadWrite).then_some(())?;
        self.descriptors.folders.get(&fd.rep()).cloned()
    }

    fn scratch_file(&self, fd: &Fd) -> Option<&Held> {
        self.descriptors.open.get(&fd.rep())?.held.as_ref()
    }

    fn slot(&self, fd: &Fd) -> Option<Arc<Slot>> {
        self.descriptors.open.get(&fd.rep()).map(|open| Arc::clone(&open.slot))
    }

    /// A guest without room for another descriptor is told so; wasmtime would end it.
    fn may_open(&mut self) -> FsResult<Slot> {
        let slot = self.descriptors.files.open()?;
        let room = self.inner.table.push(()).map_err(|_| TooManyOpen)?;
        self.inner.table.delete(room)?;
        Ok(slot)
    }

    fn file(&self, fd: &Fd) -> FsResult<Arc<std::fs::File>> {
        match self.inner.table.get(fd)? {
            Descriptor::File(file) => Ok(Arc::clone(&file.file)),
            Descriptor::Dir(_) => Err(ErrorCode::IsDirectory.into()),
        }
    }

    /// What has this name, not following links.
    async fn named(&mut self, folder: &Fd, path: &str) -> Option<Named> {
        let stat = self.inner.stat_at(again(folder), PathFlags::empty(), path.to_owned()).await.ok()?;
        let hash = self.inner.metadata_hash_at(again(folder), PathFlags::empty(), path.to_owned()).await.ok()?;
        Some(Named { id: hash.lower, size: stat.size, is_folder: stat.type_ == DescriptorType::Directory })
    }

    fn output(&mut self, fd: &Fd, place: Place) -> FsResult<Resource<DynOutputStream>> {
        let file = self.file(fd)?;
        let held = self.scratch_file(fd).ok_or(ErrorCode::NotPermitted)?.again();
        let stream: DynOutputStream = Box::new(FileOutput::new(file, place, held, self.slot(fd)));
        Ok(self.inner.table.push(stream)?)
    }
}

macro_rules! as_wasmtime_does_async {
    ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => { $(
        async fn $name(&mut self, $($arg: $type),*) -> $result {
            self.inner.$name($($arg),*).await
        }
    )* };
}

impl HostDescriptor for CountedView<'_> {
    as_wasmtime_does_async! {
        advise(fd: Fd, offset: types::Filesize, len: types::Filesize, advice: types::Advice) -> FsResult<()>;
        get_flags(fd: Fd) -> FsResult<types::DescriptorFlags>;
        get_type(fd: Fd) -> FsResult<types::DescriptorType>;
        set_times(fd: Fd, atim: types::NewTimestamp, mtim: types::NewTimestamp) -> FsResult<()>;
        read(fd: Fd, len: types::Filesize, offset: types::Filesize) -> FsResult<(Vec<u8>, bool)>;
        stat(fd: Fd) -> FsResult<types::DescriptorStat>;
        is_same_object(a: Fd, b: Fd) -> wasmtime::Result<bool>;
        metadata_hash(fd: Fd) -> FsResult<types::MetadataHashValue>;
    }

    async fn stat_at(&mut self, fd: Fd, flags: PathFlags, path: String) -> FsResult<types::DescriptorStat> {
        check_path(&path)?;
        self.inner.stat_at(fd, flags, path).await
    }

    async fn set_times_at(
        &mut self,
        fd: Fd,
        flags: PathFlags,
        path: String,
        atim: types::NewTimestamp,
        mtim: types::NewTimestamp,
    ) -> FsResult<()> {
        check_path(&path)?;
        self.inner.set_times_at(fd, flags, path, atim, mtim).await
    }

    async fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        check_path(&path)?;
        self.inner.readlink_at(fd, path).await
    }

    async fn metadata_hash_at(&mut self, fd: Fd, flags: PathFlags, path: String) -> FsResult<types::MetadataHashValue> {
        check_path(&path)?;
        self.inner.metadata_hash_at(fd, flags, path).await
    }

    /// The whole list is made at once, and held until the guest drops it.
    async fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<types::DirectoryEntryStream>> {
        let Descriptor::Dir(folder) = self.inner.table.get(&fd)? else { return Err(ErrorCode::NotDirectory.into()) };
        let bytes = listing::bytes_of(&folder.dir).map_err(|_| ErrorCode::InsufficientMemory)?;
        self.memory.hold(bytes).map_err(|_| ErrorCode::InsufficientMemory)?;
        let listed = self.inner.read_directory(fd).await;
        match &listed {
            Ok(list) => _ = self.descriptors.lists.insert(list.rep(), bytes),
            Err(_) => self.memory.release(bytes),
        }
        listed
    }

    /// Scratch folders do not outlive their task, so there is nothing to make durable; and waiting for a disk
    /// would hold up a worker, for a volume as well.
    async fn sync(&mut self, fd: Fd) -> FsResult<()> {
        self.inner.table.get(&fd)?;
        Ok(())
    }

    async fn sync_data(&mut self, fd: Fd) -> FsResult<()> {
        self.inner.table.get(&fd)?;
        Ok(())
    }

    async fn set_size(&mut self, fd: Fd, size: types::Filesize) -> FsResult<()> {
        if let Some(held) = self.scratch_file(&fd) {
            held.disk().may_reach(held.file, size)?;
        }
        self.inner.set_size(again(&fd), size).await?;
        if let Some(held) = self.scratch_file(&fd) {
            held.disk().resized(held.file, size);
        }
        Ok(())
    }

    async fn write(&mut self, fd: Fd, bytes: Vec<u8>, offset: types::Filesize) -> FsResult<types::Filesize> {
        if let Some(held) = self.scratch_file(&fd) {
            held.disk().may_reach(held.file, offset.saturating_add(bytes.len() as u64))?;
        }
        let written = self.inner.write(again(&fd), bytes, offset).await?;
        if let Some(held) = self.scratch_file(&fd).filter(|_| written > 0) {
            held.disk().reached(held.file, offset.saturating_add(written));
        }
        Ok(written)
    }

    async fn open_at(
        &mut self,
        folder: Fd,
        lookup: PathFlags,
        path: String,
        how: types::OpenFlags,
        flags: types::DescriptorFlags,
    ) -> FsResult<Fd> {
        check_path(&path)?;
        let slot = Arc::new(self.may_open()?);
        let Some(disk) = self.scratch_folder(&folder) else {
            let fd = self.inner.open_at(folder, lookup, path, how, flags).await?;
            self.descriptors.open.insert(fd.rep(), Open { slot, held: None });
            return Ok(fd);
        };
        let creates = how.contains(types::OpenFlags::CREATE)
            && self.inner.stat_at(again(&folder), lookup, path.clone()).await.is_err();
        if creates {
            disk.may_add_entry()?;
        }
        let fd = self.inner.open_at(folder, lookup, path, how, flags).await?;
        if creates {
            disk.entry_added();
        }
        let stat = self.inner.stat(again(&fd)).await?;
        let held = match stat.type_ {
            DescriptorType::Directory => {
                self.descriptors.folders.insert(fd.rep(), disk);
                None
            }
            _ => Some(disk.hold(self.inner.metadata_hash(again(&fd)).await?.lower, stat.size)),
        };
        self.descriptors.open.insert(fd.rep(), Open { slot, held });
        Ok(fd)
    }

    async fn create_directory_at(&mut self, folder: Fd, path: String) -> FsResult<()> {
        check_path(&path)?;
        let disk = self.scratch_folder(&folder);
        if let Some(disk) = &disk {
            disk.may_add_entry()?;
        }
        self.inner.create_directory_at(folder, path).await?;
        if let Some(disk) = disk {
            disk.entry_added();
        }
        Ok(())
    }

    async fn remove_directory_at(&mut self, folder: Fd, path: String) -> FsResult<()> {
        check_path(&path)?;
        let disk = self.scratch_folder(&folder);
        self.inner.remove_directory_at(folder, path).await?;
        if let Some(disk) = disk {
            disk.entry_removed();
        }
        Ok(())
    }

    async fn unlink_file_at(&mut self, folder: Fd, path: String) -> FsResult<()> {
        check_path(&path)?;
        let Some(disk) = self.scratch_folder(&folder) else {
            return self.inner.unlink_file_at(folder, path).await;
        };
        let file = self.named(&folder, &path).await;
        self.inner.unlink_file_at(folder, path).await?;
        if let Some(file) = file {
            disk.unlinked(file.id);
        }
        Ok(())
    }

    async fn rename_at(&mut self, from: Fd, old: String, to: Fd, new: String) -> FsResult<()> {
        check_path(&old)?;
        check_path(&new)?;
        let Some(disk) = self.scratch_folder(&to) else {
            return self.inner.rename_at(from, old, to, new).await;
        };
        if self.scratch_folder(&from).is_some_and(|other| !disk.is_same(&other)) {
            return Err(ErrorCode::CrossDevice.into());
        }
        let moved = self.named(&from, &old).await;
        let replaced = self.named(&to, &new).await;
        self.inner.rename_at(from, old, to, new).await?;
        match (moved, replaced) {
            (Some(moved), Some(replaced)) if moved.id != replaced.id => {
                if replaced.is_folder {
                    disk.entry_removed();
                } else {
                    disk.unlinked(replaced.id);
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn link_at(&mut self, from: Fd, lookup: PathFlags, old: String, to: Fd, new: String) -> FsResult<()> {
        check_path(&old)?;
        check_path(&new)?;
        // Between other folders wasmtime refuses, since they cannot be written.
        let (Some(disk), Some(other)) = (self.scratch_folder(&to), self.scratch_folder(&from)) else {
            return self.inner.link_at(from, lookup, old, to, new).await;
        };
        if !disk.is_same(&other) {
            return Err(ErrorCode::CrossDevice.into());
        }
        disk.may_add_entry()?;
        let file = self.named(&from, &old).await;
        self.inner.link_at(from, lookup, old, to, new).await?;
        if let Some(file) = file {
            disk.linked(file.id);
        }
        Ok(())
    }

    async fn symlink_at(&mut self, folder: Fd, text: String, path: String) -> FsResult<()> {
        check_path(&text)?;
        check_path(&path)?;
        let Some(disk) = self.scratch_folder(&folder) else {
            return self.inner.symlink_at(folder, text, path).await;
        };
        disk.may_add_entry()?;
        disk.may_grow(text.len() as u64)?;
        self.inner.symlink_at(again(&folder), text, path.clone()).await?;
        if let Some(link) = self.named(&folder, &path).await {
            disk.link_made(link.id, link.size);
        }
        Ok(())
    }

    fn read_via_stream(&mut self, fd: Fd, offset: types::Filesize) -> FsResult<Resource<DynInputStream>> {
        let held = self.scratch_file(&fd).map(Held::again);
        let stream: DynInputStream = Box::new(FileInput::new(self.file(&fd)?, offset, held, self.slot(&fd)));
        Ok(self.inner.table.push(stream)?)
    }

    fn write_via_stream(&mut self, fd: Fd, offset: types::Filesize) -> FsResult<Resource<DynOutputStream>> {
        self.output(&fd, Place::At(offset))
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        self.output(&fd, Place::End)
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        let number = fd.rep();
        HostDescriptor::drop(&mut self.inner, fd)?;
        self.descriptors.open.remove(&number);
        self.descriptors.folders.remove(&number);
        Ok(())
    }
}

impl preopens::Host for CountedView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Fd, String)>> {
        let given = preopens::Host::get_directories(&mut self.inner)?;
        for ((fd, _), disk) in given.iter().zip(&self.descriptors.given) {
            self.descriptors.folders.insert(fd.rep(), Arc::clone(disk));
        }
        Ok(given)
    }
}

impl HostDirectoryEntryStream for CountedView<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<types::DirectoryEntryStream>,
    ) -> FsResult<Option<types::DirectoryEntry>> {
        self.inner.read_directory_entry(stream).await
    }

    fn drop(&mut self, stream: Resource<types::DirectoryEntryStream>) -> wasmtime::Result<()> {
        let number = stream.rep();
        HostDirectoryEntryStream::drop(&mut self.inner, stream)?;
        self.memory.release(self.descriptors.lists.remove(&number).unwrap_or(0));
        Ok(())
    }
}

impl Host for CountedView<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        self.inner.convert_error_code(error)
    }

    /// wasmtime knows a full disk by the number that Unix has for it.
    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        let failed = self.inner.table.get(&error)?.downcast_ref::<std::io::Error>();
        if failed.is_some_and(|error| error.kind() == std::io::ErrorKind::StorageFull) {
            return Ok(Some(ErrorCode::InsufficientSpace));
        }
        self.inner.filesystem_error_code(error)
    }
}
