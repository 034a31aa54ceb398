//! Where things are in this checkout, as cargo says.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use crate::process;

/// How the variables begin by which cargo tells a program of its package.
const OURS: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];

/// This checkout.
pub(crate) struct Workspace {
    /// The folder of the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds; `CARGO_TARGET_DIR` is honoured.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// The workspace that this program was built from.
    pub(crate) fn find() -> anyhow::Result<Self> {
        // Cargo sets it for `cargo xtask`; the other is for who starts the program by hand, in place.
        let manifest =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let metadata = metadata(&manifest, &["--no-deps"])?;
        Ok(Self { root: path(&metadata, "workspace_root")?, target: path(&metadata, "target_directory")? })
    }

    /// Where a build without `--release` leaves its programs.
    pub(crate) fn debug(&self) -> PathBuf {
        self.target.join("debug")
    }

    /// Where a build with `--release` leaves its programs.
    pub(crate) fn release(&self) -> PathBuf {
        self.target.join("release")
    }

    /// Where the compiled example tasks are.
    pub(crate) fn wasm(&self) -> PathBuf {
        self.target.join("wasm")
    }

    /// The workspace of the example tasks.
    pub(crate) fn tasks(&self) -> PathBuf {
        self.root.join("examples").join("tasks")
    }

    /// A cargo command in the root of this workspace.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new(cargo_program());
        cargo.current_dir(&self.root);
        // What cargo told us of our own package. Build scripts look at it (ring's does), and so everything that has ring below
        // it would be compiled again whenever a build from here follows one from a shell, or the other way round.
        for (name, _) in env::vars_os() {
            if OURS.iter().any(|ours| name.as_encoded_bytes().starts_with(ours.as_bytes())) {
                cargo.env_remove(name);
            }
        }
        cargo
    }

    /// A git command in the root of this workspace.
    pub(crate) fn git(&self) -> Command {
        let mut git = Command::new("git");
        git.current_dir(&self.root);
        git
    }

    /// The folders of all packages that this workspace is built from on this machine, its own and others'.
    pub(crate) fn packages(&self) -> anyhow::Result<Vec<PathBuf>> {
        let compiler = process::output(Command::new("rustc").arg("-vV"))?;
        let host = compiler.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
        // Without it, cargo would fetch what only other systems need.
        let metadata = metadata(&self.root, &["--filter-platform", host])?;
        let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
        packages
            .iter()
            .map(|package| {
                let manifest = path(package, "manifest_path")?;
                Ok(manifest.parent().context("a manifest is in a folder")?.to_path_buf())
            })
            .collect()
    }
}

/// A program's file name on this system.
pub(crate) fn program(name: &str) -> String {
    format!("{name}{}", env::consts::EXE_SUFFIX)
}

/// The cargo that runs us.
pub(crate) fn cargo_program() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

fn metadata(folder: &Path, args: &[&str]) -> anyhow::Result<Value> {
    let mut cargo = Command::new(cargo_program());
    cargo.current_dir(folder).args(["metadata", "--format-version", "1"]).args(args);
    serde_json::from_str(&process::output(&mut cargo)?).context("cargo metadata gave no JSON")
}

fn path(of: &Value, key: &str) -> anyhow::Result<PathBuf> {
    of[key].as_str().map(PathBuf::from).with_context(|| format!("cargo metadata has no {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_told_nothing_of_the_package_that_this_is() {
        let here = PathBuf::from(".");
        let cargo = Workspace { root: here.clone(), target: here }.cargo();

        let removed: Vec<_> = cargo.get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();

        for name in ["CARGO_PKG_NAME", "CARGO_PKG_VERSION_PRE", "CARGO_MANIFEST_DIR"] {
            assert!(env::var_os(name).is_none() || removed.contains(&name.as_ref()), "{name}: {removed:?}");
        }
    }
}
