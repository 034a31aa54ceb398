//! A whole cluster inside this process: one master and its agents, joined over loopback.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::{join_all, join3};
use haggle_agent::{Agent, Declared, Starting};
use haggle_core::{Bytes, FrameworkId, MilliCpu};
use haggle_master::{ArtifactLimits, Collector, Keeper, Master, SourceSettings};
use haggle_sdk::{Client, ClientBuilder, OwnerTokens};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::args::ModuleArgs;
use crate::cache;
use crate::error::CommandError;

/// The folder of the first executor.
const EXECUTOR: &str = "executor";

/// What the cluster is to be like.
pub(crate) struct Plan {
    /// Where the master listens; port 0 for any.
    pub(crate) listen: SocketAddr,
    /// Whether other programs of this user find it.
    pub(crate) is_shared: bool,
    /// Where the master keeps what it must remember; `None` for nowhere.
    pub(crate) state: Option<PathBuf>,
    /// How many agents.
    pub(crate) agents: u32,
    /// What each offers, instead of its part of the machine.
    pub(crate) cpus: Option<MilliCpu>,
    pub(crate) mem: Option<Bytes>,
    /// Folders of this machine that tasks may ask to read.
    pub(crate) allowed_folders: Vec<PathBuf>,
    /// Whether tasks are given the network that their grants name.
    pub(crate) allow_network: bool,
    /// Over how long agents measure what tasks leave unused, if they do.
    pub(crate) oversubscribe: Option<Duration>,
    /// How modules are compiled, where that was said.
    pub(crate) modules: Option<ModuleArgs>,
    /// Who is told the traces of tasks.
    pub(crate) traces: Option<Collector>,
    /// From where its master fetches artifacts.
    pub(crate) sources: SourceSettings,
    /// How much of them it keeps.
    pub(crate) artifacts: ArtifactLimits,
}

/// What can begin before it is known what the cluster is like: the process of its first executor, whose start takes longest.
pub(crate) struct Beginning {
    /// `None` where there is none, and once it was taken. Ends before its folder goes.
    executor: Option<Starting>,
    folder: TempDir,
}

impl Beginning {
    /// With a process for an executor, if one is as good as sure to be needed.
    ///
    /// # Errors
    /// When there is no place for temporary folders, or no thread.
    pub(crate) fn new(needs_executor: bool) -> Result<Self, CommandError> {
        let folder = tempfile::Builder::new().prefix("haggle-").tempdir().map_err(CommandError::TemporaryFolder)?;
        let begin = || Starting::begin(&haggle_agent::this_program(), &folder.path().join(EXECUTOR));
        let executor = needs_executor.then(begin).transpose().map_err(CommandError::Threads)?;
        Ok(Self { executor, folder })
    }

    /// Removes all but the folder of the first executor, which may still be ending. What is in the way is removed with the rest.
    fn clear(&self) {
        let Ok(entries) = fs::read_dir(self.folder.path()) else { return };
        for entry in entries.filter_map(Result::ok).filter(|entry| entry.file_name() != EXECUTOR) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A running cluster. Dropped without [`Self::stop`], it ends without ceremony.
pub(crate) struct Cluster {
    agents: Vec<Agent>,
    master: Master,
    /// The agents' work folders; removed last.
    begun: Beginning,
}

impl Cluster {
    /// Starts everything; see [`Self::joined`].
    ///
    /// # Errors
    /// When a part does not start; then the others are gone as well.
    pub(crate) async fn start(mut begun: Beginning, plan: Plan) -> Result<Self, CommandError> {
        let folder = begun.folder.path().to_owned();
        let is_forgotten = plan.state.is_none();
        // Whoever comes first gets the first number, and runs on the only agent.
        let expected = (is_forgotten && plan.agents == 1).then_some(FrameworkId(1));
        let modules = cache::modules().unwrap_or_else(|| folder.join("modules"));
        let declared = share(&plan, &folder)?;

        let mut config = haggle_master::Config::new(plan.listen);
        config.state = plan.state;
        config.sources = plan.sources;
        config.artifacts = plan.artifacts;
        config.transient = Some(folder.join("master"));
        // So that the same user's commands are let in.
        config.owner_tokens = OwnerTokens::of_user().filter(|_| plan.is_shared);
        config.traces.clone_from(&plan.traces);
        let master = Master::start(config).await?;
        let url = url(master.addr());

        let mut agents = Vec::new();
        // One after the other, so that the first is also agent-1 to the master.
        for number in 1..=plan.agents {
            let name = format!("agent-{number}");
            let mut config = haggle_agent::Config::new(url.clone(), name.clone(), folder.join(name), &modules);
            config.token = Some(master.owner_token().clone());
            config.resources = declared.clone();
            // The folder goes with this process, and so do its tasks.
            config.recovery_timeout = Duration::ZERO;
            config.is_transient = true;
            config.nearby_artifacts = Some(master.artifacts().to_owned());
            config.expected = expected;
            config.allowed_folders.clone_from(&plan.allowed_folders);
            config.allow_network = plan.allow_network;
            config.oversubscribe = plan.oversubscribe;
            config.traces.clone_from(&plan.traces);
            if let Some(modules) = &plan.modules {
                modules.enter(&mut config);
            }
            let agent = Agent::start_with(config, begun.executor.take()).await?;
            if number < plan.agents {
                agent.registered().await?;
            }
            agents.push(agent);
        }
        Ok(Self { agents, master, begun })
    }

    /// Waits until every agent is a part of the cluster.
    ///
    /// # Errors
    /// When one will not be.
    pub(crate) async fn joined(&self) -> Result<(), CommandError> {
        for agent in &self.agents {
            agent.registered().await?;
        }
        Ok(())
    }

    /// Where the master is.
    pub(crate) fn url(&self) -> String {
        url(self.master.addr())
    }

    /// A connection to it that is to be made.
    pub(crate) fn client(&self) -> ClientBuilder {
        Client::builder().master(self.url()).token(self.master.owner_token().clone())
    }

    /// Puts what tasks need into its master's store.
    pub(crate) fn keeper(&self) -> Keeper {
        self.master.keeper()
    }

    /// The agents.
    pub(crate) fn agents(&self) -> &[Agent] {
        &self.agents
    }

    /// Waits until the master ends by itself, which it should not.
    pub(crate) async fn failed(&mut self) -> CommandError {
        match self.master.stopped().await {
            Ok(()) => std::future::pending().await,
            Err(failure) => failure.into(),
        }
    }

    /// Ends everything: the agents first, so that none of them misses a master that is gone. How their tasks end nobody hears.
    pub(crate) async fn stop(mut self) {
        join_all(self.agents.iter_mut().map(Agent::halt)).await;
        let Self { agents, master, begun } = self;
        // The system takes about as long to end the executors' processes as to remove folders.
        let clearing = spawn_blocking(move || {
            begun.clear();
            begun
        });
        let (_, (), begun) = join3(join_all(agents.into_iter().map(Agent::stop)), master.stop(), clearing).await;
        drop(begun);
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// One agent takes what it finds; several share it.
fn share(plan: &Plan, folder: &std::path::Path) -> Result<Declared, CommandError> {
    let mut declared = Declared { cpus: plan.cpus, mem: plan.mem, ..Declared::default() };
    if plan.agents > 1 {
        let machine = haggle_agent::resources(&declared, folder)?;
        let parts = u64::from(plan.agents);
        declared.cpus = declared.cpus.or_else(|| Some(MilliCpu::new(part(machine.cpus.get(), parts, 10))));
        declared.mem = declared.mem.or_else(|| Some(Bytes::new(part(machine.mem.get(), parts, 1 << 20))));
        declared.disk = Some(Bytes::new(part(machine.disk.get(), parts, 1 << 20)));
    }
    Ok(declared)
}

/// One of `parts` equal parts of `all`, rounded down to a multiple of `step`, but never to nothing.
fn part(all: u64, parts: u64, step: u64) -> u64 {
    let part = all / parts;
    (part - part % step).max(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_round_and_together_no_more_than_all() {
        assert_eq!(part(2000, 3, 10), 660);
        assert_eq!(part(2000, 2, 10), 1000);
        assert_eq!(part((24 << 30) - 1, 3, 1 << 20), (8 << 30) - (1 << 20));
    }

    #[test]
    fn the_smallest_part_is_one_step() {
        assert_eq!(part(100, 64, 10), 10);
    }
}
