//! What can be typed after the commands that decide of roles and say who waits for what.

use std::num::NonZeroU32;

use clap::{Args, Subcommand};
use haggle_core::{AgentId, Placement};

use super::operator::ListArgs;
use super::values::{self, Amounts, Said, Whom};
use crate::completions;

/// List the roles as a tree: what they weigh, may have, have, and should have
///
/// USED and OFFERED count what is held by tasks and what waits in offers, of the role and of all below it. SHARE is the
/// largest part that this is of any resource of the cluster, FAIR what it would be if every role beside it took all that it
/// may: the role that is furthest below, by its weight, is offered next. WAITING counts its frameworks that would take something
/// they are not offered; `haggle why ROLE` says why.
///
/// PLACED is how agents are chosen for its offers, AT LEAST the least that makes an offer: see `haggle roles set`.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  haggle roles
  haggle roles --json | jq -r 'select(.waiting > 0) | .name'
  haggle roles set eng --placement spread"
)]
pub(crate) struct RolesArgs {
    #[command(subcommand)]
    pub(crate) command: Option<RolesCommand>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Subcommand, Debug)]
pub(crate) enum RolesCommand {
    Set(RolesSetArgs),
}

/// Say of which agents the offers to a role are made, and from which size on
///
/// It counts for the role and all roles below it of which nothing else is said, holds at once, and outlives the master.
///
/// The placement is for frameworks that say what they want, as `haggle run` and the SDK's runner do. With binpack agents are filled
/// one after the other, which leaves large ones free for large tasks; with spread the tasks are on as many agents as there are,
/// so that little is lost with one of them. The least is for frameworks that do not say what they want: they are offered all of it,
/// or nothing of that agent.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle roles set eng --placement spread
  haggle roles set eng/batch --placement default       as the role above it, or binpack
  haggle roles set web --min-allocatable cpus=0.5,mem=256MiB")]
pub(crate) struct RolesSetArgs {
    /// Its path, like eng/batch; it need not have a framework yet
    #[arg(value_name = "ROLE", value_parser = values::role, add = completions::roles())]
    pub(crate) role: String,
    /// Which of the agents that would do: binpack, that on which the least is free; spread, the most; or default
    #[arg(
        long,
        value_name = "PLACEMENT",
        required_unless_present = "min_allocatable",
        value_parser = values::placement
    )]
    pub(crate) placement: Option<Said<Placement>>,
    /// The least that makes an offer, or default
    #[arg(
        long,
        value_name = "cpus=N,mem=SIZE,disk=SIZE,NAME=N",
        required_unless_present = "placement",
        value_parser = values::amounts_or_default
    )]
    pub(crate) min_allocatable: Option<Said<Amounts>>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// List the open offers: to whom, of which agent, and for how long they have waited for an answer
///
/// What is in an offer is nobody else's until it is answered or expires (`haggle master --offer-timeout`). One that is old
/// belongs to a framework that does not answer.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle offers
  haggle offers --json | jq -r 'select(.age_seconds > 3) | .framework'")]
pub(crate) struct OffersArgs {
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Say what a role is promised, and what it may have at most
#[derive(Args, Debug)]
pub(crate) struct QuotaArgs {
    #[command(subcommand)]
    pub(crate) command: QuotaCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum QuotaCommand {
    Set(QuotaSetArgs),
    Rm(QuotaRmArgs),
    /// List the roles that have a quota
    Ls(ListArgs),
}

/// Give a role a quota, which counts for it and all roles below it together
///
/// It takes the place of the quota before it, holds at once, and outlives the master. A guarantee is kept free for the role
/// even while it uses nothing of it. A limit is the most that the role is offered; a resource that is not named has none, and 0
/// means nothing at all. What is in offers above a lowered limit is taken back; no task is ended.
///
/// Refused without --force: guarantees that add up to more than all agents have, or than a role above may have; a limit below
/// what tasks of the role hold. By force no more is offered until enough of them have ended, or enough agents have come.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle quota set eng --guarantee cpus=2,mem=1GiB
  haggle quota set eng/batch --limit cpus=4
  haggle quota set eng --limit gpu=2       of a resource that agents have by --resources gpu=N
  haggle quota set guests --guarantee cpus=0.5 --limit cpus=1,mem=512MiB,disk=1GiB")]
pub(crate) struct QuotaSetArgs {
    /// Its path, like eng/batch; it need not have a framework yet
    #[arg(value_name = "ROLE", value_parser = values::role, add = completions::roles())]
    pub(crate) role: String,
    /// What is kept free for it
    #[arg(
        long,
        value_name = "cpus=N,mem=SIZE,disk=SIZE,NAME=N",
        required_unless_present = "limit",
        value_parser = values::amounts
    )]
    pub(crate) guarantee: Option<Amounts>,
    /// What it may have at most
    #[arg(
        long,
        value_name = "cpus=N,mem=SIZE,disk=SIZE,NAME=N",
        required_unless_present = "guarantee",
        value_parser = values::amounts
    )]
    pub(crate) limit: Option<Amounts>,
    /// Also when more is promised than there is, or tasks of the role hold more than it may have
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Take a role's quota away: nothing is kept for it, and it may have whatever there is
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle quota rm eng/batch")]
pub(crate) struct QuotaRmArgs {
    /// Its path, as `haggle quota ls` shows it
    #[arg(value_name = "ROLE", value_parser = values::role, add = completions::roles())]
    pub(crate) role: String,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Reserve part of an agent for a role and those below it
///
/// Nobody else is offered it, used or not; it counts towards the role's quota. It holds at once and outlives the master, until
/// `haggle unreserve` or the end of the agent. Offers in the way are taken back; what tasks hold cannot be reserved.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle reserve agent-1 eng cpus=2,mem=1GiB
  haggle reserve agent-1 eng/batch cpus=1 --within eng     of what eng has there")]
pub(crate) struct ReserveArgs {
    /// Where, as `haggle agents` shows it
    #[arg(value_name = "AGENT")]
    pub(crate) agent: AgentId,
    /// Its path, like eng/batch; it need not have a framework yet
    #[arg(value_name = "ROLE", value_parser = values::role)]
    pub(crate) role: String,
    /// How much
    #[arg(value_name = "cpus=N,mem=SIZE,disk=SIZE", value_parser = values::some_amounts)]
    pub(crate) amounts: Amounts,
    /// Take it from what is reserved there for this role, which is above the other
    #[arg(long, value_name = "ROLE", value_parser = values::role)]
    pub(crate) within: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// End the reservation of part of an agent for a role
///
/// As far as no task uses it. What was refined from a role above is that role's again. What an agent keeps by its own flags
/// (`haggle agent --reserve`) stays.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle unreserve agent-1 eng cpus=2,mem=1GiB
  haggle agents --json | jq '.reserved'")]
pub(crate) struct UnreserveArgs {
    /// Where, as `haggle agents` shows it
    #[arg(value_name = "AGENT")]
    pub(crate) agent: AgentId,
    /// Its path, like eng/batch
    #[arg(value_name = "ROLE", value_parser = values::role)]
    pub(crate) role: String,
    /// How much
    #[arg(value_name = "cpus=N,mem=SIZE,disk=SIZE", value_parser = values::some_amounts)]
    pub(crate) amounts: Amounts,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Say what a role weighs against the roles beside it
///
/// A role of weight 2 is due twice as much as one beside it of weight 1, and what it has is divided among the roles below it in
/// the same way. It holds at once, and outlives the master; without it, a role weighs what `haggle master --weight` said, or 1.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle weight production 4
  haggle weight eng/batch --default        what the master was started with")]
pub(crate) struct WeightArgs {
    /// Its path, like eng/batch; it need not have a framework yet
    #[arg(value_name = "ROLE", value_parser = values::role, add = completions::roles())]
    pub(crate) role: String,
    /// How much: a whole number from 1 up
    #[arg(value_name = "N", required_unless_present = "default", conflicts_with = "default", value_parser = values::whole_weight)]
    pub(crate) weight: Option<NonZeroU32>,
    /// What the master's configuration says again
    #[arg(long)]
    pub(crate) default: bool,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Say why something waits: a task, a framework, a role, or a job by its name
///
/// Of a task it says its state and that of its group, and of one that does not run what its framework lacks; of a role, what each
/// framework in it and below it lacks that waits; of a job, how its tasks stand and what its framework lacks. Who is ahead by fair
/// share is named, and some of the agents that lack something, where you may see them. The reasons are the master's own, as its rules see things now, and each says on how many agents
/// it is in the way. A task that was never launched has no state at the master: ask for its framework (`haggle frameworks`).
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle why task-3.7
  haggle why framework-3
  haggle why eng                           everybody in that role and below it who waits
  haggle why primes                        a job: the tasks of that name, and who launched them
  haggle why 'haggle run primes'           a framework by its name
  haggle why eng --json | jq -r '.hindrances[].text'")]
pub(crate) struct WhyArgs {
    /// The id of a task or a framework, the path of a role, or the name of a job or a framework
    #[arg(value_name = "TASK|FRAMEWORK|ROLE|JOB", value_parser = values::whom, add = completions::whom())]
    pub(crate) whom: Whom,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}
