//! What can be in the way of an offer, and how it adds up over agents.

use alloc::string::String;
use alloc::vec::Vec;
use core::mem::discriminant;
use core::time::Duration;

use super::super::lack::{Lacking, Nearest};
use super::super::{Sight, Withheld};
use crate::demand::{Constraint, Want};
use crate::id::{FrameworkId, VolumeId};
use crate::quantity::MilliCpu;
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
    /// The first of these agents, of those that may be named: the ones that lack least come first.
    pub nearest: Vec<Lacking>,
    /// For how long it has been in the way, where it is the framework itself that asked for nothing.
    pub age: Option<Duration>,
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
    /// The agents would suit, and an operator, a maintenance window or they themselves keep them from being offered.
    Withheld(Withheld),
    /// The agents are not what it needs.
    Constraint(Constraint),
    /// The agents do not hold this volume for its role.
    NoVolume(VolumeId),
    /// The agent holds this volume, and it is in use, or in an offer.
    VolumeInUse(VolumeId),
    /// The agents are too small, were they empty.
    TooLarge {
        /// What the one that comes nearest has.
        largest: Resources,
    },
    /// The agents are large enough, and keep what it would need of them for other roles.
    Reserved {
        /// The most that one of them keeps for others.
        reserved: Resources,
    },
    /// The agents' tasks use what they hold, or the agents do not measure that: there is not so much that is revocable.
    NotUnused {
        /// The most that one of them measures to be unused.
        most: MilliCpu,
    },
    /// The agents are large enough, and tasks run there.
    InUse {
        /// The most that is free on one of them.
        free: Resources,
    },
    /// The agents' free resources are in offers that wait for an answer.
    Offered {
        /// To whom the oldest of these offers was made, if that may be named.
        to: Option<FrameworkId>,
        /// For how long it has been open.
        age: Duration,
    },
    /// It wants all of a gang at once, and there is not room for all.
    Gang {
        /// How many tasks that is.
        tasks: u32,
        /// For how many there is room now.
        fit: u32,
    },
    /// It declined what is free there.
    Refused {
        /// After that it is asked again, if nothing changes there before. The longest of all.
        lasts: Duration,
    },
}

impl Hindrance {
    pub(super) fn new(obstacle: Obstacle, want: Option<Resources>, agents: usize) -> Self {
        Self { obstacle, want, agents, nearest: Vec::new(), age: None }
    }
}

impl Obstacle {
    /// Whether both are said in one line.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Constraint(one), Self::Constraint(other)) => one == other,
            (Self::AtLimit { role, .. }, Self::AtLimit { role: other, .. }) => role == other,
            (Self::Withheld(one), Self::Withheld(other)) => one == other,
            (Self::NoVolume(one), Self::NoVolume(other)) | (Self::VolumeInUse(one), Self::VolumeInUse(other)) => {
                one == other
            }
            _ => discriminant(self) == discriminant(other),
        }
    }

    /// The same of another agent.
    fn add(&mut self, other: Self) {
        match (self, other) {
            (Self::TooLarge { largest }, Self::TooLarge { largest: other }) => keep_larger(largest, other),
            (Self::NotUnused { most }, Self::NotUnused { most: other }) => *most = other.max(*most),
            (Self::InUse { free }, Self::InUse { free: other }) => keep_larger(free, other),
            (Self::Reserved { reserved }, Self::Reserved { reserved: other }) => keep_larger(reserved, other),
            (Self::Refused { lasts }, Self::Refused { lasts: other }) => *lasts = other.max(*lasts),
            (Self::Offered { to, age }, Self::Offered { to: other, age: older }) if older > *age => {
                (*to, *age) = (other, older);
            }
            _ => {}
        }
    }
}

/// What was found to be in the way, told to somebody.
pub(super) struct Found<'a> {
    pub(super) hindrances: Vec<(Hindrance, Nearest)>,
    pub(super) sight: &'a Sight<'a>,
}

impl Found<'_> {
    /// One more agent on which this is in the way.
    pub(super) fn add(&mut self, obstacle: Obstacle, want: Option<&Want>) -> &mut Nearest {
        let resources = want.map(|want| &want.resources);
        let is_like =
            |(other, _): &(Hindrance, Nearest)| other.want.as_ref() == resources && other.obstacle.is_like(&obstacle);
        let at = match self.hindrances.iter().position(is_like) {
            Some(at) => {
                let (like, _) = &mut self.hindrances[at];
                like.agents += 1;
                like.obstacle.add(obstacle);
                at
            }
            None => {
                self.hindrances.push((Hindrance::new(obstacle, resources.cloned(), 1), Nearest::default()));
                self.hindrances.len() - 1
            }
        };
        &mut self.hindrances[at].1
    }
}

fn keep_larger(one: &mut Resources, other: Resources) {
    if (other.cpus, other.mem) > (one.cpus, one.mem) {
        *one = other;
    }
}
