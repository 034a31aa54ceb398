//! WASI 0.2 with a ledger around its scratch folder: wasmtime's own, but for what writes, links or would block.

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, DescriptorType, ErrorCode, Host, HostDescriptor, HostDirectoryEntryStream, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};
use wasmtime_wasi::{FsPerms, ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::disk::{Disk, FileId, Full, Held};
use super::streams::{FileInput, FileOutput, Place};
use super::{Preview2State, bounded, net};

pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Preview2State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    linker.allow_shadowing(true);
    types::add_to_linker::<Preview2State, CountedFiles>(&mut linker, counted)?;
    linker.allow_shadowing(false);
    net::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// The context of one guest.
pub(crate) struct Preview2 {
    ctx: WasiCtx,
    table: ResourceTable,
    scratch: Option<Scratch>,
}

/// A guest's open files below its scratch folder, by the number of their descriptor.
struct Scratch {
    disk: Arc<Disk>,
    open: HashMap<u32, Held>,
}

impl Preview2 {
    pub(crate) fn new(mut builder: WasiCtxBuilder, disk: Option<Arc<Disk>>) -> Self {
        let mut table = ResourceTable::new();
        bounded(&mut table);
        let scratch = disk.map(|disk| Scratch { disk, open: HashMap::new() });
        Self { ctx: builder.build(), table, scratch }
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
    scratch: &'a mut Option<Scratch>,
}

type Fd = Resource<Descriptor>;

/// What has a name in a scratch folder.
struct Named {
    id: FileId,
    size: u64,
    is_folder: bool,
}

fn again(fd: &Fd) -> Fd {
    Resource::new_borrow(fd.rep())
}

impl From<Full> for FsError {
    fn from(_: Full) -> Self {
        ErrorCode::InsufficientSpace.into()
    }
}

fn counted(state: &mut Preview2State) -> CountedView<'_> {
    let Preview2 { ctx, table, scratch } = &mut state.wasi;
    CountedView { inner: WasiFilesystemCtxView { ctx: ctx.filesystem(), table }, scratch }
}

impl CountedView<'_> {
    /// The ledger, if this is a folder in scratch: the only ones that may be written.
    fn scratch_folder(&self, fd: &Fd) -> Option<Arc<Disk>> {
        let Ok(Descriptor::Dir(folder)) = self.inner.table.get(fd) else { return None };
        (folder.perms == FsPerms::ReadWrite).then_some(())?;
        Some(Arc::clone(&self.scratch.as_ref()?.disk))
    }

    fn scratch_file(&self, fd: &Fd) -> Option<&Held> {
        self.scratch.as_ref()?.open.get(&fd.rep())
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
        let stream: DynOutputStream = Box::new(FileOutput::new(file, place, held));
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
        read_directory(fd: Fd) -> FsResult<Resource<types::DirectoryEntryStream>>;
        stat(fd: Fd) -> FsResult<types::DescriptorStat>;
        stat_at(fd: Fd, flags: PathFlags, path: String) -> FsResult<types::DescriptorStat>;
        set_times_at(
            fd: Fd, flags: PathFlags, path: String, atim: types::NewTimestamp, mtim: types::NewTimestamp
        ) -> FsResult<()>;
        readlink_at(fd: Fd, path: String) -> FsResult<String>;
        is_same_object(a: Fd, b: Fd) -> wasmtime::Result<bool>;
        metadata_hash(fd: Fd) -> FsResult<types::MetadataHashValue>;
        metadata_hash_at(fd: Fd, flags: PathFlags, path: String) -> FsResult<types::MetadataHashValue>;
    }

    /// Scratch folders do not outlive their task, so there is nothing to make durable; and waiting for a disk
    /// would hold up a worker.
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
        let Some(disk) = self.scratch_folder(&folder) else {
            return self.inner.open_at(folder, lookup, path, how, flags).await;
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
        if stat.type_ != DescriptorType::Directory {
            let file = self.inner.metadata_hash(again(&fd)).await?.lower;
            if let Some(scratch) = self.scratch {
                scratch.open.insert(fd.rep(), disk.hold(file, stat.size));
            }
        }
        Ok(fd)
    }

    async fn create_directory_at(&mut self, folder: Fd, path: String) -> FsResult<()> {
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
        let disk = self.scratch_folder(&folder);
        self.inner.remove_directory_at(folder, path).await?;
        if let Some(disk) = disk {
            disk.entry_removed();
        }
        Ok(())
    }

    async fn unlink_file_at(&mut self, folder: Fd, path: String) -> FsResult<()> {
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
        let Some(disk) = self.scratch_folder(&to) else {
            return self.inner.rename_at(from, old, to, new).await;
        };
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
        // Between other folders wasmtime refuses, since they cannot be written.
        let (Some(disk), Some(_)) = (self.scratch_folder(&to), self.scratch_folder(&from)) else {
            return self.inner.link_at(from, lookup, old, to, new).await;
        };
        disk.may_add_entry()?;
        let file = self.named(&from, &old).await;
        self.inner.link_at(from, lookup, old, to, new).await?;
        if let Some(file) = file {
            disk.linked(file.id);
        }
        Ok(())
    }

    async fn symlink_at(&mut self, folder: Fd, text: String, path: String) -> FsResult<()> {
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
        let stream: DynInputStream = Box::new(FileInput::new(self.file(&fd)?, offset, held));
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
        if let Some(scratch) = self.scratch {
            scratch.open.remove(&number);
        }
        Ok(())
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
        HostDirectoryEntryStream::drop(&mut self.inner, stream)
    }
}

impl Host for CountedView<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        self.inner.convert_error_code(error)
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        self.inner.filesystem_error_code(error)
    }
}
