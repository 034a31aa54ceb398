//! Compiling for other systems than this one: the standard library from rustup, and a C compiler for what dependencies
//! have in C.

use std::env::consts::{ARCH, OS};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::languages::{self, Language};
use crate::process::step;
use crate::test::{EVERYTHING, STRICT};
use crate::toolchain;
use crate::workspace::Workspace;

/// A system that we compile for, wherever we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// Linux on x86-64, without a C library of its machine
    LinuxX86,
    /// Linux on arm64, likewise
    LinuxArm,
    /// macOS on arm64
    Mac,
    /// Windows on x86-64
    Windows,
}

impl System {
    /// Those that nobody who works on this has in front of them, and lints shall not overlook.
    pub(crate) const ELSEWHERE: [Self; 2] = [Self::Mac, Self::Windows];

    /// As Rust names it.
    pub(crate) fn triple(self) -> &'static str {
        match self {
            Self::LinuxX86 => "x86_64-unknown-linux-musl",
            Self::LinuxArm => "aarch64-unknown-linux-musl",
            Self::Mac => "aarch64-apple-darwin",
            Self::Windows => "x86_64-pc-windows-gnu",
        }
    }

    /// As zig names it.
    fn zig(self) -> &'static str {
        match self {
            Self::LinuxX86 => "x86_64-linux-musl",
            Self::LinuxArm => "aarch64-linux-musl",
            Self::Mac => "aarch64-macos",
            Self::Windows => "x86_64-windows-gnu",
        }
    }

    /// The one whose static programs this machine runs.
    pub(crate) fn here() -> Option<Self> {
        [(Self::LinuxX86, "x86_64"), (Self::LinuxArm, "aarch64")]
            .into_iter()
            .find_map(|(system, processor)| (OS == "linux" && ARCH == processor).then_some(system))
    }

    pub(crate) fn is_linux(self) -> bool {
        matches!(self, Self::LinuxX86 | Self::LinuxArm)
    }

    /// The program that this machine has to have to link for it.
    pub(crate) fn own_linker(self) -> Option<&'static str> {
        self.linker().filter(|_| !self.is_linux())
    }

    /// What links its programs; `None` where nothing is linked here.
    fn linker(self) -> Option<&'static str> {
        match self {
            // Comes with Rust, as do the C library and what a program begins with.
            Self::LinuxX86 | Self::LinuxArm => Some("rust-lld"),
            Self::Windows => Some("x86_64-w64-mingw32-gcc"),
            Self::Mac => None,
        }
    }
}

/// A cargo command that compiles for this system, with all that it needs for that.
///
/// # Errors
/// Says what cannot be had.
pub(crate) fn cargo(workspace: &Workspace, system: System) -> anyhow::Result<Command> {
    toolchain::add_target(system.triple())?;
    let compiler = compiler(workspace, system)?;
    let archiver = archiver(workspace)?;
    let (lower, upper) = (system.triple().replace('-', "_"), system.triple().replace('-', "_").to_uppercase());
    let mut cargo = workspace.cargo();
    cargo.env("CARGO_BUILD_TARGET", system.triple());
    cargo.env(format!("CC_{lower}"), compiler).env(format!("AR_{lower}"), archiver);
    if let Some(linker) = system.linker() {
        cargo.env(format!("CARGO_TARGET_{upper}_LINKER"), linker);
    }
    Ok(cargo)
}

/// Where optimised builds for this system leave their programs.
pub(crate) fn release(workspace: &Workspace, system: System) -> PathBuf {
    workspace.target.join(system.triple()).join("release")
}

/// Lints everything as this system compiles it.
///
/// # Errors
/// When it has a warning.
pub(crate) fn lint(mut cargo: Command, system: System) -> anyhow::Result<()> {
    cargo.args(["clippy", "--quiet", "--locked"]).args(EVERYTHING);
    if system == System::Windows {
        // They run on Unix, and drive the program for Windows from there.
        cargo.args(["--exclude", "haggle-tests"]);
    }
    step(&format!("lints for {}", system.triple()), cargo.args(STRICT))
}

/// zig's clang for this system. Without the flags that Rust's build scripts give every clang and zig reads in its own
/// way, and without the checks that would need a library of zig's when the program is linked. No program says when it was
/// compiled: it would be another one each time, which zig refuses.
fn compiler(workspace: &Workspace, system: System) -> anyhow::Result<PathBuf> {
    let target = system.zig();
    let script = "for arg; do shift; case \"$arg\" in --target=*) ;; *) set -- \"$@\" \"$arg\";; esac; done\n";
    let undated = "-Wno-builtin-macro-redefined -D__DATE__='\"\"' -D__TIME__='\"\"'";
    let flags = format!("cc -target {target} -fno-sanitize=undefined {undated}");
    zig(workspace, &format!("{target}-cc"), script, &flags)
}

fn archiver(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    zig(workspace, "ar", "", "ar")
}

/// A program of its own for what zig does with these flags: build scripts take the path of one.
fn zig(workspace: &Workspace, name: &str, before: &str, flags: &str) -> anyhow::Result<PathBuf> {
    let zig = languages::fetched(Language::C)?;
    let folder = workspace.target.join("tools").join("zig");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (cache, program) = (zig.join("cache"), zig.join("ziglang").join("zig"));
    let text = format!(
        "#!/bin/sh\n{before}ZIG_GLOBAL_CACHE_DIR={} exec {} {flags} \"$@\"\n",
        quoted(&cache)?,
        quoted(&program)?
    );
    let path = folder.join(name);
    // Build scripts are run again when it changes.
    if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
        let draft = folder.join(format!("{name}.{}", std::process::id()));
        fs::write(&draft, text)?;
        make_executable(&draft)?;
        fs::rename(&draft, &path)?;
    }
    Ok(path)
}

#[cfg(unix)]
fn make_executable(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> anyhow::Result<()> {
    anyhow::bail!("this system has no scripts that a build could take for a compiler")
}

/// A path as the shell reads it.
fn quoted(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not Unicode", path.display()))?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}
