//! The example tasks: compiled to WebAssembly, and put where tests and people look for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use wit_component::ComponentEncoder;

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
    let mut modules = Vec::new();
    for name in names(&workspace.tasks())? {
        let module = publish(&compiled, &to, &format!("{name}.wasm"))?;
        modules.extend(component(&compiled, &to, &name, &fs::read(&module)?)?);
        modules.push(module);
    }
    Ok(modules)
}

/// What names the interfaces of WASI 0.2 in a module that is to become a component.
const COMPONENT_TYPE: &[u8] = b"component-type:";

/// The component that a module which calls WASI 0.2 has to become before it can run, as `NAME.component.wasm`. The
/// target wasm32-wasip2 would do it while linking.
fn component(compiled: &Path, to: &Path, name: &str, module: &[u8]) -> anyhow::Result<Option<PathBuf>> {
    if !module.windows(COMPONENT_TYPE.len()).any(|window| window == COMPONENT_TYPE) {
        return Ok(None);
    }
    let adapter = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER;
    let encoded = ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.adapter("wasi_snapshot_preview1", adapter))
        .and_then(|mut encoder| encoder.encode())
        .with_context(|| format!("cannot make a component of {name}"))?;
    let file = format!("{name}.component.wasm");
    fs::write(compiled.join(&file), encoded)?;
    publish(compiled, to, &file).map(Some)
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
