//! A root folder with two static programs in it, for whoever wants to run them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde_json::{Value, json};
use tempfile::TempDir;

const NOOP: &str = "int main(void) { return 0; }\n";
const IDLE: &str = "#include <unistd.h>\nint main(void) { return pause(); }\n";

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

    /// The bundle in which a container runtime finds a program: what it proposes itself, with this program, without a
    /// terminal.
    pub(super) fn bundle(&self, runtime: &str, program: &str) -> anyhow::Result<PathBuf> {
        let bundle = self.dir.path().join(format!("{runtime}-{program}"));
        let path = bundle.join("config.json");
        if !path.exists() {
            fs::create_dir_all(&bundle)?;
            propose(runtime, &bundle)?;
            let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
            config["process"]["terminal"] = json!(false);
            config["process"]["args"] = json!([format!("/bin/{program}")]);
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
