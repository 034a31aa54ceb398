//! A host: an address, a user, and a home that no other host has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use haggle_kit::{Daemon, Home, Ran, binary};
use tempfile::TempDir;

use crate::net::Namespace;

/// A host; gone with its value.
pub(crate) struct Host {
    name: String,
    address: String,
    namespace: Namespace,
    dir: TempDir,
}

impl Host {
    /// One that is not plugged in anywhere.
    pub(crate) fn new(name: &str, address: &str) -> Self {
        let dir = TempDir::new().expect("a temporary folder can be made");
        Self { name: name.to_owned(), address: address.to_owned(), namespace: Namespace::new(name), dir }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Brings a file there, into the folder where its commands run.
    pub(crate) fn bring(&self, file: &Path) {
        fs::copy(file, self.path(file.file_name().and_then(|name| name.to_str()).expect("a file has a name")))
            .expect("it can be copied");
    }

    /// The command line there.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.namespace.command(&binary("haggle"));
        Home::below(self.dir.path()).take_in(&mut command);
        command.args(args).stdin(Stdio::null()).current_dir(self.dir.path());
        command
    }

    /// Runs the command line there to its end.
    pub(crate) fn haggle(&self, args: &[&str]) -> Ran {
        self.command(args).output().expect("haggle can be started").into()
    }

    /// Starts a master or an agent there.
    pub(crate) fn start(&self, args: &[&str]) -> Daemon {
        let haggle = binary("haggle").display().to_string();
        let words = [&["netns", "exec", self.namespace.name(), &haggle], args].concat();
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        Daemon::spawn(Path::new("ip"), &words, self.path(&format!("{}.log", args[0])))
    }

    /// Runs a script of the shell there, as root.
    #[track_caller]
    pub(crate) fn shell(&self, script: &str) -> String {
        crate::net::run(self.namespace.command(Path::new("sh")).args(["-ec", script]))
    }
}
