//! Clients of the Mesos v1 API that others wrote, for the end-to-end tests: as their registries have them, at the versions that were read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::languages;
use crate::process::{self, timed};
use crate::tools;
use crate::workspace::Workspace;

/// What comes as it is, with what it needs.
const PYTHON: [&str; 5] = ["mesoshttp==0.4.2", "avmesos==0.4.2", "six==1.17.0", "addict==2.4.0", "kazoo==2.11.0"];

/// Alone, for what it needs does not build any more.
const PYMESOS: &str = "pymesos==0.3.15";

/// What it needs: C that no Python since 3.11 compiles, and the same in Python beside it.
const PARSER: (&str, &str) = ("http-parser==0.9.0", "http-parser-0.9.0");

const NPM: &str = "mesos-framework@0.5.3";

/// Where they are.
pub(crate) fn clients(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tools").join("mesos")
}

/// Fetches those that are not there: 25 MB. Without them their tests are left out, and say so; in CI they fail.
pub(crate) fn ensure_clients(workspace: &Workspace) {
    for (name, fetch) in [("python", fetch_python as fn(&Path) -> anyhow::Result<()>), ("npm", fetch_npm)] {
        let folder = clients(workspace).join(name);
        if folder.exists() {
            continue;
        }
        let fetched = timed(&format!("fetch clients of Mesos, {name}"), || {
            // It appears when it is whole.
            let draft = folder.with_extension("draft");
            let _ = fs::remove_dir_all(&draft);
            fs::create_dir_all(&draft).with_context(|| format!("cannot make {}", draft.display()))?;
            fetch(&draft)?;
            fs::rename(&draft, &folder).with_context(|| format!("cannot make {}", folder.display()))
        });
        if let Err(error) = fetched {
            eprintln!("no clients of Mesos, {name}: their tests are left out: {error:#}");
        }
    }
}

fn fetch_python(folder: &Path) -> anyhow::Result<()> {
    let python = languages::python()?;
    let pip = |args: &[&str]| {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]).args(args);
        process::output(pip.current_dir(folder)).map(drop)
    };
    let install = ["install", "--target", "."];
    pip(&[&install[..], &PYTHON].concat())?;
    pip(&[&install[..], &["--no-deps", PYMESOS]].concat())?;
    let (package, unpacked) = PARSER;
    pip(&["download", "--no-deps", "--no-binary", ":all:", package])?;
    let archive = format!("{unpacked}.tar.gz");
    process::output(Command::new("tar").args(["-xzf", &archive]).current_dir(folder))?;
    // Compiled for nobody: what is left is the part in Python.
    let parser = folder.join("http_parser");
    fs::rename(folder.join(unpacked).join("http_parser"), &parser)?;
    for entry in fs::read_dir(&parser)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end != "py") {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn fetch_npm(folder: &Path) -> anyhow::Result<()> {
    tools::npm_install(folder, NPM)
}
