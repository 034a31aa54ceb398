//! Why somebody is offered nothing.

use alloc::string::String;
use core::time::Duration;

use crate::demand::Constraint;
use crate::id::FrameworkId;
use crate::quota::Ceiling;
use crate::resources::Resources;

/// One thing that is in the way of a framework, and on how many agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hindrance {
    /// What it is.
    pub obstacle: Obstacle,
    /// For a task that needs this much; `None` when the framework has not said what it wants.
    pub want: Option<Resources>,
    /// On how many agents; 0 when it is no matter of agents.
    pub agents: usize,
}

/// What can be in the way of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The framework is not connected.
    NotConnected,
    /// It wants no offers until it revives.
    Suppressed,
    /// It said that it wants nothing.
    WantsNothing,
    /// No agent takes tasks.
    NoAgent,
    /// Its role, or one above it, has all that it may have.
    AtLimit {
        /// Which role.
        role: String,
        /// What it may have at most.
        limit: Ceiling,
        /// What it has.
        has: Resources,
    },
    /// What is free is kept for what other roles are promised.
    KeptForOthers {
        /// How much of what is free is kept.
        kept: Resources,
    },
    /// The agents are not what it needs.
    Constraint(Constraint),
    /// The agents are too small, were they empty.
    TooLarge {
        /// What the one that comes nearest has.
        largest: Resources,
    },
    /// The agents are large enough, and tasks run there.
    InUse {
        /// The most that is free on one of them.
        free: Resources,
    },
    /// The agents' free resources are in offers that wait for an answer.
    Offered {
        /// To whom the oldest of these offers was made.
        to: FrameworkId,
        /// For how long that has been open.
        age: Duration,
    },
    /// It declined what is free there.
    Refused {
        /// It is asked again after this time at the latest, if nothing changes there. The longest of them.
        left: Duration,
    },
    /// What is free is less than the least that its role is offered.
    TooLittle {
        /// The least.
        least: Resources,
    },
}
