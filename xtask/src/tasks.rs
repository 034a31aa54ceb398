//! The example tasks: compiled to WebAssembly, and put where tests and people look for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::process;
use crate::toolchain::{self, TARGET};
use crate::workspace::Workspace;

/// Compiles every example task, and gives back the modules' paths in `target/wasm`.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<Vec<PathBuf>> {
    let cargo = toolchain::ensure(None)?;
    let target = target(workspace);
    process::run(
        Command::new(cargo)
            .current_dir(workspace.tasks())
            .args(["build", "--quiet", "--release", "--locked", "--bins", "--target", TARGET, "--target-dir"])
            .arg(&target),
    )?;

    let to = workspace.wasm();
    let compiled = target.join(TARGET).join("release");
    names(&workspace.tasks())?.iter().map(|name| publish(&compiled, &to, &format!("{name}.wasm"))).collect()
}

/// A cargo command in the workspace of the example tasks, for this machine and not for WebAssembly.
pub(crate) fn cargo(workspace: &Workspace, command: &str) -> Command {
    let mut cargo = workspace.cargo();
    cargo.current_dir(workspace.tasks()).arg(command);
    if command != "fmt" {
        cargo.arg("--target-dir").arg(target(workspace));
    }
    cargo
}

/// Beside everything else that is built here, and not in the sources.
fn target(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tasks")
}

/// The names of the tasks: of all packages that are programs.
fn names(tasks: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(tasks).with_context(|| format!("cannot read {}", tasks.display()))? {
        let entry = entry?;
        if entry.path().join("src/main.rs").exists() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Copies a module such that nobody ever sees half of it.
pub(crate) fn publish(from: &Path, to: &Path, name: &str) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let module = to.join(name);
    let draft = to.join(format!("{name}.{}", std::process::id()));
    fs::copy(from.join(name), &draft)
        .and_then(|_| fs::rename(&draft, &module))
        .with_context(|| format!("cannot copy {name} to {}", to.display()))?;
    Ok(module)
}
