//! The target's standard library out of Debian's packages, as a plain user and without touching the system.
//!
//! Debian ships a current Rust for its browsers (`rustc-web`, with the sources of the standard library) and
//! `wasi-libc`. Both are unpacked into a folder of the user's cache, and the standard library is built there once.
//! The folder appears under its final name only when it has compiled a program, so what is interrupted leaves nothing
//! that could be mistaken for a toolchain.

mod apt;
mod library;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{self as std_process, Command};

use anyhow::{Context, bail};

use super::TARGET;
use crate::process;

/// What puts the unpacked programs before those of the system. It finds its folder from its own place, so that the
/// folder can be built under one name and used under another.
const WRAPPER: &str = r#"#!/bin/sh
# Cargo and rustc of this folder, whatever else is installed.
set -eu
root=$(dirname "$(dirname "$(readlink -f "$0")")")
libraries=$(dirname "$(ls "$root"/usr/lib/*/librustc_driver-*.so | head -n 1)")
export PATH="$root/usr/bin:$PATH"
export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export RUSTC="$root/usr/bin/rustc"
exec "$root/usr/bin/cargo" "$@"
"#;

/// Unpacks some of Debian's packages into a folder, with those of the libraries behind them whose names start so. Nothing
/// is installed.
pub(crate) fn unpack(root: &Path, packages: &[&str], libraries: &[&str]) -> anyhow::Result<()> {
    check_for_apt()?;
    apt::unpack_these(root, packages, libraries)
}

/// Unpacks what a package was made from, as its authors publish it, into the folder `source` of `root`.
pub(crate) fn unpack_source(root: &Path, package: &str) -> anyhow::Result<()> {
    check_for_apt()?;
    apt::unpack_source(root, package)
}

/// The same for one package, in this major version or a later one.
pub(crate) fn unpack_at_least(root: &Path, package: &str, major: u32) -> anyhow::Result<()> {
    check_for_apt()?;
    apt::unpack_at_least(root, package, major)
}

/// The toolchain of an earlier call, if there is one that still works.
pub(crate) fn ready() -> anyhow::Result<Option<PathBuf>> {
    let current = home()?.join("current");
    // The linker is a link into rustup's own toolchain, which may have gone since.
    let linker_is_there = library::linker(&current).is_ok_and(|linker| linker.exists());
    let cargo = current.join("bin/cargo");
    Ok((linker_is_there && cargo.exists()).then_some(cargo))
}

/// The toolchain, built when it is not there.
pub(crate) fn ensure() -> anyhow::Result<PathBuf> {
    check_for_apt()?;
    let home = home()?;
    fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    // Held until the end of this process at the latest: a crash leaves no lock behind.
    let lock = File::create(home.join("lock"))?;
    lock.lock().with_context(|| format!("cannot lock {}", home.join("lock").display()))?;
    // Another process may have built it while this one waited.
    if let Some(cargo) = ready()? {
        return Ok(cargo);
    }

    remove_leftovers(&home)?;
    let draft = home.join(format!("{DRAFT}{}", std_process::id()));
    let built = build(&home, &draft);
    if built.is_err() && draft.exists() {
        fs::remove_dir_all(&draft).with_context(|| format!("cannot remove {}", draft.display()))?;
    }
    built
}

/// What the folders of unfinished toolchains start with.
const DRAFT: &str = "draft-";

fn check_for_apt() -> anyhow::Result<()> {
    if process::exists("apt-get") && process::exists("dpkg-deb") {
        return Ok(());
    }
    bail!("this is no Debian: it has no apt-get or no dpkg-deb");
}

fn build(home: &Path, draft: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(draft)?;
    let version = process::timed("fetch Rust and WASI from Debian's packages", || apt::unpack(draft))?;
    let cargo = draft.join("bin/cargo");
    write_program(&cargo, WRAPPER)?;
    process::timed("build Rust's standard library for wasm32-wasip1", || library::build(draft, &cargo))?;
    process::timed("prove the toolchain with a small program", || prove(draft, &cargo))?;

    // They have done their part, and are half of it all.
    process::timed("remove the sources", || Ok(fs::remove_dir_all(draft.join("usr/src"))?))?;
    let done = home.join(version);
    if done.exists() {
        fs::remove_dir_all(&done)?;
    }
    fs::rename(draft, &done)?;
    point(&home.join("current"), &done)?;
    Ok(home.join("current/bin/cargo"))
}

/// Makes `link` a link to `to`, at once: there is no moment without one.
fn point(link: &Path, to: &Path) -> anyhow::Result<()> {
    let draft = link.with_file_name(format!("{DRAFT}link"));
    let name = to.file_name().context("a toolchain has a name")?;
    symlink(Path::new(name), &draft)?;
    fs::rename(&draft, link).with_context(|| format!("cannot make {}", link.display()))
}

/// Compiles a program that needs the standard library, without any of the flags that built it: as machine code, and as
/// bitcode, which is what link-time optimisation takes.
fn prove(draft: &Path, cargo: &Path) -> anyhow::Result<()> {
    let package = library::package(&draft.join("proof"), "fn main() { println!(\"{:?}\", std::env::args()); }\n")?;
    for lto in ["false", "true"] {
        let target = package.join(format!("target-{lto}"));
        process::output(
            Command::new(cargo)
                .current_dir(&package)
                .args(["build", "--quiet", "--release", "--target", TARGET, "--target-dir"])
                .arg(&target)
                .env("CARGO_PROFILE_RELEASE_LTO", lto),
        )?;
        let module = target.join(TARGET).join("release/guest.wasm");
        let bytes = fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?;
        if !bytes.starts_with(b"\0asm") {
            bail!("{} is no WebAssembly", module.display());
        }
    }
    fs::remove_dir_all(&package)?;
    Ok(())
}

fn remove_leftovers(home: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(home)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(DRAFT) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// `haggle/wasm-toolchain` in the user's cache.
fn home() -> anyhow::Result<PathBuf> {
    Ok(super::cache()?.join("wasm-toolchain"))
}

/// Writes a script that can be started.
pub(crate) fn write_program(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::create_dir_all(path.parent().context("a program is in a folder")?)?;
    fs::write(path, text)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

#[cfg(unix)]
fn symlink(to: &Path, link: &Path) -> anyhow::Result<()> {
    std::os::unix::fs::symlink(to, link).with_context(|| format!("cannot make {}", link.display()))
}

#[cfg(not(unix))]
fn symlink(_: &Path, link: &Path) -> anyhow::Result<()> {
    bail!("cannot make {}: this system is no Debian", link.display())
}
