//! What the example frameworks have in common: finding the master, and a module that may not be compiled yet.

use std::path::Path;

use anyhow::{Context, ensure};
use haggle_sdk::{Client, Digest, secret_argument};

/// Where the master is.
#[derive(Clone, Debug, clap::Args)]
pub struct Master {
    /// The master, as HOST:PORT, or several joined by commas; `haggle up` starts one with its agents [default: where the
    /// token says, else 127.0.0.1:5050]
    #[arg(long, env = "HAGGLE_MASTER", value_name = "ADDRESS")]
    master: Option<String>,
    /// What lets it in where the master is not this user's own: a token of `haggle token create --kind framework`, @FILE,
    /// or - for standard input
    #[arg(long, env = "HAGGLE_TOKEN", hide_env_values = true, value_name = "TOKEN|@FILE|-")]
    token: Option<String>,
}

impl Master {
    /// Connects, and says with whom.
    ///
    /// # Errors
    /// When nobody answers there.
    pub async fn connect(&self) -> anyhow::Result<Client> {
        let mut cluster = Client::builder();
        if let Some(master) = &self.master {
            cluster = cluster.master(master);
        }
        if let Some(token) = &self.token {
            cluster = cluster.token(secret_argument(token)?.parse()?);
        }
        let client = cluster.connect().await?;
        let master = client.master().await?;
        println!("connected to the master at {}, version {}", client.url(), master.version);
        Ok(client)
    }
}

/// Puts one of the example tasks into the artifact store.
///
/// # Errors
/// When it is not there, or the master does not take it.
pub async fn upload_module(client: &Client, path: &Path) -> anyhow::Result<Digest> {
    ensure!(
        path.exists(),
        "there is no module at {}: `cargo xtask wasm` compiles the example tasks to target/wasm",
        path.display()
    );
    let digest = client.upload_module(path).await.context("cannot upload the module")?;
    println!("uploaded {} as {digest}", path.display());
    Ok(digest)
}
