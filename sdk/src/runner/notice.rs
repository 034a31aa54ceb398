//! When to say that tasks have to wait, and why.

use std::time::Duration;

use haggle_core::Now;

use super::inventory::{Fit, Inventory};
use super::need::Need;
use super::progress::{Progress, WaitReason};

/// How long nothing may be launched before it is told of.
const TELL_AFTER: Duration = Duration::from_secs(5);

/// A time in which tasks wait and none is launched.
#[derive(Debug, Default)]
pub(super) struct Notice {
    since: Option<Now>,
    /// The agents are asked for first, so that the reason is not an old one.
    asked: bool,
    heard: bool,
    told: bool,
}

/// What there is to see while tasks wait.
pub(super) struct Scarcity<'a> {
    /// The task that has waited longest.
    pub(super) index: u64,
    pub(super) need: &'a Need,
    pub(super) since: Duration,
    pub(super) waiting: usize,
    pub(super) running: usize,
    pub(super) away: bool,
    pub(super) inventory: &'a Inventory,
}

impl Notice {
    pub(super) fn launched(&mut self, now: Now) {
        *self = Self { since: Some(now), ..Self::default() };
    }

    pub(super) fn nobody_waits(&mut self) {
        *self = Self::default();
    }

    pub(super) fn surveyed(&mut self) {
        self.heard |= self.asked;
    }

    /// Whether to ask for the agents, and what to tell.
    pub(super) fn look(&mut self, now: Now, scarcity: &Scarcity<'_>) -> (bool, Option<Progress>) {
        let since = *self.since.get_or_insert(now);
        if self.told || now < since + TELL_AFTER {
            return (false, None);
        }
        if !self.heard && !scarcity.away {
            return (!std::mem::replace(&mut self.asked, true), None);
        }
        self.told = true;
        (false, Some(scarcity.tell()))
    }

    /// When [`Self::look`] has something to say next.
    pub(super) fn next_deadline(&self) -> Option<Now> {
        self.since.filter(|_| !self.told && !self.asked).map(|since| since + TELL_AFTER)
    }
}

impl Scarcity<'_> {
    fn tell(&self) -> Progress {
        Progress::Waiting { index: self.index, since: self.since, waiting: self.waiting, why: self.why() }
    }

    fn why(&self) -> WaitReason {
        let wants = self.need.resources.clone();
        if self.away {
            return WaitReason::MasterAway;
        }
        match self.inventory.fit(self.need) {
            Fit::NobodyKnown => return WaitReason::NoAgents,
            Fit::TooBig { .. } => return WaitReason::NoAgentLargeEnough { wants },
            Fit::Unsuitable(lacks) => return WaitReason::NoAgentSuits { lacks },
            Fit::Fits => {}
        }
        match self.inventory.most_free(self.need) {
            Some((agent_name, free)) if free.contains(&wants) => {
                WaitReason::NotOffered { wants, agent_name: agent_name.to_owned() }
            }
            Some((agent_name, free)) => {
                WaitReason::TooLittleFree { wants, agent_name: agent_name.to_owned(), free: free.clone() }
            }
            None => WaitReason::AgentsBusy { wants, running: self.running },
        }
    }
}
