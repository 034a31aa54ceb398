//! A cluster as it is across machines: TLS, an agent that joined by a token, and programs that come with tokens.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use haggle_kit::{Daemon, Home, binary, until};
use haggle_sdk::{Client, NewToken, TokenKind};
use tempfile::TempDir;

/// A running master and its agent of two cpus, gone with their value.
pub(crate) struct Secured {
    /// `HOST:PORT` of the master.
    pub(crate) address: String,
    /// As the user that runs the master.
    pub(crate) owner: Client,
    _master: Daemon,
    _agent: Daemon,
    _dir: TempDir,
}

impl Secured {
    /// Starts both with further flags of the master, and waits for the agent.
    pub(crate) async fn start(more: &[&str]) -> anyhow::Result<Self> {
        let dir = TempDir::new()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let state = path("state");
        let flags = [&["master", "--tls", "--listen", &address, "--state", &state], more].concat();
        let master = spawn(dir.path(), "master.log", &flags);
        let home = Home::below(dir.path());
        let owner = until("the master answers its user", async || {
            let client = home.connect(&address).await.ok()?;
            client.whoami().await.is_ok().then_some(client)
        })
        .await;
        let join = owner.create_token(&token(TokenKind::Agent, "")).await?;
        fs::write(path("join"), &join.text)?;
        let (join, work) = (format!("@{}", path("join")), path("work"));
        let flags = ["agent", "--join", &join, "--name", "agent", "--cpus", "2", "--mem", "2GiB", "--work-dir", &work];
        let agent = spawn(dir.path(), "agent.log", &flags);
        until("the agent has joined", async || {
            owner.agents().await.ok()?.iter().any(|agent| agent.connected).then_some(())
        })
        .await;
        Ok(Self { address, owner, _master: master, _agent: agent, _dir: dir })
    }

    /// A token of a framework of this name.
    pub(crate) async fn token(&self, name: &str) -> anyhow::Result<haggle_sdk::Token> {
        Ok(self.owner.create_token(&token(TokenKind::Framework, name)).await?.text.parse()?)
    }

    /// A connection that comes by a token.
    pub(crate) async fn client(token: &haggle_sdk::Token) -> anyhow::Result<Client> {
        Ok(Client::builder().token(token.clone()).connect().await?)
    }
}

fn token(kind: TokenKind, name: &str) -> NewToken {
    NewToken { kind, name: name.to_owned(), roles: Vec::new(), ttl: None, uses: None }
}

fn spawn(dir: &Path, log: &str, flags: &[&str]) -> Daemon {
    let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
    Daemon::spawn(&binary("haggle"), &flags, dir.join(log))
}
