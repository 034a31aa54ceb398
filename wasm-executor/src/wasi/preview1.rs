//! WASI 0.1 with a ledger around its scratch folder and each of its volumes: wasmtime's own, but for what writes, links or would block.

use std::sync::Arc;

use wasmtime::{Engine, Linker};
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::types::{self, Errno, Error, Fd};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self, WasiSnapshotPreview1};
use wasmtime_wasi::{I32Exit, WasiCtxBuilder, WasiView};
use wiggle::{GuestMemory, GuestPtr};

use super::buffers::{check_path, check_subscriptions};
use super::descriptors::Descriptors;
use super::disk::{Disk, FileId, Full};
use super::files::{GuestFiles, TooManyOpen};
use super::sleep::Sleep;
use super::{Preview1State, bounded};
use crate::memory::Memory;

/// The first preopened folder; they are numbered from here in the order in which they were granted.
const FIRST_PREOPEN: u32 = 3;

/// Random bytes that one call gets, in a few milliseconds. They are drawn in pieces, since the host holds each
/// piece twice.
const RANDOM_MAX: u32 = 4 << 20;
const RANDOM_PIECE: u32 = 64 << 10;

pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Preview1State>> {
    let mut linker = Linker::new(engine);
    wasi_snapshot_preview1::add_to_linker(&mut linker, |state: &mut Preview1State| &mut state.wasi)?;
    Ok(linker)
}

/// The context of one guest.
pub(crate) struct Preview1 {
    pub(super) inner: WasiP1Ctx,
    descriptors: Descriptors,
    files: Arc<GuestFiles>,
    /// Of the task.
    pub(super) memory: Arc<Memory>,
}

impl From<Full> for Error {
    fn from(_: Full) -> Self {
        Errno::Nospc.into()
    }
}

impl From<TooManyOpen> for Error {
    fn from(_: TooManyOpen) -> Self {
        Errno::Nfile.into()
    }
}

impl Preview1 {
    /// The first of the builder's preopened folders may be written, and have these ledgers.
    pub(crate) fn new(
        mut builder: WasiCtxBuilder,
        writable: Vec<Arc<Disk>>,
        files: Arc<GuestFiles>,
        memory: Arc<Memory>,
    ) -> Self {
        let mut inner = builder.build_p1();
        bounded(inner.ctx().table);
        let descriptors = Descriptors::new(FIRST_PREOPEN, writable);
        Self { inner, descriptors, files, memory }
    }

    pub(super) fn scratch_folder(&self, folder: Fd) -> Option<Arc<Disk>> {
        self.descriptors.folder(folder)
    }

    pub(super) fn scratch_file(&self, file: Fd) -> Option<(Arc<Disk>, FileId, bool)> {
        self.descriptors.file(file)
    }

    fn no_socket(&mut self, memory: &mut GuestMemory<'_>, fd: Fd) -> Error {
        let is_open = match self.inner.fd_tell(memory, fd) {
            Ok(_) => true,
            Err(error) => error.downcast_ref().is_some_and(|errno| *errno != Errno::Badf),
        };
        if is_open { Errno::Notsock.into() } else { Errno::Badf.into() }
    }

    /// A guest without room for another descriptor is told so; wasmtime would end it.
    fn may_open(&mut self) -> Result<(), Error> {
        let table = self.inner.ctx().table;
        let room = table.push(()).map_err(|_| Errno::Mfile)?;
        table.delete(room).map_err(|error| Error::trap(error.into()))?;
        Ok(())
    }

    /// wasmtime lets a thread on which file work may block sleep there, too. No guest may put a worker to
    /// sleep: with a file system that knows nothing of blocking, it waits for its timer as everybody does.
    async fn poll_several(
        &mut self,
        memory: &mut GuestMemory<'_>,
        subscriptions: GuestPtr<types::Subscription>,
        events: GuestPtr<types::Event>,
        count: types::Size,
    ) -> Result<types::Size, Error> {
        // The preopened folders become descriptors at the first call of any; they must have before they are gone.
        let _ = self.inner.fd_prestat_get(memory, FIRST_PREOPEN.into());
        let blocking = std::mem::take(self.inner.ctx().ctx.filesystem());
        let polled = self.inner.poll_oneoff(memory, subscriptions, events, count).await;
        let _: WasiFilesystemCtx = std::mem::replace(self.inner.ctx().ctx.filesystem(), blocking);
        polled
    }
}

macro_rules! as_wasmtime_does {
    ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => { $(
        fn $name(&mut self, memory: &mut GuestMemory<'_>, $($arg: $type),*) -> $result {
            self.inner.$name(memory, $($arg),*)
        }
    )* };
}

macro_rules! as_wasmtime_does_async {
    ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => { $(
        async fn $name(&mut self, memory: &mut GuestMemory<'_>, $($arg: $type),*) -> $result {
            self.inner.$name(memory, $($arg),*).await
        }
    )* };
}

impl WasiSnapshotPreview1 for Preview1 {
    fn set_hostcall_fuel(&mut self, fuel: usize) {
        self.inner.set_hostcall_fuel(fuel);
    }

    as_wasmtime_does! {
        args_get(argv: GuestPtr<GuestPtr<u8>>, argv_buf: GuestPtr<u8>) -> Result<(), Error>;
        args_sizes_get() -> Result<(types::Size, types::Size), Error>;
        environ_get(environ: GuestPtr<GuestPtr<u8>>, environ_buf: GuestPtr<u8>) -> Result<(), Error>;
        environ_sizes_get() -> Result<(types::Size, types::Size), Error>;
        clock_res_get(id: types::Clockid) -> Result<types::Timestamp, Error>;
        clock_time_get(id: types::Clockid, precision: types::Timestamp) -> Result<types::Timestamp, Error>;
        // Not supported by wasmtime either: it cannot take room.
        fd_allocate(fd: Fd, offset: types::Filesize, len: types::Filesize) -> Result<(), Error>;
        fd_fdstat_set_rights(fd: Fd, base: types::Rights, inheriting: types::Rights) -> Result<(), Error>;
        fd_prestat_get(fd: Fd) -> Result<types::Prestat, Error>;
        fd_prestat_dir_name(fd: Fd, path: GuestPtr<u8>, path_max_len: types::Size) -> Result<(), Error>;
        fd_tell(fd: Fd) -> Result<types::Filesize, Error>;
        proc_raise(sig: types::Signal) -> Result<(), Error>;
        sched_yield() -> Result<(), Error>;
    }

    as_wasmtime_does_async! {
        fd_advise(fd: Fd, offset: types::Filesize, len: types::Filesize, advice: types::Advice) -> Result<(), Error>;
        fd_fdstat_get(fd: Fd) -> Result<types::Fdstat, Error>;
        fd_filestat_get(fd: Fd) -> Result<types::Filestat, Error>;
        fd_filestat_set_times(
            fd: Fd, atim: types::Timestamp, mtim: types::Timestamp, flags: types::Fstflags
        ) -> Result<(), Error>;
        fd_seek(fd: Fd, offset: types::Filedelta, whence: types::Whence) -> Result<types::Filesize, Error>;
        fd_readdir(
            fd: Fd, buf: GuestPtr<u8>, buf_len: types::Size, cookie: types::Dircookie
        ) -> Result<types::Size, Error>;
    }

    // No task has a socket. wasmtime would say so in the host's log, at every call.
    fn sock_accept(&mut self, memory: &mut GuestMemory<'_>, fd: Fd, _: types::Fdflags) -> Result<Fd, Error> {
        Err(self.no_socket(memory, fd))
    }

    fn sock_recv(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        _: types::IovecArray,
        _: types::Riflags,
    ) -> Result<(types::Size, types::Roflags), Error> {
        Err(self.no_socket(memory, fd))
    }

    fn sock_send(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        _: types::CiovecArray,
        _: types::Siflags,
    ) -> Result<types::Size, Error> {
        Err(self.no_socket(memory, fd))
    }

    fn sock_shutdown(&mut self, memory: &mut GuestMemory<'_>, fd: Fd, _: types::Sdflags) -> Result<(), Error> {
        Err(self.no_socket(memory, fd))
    }

    /// Any code is the task's own, also those from 126 on that wasmtime keeps for itself.
    fn proc_exit(&mut self, _: &mut GuestMemory<'_>, status: types::Exitcode) -> wiggle::error::Error {
        I32Exit(status.cast_signed()).into()
    }

    fn random_get(
        &mut self,
        memory: &mut GuestMemory<'_>,
        buf: GuestPtr<u8>,
        buf_len: types::Size,
    ) -> Result<(), Error> {
        if buf_len > RANDOM_MAX {
            return Err(Errno::Inval.into());
        }
        let mut done = 0;
        while done < buf_len {
            let piece = RANDOM_PIECE.min(buf_len - done);
            self.inner.random_get(memory, buf.add(done)?, piece)?;
            done += piece;
        }
        Ok(())
    }

    async fn poll_oneoff(
        &mut self,
        memory: &mut GuestMemory<'_>,
        subscriptions: GuestPtr<types::Subscription>,
        events: GuestPtr<types::Event>,
        count: types::Size,
    ) -> Result<types::Size, Error> {
        check_subscriptions(count)?;
        match Sleep::alone(memory, subscriptions, count)? {
            Some(sleep) => sleep.take(memory, events).await,
            // Apart, so that who only sleeps need not hold what this takes.
            None => Box::pin(self.poll_several(memory, subscriptions, events, count)).await,
        }
    }

    /// Scratch folders do not outlive their task, so there is nothing to make durable; and waiting for a disk
    /// would hold up a worker, for a volume as well.
    async fn fd_sync(&mut self, memory: &mut GuestMemory<'_>, fd: Fd) -> Result<(), Error> {
        self.inner.fd_fdstat_get(memory, fd).await.map(drop)
    }

    async fn fd_datasync(&mut self, memory: &mut GuestMemory<'_>, fd: Fd) -> Result<(), Error> {
        self.inner.fd_fdstat_get(memory, fd).await.map(drop)
    }

    async fn fd_close(&mut self, memory: &mut GuestMemory<'_>, fd: Fd) -> Result<(), Error> {
        self.inner.fd_close(memory, fd).await?;
        self.descriptors.closed(fd);
        Ok(())
    }

    async fn fd_renumber(&mut self, memory: &mut GuestMemory<'_>, from: Fd, to: Fd) -> Result<(), Error> {
        self.inner.fd_renumber(memory, from, to).await?;
        self.descriptors.renumbered(from, to);
        Ok(())
    }

    fn fd_fdstat_set_flags(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        flags: types::Fdflags,
    ) -> Result<(), Error> {
        self.inner.fd_fdstat_set_flags(memory, fd, flags)?;
        self.descriptors.appends(fd, flags.contains(types::Fdflags::APPEND));
        Ok(())
    }

    async fn fd_filestat_set_size(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        size: types::Filesize,
    ) -> Result<(), Error> {
        let Some((disk, file, _)) = self.scratch_file(fd) else {
            return self.inner.fd_filestat_set_size(memory, fd, size).await;
        };
        disk.may_reach(file, size)?;
        self.inner.fd_filestat_set_size(memory, fd, size).await?;
        disk.resized(file, size);
        Ok(())
    }

    async fn fd_read(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        buffers: types::IovecArray,
    ) -> Result<types::Size, Error> {
        self.read(memory, fd, buffers).await
    }

    async fn fd_pread(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        buffers: types::IovecArray,
        offset: types::Filesize,
    ) -> Result<types::Size, Error> {
        self.read_at(memory, fd, buffers, offset).await
    }

    async fn fd_write(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        buffers: types::CiovecArray,
    ) -> Result<types::Size, Error> {
        self.write(memory, fd, buffers).await
    }

    async fn fd_pwrite(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        buffers: types::CiovecArray,
        offset: types::Filesize,
    ) -> Result<types::Size, Error> {
        self.write_at(memory, fd, buffers, offset).await
    }

    async fn path_filestat_get(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: Fd,
        lookup: types::Lookupflags,
        path: GuestPtr<str>,
    ) -> Result<types::Filestat, Error> {
        check_path(memory, path)?;
        self.inner.path_filestat_get(memory, folder, lookup, path).await
    }

    async fn path_filestat_set_times(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: Fd,
        lookup: types::Lookupflags,
        path: GuestPtr<str>,
        atim: types::Timestamp,
        mtim: types::Timestamp,
        flags: types::Fstflags,
    ) -> Result<(), Error> {
        check_path(memory, path)?;
        self.inner.path_filestat_set_times(memory, folder, lookup, path, atim, mtim, flags).await
    }

    async fn path_readlink(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: Fd,
        path: GuestPtr<str>,
        buf: GuestPtr<u8>,
        buf_len: types::Size,
    ) -> Result<types::Size, Error> {
        check_path(memory, path)?;
        self.inner.path_readlink(memory, folder, path, buf, buf_len).await
    }

    async fn path_open(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: Fd,
        lookup: types::Lookupflags,
        path: GuestPtr<str>,
        how: types::Oflags,
        base: types::Rights,
        inheriting: types::Rights,
        flags: types::Fdflags,
    ) -> Result<Fd, Error> {
        check_path(memory, path)?;
        self.may_open()?;
        let slot = self.files.open()?;
        let Some(disk) = self.scratch_folder(folder) else {
            let fd = self.inner.path_open(memory, folder, lookup, path, how, base, inheriting, flags).await?;
            self.descriptors.opened_elsewhere(fd, slot);
            return Ok(fd);
        };
        let creates = how.contains(types::Oflags::CREAT)
            && self.inner.path_filestat_get(memory, folder, lookup, path).await.is_err();
        if creates {
            disk.may_add_entry()?;
        }
        let fd = self.inner.path_open(memory, folder, lookup, path, how, base, inheriting, flags).await?;
        if creates {
            disk.entry_added();
        }
        let stat = self.inner.fd_filestat_get(memory, fd).await?;
        self.descriptors.opened(fd, slot, &disk, &stat, flags.contains(types::Fdflags::APPEND));
        Ok(fd)
    }

    async fn path_create_directory(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        self.create_folder(memory, folder, path).await
    }

    async fn path_remove_directory(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        self.remove_folder(memory, folder, path).await
    }

    async fn path_unlink_file(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        self.unlink(memory, folder, path).await
    }

    async fn path_rename(
        &mut self,
        memory: &mut GuestMemory<'_>,
        from: Fd,
        old: GuestPtr<str>,
        to: Fd,
        new: GuestPtr<str>,
    ) -> Result<(), Error> {
        self.rename(memory, from, old, to, new).await
    }

    async fn path_link(
        &mut self,
        memory: &mut GuestMemory<'_>,
        from: Fd,
        lookup: types::Lookupflags,
        old: GuestPtr<str>,
        to: Fd,
        new: GuestPtr<str>,
    ) -> Result<(), Error> {
        self.link(memory, from, lookup, old, to, new).await
    }

    async fn path_symlink(
        &mut self,
        memory: &mut GuestMemory<'_>,
        text: GuestPtr<str>,
        folder: Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        self.symlink(memory, text, folder, path).await
    }
}
