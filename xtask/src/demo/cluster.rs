//! A master and its agents, each a process of its own on loopback, ended with whoever started them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use super::interrupt::Interrupt;
use super::stage::Stage;
use crate::process;

/// Starting takes a fraction of a second; a machine that needs longer than this is stuck.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// An agent ends its tasks with grace before it leaves. After this it is ended.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Between two questions whether something has happened.
const POLL: Duration = Duration::from_millis(50);

/// A running cluster. Dropped, it is stopped.
pub(super) struct Cluster {
    url: String,
    /// The agents in the order in which they were started, and the master before them.
    daemons: Vec<Daemon>,
}

struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Cluster {
    /// Starts a master and so many agents, and waits until they have found each other.
    pub(super) fn start(stage: &Stage, agents: usize, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut cluster = Self { url: format!("http://{address}"), daemons: Vec::new() };
        let mut master = stage.haggle();
        master.args(["master", "--listen", &address, "--state"]).arg(stage.folder().join("state"));
        cluster.spawn(stage, "master", &mut master)?;
        for number in 1..=agents {
            let name = format!("agent-{number}");
            let mut agent = stage.haggle();
            agent
                .args([
                    "agent",
                    "--master",
                    &cluster.url,
                    "--name",
                    &name,
                    "--cpus",
                    "2",
                    "--mem",
                    "2GiB",
                    "--work-dir",
                ])
                .arg(stage.folder().join(&name));
            cluster.spawn(stage, &name, &mut agent)?;
        }
        cluster.wait_for(stage, agents, interrupt)?;
        Ok(cluster)
    }

    /// The master's address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// How many agents ran the tasks of that name.
    pub(super) fn agents_of(&self, stage: &Stage, tasks: &str) -> anyhow::Result<usize> {
        let all = self.list(stage, &["ps", "--all"])?;
        let agents = all.iter().filter(|task| task["name"] == tasks).map(|task| task["agent"].to_string());
        Ok(agents.collect::<BTreeSet<_>>().len())
    }

    /// Sends all agents away but the first, and waits until the master has seen them go.
    pub(super) fn keep_one_agent(&mut self, stage: &Stage, interrupt: &Interrupt) -> anyhow::Result<()> {
        while self.daemons.len() > 2 {
            if let Some(mut agent) = self.daemons.pop() {
                agent.stop()?;
            }
        }
        self.wait_for(stage, 1, interrupt)
    }

    /// Asks everybody to leave, the master last, and waits until they have.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        // Told together: agents need not wait for each other.
        for agent in self.daemons.iter_mut().skip(1) {
            agent.ask_to_end()?;
        }
        while let Some(mut daemon) = self.daemons.pop() {
            daemon.stop()?;
        }
        Ok(())
    }

    fn spawn(&mut self, stage: &Stage, name: &str, command: &mut Command) -> anyhow::Result<()> {
        let log = stage.folder().join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        // Ctrl-C is for us; we end the daemons in their order.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        self.daemons.push(Daemon { name: name.to_string(), child, log });
        Ok(())
    }

    fn wait_for(&mut self, stage: &Stage, agents: usize, interrupt: &Interrupt) -> anyhow::Result<()> {
        let started = Instant::now();
        while self.connected_agents(stage) != Some(agents) {
            interrupt.check()?;
            for daemon in &mut self.daemons {
                daemon.check()?;
            }
            if started.elapsed() > START_PATIENCE {
                bail!("the cluster has not come to {agents} agents in {} s", START_PATIENCE.as_secs());
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// How many agents the master sees; `None` while there is no answer.
    fn connected_agents(&self, stage: &Stage) -> Option<usize> {
        let agents = self.list(stage, &["agents"]).ok()?;
        Some(agents.iter().filter(|agent| agent["connected"] == true).count())
    }

    /// What one of the commands that list things tells.
    fn list(&self, stage: &Stage, command: &[&str]) -> anyhow::Result<Vec<Value>> {
        let lines = process::output(stage.haggle().args(command).args(["--json", "--master", &self.url]))?;
        let records = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>();
        records.with_context(|| format!("`haggle {}` printed other than JSON", command.join(" ")))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("warning: {error:#}");
        }
    }
}

impl Daemon {
    /// An error, with its last words, when it has ended although nobody asked it to.
    fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            bail!("{} ended by itself with {status}:\n{}", self.name, log.trim_end());
        }
        Ok(())
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        self.ask_to_end()?;
        if process::wait(&mut self.child, STOP_PATIENCE)?.is_none() {
            self.child.kill()?;
            self.child.wait()?;
            bail!("{} did not end in {} s and was killed", self.name, STOP_PATIENCE.as_secs());
        }
        Ok(())
    }

    fn ask_to_end(&mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_none() {
            terminate(&mut self.child).with_context(|| format!("cannot end {}", self.name))?;
        }
        Ok(())
    }
}

/// As `kill PID` does; the standard library can only end a process without a word.
#[cfg(unix)]
fn terminate(child: &mut Child) -> anyhow::Result<()> {
    process::run(Command::new("kill").arg(child.id().to_string()))
}

#[cfg(not(unix))]
fn terminate(child: &mut Child) -> anyhow::Result<()> {
    Ok(child.kill()?)
}

/// An address that nobody listens on. Another process may take it first; then the master says so.
fn free_address() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?.to_string())
}
