//! A whole cluster as a user starts it: `haggle up`.

use std::net::TcpListener;
use std::path::PathBuf;

use haggle_kit::{Daemon, Home, binary};
use haggle_sdk::Client;
use tempfile::TempDir;

/// A running `haggle up`, gone with its value.
pub(crate) struct Up {
    pub(crate) url: String,
    _daemon: Daemon,
    dir: TempDir,
}

impl Up {
    /// Starts it, and does not wait.
    pub(crate) fn spawn(flags: &[&str]) -> anyhow::Result<Self> {
        let dir = TempDir::new()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let listen = format!("127.0.0.1:{port}");
        let args: Vec<String> = ["up", "--listen", &listen].iter().chain(flags).map(|&arg| arg.to_owned()).collect();
        let log: PathBuf = dir.path().join("up.log");
        Ok(Self { url: format!("http://{listen}"), _daemon: Daemon::spawn(&binary("haggle"), &args, log), dir })
    }

    /// A connection, if its master answers.
    pub(crate) async fn connect(&self) -> Option<Client> {
        Home::below(self.dir.path()).connect(&self.url).await.ok()
    }

    /// Starts it with one agent of two cpus, and waits for the agent.
    pub(crate) async fn ready() -> anyhow::Result<(Self, Client)> {
        let up = Self::spawn(&["--agents", "1", "--cpus", "2"])?;
        let client = haggle_kit::until("the agent is registered", async || {
            let client = up.connect().await?;
            let agents = client.agents().await.ok()?;
            agents.iter().any(|agent| agent.connected).then_some(client)
        })
        .await;
        Ok((up, client))
    }
}
