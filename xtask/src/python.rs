//! The Python package: builds its wheel, installs it into an environment of its own, and tests it there.

pub(crate) mod wheel;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::bench::PACKAGES;
use crate::languages;
use crate::process::{self, step, timed};
use crate::test::{EVERYTHING, given};
use crate::workspace::{Workspace, program};
use wheel::Wheel;

/// What checks the package, and what it makes use of where it is there. Pinned: a new version of a type checker finds new faults.
const CHECKERS: [&str; 4] = ["mypy==2.4.1", "pytest==9.2.0", "tqdm==4.70.1", "ipython==9.18.1"];

/// What it is measured against.
const RIVALS: [&str; 2] = ["ray==2.60.0", "distributed==2026.8.0"];

/// Builds the wheel, and runs every check of it.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    step("build", workspace.cargo().args(["build", "--quiet", "--locked"]).args(EVERYTHING))?;
    check(workspace)
}

/// The checks, of what was built.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let environment = Environment::ensure(workspace, "checks", &CHECKERS)?;
    let wheel = timed("wheel of the Python package", || {
        let wheel = Wheel {
            build: &[&["build", "--quiet", "--locked"], &EVERYTHING[..]].concat(),
            haggle: &workspace.debug().join(program("haggle")),
            to: &wheels(workspace),
            compressed: false,
        };
        let wheel = wheel.make(workspace)?;
        environment.install(&wheel)?;
        Ok(wheel)
    })?;
    let sdk = workspace.root.join("sdk").join("python");
    let mut types = Command::new(environment.program("mypy"));
    types.current_dir(&sdk).env("MYPYPATH", sdk.join("python")).arg("--cache-dir").arg(environment.0.join("mypy"));
    types.args(["python/haggle_cluster", "tests", "bench.py"]).arg(workspace.root.join("examples/python"));
    step("types of the Python package", &mut types)?;
    let mut tests = Command::new(environment.program("pytest"));
    tests.current_dir(&sdk).args(["--quiet", "-p", "no:cacheprovider"]).env("PYTHONDONTWRITEBYTECODE", "1");
    tests.env("HAGGLE_TEST_WASM", workspace.wasm()).env("HAGGLE_TEST_WHEEL", wheel);
    for (name, value) in given(workspace, &[]).get_envs().filter(|(name, _)| *name == "PATH") {
        tests.env(name, value.unwrap_or_default());
    }
    step("tests of the Python package", &mut tests)
}

/// Measures calls of Python functions beside what people would use instead. The programs are optimised ones.
pub(crate) fn bench(workspace: &Workspace, args: &[String]) -> anyhow::Result<()> {
    let build =
        [&["build", "--release", "--locked", "--bins", "--lib"], &PACKAGES[..], &["-p", "haggle-python"]].concat();
    step("build, optimised", workspace.cargo().args(&build))?;
    let environment = Environment::ensure(workspace, "bench", &RIVALS)?;
    let haggle = workspace.release().join(program("haggle"));
    let wheel = Wheel { build: &build, haggle: &haggle, to: &wheels(workspace), compressed: false };
    environment.install(&wheel.make(workspace)?)?;
    let mut bench = Command::new(environment.program("python"));
    bench.arg(workspace.root.join("sdk/python/bench.py")).args(args);
    step("benchmark", &mut bench)
}

/// Where wheels go that are tested or measured here.
fn wheels(workspace: &Workspace) -> PathBuf {
    workspace.target.join("python").join("wheels")
}

/// A Python environment below the target folder, with these packages.
pub(crate) struct Environment(PathBuf);

impl Environment {
    pub(crate) fn ensure(workspace: &Workspace, name: &str, packages: &[&str]) -> anyhow::Result<Self> {
        let environment = Self(workspace.target.join("python").join(name));
        let (marker, wanted) = (environment.0.join("packages"), packages.join("\n"));
        if fs::read_to_string(&marker).is_ok_and(|there| there == wanted) {
            return Ok(environment);
        }
        timed(&format!("Python environment with {}", packages.join(", ")), || {
            let python = languages::python()?;
            // Debian's Python makes environments, but none with a pip.
            let mut make = Command::new(&python);
            process::output(make.args(["-m", "venv", "--clear", "--without-pip"]).arg(&environment.0))?;
            if !packages.is_empty() {
                environment.pip(packages)?;
            }
            fs::write(&marker, &wanted).with_context(|| format!("cannot write {}", marker.display()))
        })?;
        Ok(environment)
    }

    /// Puts a wheel into it, in place of the one before.
    pub(crate) fn install(&self, wheel: &Path) -> anyhow::Result<()> {
        let wheel = wheel.to_str().context("a wheel whose path is not UTF-8")?;
        self.pip(&["--no-deps", "--no-index", "--force-reinstall", wheel])
    }

    fn pip(&self, words: &[&str]) -> anyhow::Result<()> {
        let mut pip = Command::new(languages::python()?);
        pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "--python"]).arg(self.program("python"));
        process::output(pip.arg("install").args(words)).map(drop)
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.0.join(if cfg!(windows) { "Scripts" } else { "bin" }).join(program(name))
    }
}
