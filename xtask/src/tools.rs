//! Programs of others that checks need: the one on the path, or one of our own under the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::process::{self, step, timed};
use crate::toolchain::debian;
use crate::workspace::{Workspace, program};

/// A cargo command that comes as a package of its own.
pub(crate) struct Tool {
    package: &'static str,
    /// The version that our configuration and command lines are written for.
    version: &'static str,
}

/// Checks what we depend on.
pub(crate) const DENY: Tool = Tool { package: "cargo-deny", version: "0.20.2" };
/// Builds and runs fuzz targets.
pub(crate) const FUZZ: Tool = Tool { package: "cargo-fuzz", version: "0.13.2" };

/// The etcd that tests of several masters start: Debian's, where the system has none.
pub(crate) fn ensure_etcd(workspace: &Workspace) -> anyhow::Result<()> {
    let there = |etcd: &Path, ctl: &Path| {
        process::exists(&etcd.to_string_lossy()) && process::output(Command::new(ctl).arg("version")).is_ok()
    };
    let ours = etcd_programs(workspace);
    if there(Path::new("etcd"), Path::new("etcdctl")) || there(&ours.join("etcd"), &ours.join("etcdctl")) {
        return Ok(());
    }
    timed("fetch etcd from Debian's packages", || {
        debian::unpack(&etcd_root(workspace), &["etcd-server", "etcd-client"])
            .context("no etcd: install etcd and etcdctl, 3.4 or later, by hand")
    })
}

/// Where the etcd of [`ensure_etcd`] is, when the system has none.
pub(crate) fn etcd_programs(workspace: &Workspace) -> PathBuf {
    etcd_root(workspace).join("usr").join("bin")
}

fn etcd_root(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tools").join("etcd")
}

/// The qemu that runs programs of arm64: 8 or later, which keeps a list of what a program maps and not a table of pages. A
/// pool of instances maps terabytes.
///
/// # Errors
/// When neither this machine nor Debian has one.
pub(crate) fn ensure_qemu(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    const MAJOR: u32 = 8;
    let root = workspace.target.join("tools").join("qemu");
    let ours = root.join("usr").join("bin").join("qemu-aarch64");
    let is_new = |qemu: &Path| {
        let said = process::output(Command::new(qemu).arg("--version")).unwrap_or_default();
        let version = said.split_once("version ").and_then(|(_, version)| version.split('.').next()?.parse().ok());
        version.is_some_and(|version: u32| version >= MAJOR)
    };
    for qemu in [PathBuf::from("qemu-aarch64"), PathBuf::from("qemu-aarch64-static"), ours.clone()] {
        if is_new(&qemu) {
            return Ok(qemu);
        }
    }
    timed("fetch qemu from Debian's packages", || {
        debian::unpack_at_least(&root, "qemu-user", MAJOR)
            .with_context(|| format!("no qemu: install qemu-aarch64 (qemu's user mode), {MAJOR} or later, by hand"))
    })?;
    Ok(ours)
}

impl Tool {
    /// Where it is; compiles it when this machine has not got this version yet.
    pub(crate) fn ensure(&self, workspace: &Workspace) -> anyhow::Result<PathBuf> {
        let Self { package, version } = self;
        let root = workspace.target.join("tools");
        let ours = root.join("bin").join(program(package));
        let there = [PathBuf::from(package), ours.clone()].into_iter().find(|tool| self.is(tool));
        if let Some(tool) = there {
            return Ok(tool);
        }
        // Not optimised: that takes a third of the time, and they are waited for less than their build is.
        let mut install = workspace.cargo();
        install.args(["install", "--quiet", "--locked", "--debug", "--force", package, "--version", version]);
        install.arg("--root").arg(root);
        step(&format!("{package} {version}"), &mut install)
            .with_context(|| format!("no {package} {version}: install it by hand"))?;
        Ok(ours)
    }

    /// Whether this program is there, in the version that is wanted.
    fn is(&self, tool: &Path) -> bool {
        process::output(Command::new(tool).arg("--version"))
            .is_ok_and(|said| said.split_whitespace().any(|word| word == self.version))
    }
}
