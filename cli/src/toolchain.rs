//! Finds a cargo that can compile for wasm32-wasip1, and has it compile a package.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::cache;

/// What tasks are compiled for.
pub(crate) const TARGET: &str = "wasm32-wasip1";

/// Names the cargo to use, for whoever has one of their own.
pub(crate) const CARGO_VARIABLE: &str = "HAGGLE_WASM_CARGO";

/// Why there is no module.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error("{} is not a cargo package: {why}", dir.display())]
    NotAPackage { dir: PathBuf, why: &'static str },
    #[error(
        "the Rust target {TARGET} is not installed: run `rustup target add {TARGET}`, or `cargo xtask wasm` in a checkout \
         of Haggle, or name a cargo that has it in {CARGO_VARIABLE}"
    )]
    NoTarget,
    #[error("cannot run {}: {source}", program.to_string_lossy())]
    Start { program: OsString, source: std::io::Error },
    #[error("cargo could not build {}", dir.display())]
    Failed { dir: PathBuf },
    #[error("{} has no program to run: wanted a src/main.rs or a [[bin]], found only a library", dir.display())]
    NoProgram { dir: PathBuf },
    #[error("{} has several programs: name one with --bin: {}", dir.display(), names.join(", "))]
    Several { dir: PathBuf, names: Vec<String> },
}

/// Compiles the package in `dir`, with cargo's own words on standard error, and says where the module is.
///
/// # Errors
/// When there is no package, no fitting cargo, when it does not compile, or when it is not clear which program is meant.
pub(crate) fn build(dir: &Path, bin: Option<&str>, quiet: bool) -> Result<PathBuf, BuildError> {
    if !dir.is_dir() {
        let why = if dir.exists() { "it is not a folder" } else { "there is no such folder" };
        return Err(BuildError::NotAPackage { dir: dir.into(), why });
    }
    if !dir.join("Cargo.toml").is_file() {
        return Err(BuildError::NotAPackage { dir: dir.into(), why: "it has no Cargo.toml" });
    }

    let program = WasmCargo::find(dir).ok_or(BuildError::NoTarget)?.program();
    let mut command = Command::new(&program);
    command
        .args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if quiet {
        command.arg("--quiet");
    }
    if let Some(bin) = bin {
        command.args(["--bin", bin]);
    }
    let mut cargo = command.spawn().map_err(|source| BuildError::Start { program, source })?;
    let messages = cargo.stdout.take().map(BufReader::new);
    let programs = messages.map(programs).unwrap_or_default();
    let success = cargo.wait().is_ok_and(|status| status.success());
    if !success {
        return Err(BuildError::Failed { dir: dir.into() });
    }

    match <[Program; 1]>::try_from(programs) {
        Ok([program]) => Ok(program.module),
        Err(none) if none.is_empty() => Err(BuildError::NoProgram { dir: dir.into() }),
        Err(several) => {
            let mut names: Vec<_> = several.into_iter().map(|program| program.name).collect();
            names.sort();
            Err(BuildError::Several { dir: dir.into(), names })
        }
    }
}

/// A cargo that can compile for [`TARGET`], or is said to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WasmCargo {
    /// The user has named it.
    Named(OsString),
    /// It is on the path, and its rustc has the target.
    OnPath,
    /// `cargo xtask wasm` has set it up.
    Own(PathBuf),
}

impl WasmCargo {
    /// The one that compiles what is in this folder, if there is any.
    pub(crate) fn find(dir: &Path) -> Option<Self> {
        if let Some(named) = std::env::var_os(CARGO_VARIABLE).filter(|named| !named.is_empty()) {
            return Some(Self::Named(named));
        }
        if rustc_has_target(dir) {
            return Some(Self::OnPath);
        }
        let own = cache::folder()?.join("wasm-toolchain/current/bin/cargo");
        own.is_file().then_some(Self::Own(own))
    }

    fn program(self) -> OsString {
        match self {
            Self::Named(named) => named,
            Self::OnPath => "cargo".into(),
            Self::Own(own) => own.into_os_string(),
        }
    }
}

/// Asked in the package's folder, because rustup chooses the toolchain by it.
fn rustc_has_target(dir: &Path) -> bool {
    let asked = Command::new("rustc").args(["--print", "sysroot"]).current_dir(dir).stderr(Stdio::null()).output();
    let Ok(answer) = asked else { return false };
    let sysroot = String::from_utf8_lossy(&answer.stdout);
    answer.status.success() && Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).join("lib").is_dir()
}

/// A program that cargo has made.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    name: String,
    module: PathBuf,
}

/// The part that matters here of cargo's messages about artifacts.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    target: Option<Target>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

fn programs(messages: impl BufRead) -> Vec<Program> {
    messages.lines().map_while(Result::ok).filter_map(|line| program(&line)).collect()
}

fn program(line: &str) -> Option<Program> {
    let message: Message = serde_json::from_str(line).ok()?;
    let target = message.target.filter(|target| target.kind.iter().any(|kind| kind == "bin"))?;
    let is_module = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "wasm");
    let module = message.filenames.into_iter().find(is_module).filter(|_| message.reason == "compiler-artifact")?;
    Some(Program { name: target.name, module })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_count_among_what_cargo_makes() {
        let messages = r#"
            {"reason":"compiler-artifact","target":{"name":"share","kind":["lib"]},"filenames":["/t/libshare.rlib"]}
            {"reason":"build-script-executed","package_id":"x"}
            a line which a build script printed
            {"reason":"compiler-artifact","target":{"name":"hello","kind":["bin"]},"filenames":["/t/hello.wasm"]}
            {"reason":"build-finished","success":true}"#;

        let found = programs(messages.as_bytes());

        assert_eq!(found, [Program { name: "hello".into(), module: "/t/hello.wasm".into() }]);
    }

    #[test]
    fn a_folder_without_a_manifest_is_no_package() {
        let folder = tempfile::tempdir().unwrap();

        let error = build(folder.path(), None, true).unwrap_err();

        assert!(error.to_string().ends_with("is not a cargo package: it has no Cargo.toml"), "{error}");
    }
}
