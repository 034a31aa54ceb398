//! What can be typed after the commands that look at a cluster.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use haggle_core::{AgentId, TaskId};

use crate::completions;

/// List the tasks
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle ps                                tasks that have not ended
  haggle ps --all                          and the last ones that have
  haggle ps --all --json | jq -r 'select(.state == \"FAILED\") | .id'")]
pub(crate) struct PsArgs {
    /// Also the last tasks that ended
    #[arg(long, short)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}

/// List what is limited: how high, how much there is, and how often more was wanted
///
/// Of each principal that was heard of lately or has frameworks, and of what all of them share at the master that leads. Who
/// may not see everybody sees itself. `haggle master --limit` and `--places` set them.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle limits                            what is in use, or was refused
  haggle limits --all                      every limit of everybody
  haggle limits --all --json | jq -r 'select(.refused > 0) | [.principal, .limit, .refused] | @tsv'")]
pub(crate) struct LimitsArgs {
    /// Also those of which there is nothing, and of which nothing was refused
    #[arg(long, short)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// List the agents: what they have, and how much of it is used
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  haggle agents                            every agent that is connected or may come back
  haggle agents deactivate agent-3         no new tasks there, until `haggle undrain agent-3`
  haggle agents gone agent-3               that machine is scrapped: its tasks may start elsewhere
  haggle agents rm agent-3                 that machine is not to be trusted any more"
)]
pub(crate) struct AgentsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<AgentsCommand>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Subcommand, Debug)]
pub(crate) enum AgentsCommand {
    Deactivate(DeactivateArgs),
    Gone(GoneArgs),
    Rm(RemoveArgs),
}

/// Offer an agent to nobody any more; its tasks go on
///
/// It stays DEACTIVATED, over restarts of the agent and of the master, until `haggle undrain`. To have its tasks end as well
/// there is `haggle drain`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle agents deactivate agent-3")]
pub(crate) struct DeactivateArgs {
    /// Its id, as `haggle agents` shows it
    #[arg(value_name = "AGENT", add = completions::agents())]
    pub(crate) agent: AgentId,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Declare that an agent will never come back
///
/// Its tasks end as GONE_BY_OPERATOR, so that their frameworks start them elsewhere. That cannot be taken back: should
/// the agent come all the same, it is told to end its tasks, and joins as a new one. An agent that is connected is
/// refused: stop it first. Without a word, an agent that is away counts as gone after the master's --agent-gone-after.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle agents gone agent-3")]
pub(crate) struct GoneArgs {
    /// Its id, as `haggle agents` shows it
    #[arg(value_name = "AGENT", add = completions::agents())]
    pub(crate) agent: AgentId,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// End an agent's identity, whether it is connected or not
///
/// Its tasks end as GONE_BY_OPERATOR, it stops, and it cannot come back with its certificate. The same machine joins as a
/// new agent with a new token (`haggle token create --kind agent`).
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle agents rm agent-3")]
pub(crate) struct RemoveArgs {
    /// Its id, as `haggle agents` shows it
    #[arg(value_name = "AGENT", add = completions::agents())]
    pub(crate) agent: AgentId,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Show what a task wrote
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle logs task-1.1                     its standard output so far
  haggle logs task-1.1 --follow            and what follows, until it ends
  haggle logs task-1.1 --stderr")]
pub(crate) struct LogsArgs {
    /// Its id, as `haggle ps` shows it
    #[arg(value_name = "TASK", add = completions::tasks())]
    pub(crate) task: TaskId,
    /// Wait for more until the task has ended
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Its standard error instead of its standard output
    #[arg(long)]
    pub(crate) stderr: bool,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// End a task
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle kill task-1.1")]
pub(crate) struct KillArgs {
    /// Its id, as `haggle ps` shows it
    #[arg(value_name = "TASK", add = completions::living_tasks())]
    pub(crate) task: TaskId,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Run a task once more, by what it was launched with
///
/// It is a new task, of a new framework in your name and in the same role. The master keeps what the last tasks were launched with; those
/// of `haggle run` without --master are nobody's once that has ended.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle again task-1.1
  haggle logs --follow \"$(haggle again task-1.1)\"")]
pub(crate) struct AgainArgs {
    /// Its id, as `haggle ps --all` shows it
    #[arg(value_name = "TASK", add = completions::tasks())]
    pub(crate) task: TaskId,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Put files into the cluster: modules and inputs, for frameworks that name them by their digests
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle upload x.wasm
  haggle upload --json x.wasm in.csv")]
pub(crate) struct UploadArgs {
    /// Which files
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Print what happens in the cluster, as it happens
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle watch
  haggle watch --json | jq 'select(.task)'")]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) list: ListArgs,
}
