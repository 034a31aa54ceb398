//! What the example frameworks have in common: finding the master, and a module that may not be compiled yet.

use std::path::Path;

use anyhow::{Context, ensure};
use haggle_sdk::{Client, Digest};

/// Where the master is.
#[derive(Clone, Debug, clap::Args)]
pub struct Master {
    /// The master, as HOST:PORT, or several joined by commas; `haggle up` starts one with its agents
    #[arg(long, env = "HAGGLE_MASTER", value_name = "ADDRESS", default_value = "127.0.0.1:5050")]
    master: String,
}

impl Master {
    /// Connects, and says with whom.
    ///
    /// # Errors
    /// When nobody answers there.
    pub async fn connect(&self) -> anyhow::Result<Client> {
        let client = Client::connect(&self.master).await?;
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
    let digest = client.upload(path).await.context("cannot upload the module")?;
    println!("uploaded {} as {digest}", path.display());
    Ok(digest)
}
