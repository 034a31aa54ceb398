//! A root folder with static programs in it, for whoever wants to run them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde_json::{Value, json};
use tempfile::TempDir;

const NOOP: &str = "int main(void) { return 0; }\n";
const IDLE: &str = "#include <unistd.h>\nint main(void) { return pause(); }\n";

/// Does a kernel for some rounds, and says how many microseconds of CPU time that took: `kernels NAME ROUNDS`.
const KERNELS: &str = r#"
mod work;
unsafe extern "C" { safe fn clock() -> std::ffi::c_long; }
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let kernel = work::KERNELS.into_iter().find(|kernel| kernel.name == args[1]).unwrap();
    let began = clock();
    std::hint::black_box((kernel.work)(args[2].parse().unwrap()));
    println!("{}", clock() - began);
}
"#;

/// The folder, gone with its value.
pub(super) struct Place {
    dir: TempDir,
}

impl Place {
    /// # Errors
    /// Where there is no C compiler that links statically.
    pub(super) fn new() -> anyhow::Result<Self> {
        let place = Self { dir: TempDir::new()? };
        for folder in ["root/bin", "root/proc", "root/dev", "root/sys"] {
            fs::create_dir_all(place.dir.path().join(folder))?;
        }
        place.compile("noop", NOOP)?;
        place.compile("idle", IDLE)?;
        Ok(place)
    }

    /// Has rustc make a program of the kernels, the same that are a task's.
    ///
    /// # Errors
    /// Where there is no Rust compiler that links statically.
    pub(super) fn compile_kernels(&self) -> anyhow::Result<()> {
        let source = self.dir.path().join("kernels.rs");
        fs::write(&source, KERNELS)?;
        fs::write(self.dir.path().join("work.rs"), include_str!("../../../../examples/tasks/kernels/src/work.rs"))?;
        let output = Command::new("rustc")
            .args([
                "--edition",
                "2024",
                "-C",
                "opt-level=3",
                "-C",
                "target-feature=+crt-static",
                "-A",
                "warnings",
                "-o",
            ])
            .arg(self.root().join("bin/kernels"))
            .arg(&source)
            .output()
            .context("no Rust compiler (`rustc`) is installed")?;
        anyhow::ensure!(output.status.success(), "`rustc` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    fn compile(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let source = self.dir.path().join(format!("{name}.c"));
        fs::write(&source, text)?;
        let output = Command::new("cc")
            .args(["-O2", "-static", "-s", "-o"])
            .arg(self.root().join("bin").join(name))
            .arg(&source)
            .output()
            .context("no C compiler (`cc`) is installed")?;
        anyhow::ensure!(output.status.success(), "`cc` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    /// What a sandboxed program sees as `/`.
    pub(super) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Where a container runtime keeps its books.
    pub(super) fn state(&self, runtime: &str) -> PathBuf {
        self.dir.path().join(format!("{runtime}-state"))
    }

    /// The bundle in which a container runtime finds a program: what it proposes itself, with this program and its
    /// arguments, without a terminal.
    pub(super) fn bundle(&self, runtime: &str, program: &str, args: &[&str]) -> anyhow::Result<PathBuf> {
        let name: Vec<&str> = [runtime, program].iter().chain(args).copied().collect();
        let bundle = self.dir.path().join(name.join("-"));
        let path = bundle.join("config.json");
        if !path.exists() {
            fs::create_dir_all(&bundle)?;
            propose(runtime, &bundle)?;
            let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
            config["process"]["terminal"] = json!(false);
            config["process"]["args"] = json!([&[format!("/bin/{program}").as_str()], args].concat());
            config["root"]["path"] = json!(self.root());
            fs::write(&path, serde_json::to_vec(&config)?)?;
        }
        Ok(bundle)
    }
}

fn propose(runtime: &str, bundle: &Path) -> anyhow::Result<()> {
    let status = Command::new(runtime).arg("spec").current_dir(bundle).status();
    let status = status.with_context(|| format!("`{runtime}` is not installed"))?;
    anyhow::ensure!(status.success(), "`{runtime} spec` ended with {status}");
    Ok(())
}
