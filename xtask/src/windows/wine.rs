//! Wine, with a folder of its own and the one library that it lacks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::process;
use crate::workspace::Workspace;

/// Where Debian puts what it does not put on the path.
const DEBIAN: &str = "/usr/lib/wine";

/// Wine 8 has no `bcryptprimitives.dll`, from which Rust's standard library has its random numbers: what its one function
/// does is what another one does in a library that is there.
const RANDOM: &str = r"#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);
__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE *buffer, SIZE_T length) {
    return SystemFunction036(buffer, (ULONG)length);
}
";

/// One installation of Windows, as Wine has them.
pub(crate) struct Wine {
    program: PathBuf,
    server: PathBuf,
    prefix: PathBuf,
}

/// Wine's server, which runs until this is dropped, with all that runs on it.
pub(crate) struct Running<'a>(&'a Wine);

impl Wine {
    /// Whether this machine has a Wine for programs of 64 bits.
    pub(crate) fn is_there() -> bool {
        find("wine64").is_some() && find("wineserver64").or_else(|| find("wineserver")).is_some()
    }

    /// An installation below the target folder, made when it is not there.
    pub(crate) fn ensure(workspace: &Workspace, compiler: &str) -> anyhow::Result<Self> {
        let program = find("wine64").context("there is no wine64")?;
        let server = find("wineserver64").or_else(|| find("wineserver")).context("there is no wineserver")?;
        let wine = Self { program, server, prefix: workspace.target.join("wine") };
        let system = wine.prefix.join("drive_c/windows/system32");
        if !system.join("kernel32.dll").exists() {
            fs::create_dir_all(&wine.prefix)?;
            process::run(wine.command().args(["wineboot", "--init"]))?;
            process::run(wine.server().arg("--wait"))?;
        }
        random(&wine.prefix, &system, compiler)?;
        Ok(wine)
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Tells a command, and the tests that it starts, where this installation is.
    pub(crate) fn env(&self, command: &mut Command) {
        command.env("HAGGLE_TEST_WINE", &self.program);
        command.env("WINEPREFIX", &self.prefix).env("WINEDEBUG", "-all");
        // It would ask whether to fetch what only programs for .NET and browsers need.
        command.env("WINEDLLOVERRIDES", "mscoree,mshtml=");
    }

    /// From now on programs start without a start of the whole system.
    pub(crate) fn start(&self) -> anyhow::Result<Running<'_>> {
        // An earlier call may have been cut short. There can be one server, and what runs on that is of no use any more.
        let running = Running(self);
        running.end();
        process::run(self.server().arg("--wait"))?;
        process::run(&mut self.private())?;
        process::run(self.command().args(["cmd", "/c", "ver"]))?;
        Ok(running)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        self.env(&mut command);
        // The system's own programs are started by the first, and would hold its output for as long as they run.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// A server that stays. It makes all files of its programs, and programs of this system believe no secret in a file that
    /// others could read.
    fn private(&self) -> Command {
        let mut command = Command::new("sh");
        self.env(&mut command);
        command.args(["-c", "umask 077; exec \"$0\" --persistent"]).arg(&self.server);
        command
    }

    fn server(&self) -> Command {
        let mut command = Command::new(&self.server);
        self.env(&mut command);
        command
    }
}

impl Running<'_> {
    /// Executors that wait for an agent go with it.
    fn end(&self) {
        // It says with its exit code whether there was one.
        let _ = self.0.server().arg("--kill").stderr(Stdio::null()).status();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

fn find(name: &str) -> Option<PathBuf> {
    [PathBuf::from(name), Path::new(DEBIAN).join(name)]
        .into_iter()
        .find(|program| process::exists(&program.to_string_lossy()))
}

fn random(folder: &Path, system: &Path, compiler: &str) -> anyhow::Result<()> {
    let library = system.join("bcryptprimitives.dll");
    if library.exists() {
        return Ok(());
    }
    let source = folder.join("random.c");
    fs::write(&source, RANDOM)?;
    let mut compile = Command::new(compiler);
    compile.args(["-shared", "-O2", "-o"]).arg(&library).arg(&source).arg("-ladvapi32");
    process::run(&mut compile)
}
