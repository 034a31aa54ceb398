//! What a guest of WASI 0.1 does to the names in its folders, with the ledger of the scratch folder told of each.

use wasmtime_wasi::p1::types::{self, Errno, Error, Fd};
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1;
use wiggle::{GuestMemory, GuestPtr};

use super::buffers::check_path;
use super::preview1::Preview1;

impl Preview1 {
    pub(super) async fn create_folder(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        check_path(memory, path)?;
        let disk = self.scratch_folder(folder);
        if let Some(disk) = &disk {
            disk.may_add_entry()?;
        }
        self.inner.path_create_directory(memory, folder, path).await?;
        if let Some(disk) = disk {
            disk.entry_added();
        }
        Ok(())
    }

    pub(super) async fn remove_folder(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        check_path(memory, path)?;
        self.inner.path_remove_directory(memory, folder, path).await?;
        if let Some(disk) = self.scratch_folder(folder) {
            disk.entry_removed();
        }
        Ok(())
    }

    pub(super) async fn unlink(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        check_path(memory, path)?;
        let Some(disk) = self.scratch_folder(folder) else {
            return self.inner.path_unlink_file(memory, folder, path).await;
        };
        let file = self.named(memory, folder, path).await;
        self.inner.path_unlink_file(memory, folder, path).await?;
        if let Some(file) = file {
            disk.unlinked(file.ino);
        }
        Ok(())
    }

    pub(super) async fn rename(
        &mut self,
        memory: &mut GuestMemory<'_>,
        from: Fd,
        old: GuestPtr<str>,
        to: Fd,
        new: GuestPtr<str>,
    ) -> Result<(), Error> {
        check_path(memory, old)?;
        check_path(memory, new)?;
        let Some(disk) = self.scratch_folder(to) else {
            return self.inner.path_rename(memory, from, old, to, new).await;
        };
        if self.scratch_folder(from).is_some_and(|other| !disk.is_same(&other)) {
            return Err(Errno::Xdev.into());
        }
        let moved = self.named(memory, from, old).await;
        let replaced = self.named(memory, to, new).await;
        self.inner.path_rename(memory, from, old, to, new).await?;
        match (moved, replaced) {
            (Some(moved), Some(replaced)) if moved.ino != replaced.ino => {
                if replaced.filetype == types::Filetype::Directory {
                    disk.entry_removed();
                } else {
                    disk.unlinked(replaced.ino);
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) async fn link(
        &mut self,
        memory: &mut GuestMemory<'_>,
        from: Fd,
        lookup: types::Lookupflags,
        old: GuestPtr<str>,
        to: Fd,
        new: GuestPtr<str>,
    ) -> Result<(), Error> {
        check_path(memory, old)?;
        check_path(memory, new)?;
        // Between other folders wasmtime refuses, since they cannot be written.
        let (Some(disk), Some(other)) = (self.scratch_folder(to), self.scratch_folder(from)) else {
            return self.inner.path_link(memory, from, lookup, old, to, new).await;
        };
        if !disk.is_same(&other) {
            return Err(Errno::Xdev.into());
        }
        disk.may_add_entry()?;
        let file = self.named(memory, from, old).await;
        self.inner.path_link(memory, from, lookup, old, to, new).await?;
        if let Some(file) = file {
            disk.linked(file.ino);
        }
        Ok(())
    }

    pub(super) async fn symlink(
        &mut self,
        memory: &mut GuestMemory<'_>,
        text: GuestPtr<str>,
        folder: Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        check_path(memory, text)?;
        check_path(memory, path)?;
        let Some(disk) = self.scratch_folder(folder) else {
            return self.inner.path_symlink(memory, text, folder, path).await;
        };
        disk.may_add_entry()?;
        disk.may_grow(text.len().into())?;
        self.inner.path_symlink(memory, text, folder, path).await?;
        if let Some(link) = self.named(memory, folder, path).await {
            disk.link_made(link.ino, link.size);
        }
        Ok(())
    }

    /// What has this name, not following links.
    async fn named(
        &mut self,
        memory: &mut GuestMemory<'_>,
        folder: Fd,
        path: GuestPtr<str>,
    ) -> Option<types::Filestat> {
        self.inner.path_filestat_get(memory, folder, types::Lookupflags::empty(), path).await.ok()
    }
}
