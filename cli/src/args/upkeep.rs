//! What can be typed after the commands that take agents out of use.

use std::time::Duration;

use clap::{Args, Subcommand};
use haggle_core::{AgentId, MaintenanceId};
use haggle_sdk::WindowStart;

use super::ListArgs;
use super::values;
use crate::completions;

/// Take an agent out of use: it is offered to nobody, and its tasks end
///
/// Tasks may still run for as long as --grace, and what runs then is killed with the reason AGENT_DRAINING: their frameworks
/// start them elsewhere. Once nothing runs there any more the agent is DRAINED. It stays so, over restarts of the agent and of
/// the master, until `haggle undrain`. An agent that is away is drained when it comes back. Asked again, the command changes
/// how much time is left.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle drain agent-3                     its tasks are killed at once
  haggle drain agent-3 --grace 10m --wait  they have ten minutes; returns once nothing runs there
  haggle drain agent-3 --mark-gone         that machine is scrapped, once nothing runs there")]
pub(crate) struct DrainArgs {
    /// Its id, as `haggle agents` shows it
    #[arg(value_name = "AGENT", add = completions::agents())]
    pub(crate) agent: AgentId,
    /// How long its tasks may still run before they are killed; 7 days at most [default: not at all]
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub(crate) grace: Option<Duration>,
    /// Remove it for good once it is drained, as `haggle agents rm` does
    #[arg(long)]
    pub(crate) mark_gone: bool,
    /// Wait until nothing runs there any more
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Have an agent take tasks again that was drained or deactivated
///
/// Refused while it is DRAINING, and while it is in a maintenance window.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle undrain agent-3")]
pub(crate) struct UndrainArgs {
    /// Its id, as `haggle agents` shows it
    #[arg(value_name = "AGENT", add = completions::agents())]
    pub(crate) agent: AgentId,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Say when agents will not be there
///
/// Until then offers of them carry the time, and whoever has tasks or offers there is asked to be off them. When the window
/// begins, its agents are drained by themselves; when it ends, they take tasks again by themselves.
#[derive(Args, Debug)]
pub(crate) struct MaintenanceArgs {
    #[command(subcommand)]
    pub(crate) command: MaintenanceCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum MaintenanceCommand {
    Schedule(ScheduleArgs),
    /// List the windows that are under way or to come, and what frameworks have answered
    Ls(ListArgs),
    Cancel(CancelArgs),
}

/// Make a maintenance window
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle maintenance schedule agent-3 --start 2h --for 30m
  haggle maintenance schedule agent-3 agent-4 --start 2027-01-10T03:00:00Z --for 2h --grace 5m
  haggle maintenance schedule agent-3 --start now --for 1h")]
pub(crate) struct ScheduleArgs {
    /// Which agents, as `haggle agents` shows them
    #[arg(value_name = "AGENT", required = true, add = completions::agents())]
    pub(crate) agents: Vec<AgentId>,
    /// When it begins: now, a time from now like 2h, or a moment like 2027-01-10T03:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = values::moment)]
    pub(crate) start: WindowStart,
    /// How long it lasts; from 1s to 366 days
    #[arg(long = "for", value_name = "TIME", value_parser = values::duration)]
    pub(crate) lasts: Duration,
    /// How long tasks may still run once it has begun [default: not at all]
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub(crate) grace: Option<Duration>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// End a maintenance window now, or before it has begun: its agents take tasks
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle maintenance cancel maintenance-1")]
pub(crate) struct CancelArgs {
    /// Its id, as `haggle maintenance ls` shows it
    #[arg(value_name = "MAINTENANCE", add = completions::maintenance())]
    pub(crate) id: MaintenanceId,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}
