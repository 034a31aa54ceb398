//! A master and agents as separate processes on loopback.

use std::fs::{DirEntry, read_dir, read_to_string};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use haggle_sdk::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::daemon::Daemon;
use crate::home::Home;
use crate::place::{binary, free_port};
use crate::wait::{until, until_free};
use crate::wine;

/// What an agent of a test cluster has to give.
#[derive(Clone, Debug)]
pub struct AgentFlags {
    /// As on the command line: `2`, `0.5`.
    pub cpus: &'static str,
    /// As on the command line: `1GiB`.
    pub mem: &'static str,
}

impl Default for AgentFlags {
    fn default() -> Self {
        Self { cpus: "2", mem: "2GiB" }
    }
}

/// A running cluster, gone with its value.
pub struct Cluster {
    /// The master's address, as `--master` takes it.
    pub url: String,
    /// The master's process.
    pub master: Daemon,
    /// The agents' processes, in the order in which they were started.
    pub agents: Vec<Daemon>,
    /// What each agent is started from, and with which further flags.
    programs: Vec<(PathBuf, Vec<String>)>,
    port: u16,
    master_flags: Vec<String>,
    /// What the master's environment has beside.
    variables: Vec<(String, String)>,
    dir: TempDir,
}

impl Cluster {
    /// Starts a master and agents and waits until all of them are registered.
    pub async fn start(agents: &[AgentFlags]) -> Self {
        Self::start_with(&[], agents).await
    }

    /// The same with more flags for the master.
    pub async fn start_with(master_flags: &[&str], agents: &[AgentFlags]) -> Self {
        Self::start_in(&[], master_flags, agents).await
    }

    /// The same with more variables in the master's environment.
    pub async fn start_in(variables: &[(&str, &str)], master_flags: &[&str], agents: &[AgentFlags]) -> Self {
        let dir = TempDir::new().expect("a temporary folder can be made");
        let port = free_port();
        let master_flags: Vec<String> = master_flags.iter().copied().map(str::to_owned).collect();
        let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>();
        let master = spawn_master(port, &master_flags, &variables, &dir);
        let url = format!("http://127.0.0.1:{port}");
        let (running, programs) = (Vec::new(), Vec::new());
        let mut cluster = Self { url, master, agents: running, programs, port, master_flags, variables, dir };
        for flags in agents {
            cluster.spawn_agent(flags);
        }
        cluster.registered(agents.len()).await;
        cluster
    }

    /// Starts one more agent, and does not wait for it.
    pub fn spawn_agent(&mut self, flags: &AgentFlags) {
        self.spawn_agent_of(binary("haggle"), flags);
    }

    /// The same with more flags.
    pub fn spawn_agent_with(&mut self, flags: &AgentFlags, more: &[&str]) {
        self.programs.push((binary("haggle"), more.iter().copied().map(str::to_owned).collect()));
        let agent = self.agent(self.agents.len(), flags);
        self.agents.push(agent);
    }

    /// The same of another build of `haggle`.
    pub fn spawn_agent_of(&mut self, program: PathBuf, flags: &AgentFlags) {
        self.programs.push((program, Vec::new()));
        let agent = self.agent(self.agents.len(), flags);
        self.agents.push(agent);
    }

    /// Kills an agent and starts it again, in its old folder and with its further flags, and does not wait for it.
    pub fn restart_agent(&mut self, index: usize, flags: &AgentFlags) {
        self.agents[index].kill();
        self.agents[index] = self.agent(index, flags);
    }

    /// The same with other further flags.
    pub fn restart_agent_with(&mut self, index: usize, flags: &AgentFlags, more: &[&str]) {
        self.programs[index].1 = more.iter().copied().map(str::to_owned).collect();
        self.restart_agent(index, flags);
    }

    /// Where an agent keeps everything.
    pub fn work_dir(&self, index: usize) -> PathBuf {
        self.dir.path().join(agent_name(index))
    }

    fn agent(&self, index: usize, flags: &AgentFlags) -> Daemon {
        let (program, more) = &self.programs[index];
        let name = agent_name(index);
        let work_dir = self.work_dir(index);
        let args =
            ["agent", "--master", &self.url, "--name", &name, "--cpus", flags.cpus, "--mem", flags.mem, "--work-dir"];
        let more = more.iter().cloned();
        let args = args.map(str::to_owned).into_iter().chain([work_dir.display().to_string()]).chain(more);
        let args = args.collect::<Vec<_>>();
        Daemon::spawn(program, &args, self.dir.path().join(format!("{name}.log")))
    }

    /// The processes of an agent's executors by the ids that its system gives them, and the numbers of their frameworks.
    pub fn executors(&self, index: usize) -> Vec<(u64, Pid)> {
        let folder = self.dir.path().join(format!("agent{index}/executors"));
        let executor = |entry: DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let framework = name.split_once('-')?.0.parse().ok()?;
            let pid = read_to_string(entry.path().join("pid")).ok()?.parse().ok()?;
            Some((framework, Pid::from_raw(pid)?))
        };
        read_dir(folder).into_iter().flatten().filter_map(|entry| executor(entry.ok()?)).collect()
    }

    /// Kills an agent's executors of this framework as a fault in them would, or all of them.
    ///
    /// # Panics
    /// When there is none.
    pub fn kill_executors(&self, index: usize, framework: Option<u64>) {
        let mut its = self.executors(index);
        its.retain(|(of, _)| framework.is_none_or(|framework| framework == *of));
        assert!(!its.is_empty(), "there is an executor");
        for (_, pid) in its {
            if wine::runs(&self.programs[index].0) {
                wine::end(pid.as_raw_nonzero().get());
            } else {
                kill_process(pid, Signal::KILL).expect("the executor runs");
            }
        }
    }

    /// What an agent says first of an executor that [`Self::kill_executors`] killed.
    pub fn obituary(&self, index: usize) -> &'static str {
        if wine::runs(&self.programs[index].0) {
            "the executor ended with exit code"
        } else {
            "the executor was ended by signal 9"
        }
    }

    /// Kills the master and starts another on the same port and state.
    pub async fn restart_master(&mut self) {
        self.kill_master().await;
        self.master = spawn_master(self.port, &self.master_flags, &self.variables, &self.dir);
    }

    /// Kills the master and starts another on the same port, which remembers nothing.
    ///
    /// # Panics
    /// When the state cannot be removed.
    pub async fn lose_registry(&mut self) {
        self.kill_master().await;
        std::fs::remove_dir_all(self.dir.path().join("state")).expect("the state can be removed");
        self.master = spawn_master(self.port, &self.master_flags, &self.variables, &self.dir);
    }

    async fn kill_master(&mut self) {
        self.master.kill();
        until_free(("127.0.0.1", self.port)).await;
    }

    /// Waits until the master answers and this many agents are connected.
    pub async fn registered(&self, agents: usize) {
        until("the agents are registered", async || {
            let client = self.home().connect(&self.url).await.ok()?;
            let connected = client.agents().await.ok()?.into_iter().filter(|agent| agent.connected).count();
            (connected == agents).then_some(())
        })
        .await;
    }

    /// A connection of its own.
    ///
    /// # Panics
    /// When the master does not answer.
    pub async fn client(&self) -> Client {
        self.home().connect(&self.url).await.expect("the master answers")
    }

    /// What an address of a page says to programs, for whom this token is; `None`: nothing.
    pub async fn page(&self, path: &str, token: &str) -> Option<Value> {
        serde_json::from_str(&self.get(path, token).await?).ok()
    }

    /// What the master answers at an address, whatever that is; `None`: nothing.
    pub async fn get(&self, path: &str, token: &str) -> Option<String> {
        let address = self.url.strip_prefix("http://")?;
        let mut stream = TcpStream::connect(address).await.ok()?;
        // In the version whose bodies come in one piece.
        let ask = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }

    /// The home of the user that all of it belongs to.
    pub fn home(&self) -> Home {
        Home::below(self.dir.path())
    }

    /// Where a program of the user whose cluster this is writes its log.
    pub fn log(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The command line, pointed at this cluster.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = wine::command(&binary("haggle"));
        self.home().take_in(&mut command);
        command.args(args).env("HAGGLE_MASTER", &self.url).stdin(Stdio::null());
        command
    }

    /// Runs the command line to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn haggle(&self, args: &[&str]) -> Output {
        let mut command = self.command(args);
        tokio::task::spawn_blocking(move || command.output().expect("haggle can be started"))
            .await
            .expect("waiting for a process does not panic")
    }
}

fn spawn_master(port: u16, flags: &[String], variables: &[(String, String)], dir: &TempDir) -> Daemon {
    let state = dir.path().join("state");
    let mut args = vec![
        "master".into(),
        "--listen".into(),
        format!("127.0.0.1:{port}"),
        "--state".into(),
        state.display().to_string(),
    ];
    args.extend_from_slice(flags);
    Daemon::spawn_with(&binary("haggle"), &args, variables, dir.path().join("master.log"))
}

fn agent_name(index: usize) -> String {
    format!("agent{index}")
}
