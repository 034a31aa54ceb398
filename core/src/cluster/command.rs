//! What a master can be told.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::agent::AgentInfo;
use crate::id::{AgentId, FrameworkId, OfferId, SessionId, TaskId, UpdateId};
use crate::resources::Resources;
use crate::task::{TaskSpec, TaskState, TaskStatus};

/// One thing to decide. Commands of agents and frameworks carry the session they came in on, so that a peer
/// that was replaced cannot speak for its successor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// An agent says something.
    Agent(SessionId, AgentCommand),
    /// A framework says something.
    Framework(SessionId, FrameworkCommand),
    /// An operator wants a task ended.
    KillTask(TaskId),
    /// The connection of an agent or a framework ended.
    Disconnected(SessionId),
    /// Time has passed: whatever is due at `now` happens. See [`super::Cluster::next_deadline`].
    Tick,
}

/// From an agent. The first command of a session is `Register`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentCommand {
    /// Joins, or comes back.
    Register {
        /// Its id from an earlier registration, if it has one.
        id: Option<AgentId>,
        /// What it is and has.
        info: AgentInfo,
        /// Every task it holds that has not ended, and every ended one whose end is not acknowledged.
        tasks: Vec<HeldTask>,
    },
    /// It lives. Every other command says so as well.
    Heartbeat,
    /// News of tasks, in the order in which they happened.
    Updates(Vec<TaskStatus>),
    /// It takes no more tasks and will leave.
    Drain,
    /// It leaves for good: it holds no task any more.
    Leave,
}

/// A task as an agent that comes back tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldTask {
    /// Its name.
    pub id: TaskId,
    /// Its label.
    pub name: String,
    /// What it holds.
    pub resources: Resources,
    /// Where it stands.
    pub state: TaskState,
}

/// From a framework. The first command of a session is `Subscribe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameworkCommand {
    /// Joins, or comes back as the framework `id`, whose older session, if there is one, is closed.
    Subscribe {
        /// Its id from an earlier subscription, if it has one.
        id: Option<FrameworkId>,
        /// What it is.
        info: FrameworkInfo,
    },
    /// Launches tasks on offers of one agent; what is left over is declined with the filter `refuse`.
    Accept {
        /// All of one agent.
        offers: Vec<OfferId>,
        /// What to launch there. Their ids are of this framework and new.
        tasks: Vec<Arc<TaskSpec>>,
        /// For how long the rest of this agent need not be offered again.
        refuse: Duration,
    },
    /// Takes nothing.
    Decline {
        /// Which offers.
        offers: Vec<OfferId>,
        /// For how long the same need not be offered again.
        refuse: Duration,
    },
    /// Wants offers again: forgets all filters and the suppression.
    Revive,
    /// Wants no offers until it revives.
    Suppress,
    /// Wants a task ended.
    Kill(TaskId),
    /// Has taken note of updates.
    Acknowledge(Vec<(TaskId, UpdateId)>),
    /// Asks where tasks stand; an empty list asks for all of its tasks.
    Reconcile(Vec<TaskId>),
    /// Leaves for good; its tasks are killed.
    Teardown,
}

/// A framework as it introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameworkInfo {
    /// For people; need not be unique.
    pub name: String,
    /// Whose share its tasks count towards. Not empty; no `/` at either end, no spaces.
    pub role: String,
    /// How long its tasks live on after its connection is lost.
    pub failover_timeout: Duration,
}

impl FrameworkInfo {
    /// Mesos has 0 here, and everybody has been bitten by it once.
    pub const DEFAULT_FAILOVER_TIMEOUT: Duration = Duration::from_secs(60);
    /// The role of a framework that names none.
    pub const DEFAULT_ROLE: &str = "default";
}

/// Why nobody can subscribe like this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFramework {
    /// The name is of no use to people.
    #[error("framework name {0:?} is empty, longer than 128 bytes, or not printable")]
    Name(String),
    /// The role is no path of names.
    #[error("role {0:?} is no role: names joined by /, none empty, . or .., no spaces, at most 128 bytes")]
    Role(String),
}

impl FrameworkInfo {
    /// Names are for tables; this is wider than any terminal.
    const NAME_MAX: usize = 128;

    /// Whether it could subscribe.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), InvalidFramework> {
        let fits = |text: &str| !text.is_empty() && text.len() <= Self::NAME_MAX;
        if !fits(&self.name) || self.name.contains(char::is_control) {
            return Err(InvalidFramework::Name(self.name.clone()));
        }
        let unprintable = |letter: char| letter.is_whitespace() || letter.is_control();
        let is_no_name = |part: &str| matches!(part, "" | "." | "..");
        if !fits(&self.role) || self.role.contains(unprintable) || self.role.split('/').any(is_no_name) {
            return Err(InvalidFramework::Role(self.role.clone()));
        }
        Ok(())
    }
}
