//! A cargo that can compile for `wasm32-wasip1`, from wherever this machine can have one.
//!
//! In this order: the target is installed; `rustup` installs it; Debian's packages have it, unpacked into a folder of
//! the user's cache. `haggle build` looks for the same cargo in the same places: `$HAGGLE_WASM_CARGO`, then plain
//! `cargo` when its target is installed, then `haggle/wasm-toolchain/current/bin/cargo` in the cache.

pub(crate) mod debian;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::process;
use crate::workspace::cargo_program;

/// What the tasks are compiled for.
pub(crate) const TARGET: &str = "wasm32-wasip1";

/// Whoever cannot download 20 MB in this time is better served by an answer.
const RUSTUP_PATIENCE: Duration = Duration::from_secs(120);

/// Where the standard library for the target can come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Origin {
    /// `rustup target add`
    Rustup,
    /// Debian's packages, unpacked into a folder of the user's cache
    Debian,
}

/// The cargo that compiles for the target; with an origin, that from there and no other.
pub(crate) fn ensure(from: Option<Origin>) -> anyhow::Result<PathBuf> {
    match from {
        Some(Origin::Rustup) => {
            add_target(TARGET)?;
            Ok(cargo_program())
        }
        Some(Origin::Debian) => debian::ensure(),
        None => any(),
    }
}

/// Where toolchains are kept: outside of `target`, so that `cargo clean` does not cost all their downloads.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .context("no cache folder: neither XDG_CACHE_HOME nor HOME is an absolute path")?;
    Ok(caches.join("haggle"))
}

fn any() -> anyhow::Result<PathBuf> {
    if let Some(chosen) = env::var_os("HAGGLE_WASM_CARGO") {
        return Ok(PathBuf::from(chosen));
    }
    if installed(TARGET) {
        return Ok(cargo_program());
    }
    if let Some(cargo) = debian::ready()? {
        return Ok(cargo);
    }
    eprintln!("Rust's {TARGET} target is missing; trying `rustup target add {TARGET}`");
    let Err(rustup_failed) = add_target(TARGET) else { return Ok(cargo_program()) };
    eprintln!("that did not work ({rustup_failed:#}); trying Debian's packages");
    debian::ensure().map_err(|debian_failed| {
        anyhow::anyhow!(
            "no way to compile for {TARGET}\n  \
             rustup: {rustup_failed:#}\n  \
             Debian: {debian_failed:#}\n\
             Install the target by hand (`rustup target add {TARGET}`), or set HAGGLE_WASM_CARGO to a cargo that has it."
        )
    })
}

/// Whether plain cargo has this target's standard library.
fn installed(target: &str) -> bool {
    let Ok(sysroot) = sysroot() else { return false };
    fs::read_dir(sysroot.join("lib/rustlib").join(target).join("lib"))
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-")))
}

/// The folder of the compiler which plain cargo uses.
fn sysroot() -> anyhow::Result<PathBuf> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Ok(process::output(Command::new(rustc).args(["--print", "sysroot"]))?.trim().into())
}

/// Makes sure that plain cargo has this target's standard library, from rustup.
pub(crate) fn add_target(target: &str) -> anyhow::Result<()> {
    if installed(target) {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", target]).stdin(Stdio::null());
    let mut child = rustup.spawn().context("cannot start `rustup`")?;
    match process::wait(&mut child, RUSTUP_PATIENCE)? {
        Some(status) if !status.success() => bail!("`rustup target add {target}` ended with {status}"),
        Some(_) if !installed(target) => bail!("rustup added {target} to another toolchain than the one in use"),
        Some(_) => Ok(()),
        None => {
            child.kill()?;
            child.wait()?;
            bail!("`rustup target add {target}` took longer than {} s", RUSTUP_PATIENCE.as_secs())
        }
    }
}
