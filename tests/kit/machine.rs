//! Machines that come together by tokens. Nothing passes from one to another but a token, and connections.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::home::Home;
use crate::place::binary;
use crate::ran::Ran;
use crate::wait::{PATIENCE, until, until_free};
use crate::wine;

/// A machine, as far as Haggle can tell: a user with a home that no other has.
#[derive(Debug)]
pub struct Machine {
    program: PathBuf,
    dir: TempDir,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// One with the `haggle` of this build.
    ///
    /// # Panics
    /// When that is not built, or there is no room for a folder.
    pub fn new() -> Self {
        Self::of(binary("haggle"))
    }

    /// One with another build of `haggle`.
    ///
    /// # Panics
    /// When there is no room for a folder.
    pub fn of(program: PathBuf) -> Self {
        Self { program, dir: TempDir::new().expect("a temporary folder can be made") }
    }

    /// The home of its user.
    pub fn home(&self) -> Home {
        Home::below(self.dir.path())
    }

    /// Something of this name on its disk.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The command line of its user.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = wine::command(&self.program);
        self.home().take_in(&mut command);
        command.args(args).stdin(Stdio::null());
        command
    }

    /// Runs the command line to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn haggle(&self, args: &[&str]) -> Ran {
        self.command(args).output().expect("haggle can be started").into()
    }

    /// Starts something that runs on.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(&self, name: &str, args: &[&str]) -> Daemon {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        Daemon::spawn(&self.program, &args, self.path(&format!("{name}.log")))
    }

    /// Keeps a token in a file, and names that as a flag does.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn keep(&self, token: &str) -> String {
        let path = self.path("token");
        let mut file = fs::OpenOptions::new();
        let mut file = file.write(true).create(true).truncate(true).mode(0o600).open(&path).expect("it can be written");
        writeln!(file, "{token}").expect("it can be written");
        format!("@{}", path.display())
    }

    /// Starts an agent in the work folder of this name.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn agent(&self, name: &str, more: &[&str]) -> Daemon {
        let folder = self.path(name).display().to_string();
        let args = ["agent", "--name", name, "--cpus", "2", "--mem", "1GiB", "--work-dir", &folder];
        self.spawn(name, &[&args, more].concat())
    }
}

/// A master, and the machine that it runs on.
pub struct Master {
    /// Its user's.
    pub machine: Machine,
    /// Its process.
    pub daemon: Daemon,
    /// `HOST:PORT`.
    pub address: String,
    flags: Vec<String>,
}

impl Master {
    /// One that speaks TLS.
    pub async fn secure() -> Self {
        Self::start("127.0.0.2", &["--tls", "--log-level", "haggle=trace,info"]).await
    }

    /// One on loopback, in plain text.
    pub async fn plain() -> Self {
        Self::start("127.0.0.1", &[]).await
    }

    /// One that listens on this host, with further flags.
    ///
    /// # Panics
    /// When no port is free there, or it does not come up.
    pub async fn start(host: &str, more: &[&str]) -> Self {
        let machine = Machine::new();
        let port = TcpListener::bind((host, 0)).expect("a port is free").local_addr().expect("it has one").port();
        let address = format!("{host}:{port}");
        let state = machine.path("state").display().to_string();
        let flags = [&["master", "--listen", &address, "--state", &state], more].concat();
        let daemon = machine.spawn("master", &flags);
        let flags = flags.into_iter().map(str::to_owned).collect();
        let mut master = Self { machine, daemon, address, flags };
        master.ready().await;
        master
    }

    /// Kills it and starts it again, in the same place.
    pub async fn restart(&mut self) {
        self.daemon.kill();
        until_free(self.address.as_str()).await;
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        self.daemon = self.machine.spawn("master", &flags);
        self.ready().await;
    }

    async fn ready(&mut self) {
        let began = Instant::now();
        until("the master answers its user", async || {
            assert!(self.daemon.is_running(), "{}", self.daemon.log());
            let said = self.haggle(&["whoami"]);
            let late = began.elapsed() > PATIENCE;
            assert!(!late, "the master does not answer its user: {said:?}\n{}", self.daemon.log());
            (said.code == Some(0)).then_some(())
        })
        .await;
    }

    /// Runs the command line as the user that runs the master.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn haggle(&self, args: &[&str]) -> Ran {
        self.machine.haggle(&[args, &["--master", &self.address]].concat())
    }

    /// Makes a token.
    ///
    /// # Panics
    /// When it is not made.
    #[track_caller]
    pub fn token(&self, flags: &[&str]) -> String {
        let made = self.haggle(&[&["token", "create"], flags].concat());
        assert!(made.stderr.starts_with("haggle: token-"), "{made:?}");
        made.well()
    }

    /// The id of the token of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn id_of(&self, name: &str) -> String {
        let tokens = self.haggle(&["token", "ls", "--json"]).json();
        let its = tokens.iter().find(|token| token["name"] == name).expect("there is such a token");
        its["id"].as_str().expect("it has an id").to_owned()
    }

    /// Waits until so many agents are connected.
    pub async fn has_agents(&self, count: usize) {
        until("the agents are connected", async || {
            let agents = self.haggle(&["agents", "--json"]).json();
            (agents.iter().filter(|agent| agent["connected"] == true).count() == count).then_some(())
        })
        .await;
    }
}
