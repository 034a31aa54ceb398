//! What happened since this master began to lead, in numbers that only grow, and how many tasks stand where.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::time::Duration;

use crate::histogram::Histogram;
use crate::task::{Reason, Source, TaskState, TaskStatus, Usage};

/// Roles whose processor time is told apart. That of more is counted under [`Tally::OTHER_ROLES`].
const ROLES_MAX: usize = 1_000;

/// How an offer came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferEnd {
    /// Its framework launched something on it, or wanted to.
    Accepted,
    /// Its framework did not want it.
    Declined,
    /// Nobody answered in time.
    Expired,
    /// It was taken back: for somebody who waits with less, for a quota, or because its agent left.
    Rescinded,
    /// Its framework left.
    Returned,
}

impl OfferEnd {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Accepted, Self::Declined, Self::Expired, Self::Rescinded, Self::Returned];

    /// As metrics call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::Rescinded => "rescinded",
            Self::Returned => "returned",
        }
    }
}

/// What an agent did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentMove {
    /// It joined the cluster.
    Joined,
    /// It registered again: after a restart or a lost connection, or with a new master.
    Returned,
    /// It left, or was given up for good, without having been unreachable.
    Removed,
    /// It was silent or away for too long.
    Unreachable,
    /// It was expected back by a new master, and did not come in time: it is unreachable.
    Missed,
    /// It was unreachable, and was given up for good.
    Forgotten,
}

impl AgentMove {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Joined, Self::Returned, Self::Removed, Self::Unreachable, Self::Missed, Self::Forgotten];

    /// As metrics call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Returned => "returned",
            Self::Removed => "removed",
            Self::Unreachable => "unreachable",
            Self::Missed => "missed",
            Self::Forgotten => "forgotten",
        }
    }
}

/// How, why and on whose word a task ended.
pub(super) type End = (TaskState, Option<Reason>, Source);

/// The numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    offers_made: u64,
    offers_ended: [u64; OfferEnd::ALL.len()],
    agents_moved: [u64; AgentMove::ALL.len()],
    agents_examined: u64,
    launched: u64,
    not_launched: BTreeMap<(Reason, TaskState), u64>,
    known: [usize; TaskState::ALL.len()],
    ended: BTreeMap<End, u64>,
    start: Histogram,
    cpu: BTreeMap<Arc<str>, Processor>,
}

/// What tasks of a role had of processors, and had not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Processor {
    /// Time that they used.
    pub used: Duration,
    /// Time for which they wanted to run and were held back by what they may have.
    pub throttled: Duration,
}

impl Tally {
    /// The role under which the processor time of all roles beyond the first thousand is counted. No role is called so.
    pub const OTHER_ROLES: &str = "/other";

    /// Offers that were made.
    pub fn offers_made(&self) -> u64 {
        self.offers_made
    }

    /// Offers that came to this end.
    pub fn offers_ended(&self, end: OfferEnd) -> u64 {
        self.offers_ended[end as usize]
    }

    /// How often agents did this.
    pub fn agents_moved(&self, what: AgentMove) -> u64 {
        self.agents_moved[what as usize]
    }

    /// How often an agent was looked at for whoever would take what is free there.
    pub fn agents_examined(&self) -> u64 {
        self.agents_examined
    }

    /// Tasks that were sent to an agent, by themselves or for a queue, and allocations.
    pub fn launched(&self) -> u64 {
        self.launched
    }

    /// Tasks that were to be launched and were not, by the reason.
    pub fn not_launched(&self) -> impl Iterator<Item = (Reason, u64)> {
        summed(self.not_launched.iter().map(|(&(reason, _), &count)| (reason, count)))
    }

    /// Tasks that stand there now: that run, or whose end is not acknowledged. Those in the queues of allocations are among them.
    pub fn tasks(&self, state: TaskState) -> usize {
        self.known[state as usize]
    }

    /// Tasks that ended, by how and why.
    pub fn ended(&self) -> impl Iterator<Item = (TaskState, Option<Reason>, u64)> {
        let ended = summed(self.ended.iter().map(|(&(state, reason, _), &count)| ((state, reason), count)));
        ended.map(|((state, reason), count)| (state, reason, count))
    }

    /// Tasks that ended and those that were not launched, by how, why, and who said so.
    pub fn told_as_ended(&self) -> impl Iterator<Item = (TaskState, Option<Reason>, Source, u64)> {
        let ended = self.ended.iter().map(|(&(state, reason, source), &count)| (state, reason, source, count));
        let refused = self.not_launched.iter();
        ended.chain(refused.map(|(&(reason, state), &count)| (state, Some(reason), Source::Master, count)))
    }

    /// From the launch of a task to its start, as the master hears of it.
    pub fn start_latency(&self) -> &Histogram {
        &self.start
    }

    /// Processor time of tasks that ended, by role.
    pub fn cpu(&self) -> impl Iterator<Item = (&str, Processor)> {
        self.cpu.iter().map(|(role, &cpu)| (&**role, cpu))
    }

    pub(super) fn offered(&mut self, offers: usize) {
        self.offers_made += offers as u64;
    }

    pub(super) fn offer_ends(&mut self, end: OfferEnd, offers: usize) {
        self.offers_ended[end as usize] += offers as u64;
    }

    pub(super) fn agent_moves(&mut self, what: AgentMove) {
        self.agents_moved[what as usize] += 1;
    }

    pub(super) fn examined(&mut self, agents: usize) {
        self.agents_examined += agents as u64;
    }

    pub(super) fn launches(&mut self, tasks: u64) {
        self.launched += tasks;
    }

    pub(super) fn refuses_launch(&mut self, (told, reason): (TaskState, Reason), tasks: u64) {
        *self.not_launched.entry((reason, told)).or_default() += tasks;
    }

    pub(super) fn starts(&mut self, after: Duration) {
        self.start.record(after);
    }

    /// So many tasks are known from now on.
    pub(super) fn comes(&mut self, state: TaskState, tasks: u64) {
        let known = &mut self.known[state as usize];
        *known = known.saturating_add(usize::try_from(tasks).unwrap_or(usize::MAX));
    }

    /// A task of this role is in another state.
    pub(super) fn moves(&mut self, role: &str, from: TaskState, to: &TaskStatus) {
        self.goes(from, 1);
        self.comes(to.state, 1);
        if to.state.is_terminal() && !from.is_terminal() {
            self.ends(role, (to.state, to.reason, to.source), to.usage.as_ref(), 1);
        }
    }

    /// So many tasks of this role have come to the same end.
    pub(super) fn ends(&mut self, role: &str, end: End, usage: Option<&Usage>, tasks: u64) {
        *self.ended.entry(end).or_default() += tasks;
        if let Some(usage) = usage {
            let known = self.cpu.contains_key(role) || self.cpu.len() < ROLES_MAX;
            let role = if known { role } else { Self::OTHER_ROLES };
            if !self.cpu.contains_key(role) {
                self.cpu.insert(Arc::from(role), Processor::default());
            }
            if let Some(cpu) = self.cpu.get_mut(role) {
                cpu.used = cpu.used.saturating_add(usage.cpu);
                cpu.throttled = cpu.throttled.saturating_add(usage.throttled);
            }
        }
    }

    /// So many tasks are the history's from now on.
    pub(super) fn goes(&mut self, state: TaskState, tasks: u64) {
        let known = &mut self.known[state as usize];
        *known = known.saturating_sub(usize::try_from(tasks).unwrap_or(usize::MAX));
    }
}

fn summed<K: Ord>(counts: impl Iterator<Item = (K, u64)>) -> impl Iterator<Item = (K, u64)> {
    let mut sums: BTreeMap<K, u64> = BTreeMap::new();
    counts.for_each(|(key, count)| *sums.entry(key).or_default() += count);
    sums.into_iter()
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    #[test]
    fn roles_beyond_the_first_thousand_are_counted_as_one() {
        let mut tally = Tally::default();
        let usage = Usage { cpu: Duration::from_secs(1), ..Usage::default() };
        let end = (TaskState::Finished, None, Source::Executor);
        (0..ROLES_MAX + 5).for_each(|role| tally.ends(&format!("role-{role}"), end, Some(&usage), 1));
        tally.ends("role-7", end, Some(&usage), 1);

        assert_eq!(tally.cpu().count(), ROLES_MAX + 1);
        let of = |name: &str| tally.cpu().find(|&(role, _)| role == name).map(|(_, cpu)| cpu.used.as_secs());
        assert_eq!([of("role-7"), of("role-1003"), of(Tally::OTHER_ROLES)], [Some(2), None, Some(5)]);
    }
}
