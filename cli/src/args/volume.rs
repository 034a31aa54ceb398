//! What can be typed after `volume`.

use clap::{Args, Subcommand};
use haggle_core::{AgentId, Bytes, VolumeId};

use super::operator::ListArgs;
use super::values;
use crate::completions;

/// Make, list, share and remove volumes: folders on agents that outlive the tasks which use them
///
/// A volume is a part of the disk that is reserved for a role on one agent (`haggle reserve`), and is offered to that role and
/// those below it alone. One task at a time reads and writes it (`haggle run --volume`); one that is shared is read by any
/// number of tasks at once, and written by none.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle reserve agent-1 eng disk=2GiB
  haggle volume create agent-1 eng model 1GiB
  haggle run fill.wasm --role eng --volume volume-1.1:/model
  haggle volume share volume-1.1
  haggle run serve.wasm --role eng --volume volume-1.1:/model:ro --instances 10")]
pub(crate) struct VolumeArgs {
    #[command(subcommand)]
    pub(crate) command: VolumeCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum VolumeCommand {
    Create(VolumeCreateArgs),
    Ls(VolumeLsArgs),
    Share(VolumeShareArgs),
    Rm(VolumeRmArgs),
}

/// Make a volume of disk that is reserved for a role on an agent, and say its id
///
/// Of disk that no task holds, in one piece; offers in the way are taken back. The agent must be connected. It is there until
/// `haggle volume rm` or the end of the agent, whoever uses it.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle reserve agent-1 eng disk=2GiB
  haggle volume create agent-1 eng model 1GiB")]
pub(crate) struct VolumeCreateArgs {
    /// Where, as `haggle agents` shows it
    #[arg(value_name = "AGENT", add = completions::agents())]
    pub(crate) agent: AgentId,
    /// Whose it is: the path of a role, like eng/batch
    #[arg(value_name = "ROLE", value_parser = values::role, add = completions::roles())]
    pub(crate) role: String,
    /// What people call it: no two of one role on one agent have the same name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// How much may be in it
    #[arg(value_name = "SIZE", value_parser = values::positive_size)]
    pub(crate) size: Bytes,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// List the volumes of roles that you may use or see
///
/// STATE is ready, being made, away (its agent is not connected), missing (its agent has come back without it) or unknown (its
/// agent holds a folder of that id, and the registry knows nothing of it; `haggle volume rm` removes it).
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle volume ls
  haggle volume ls --json | jq -r 'select(.state == \"missing\") | .id'")]
pub(crate) struct VolumeLsArgs {
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Have any number of tasks read a volume at once, and none write it
///
/// No task may use it now; offers of it are taken back.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle volume share volume-1.1
  haggle volume share volume-1.1 --off        one task at a time reads and writes it again")]
pub(crate) struct VolumeShareArgs {
    /// Its id, as `haggle volume ls` shows it
    #[arg(value_name = "VOLUME", add = completions::volumes())]
    pub(crate) volume: VolumeId,
    /// Have one task at a time use it again, which may write it
    #[arg(long)]
    pub(crate) off: bool,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Remove a volume that no task uses, with all that is in it
///
/// Its disk stays reserved for its role. Its agent must be connected.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle volume rm volume-1.1")]
pub(crate) struct VolumeRmArgs {
    /// Its id, as `haggle volume ls` shows it
    #[arg(value_name = "VOLUME", add = completions::volumes())]
    pub(crate) volume: VolumeId,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}
