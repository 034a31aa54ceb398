//! Runs the binary, away from the user's own cluster and caches.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder with guests and other files in it, where `haggle` is run.
pub(crate) struct Place {
    folder: TempDir,
}

/// What a run of `haggle` came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    /// With these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, content) in files {
            fs::write(folder.path().join(name), content).expect("a file in it");
        }
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `haggle` with these words, split at spaces.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_haggle"));
        command
            .args(words.split_whitespace())
            .current_dir(self.folder.path())
            .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
            .env("XDG_CONFIG_HOME", self.folder.path().join("config"))
            .env("XDG_STATE_HOME", self.folder.path().join("state"))
            .env_remove("HAGGLE_MASTER")
            .env_remove("HAGGLE_TOKEN")
            .env_remove("HAGGLE_JOIN")
            .env_remove("HAGGLE_WASM_CARGO")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn haggle(&self, words: &str) -> Ran {
        self.command(words).output().expect("haggle can be run").into()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self {
            code: output.status.code().expect("an exit code"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Ran {
    /// That it was refused in one line, with nothing on standard output.
    #[track_caller]
    pub(crate) fn assert_refused(&self, code: i32, line: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stdout, "");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        assert!(self.stderr.starts_with("haggle: "), "{self:?}");
        assert!(self.stderr.contains(line), "{self:?}");
    }
}
