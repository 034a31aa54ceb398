//! What agents lack of what somebody wants, the nearest first.

use alloc::vec::Vec;

use super::Allocator;
use super::verdict::Case;
use super::why::Obstacle;
use crate::demand::Want;
use crate::id::AgentId;
use crate::resources::{Resources, Share};

/// Agents that are named of all on which one thing is in the way: the others are counted.
const NAMED: usize = 3;

/// An agent on which something is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// Which.
    pub agent: AgentId,
    /// How much more it would have to have, or to have free. Empty where it is no matter of amounts.
    pub lacks: Resources,
}

/// The agents that come nearest, so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Nearest(Vec<(Share, Lacking)>);

impl Nearest {
    /// One more, which lacks so much of what is needed: unless it may not be named, which is asked only when it would be.
    pub(super) fn add(&mut self, agent: AgentId, lacks: Resources, needed: &Resources, may: impl FnOnce() -> bool) {
        let share = lacks.dominant_share(needed);
        let at = self.0.partition_point(|(other, lacking)| (*other, lacking.agent) < (share, agent));
        if at < NAMED && may() {
            self.0.insert(at, (share, Lacking { agent, lacks }));
            self.0.truncate(NAMED);
        }
    }

    pub(super) fn into_agents(self) -> Vec<Lacking> {
        self.0.into_iter().map(|(_, lacking)| lacking).collect()
    }
}

impl Allocator {
    /// How much somebody needs of an agent at least.
    pub(super) fn needed(&self, case: &Case<'_>, want: Option<&Want>) -> Resources {
        match want {
            Some(want) => want.resources.clone(),
            None => self.least_needed(case.seat.role),
        }
    }

    /// How much of what is needed is not there where this is in the way.
    pub(super) fn lacks(&self, case: &Case<'_>, obstacle: &Obstacle, needed: &Resources) -> Resources {
        let mut lacks = needed.clone();
        match obstacle {
            Obstacle::TooLarge { .. } | Obstacle::NotUnused { .. } => lacks.take_up_to(&case.holding.has()),
            Obstacle::InUse { .. } | Obstacle::Offered { .. } | Obstacle::Reserved { .. } => {
                lacks.take_up_to(&self.usable(case).resources);
            }
            _ => return Resources::default(),
        }
        lacks
    }
}
