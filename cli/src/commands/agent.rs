//! `haggle agent`.

use std::time::Duration;

use haggle_agent::{Agent, Config, Declared};
use sysinfo::System;
use tracing::info;

use super::Verdict;
use crate::args::AgentArgs;
use crate::args::values::without_duplicates;
use crate::cache;
use crate::error::CommandError;
use crate::logging;
use crate::signals::Signals;

pub(super) async fn run(master: String, args: AgentArgs) -> Verdict {
    without_duplicates("--attribute", args.attributes.iter().map(|(name, _)| name.as_str()))?;
    logging::start(&args.log, "info")?;
    let mut signals = Signals::catch().map_err(CommandError::Signals)?;

    let temporary = match args.work_dir {
        Some(_) => None,
        None => {
            Some(tempfile::Builder::new().prefix("haggle-agent-").tempdir().map_err(CommandError::TemporaryFolder)?)
        }
    };
    let work_dir = match (&args.work_dir, &temporary) {
        (Some(given), _) => given.as_path(),
        (None, Some(temporary)) => temporary.path(),
        (None, None) => unreachable!("one of the two was just made sure of"),
    };
    let name = args.name.or_else(|| System::host_name().ok()).unwrap_or_else(|| "agent".into());
    let modules = cache::modules().unwrap_or_else(|| work_dir.join("modules"));
    let mut config = Config::new(master, name, work_dir, modules);
    config.resources = Declared { cpus: args.cpus, mem: args.mem, disk: args.disk, ..Declared::default() };
    config.allow_network = args.allowed.network;
    args.modules.enter(&mut config);
    if temporary.is_some() {
        // Nobody could find what is left in it.
        config.recovery_timeout = Duration::ZERO;
    }
    config.attributes = args.attributes.into_iter().collect();
    config.allowed_folders = args.allowed.folders;

    let mut agent = Agent::start(config).await?;
    info!(resources = %agent.resources(), "the agent has this to give");
    tokio::select! {
        () = signals.next() => {}
        left = Signals::hangup() => {
            left.map_err(CommandError::Signals)?;
            info!("the agent ends and leaves its tasks running, for the next agent in its work folder");
            agent.leave().await;
            return Ok(0);
        }
        why = agent.stopped() => return Err(why.into()),
    }
    info!("the agent drains: it takes no more tasks, and ends those it has; a second signal ends it at once");
    tokio::select! {
        () = agent.drain() => info!("the agent has left"),
        () = signals.next() => info!("the agent ends at once"),
    }
    Ok(0)
}
