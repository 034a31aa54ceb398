//! Reads and writes of core modules: in part, where they are long, counted on disk, and as a part of the task's memory
//! for as long as the host has a copy.

use wasmtime_wasi::p1::types::{self, Error, Fd};
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1;
use wiggle::GuestMemory;

use super::Preview1;
use super::buffers::Buffer;
use super::descriptors::count_written;

impl Preview1 {
    pub(super) async fn read(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        buffers: types::IovecArray,
    ) -> Result<types::Size, Error> {
        let Some(mut buffer) = Buffer::first(memory, buffers)? else {
            return self.inner.fd_read(memory, fd, buffers).await;
        };
        let _held = buffer.hold(&self.memory);
        let cut = buffer.cut(memory, buffers)?;
        let read = self.inner.fd_read(memory, fd, cut).await;
        buffer.restore(memory, *read.as_ref().unwrap_or(&0))?;
        read
    }

    pub(super) async fn read_at(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        buffers: types::IovecArray,
        offset: types::Filesize,
    ) -> Result<types::Size, Error> {
        let Some(mut buffer) = Buffer::first(memory, buffers)? else {
            return self.inner.fd_pread(memory, fd, buffers, offset).await;
        };
        let _held = buffer.hold(&self.memory);
        let cut = buffer.cut(memory, buffers)?;
        let read = self.inner.fd_pread(memory, fd, cut, offset).await;
        buffer.restore(memory, *read.as_ref().unwrap_or(&0))?;
        read
    }

    pub(super) async fn write(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        buffers: types::CiovecArray,
    ) -> Result<types::Size, Error> {
        let Some(mut buffer) = Buffer::first(memory, buffers)? else {
            return self.inner.fd_write(memory, fd, buffers).await;
        };
        let counted = match self.scratch_file(fd) {
            Some((disk, file, true)) => Some((disk.size(file), disk, file)),
            Some((disk, file, false)) => Some((self.inner.fd_tell(memory, fd)?, disk, file)),
            None => None,
        };
        // Output takes what it needs of the memory itself.
        let _held = counted.is_some().then(|| buffer.hold(&self.memory));
        if let Some((start, disk, file)) = &counted {
            disk.may_reach(*file, start.saturating_add(buffer.length().into()))?;
        }
        let cut = buffer.cut(memory, buffers)?;
        let written = self.inner.fd_write(memory, fd, cut).await;
        buffer.restore(memory, 0)?;
        count_written(&written, counted);
        written
    }

    pub(super) async fn write_at(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        buffers: types::CiovecArray,
        offset: types::Filesize,
    ) -> Result<types::Size, Error> {
        let Some(mut buffer) = Buffer::first(memory, buffers)? else {
            return self.inner.fd_pwrite(memory, fd, buffers, offset).await;
        };
        let _held = buffer.hold(&self.memory);
        let counted = self.scratch_file(fd).map(|(disk, file, append)| {
            let start = if append { disk.size(file) } else { offset };
            (start, disk, file)
        });
        if let Some((start, disk, file)) = &counted {
            disk.may_reach(*file, start.saturating_add(buffer.length().into()))?;
        }
        let cut = buffer.cut(memory, buffers)?;
        let written = self.inner.fd_pwrite(memory, fd, cut, offset).await;
        buffer.restore(memory, 0)?;
        count_written(&written, counted);
        written
    }
}
