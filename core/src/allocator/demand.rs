//! What a framework said that it wants, and how much of that is in its open offers.

use alloc::vec::Vec;

use crate::agent::Traits;
use crate::demand::Want;
use crate::id::{AgentId, VolumeId};
use crate::resources::Resources;

/// Tells one want of a framework from its others, for as long as something is held for it.
pub(super) type WantKey = u32;

/// So many units of a want.
pub(super) type Units = Vec<(WantKey, u32)>;

/// Tells one gang of a framework from its others.
pub(super) type GangId = u32;

/// Wants that are met together.
pub(super) struct Gang<'a> {
    pub(super) id: GangId,
    /// How many of each.
    pub(super) wants: Vec<(WantKey, &'a Want, u32)>,
}

impl Gang<'_> {
    /// How many tasks it has.
    pub(super) fn tasks(&self) -> u32 {
        self.wants.iter().map(|&(_, _, count)| count).sum()
    }
}

/// Which units are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Room for tasks that wait.
    Waiting,
    /// Room to have at hand.
    Spare,
}

/// All wants of one framework.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Demand {
    wants: Vec<Wanted>,
    last_key: WantKey,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    key: WantKey,
    want: Want,
    /// Units in open offers.
    held: u32,
    beyond_quotas: BeyondQuotas,
}

/// Agents that had room for a task when quotas alone were in its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BeyondQuotas {
    /// [`Self::KNOWN`] at most, be there room still or not.
    agents: Vec<AgentId>,
    /// Whether there were more.
    more: bool,
}

impl BeyondQuotas {
    /// When none of these has room any more, agents are asked anew.
    pub(super) const KNOWN: usize = 16;

    pub(super) fn agents(&self) -> impl Iterator<Item = AgentId> {
        self.agents.iter().copied()
    }

    pub(super) fn are_more(&self) -> bool {
        self.more
    }

    /// Whether one more changes nothing.
    pub(super) fn has(&self, agent: AgentId) -> bool {
        self.more || self.agents.contains(&agent)
    }

    fn note(&mut self, agent: AgentId) {
        if self.has(agent) {
            return;
        }
        match self.agents.len() < Self::KNOWN {
            true => self.agents.push(agent),
            false => self.more = true,
        }
    }
}

impl Wanted {
    fn open(&self, urgency: Urgency) -> u32 {
        let waiting = self.want.waiting.saturating_sub(self.held);
        match urgency {
            Urgency::Waiting => waiting,
            Urgency::Spare => self.want.waiting.saturating_add(self.want.spare).saturating_sub(self.held) - waiting,
        }
    }
}

impl Demand {
    /// A new statement takes the place of the last one. What is held for a want that is said again counts for it.
    pub(super) fn restate(&mut self, wants: Vec<Want>) {
        let mut before = core::mem::take(&mut self.wants);
        for want in wants {
            let is_same = |old: &Wanted| old.want.is_like(&want);
            let wanted = match before.iter().position(is_same) {
                Some(at) => Wanted { want, ..before.swap_remove(at) },
                None => {
                    self.last_key += 1;
                    Wanted { key: self.last_key, want, held: 0, beyond_quotas: BeyondQuotas::default() }
                }
            };
            self.wants.push(wanted);
        }
        for old in before.into_iter().filter(|old| old.held > 0) {
            self.wants.push(Wanted { want: Want { waiting: 0, spare: 0, ..old.want }, ..old });
        }
    }

    /// Every want of which something is wanted or held.
    pub(super) fn wants(&self) -> impl Iterator<Item = &Want> {
        self.wants.iter().map(|wanted| &wanted.want)
    }

    /// Whether nothing is wanted, nor held.
    pub(super) fn is_empty(&self) -> bool {
        self.wants.is_empty()
    }

    /// Whether units of this kind are not in open offers yet.
    pub(super) fn is_open(&self, urgency: Urgency) -> bool {
        self.open(urgency).next().is_some() || urgency == Urgency::Waiting && self.gangs().next().is_some()
    }

    /// Whether tasks wait, be there offers for them or not.
    pub(super) fn has_waiting(&self) -> bool {
        self.wants.iter().any(|wanted| wanted.want.waiting > 0)
    }

    /// The wants of which units are looked for one by one, and how many of each.
    pub(super) fn open(&self, urgency: Urgency) -> impl Iterator<Item = (WantKey, &Want, u32)> {
        let single = self.wants.iter().filter(|wanted| wanted.want.gang == 0);
        let open = single.map(move |wanted| (wanted.key, &wanted.want, wanted.open(urgency)));
        open.filter(|&(_, _, count)| count > 0)
    }

    /// The gangs that are looked for: of whose wants nothing is in an open offer.
    pub(super) fn gangs(&self) -> impl Iterator<Item = Gang<'_>> {
        let of = |id| self.wants.iter().filter(move |wanted| wanted.want.gang == id);
        let is_first = move |at: usize, id| self.wants[..at].iter().all(|before| before.want.gang != id);
        let ids = self.wants.iter().enumerate().map(|(at, wanted)| (at, wanted.want.gang));
        let ids = ids.filter(move |&(at, id)| id != 0 && is_first(at, id)).map(|(_, id)| id);
        ids.filter(move |&id| of(id).all(|wanted| wanted.held == 0)).filter_map(move |id| {
            let waiting = of(id).filter(|wanted| wanted.want.waiting > 0);
            let wants: Vec<_> = waiting.map(|wanted| (wanted.key, &wanted.want, wanted.want.waiting)).collect();
            (!wants.is_empty()).then_some(Gang { id, wants })
        })
    }

    /// A want, and which agents have room for it but for quotas.
    pub(super) fn want(&self, key: WantKey) -> Option<(&Want, &BeyondQuotas)> {
        let wanted = self.wants.iter().find(|wanted| wanted.key == key)?;
        Some((&wanted.want, &wanted.beyond_quotas))
    }

    /// An agent has room for a want but for quotas.
    pub(super) fn note_beyond_quotas(&mut self, key: WantKey, agent: AgentId) {
        if let Some(wanted) = self.wants.iter_mut().find(|wanted| wanted.key == key) {
            wanted.beyond_quotas.note(agent);
        }
    }

    /// Agents are asked anew for a want.
    pub(super) fn forget_beyond_quotas(&mut self, key: WantKey) {
        if let Some(wanted) = self.wants.iter_mut().find(|wanted| wanted.key == key) {
            wanted.beyond_quotas = BeyondQuotas::default();
        }
    }

    /// How many of a want wait that is of a gang.
    #[cfg(test)]
    pub(super) fn of_gang(&self, key: WantKey) -> Option<u32> {
        let wanted = self.wants.iter().find(|wanted| wanted.key == key)?;
        (wanted.want.gang > 0).then_some(wanted.want.waiting)
    }

    pub(super) fn hold(&mut self, key: WantKey, count: u32) {
        if let Some(wanted) = self.wants.iter_mut().find(|wanted| wanted.key == key) {
            wanted.held = wanted.held.saturating_add(count);
        }
    }

    /// An offer is open no longer.
    pub(super) fn release(&mut self, units: &Units) {
        for &(key, count) in units {
            if let Some(wanted) = self.wants.iter_mut().find(|wanted| wanted.key == key) {
                wanted.held = wanted.held.saturating_sub(count);
            }
        }
        self.wants.retain(|wanted| wanted.held > 0 || wanted.want.waiting > 0 || wanted.want.spare > 0);
    }

    /// A task that mounts these volumes waits no longer, for it was launched on this agent, by itself or in a group.
    pub(super) fn launched(&mut self, resources: &Resources, volumes: &[VolumeId], agent: Traits<'_>, in_group: bool) {
        let waits = Want::of_launched(self.wants(), resources, volumes, agent, in_group);
        if let Some(wanted) = waits.and_then(|at| self.wants.get_mut(at)) {
            wanted.want.waiting -= 1;
        }
    }
}
