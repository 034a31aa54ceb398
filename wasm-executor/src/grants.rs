//! What one task may touch: its words, folders to read, its scratch folder, volumes, and nothing else.

use std::io;
use std::path::Path;
use std::sync::Arc;

use haggle_core::VolumeId;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::event::{HostFolder, Launch, MountedVolume, Stream};
use crate::meters::Meters;
use crate::outcome::SetupError;
use crate::scratch::Scratch;
use crate::site::Site;
use crate::volume;
use crate::wasi::{self, Disk, GuestFiles, Output};

/// All that a guest is given.
pub(crate) struct Grants {
    pub(crate) builder: WasiCtxBuilder,
    pub(crate) disk: Option<Arc<Disk>>,
    /// Those that it may write.
    pub(crate) volumes: Vec<(VolumeId, Arc<Disk>)>,
    pub(crate) files: Arc<GuestFiles>,
    /// The ledgers of those of the builder's folders that may be written, which come first.
    pub(crate) writable: Vec<Arc<Disk>>,
    /// Removed with all that is in it when the task is over. A task without a disk has none.
    pub(crate) scratch: Option<Scratch>,
}

/// # Errors
/// When the task asks for something that cannot be, or this machine cannot lay it out.
pub(crate) async fn grant(
    launch: &Launch,
    site: &Site,
    output: &Arc<Output>,
    meters: &Arc<Meters>,
) -> Result<Grants, SetupError> {
    let files = Arc::new(GuestFiles::new(&site.files));
    let mut grants =
        Grants { builder: words(launch)?, disk: None, volumes: Vec::new(), files, writable: Vec::new(), scratch: None };
    if !launch.spec.stdin.is_empty() {
        grants.builder.stdin(wasi::stdin(&launch.spec));
    }
    grants.builder.stdout(output.pipe(Stream::Stdout)).stderr(output.pipe(Stream::Stderr));
    if !launch.spec.resources.disk.is_zero() {
        grants.scratch(launch, &site.scratch_dir, meters).await?;
    }
    let (to_write, to_read): (Vec<_>, Vec<_>) = launch.volumes.iter().partition(|volume| volume.writable);
    for volume in to_write {
        grants.volume(volume).await.map_err(|source| SetupError::Volume { volume: volume.id, source })?;
    }
    for MountedVolume { id, guest_path, host, .. } in to_read {
        grants
            .folder(host, guest_path, FsPerms::ReadOnly)
            .map_err(|source| SetupError::Volume { volume: *id, source })?;
    }
    for HostFolder { guest_path, host } in &launch.folders {
        grants
            .folder(host, guest_path, FsPerms::ReadOnly)
            .map_err(|source| SetupError::Folder { path: guest_path.clone(), source })?;
    }
    Ok(grants)
}

/// The task's name, arguments and environment.
fn words(launch: &Launch) -> Result<WasiCtxBuilder, SetupError> {
    let spec = &launch.spec;
    let mut builder = wasi::builder();
    let name = if spec.name.is_empty() { "task" } else { &spec.name };
    builder.arg(no_nul(name, "the task's name")?);
    for arg in &spec.args {
        builder.arg(no_nul(arg, "an argument")?);
    }
    // What the cluster tells a task stands above what its framework says.
    let told = |name: &String| launch.env.iter().any(|(told, _)| told == name);
    let own = spec.env.iter().filter(|(name, _)| !told(name));
    for (key, value) in own.chain(&launch.env) {
        builder.env(no_nul(key, "the environment")?, no_nul(value, "the environment")?);
    }
    Ok(builder)
}

fn no_nul<'a>(text: &'a str, what: &'static str) -> Result<&'a str, SetupError> {
    if text.contains('\0') { Err(SetupError::Nul { what }) } else { Ok(text) }
}

impl Grants {
    /// The folders that the task names come first, as they do for a program that is run with them alone.
    async fn scratch(&mut self, launch: &Launch, dir: &Path, meters: &Arc<Meters>) -> Result<(), SetupError> {
        let disk = Arc::new(Disk::new(launch.spec.resources.disk, Arc::clone(meters)));
        let scratch = Scratch::make(dir, launch.spec.id).map_err(SetupError::Scratch)?;
        if let Some(copies) = &launch.copies {
            scratch.copy_in(copies, &disk).await?;
        }
        for (guest_path, host) in scratch.folders(&launch.spec.grants, &disk)? {
            self.folder(&host, &guest_path, FsPerms::ReadWrite).map_err(SetupError::Scratch)?;
            self.writable.push(Arc::clone(&disk));
        }
        self.disk = Some(disk);
        self.scratch = Some(scratch);
        Ok(())
    }

    /// What is used of a volume is no usage of the task's own disk.
    async fn volume(&mut self, MountedVolume { id, guest_path, host, size, .. }: &MountedVolume) -> io::Result<()> {
        let disk = Arc::new(Disk::new(*size, Arc::default()));
        volume::take_stock(host, &disk).await?;
        self.folder(host, guest_path, FsPerms::ReadWrite)?;
        self.writable.push(Arc::clone(&disk));
        self.volumes.push((*id, disk));
        Ok(())
    }

    fn folder(&mut self, host: &Path, guest_path: &str, perms: FsPerms) -> io::Result<()> {
        self.files.keep().map_err(io::Error::other)?;
        self.builder.preopened_dir(host, guest_path, perms).map_err(io::Error::other)?;
        Ok(())
    }
}
