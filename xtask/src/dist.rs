//! `cargo xtask dist`: one archive for each system, with a program that needs nothing else there, and the wheel of the Python
//! package for this one.

mod elf;
mod wheel;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::bench;
use crate::cross::{self, System};
use crate::process::{self, step, timed};
use crate::workspace::Workspace;
use crate::{arm64, languages, tasks, tools, windows};

/// What each archive holds beside the program.
const BESIDE: [&str; 2] = ["README.md", "LICENSE"];

/// Variables that would lead the program to another place than the empty folder.
const ELSEWHERE: [&str; 6] =
    ["HAGGLE_MASTER", "HAGGLE_TOKEN", "HAGGLE_JOIN", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"];

/// Packs files, always to the same bytes.
const PACK: &str = include_str!("dist/pack.py");

/// A system that there are archives for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Archive {
    /// Statically linked, of any distribution
    #[value(name = "linux-x86-64")]
    LinuxX86,
    /// The same for arm64
    #[value(name = "linux-arm64")]
    LinuxArm,
    /// For Windows 10 or later
    #[value(name = "windows-x86-64")]
    Windows,
}

impl Archive {
    pub(crate) const ALL: [Self; 3] = [Self::LinuxX86, Self::LinuxArm, Self::Windows];

    fn system(self) -> System {
        match self {
            Self::LinuxX86 => System::LinuxX86,
            Self::LinuxArm => System::LinuxArm,
            Self::Windows => System::Windows,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::LinuxX86 => "linux-x86-64",
            Self::LinuxArm => "linux-arm64",
            Self::Windows => "windows-x86-64",
        }
    }

    fn program(self) -> &'static str {
        if self == Self::Windows { "haggle.exe" } else { "haggle" }
    }

    fn extension(self) -> &'static str {
        if self == Self::Windows { "zip" } else { "tar.gz" }
    }
}

/// Whether a program was seen at work. To be told where it is read.
enum Tried {
    Works,
    NotHere(String),
}

/// Builds, checks, tries and packs the program for each of these systems.
///
/// # Errors
/// When one cannot be built, is not what it must be, or does not work.
pub(crate) fn run(workspace: &Workspace, archives: &[Archive]) -> anyhow::Result<()> {
    timed("example tasks to WebAssembly", || tasks::build(workspace))?;
    let to = workspace.target.join("dist");
    fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
    for &archive in archives {
        let program = build(workspace, archive)?;
        if archive.system().is_linux() {
            let bytes = fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
            elf::check_static(&bytes).with_context(|| format!("{} is not static", program.display()))?;
        }
        match attempt(workspace, archive, &program)? {
            Tried::Works => eprintln!("{} ran hello.wasm", program.display()),
            Tried::NotHere(why) => eprintln!("\nWARNING: {} was NOT run: {why}\n", program.display()),
        }
        let (packed, digest) = pack(workspace, archive, &program, &to)?;
        let size = fs::metadata(&packed)?.len();
        println!("{digest}  {} ({:.1} MiB)", packed.display(), size as f64 / f64::from(1 << 20));
        if System::here() == Some(archive.system()) {
            let wheel = wheel::make(workspace, &program, &to)?;
            let size = fs::metadata(&wheel)?.len();
            println!("{} ({:.1} MiB) ran hello.wasm", wheel.display(), size as f64 / f64::from(1 << 20));
        }
    }
    Ok(())
}

/// With all packages that optimised builds select, of which one program is made: so cargo chooses the same features, and
/// what is measured is what is packed.
fn build(workspace: &Workspace, archive: Archive) -> anyhow::Result<PathBuf> {
    let system = archive.system();
    if let Some(linker) = system.own_linker()
        && !process::exists(linker)
    {
        bail!("there is no {linker} to link for {}: Debian's gcc-mingw-w64-x86-64 has it", archive.name());
    }
    let mut cargo = cross::cargo(workspace, system)?;
    cargo.args(["build", "--release", "--locked", "--bin", "haggle"]).args(bench::PACKAGES);
    step(&format!("build for {}", archive.name()), &mut cargo)?;
    Ok(cross::release(workspace, system).join(archive.program()))
}

/// Runs a task with it, where this machine can run it at all: in an empty folder that is all it has.
fn attempt(workspace: &Workspace, archive: Archive, program: &Path) -> anyhow::Result<Tried> {
    let place = workspace.target.join("dist").join(format!("try-{}", std::process::id()));
    fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
    let tried = attempt_in(workspace, archive, program, &place);
    fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))?;
    tried
}

fn attempt_in(workspace: &Workspace, archive: Archive, program: &Path, place: &Path) -> anyhow::Result<Tried> {
    let mut command = Command::new(program);
    command.args(["run", "--quiet", "--mem", "16MiB"]).arg(workspace.wasm().join("hello.wasm"));
    command.current_dir(place).env("HOME", place);
    for variable in ELSEWHERE {
        command.env_remove(variable);
    }
    let said = match archive {
        here if System::here() == Some(here.system()) => process::output(&mut command)?,
        Archive::LinuxX86 => return Ok(Tried::NotHere("this is not Linux on x86-64".to_owned())),
        Archive::LinuxArm => match tools::ensure_qemu(workspace).and_then(|qemu| arm64::emulated(&qemu, &command)) {
            Ok(mut emulated) => process::output(&mut emulated)?,
            Err(error) => return Ok(Tried::NotHere(format!("{error:#}"))),
        },
        Archive::Windows if windows::is_there() => windows::output(workspace, &command)?,
        Archive::Windows => {
            return Ok(Tried::NotHere("there is no Wine, which `cargo xtask windows` installs".to_owned()));
        }
    };
    if !said.contains("Hello") && !said.contains("hello") {
        bail!("{} ran hello.wasm, which said {said:?}", program.display());
    }
    Ok(Tried::Works)
}

/// Gives back the archive and its SHA-256.
fn pack(workspace: &Workspace, archive: Archive, program: &Path, to: &Path) -> anyhow::Result<(PathBuf, String)> {
    let name = format!("haggle-{}-{}", env!("CARGO_PKG_VERSION"), archive.name());
    let packed = to.join(format!("{name}.{}", archive.extension()));
    // Of the sources, so that whoever builds them again gets the same.
    let committed = process::output(workspace.git().args(["log", "-1", "--format=%ct"]));
    let seconds = committed.map_or_else(|_| "0".to_owned(), |seconds| seconds.trim().to_owned());
    let mut python = Command::new(languages::python()?);
    python.args(["-c", PACK]).arg(&packed).args([&seconds, &name]).arg(program);
    python.args(BESIDE.map(|file| workspace.root.join(file)));
    let digest = process::output(&mut python).with_context(|| format!("cannot pack {}", packed.display()))?;
    Ok((packed, digest.trim().to_owned()))
}
