//! A framework that launches tasks at a rate and writes down everything that it says and hears.
//!
//! It may be killed at any instant: started again with the same record, it comes back under its id, goes on with the
//! numbers of its tasks, and asks after those that have not ended.

mod framework;
mod open;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use haggle_sdk::Digest;

use framework::Recorder;

#[derive(Parser)]
struct Args {
    /// The masters, with commas between them
    #[arg(long)]
    master: String,
    /// Where to write
    #[arg(long)]
    record: PathBuf,
    /// Its name and role
    #[arg(long, default_value = "recorder")]
    name: String,
    /// A module that ends at once
    #[arg(long)]
    noop: Digest,
    /// A module that runs until it is killed
    #[arg(long)]
    sleeper: Digest,
    /// Tasks that end at once, each second
    #[arg(long)]
    rate: u32,
    /// Tasks that run until the recorder is asked to end
    #[arg(long, default_value_t = 0)]
    sleepers: usize,
    /// How long its tasks outlive its connection, in seconds
    #[arg(long, default_value_t = 60)]
    failover_seconds: u64,
    /// How long it waits for the last ends when it is asked to end, in seconds
    #[arg(long, default_value_t = 60)]
    drain_seconds: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let drain = Duration::from_secs(args.drain_seconds);
    Recorder::start(&args).await?.run(drain).await
}
