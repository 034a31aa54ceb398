//! A folder that is gone afterwards, and the programs that play in front of it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::Context;

use crate::workspace::{Workspace, program};

/// Where the demo happens.
pub(super) struct Stage {
    folder: PathBuf,
    haggle: PathBuf,
    wasm: PathBuf,
}

impl Stage {
    /// A new, empty folder for everything that the demo writes.
    pub(super) fn set(workspace: &Workspace) -> anyhow::Result<Self> {
        let folder = env::temp_dir().join(format!("haggle-demo-{}", process::id()));
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { folder, haggle: workspace.release().join(program("haggle")), wasm: workspace.wasm() })
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The command `haggle`.
    pub(super) fn haggle(&self) -> Command {
        let mut haggle = Command::new(&self.haggle);
        // The user's own cluster has no part in this.
        haggle.env_remove("HAGGLE_MASTER").env_remove("HAGGLE_TOKEN").env("XDG_CONFIG_HOME", &self.folder);
        haggle.current_dir(&self.folder);
        haggle
    }

    /// The module of an example task.
    pub(super) fn task(&self, name: &str) -> PathBuf {
        self.wasm.join(format!("{name}.wasm"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("warning: {} is left behind: {error}", self.folder.display());
        }
    }
}
