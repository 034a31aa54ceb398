//! The standard library for wasm32-wasip1, compiled from Debian's sources into the unpacked toolchain.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::super::{TARGET, sysroot};
use crate::process;

/// Compiles the standard library with the toolchain in `root`, and puts it where its rustc looks for it.
pub(crate) fn build(root: &Path, cargo: &Path) -> anyhow::Result<()> {
    let linker = linker(root)?;
    let lender = match lent_linker(&sysroot()?) {
        Some(lender) => lender,
        None => own_linker(root)?,
    };
    fs::create_dir_all(linker.parent().context("a linker is in a folder")?)?;
    // A link and not a copy: it finds its LLVM beside its real place.
    super::symlink(&lender, &linker)?;

    let wasi = root.join("usr/lib/wasm32-wasi");
    let package = package(&root.join("guest"), "fn main() {}\n")?;
    let target = package.join("target");
    // With bitcode, as rustup's is: without it, no program could be built with link-time optimisation.
    let mut flags = OsString::from("-C embed-bitcode=yes -C link-self-contained=no -C link-arg=");
    flags.push(wasi.join("crt1-command.o"));
    flags.push(" -L native=");
    flags.push(&wasi);
    flags.push(" -C link-arg=-lc");
    process::output(
        Command::new(cargo)
            .current_dir(&package)
            .args(["build", "--release", "-Zbuild-std=std,panic_abort,proc_macro", "--target", TARGET, "--target-dir"])
            .arg(&target)
            // The standard library needs it to be built by a released compiler.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_WASM32_WASIP1_LINKER", &linker)
            .env("CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS", flags)
            // Flags for the user's own programs are not meant for this one.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS"),
    )
    .context("cannot build the standard library")?;

    let libraries = root.join("usr/lib/rustlib").join(TARGET).join("lib");
    copy(&target.join(TARGET).join("release/deps"), &libraries, &["rlib"])?;
    copy(&wasi, &libraries.join("self-contained"), &["o", "a"])?;
    fs::remove_dir_all(&package)?;
    Ok(())
}

/// A package `guest` of one file.
pub(crate) fn package(folder: &Path, main: &str) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(
        folder.join("Cargo.toml"),
        "[package]\nname = \"guest\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[workspace]\n",
    )?;
    fs::write(folder.join("src/main.rs"), main)?;
    Ok(folder.to_path_buf())
}

/// Where the toolchain in `root` has its linker.
pub(crate) fn linker(root: &Path) -> anyhow::Result<PathBuf> {
    let rustlib = root.join("usr/lib/rustlib");
    let host = fs::read_dir(&rustlib)
        .with_context(|| format!("cannot read {}", rustlib.display()))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("-linux-gnu")))
        .with_context(|| format!("{} has no folder for this machine", rustlib.display()))?;
    Ok(host.join("bin/rust-lld"))
}

/// The linker of another toolchain, which can serve this one as well.
pub(crate) fn lent_linker(sysroot: &Path) -> Option<PathBuf> {
    let host = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    Some(sysroot.join("lib/rustlib").join(host).join("bin/rust-lld")).filter(|linker| linker.exists())
}

/// The linker of Debian's own package, unpacked beside the compiler; as seen from where the link to it will be, since
/// `root` is still to get its final name.
fn own_linker(root: &Path) -> anyhow::Result<PathBuf> {
    let libraries = root.join("usr/lib");
    fs::read_dir(&libraries)?
        .flatten()
        .find(|entry| entry.path().join("bin/lld").exists())
        .map(|llvm| Path::new("../../..").join(llvm.file_name()).join("bin/lld"))
        .with_context(|| format!("{} has no linker", libraries.display()))
}

fn copy(from: &Path, to: &Path, extensions: &[&str]) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name() else { continue };
        if path.extension().is_some_and(|extension| extensions.iter().any(|&wanted| extension == wanted)) {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}
