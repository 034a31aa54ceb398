//! What operators decide of machines: that an agent takes no tasks for now, and that it will be away.

use alloc::collections::BTreeSet;
use core::fmt;
use core::time::Duration;

use crate::id::{AgentId, MaintenanceId};
use crate::time::Now;

/// An agent that takes no tasks, because an operator or a maintenance window wants it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// What becomes of its tasks.
    pub phase: Phase,
    /// Since when it has been in that phase, by the cluster's time.
    pub since: Now,
    /// On whose account.
    pub cause: Cause,
}

/// How far an agent is withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It takes no new tasks. Those that it has go on.
    Deactivated,
    /// Its tasks end.
    Draining(Drain),
    /// Nothing runs there any more.
    Drained,
}

/// How the tasks of an agent end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// When those that still run are killed, by the cluster's time.
    pub kill_at: Now,
    /// Whether the agent is removed for good once it is drained.
    pub mark_gone: bool,
}

impl Drain {
    /// The longest that tasks may be given to end by themselves. Whoever wants to wait for longer deactivates the agent.
    pub const GRACE_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
}

/// On whose account an agent takes no tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An operator's, until an operator reactivates it.
    Operator,
    /// That of a maintenance window, until its end.
    Maintenance(MaintenanceId),
}

impl Phase {
    /// Its name, as it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deactivated => "DEACTIVATED",
            Self::Draining(_) => "DRAINING",
            Self::Drained => "DRAINED",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// When agents will not be there, by the time of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unavailability {
    /// Milliseconds since 1970.
    pub start_ms: u64,
    /// For how long, in milliseconds.
    pub duration_ms: u64,
}

impl Unavailability {
    /// When they are back: milliseconds since 1970.
    pub const fn end_ms(self) -> u64 {
        self.start_ms.saturating_add(self.duration_ms)
    }

    /// Whether there is a moment in both.
    pub const fn overlaps(self, other: Self) -> bool {
        self.start_ms < other.end_ms() && other.start_ms < self.end_ms()
    }
}

/// A maintenance window: agents that will not be there for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// Which agents.
    pub agents: BTreeSet<AgentId>,
    /// When. At its start the agents are drained; at its end they take tasks again.
    pub when: Unavailability,
    /// How long tasks may still run once it has begun.
    pub grace: Duration,
}

/// Why there can be no such window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMaintenance {
    /// A window is of some agents.
    #[error("a maintenance window is of at least one agent, and none is named")]
    NoAgents,
    /// Too many of them.
    #[error("a maintenance window is of at most {max} agents, and {0} are named: make several windows", max = Maintenance::AGENTS_MAX)]
    TooManyAgents(usize),
    /// It lasts for no time, or for ever.
    #[error("a maintenance window lasts from 1 s to 366 days, and not {:?}", Duration::from_millis(*.0))]
    Duration(u64),
    /// It has begun before.
    #[error("a maintenance window cannot begin in the past: this one should have begun {:?} ago", Duration::from_millis(*.0))]
    Past(u64),
    /// It is too far away.
    #[error("a maintenance window begins within ten years, and not in {} days", .0 / 86_400_000)]
    TooFar(u64),
    /// Its tasks would outlast it.
    #[error("the grace of {0:?} is longer than the maintenance window, which lasts {1:?}")]
    Grace(Duration, Duration),
}

impl Maintenance {
    /// Agents of one window. What is remembered of them takes a few ten thousand bytes.
    pub const AGENTS_MAX: usize = 4_096;
    /// How long a window may last, in milliseconds.
    pub const DURATION_MAX_MS: u64 = 366 * 24 * 60 * 60 * 1_000;
    /// How far in the future a window may begin, in milliseconds.
    pub const AHEAD_MAX_MS: u64 = 3_660 * 24 * 60 * 60 * 1_000;

    /// Whether such a window can be made at `wall_ms`, in milliseconds since 1970.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self, wall_ms: u64) -> Result<(), InvalidMaintenance> {
        let Unavailability { start_ms, duration_ms } = self.when;
        if self.agents.is_empty() {
            return Err(InvalidMaintenance::NoAgents);
        }
        if self.agents.len() > Self::AGENTS_MAX {
            return Err(InvalidMaintenance::TooManyAgents(self.agents.len()));
        }
        if !(1_000..=Self::DURATION_MAX_MS).contains(&duration_ms) {
            return Err(InvalidMaintenance::Duration(duration_ms));
        }
        if start_ms < wall_ms {
            return Err(InvalidMaintenance::Past(wall_ms - start_ms));
        }
        if start_ms - wall_ms > Self::AHEAD_MAX_MS {
            return Err(InvalidMaintenance::TooFar(start_ms - wall_ms));
        }
        let lasts = Duration::from_millis(duration_ms);
        if self.grace > lasts {
            return Err(InvalidMaintenance::Grace(self.grace, lasts));
        }
        Ok(())
    }
}

/// Asks a framework to be off an agent by the start of a maintenance window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InverseOffer {
    /// Its name.
    pub id: crate::id::InverseOfferId,
    /// Which agent.
    pub agent: AgentId,
    /// When it will not be there.
    pub when: Unavailability,
}
