//! A cluster across hosts, put together as a user would.

use std::time::{Duration, Instant};

use haggle_kit::{Daemon, until, wasm};
use serde_json::Value;

use crate::host::Host;

/// What runs on the hosts of one cluster.
pub(crate) struct Scene<'a> {
    pub(crate) master: Daemon,
    /// In the order of the hosts.
    pub(crate) agents: Vec<Daemon>,
    laptop: &'a Host,
}

impl<'a> Scene<'a> {
    /// A master on the one host, an agent on each of the others, and a laptop that is logged in.
    pub(crate) async fn set_up(master: &Host, agents: &[&Host], laptop: &'a Host) -> Self {
        let name = master.name();
        let daemon = master.start(&["master", "--listen", "0.0.0.0:5050", "--advertise", name]);
        let login = printed(&daemon, "haggle login").await;
        laptop.haggle(&["login", &login]).well();
        let uses = agents.len().to_string();
        let join = laptop.haggle(&["token", "create", "--kind", "agent", "--uses", &uses]).well();
        let agent = |host: &&Host| {
            host.start(&["agent", "--join", &join, "--name", host.name(), "--cpus", "2", "--mem", "4GiB"])
        };
        let scene = Self { master: daemon, agents: agents.iter().map(agent).collect(), laptop };
        scene.has_agents(agents.len()).await;
        scene
    }

    /// Waits until so many agents are connected.
    pub(crate) async fn has_agents(&self, count: usize) {
        until("the agents are connected", async || {
            let agents = self.laptop.haggle(&["agents", "--json"]).json();
            (agents.iter().filter(|agent| agent["connected"] == true).count() == count).then_some(())
        })
        .await;
    }

    /// Starts a task that runs for as long as it is let.
    pub(crate) fn lasting_task(&self) -> Daemon {
        self.laptop.start(&["run", &wasm("sleeper").display().to_string(), "--cpus", "0.1", "--", "3600"])
    }

    /// Waits until the only task that there is stands there, and gives back what is known of it.
    pub(crate) async fn task_is(&self, state: &str) -> Value {
        until(&format!("the task is {state}"), async || {
            let tasks = self.laptop.haggle(&["ps", "--json"]).json();
            assert!(tasks.len() < 2, "there is one task: {tasks:?}");
            tasks.into_iter().find(|task| task["state"] == state)
        })
        .await
    }

    /// Runs a task to its end.
    pub(crate) fn runs_a_task(&self) {
        let ran = self.laptop.haggle(&["run", &wasm("hello").display().to_string()]);
        assert_eq!(ran.stdout, "hello, world\n", "{ran:?}");
    }

    /// How often an agent has been let in so far.
    pub(crate) fn registrations(&self, agent: usize) -> usize {
        self.agents[agent].log().matches("registered with the master").count()
    }

    /// Waits until an agent is let in for another time than those, and gives back how long that took.
    pub(crate) async fn is_back(&self, agent: usize, before: usize) -> Duration {
        let since = Instant::now();
        until("the agent is back", async || (self.registrations(agent) > before).then_some(())).await;
        since.elapsed()
    }
}

/// Waits until a master has printed a line that starts with this command, and gives back the token at its end.
pub(crate) async fn printed(master: &Daemon, command: &str) -> String {
    until(&format!("the master prints a line with `{command}`"), async || {
        let log = master.log();
        // Only when the line is complete.
        let line = log.split_inclusive('\n').find(|line| line.starts_with(command) && line.ends_with('\n'))?;
        line.split_whitespace().last().map(str::to_owned)
    })
    .await
}
