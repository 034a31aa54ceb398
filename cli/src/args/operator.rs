//! What can be typed after the commands that look at a cluster.

use clap::Args;
use haggle_core::TaskId;

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

/// Show what a task wrote
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle logs task-1.1                     its standard output so far
  haggle logs task-1.1 --follow            and what follows, until it ends
  haggle logs task-1.1 --stderr")]
pub(crate) struct LogsArgs {
    /// Its id, as `haggle ps` shows it
    #[arg(value_name = "TASK")]
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
    #[arg(value_name = "TASK")]
    pub(crate) task: TaskId,
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
