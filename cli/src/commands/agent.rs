//! `haggle agent`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use haggle_agent::{Agent, Config, Declared, Drained, StartError, WorkDirError};
use haggle_tls::Token;
use sysinfo::System;
use tempfile::TempDir;
use tracing::{info, warn};

use super::Verdict;
use crate::args::AgentArgs;
use crate::args::values::without_duplicates;
use crate::cache;
use crate::error::CommandError;
use crate::logging;
use crate::signals::Signals;
use crate::state;
use crate::target::{self, TargetError};

/// What names the token where there is no flag.
pub(super) const JOIN_VARIABLE: &str = "HAGGLE_JOIN";

pub(super) async fn run(master: Option<String>, args: AgentArgs) -> Verdict {
    without_duplicates("--reserve", args.reserved.iter().map(|(role, _)| role.as_str()))?;
    without_duplicates("--attribute", args.attributes.iter().map(|(name, _)| name.as_str()))?;
    logging::start(&args.log, "info")?;
    let mut signals = Signals::catch().map_err(CommandError::Signals)?;

    let name = args.name.or_else(|| System::host_name().ok()).unwrap_or_else(|| "agent".into());
    let join = match args.join {
        Some(given) => Some(target::read_any("--join", &given)),
        None => target::variable(JOIN_VARIABLE).map(|given| target::read_any(JOIN_VARIABLE, &given)),
    };
    let join = join.transpose().map_err(Arc::new);

    // The folders are found below.
    let mut config = Config::new(String::new(), name, PathBuf::new(), PathBuf::new());
    config.master = master.or_else(|| target::environment().master);
    let scalars = args.resources.unwrap_or_default();
    config.resources = Declared { cpus: args.cpus, mem: args.mem, disk: args.disk, scalars, ..Declared::default() };
    config.allow_network = args.allowed.network;
    config.oversubscribe = args.unused.oversubscribe;
    config.traces = args.traces.collector()?;
    args.modules.enter(&mut config);
    config.attributes = args.attributes.into_iter().collect();
    config.reserved = args.reserved.into_iter().map(|(role, kept)| (role, kept.resources())).collect();
    config.allowed_folders = args.allowed.folders;

    let (mut agent, _temporary) = start(config, join, args.work_dir).await?;
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
        drained = agent.drain() => match drained {
            Drained::Left => info!("the agent has left"),
            Drained::Unheard => warn!(
                "the agent ends without a farewell: no master was there to hear it, and its master will miss it; its id \
                 is kept in its work folder"
            ),
        },
        () = signals.next() => info!("the agent ends at once"),
    }
    Ok(0)
}

/// What lets the agent join, as far as it can be read.
type Join = Result<Option<Token>, Arc<TargetError>>;

/// Starts it in the folder that was named, or in the first of its user's that no other agent is in. A user without a home
/// has a temporary one, which is there until the second value is dropped.
async fn start(config: Config, join: Join, named: Option<PathBuf>) -> Result<(Agent, Option<TempDir>), CommandError> {
    if let Some(named) = named {
        return Ok((Agent::start(within(config, join, named)?).await?, None));
    }
    let Some(folders) = state::agents() else {
        let folder =
            tempfile::Builder::new().prefix("haggle-agent-").tempdir().map_err(CommandError::TemporaryFolder)?;
        // Nobody could find what is left in it.
        let config = Config { recovery_timeout: Duration::ZERO, ..within(config, join, folder.path().to_owned())? };
        return Ok((Agent::start(config).await?, Some(folder)));
    };
    for folder in folders {
        match Agent::start(within(config.clone(), join.clone(), folder.clone())?).await {
            Err(StartError::WorkDir(WorkDirError::InUse { path })) => {
                info!(work_dir = %path.display(), "another agent is in this work folder");
            }
            started => {
                let started = started?;
                info!(work_dir = %folder.display(), "the agent's work folder");
                return Ok((started, None));
            }
        }
    }
    unreachable!("the folders have no end")
}

/// # Errors
/// When the token cannot be read and is needed. Whoever has joined may have removed its file.
fn within(config: Config, join: Join, work_dir: PathBuf) -> Result<Config, CommandError> {
    let join = match join {
        Err(unreadable) if haggle_agent::has_joined(&work_dir) => {
            warn!("{unreadable}; this agent has joined a cluster, and comes back to that without a token");
            None
        }
        join => join?,
    };
    let cache_dir = cache::modules().unwrap_or_else(|| work_dir.join("modules"));
    Ok(Config { join, work_dir, cache_dir, ..config })
}
