//! Agents come and go, and frameworks hold and free.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

use super::Allocator;
use super::ledger::{Holding, Withheld};
use super::patience::Patience;
use super::promises::Promise;
use super::seat::Seat;
use crate::agent::AgentInfo;
use crate::id::{AgentId, FrameworkId, OfferId, VolumeId};
use crate::quantity::MilliCpu;
use crate::reservation::Portion;
use crate::resources::{Ports, Resources};
use crate::time::Now;

impl Allocator {
    /// Adds an agent, or changes what it is and has. It is offered once it is active.
    pub fn set_agent(&mut self, agent: AgentId, info: &Arc<AgentInfo>) {
        self.agents.entry(agent).or_default();
        let before = self.change_holding(agent, |holding| mem::replace(&mut holding.info, Arc::clone(info)));
        self.reserve(agent, &[]);
        if let Some(before) = before {
            self.total.take_up_to(&before.resources);
        }
        self.add_to_total(&info.resources);
        self.total_has_changed();
    }

    /// What an agent measures to be unused of the processor time that its tasks hold. With less than is allocated of it, none is
    /// offered; what is taken back, and from whom, is the caller's to decide.
    pub fn set_revocable(&mut self, agent: AgentId, revocable: MilliCpu) {
        if self.agents.get(&agent).is_some_and(|holding| holding.revocable != revocable) {
            self.change_holding(agent, |holding| holding.revocable = revocable);
        }
    }

    /// Whether the free resources of an agent may be offered.
    pub fn set_agent_active(&mut self, agent: AgentId, active: bool) {
        self.change_holding(agent, |holding| holding.active = active);
    }

    /// What is in the way of an agent that is not active: for whoever asks why.
    pub fn set_agent_withheld(&mut self, agent: AgentId, withheld: Option<Withheld>) {
        if let Some(holding) = self.agents.get_mut(&agent) {
            holding.withheld = withheld;
        }
    }

    /// Forgets an agent with its refusals. Its offers are to be closed before; what is allocated there is to be freed one by
    /// one, before or after.
    pub fn remove_agent(&mut self, agent: AgentId) {
        self.reserve_nothing(agent);
        let Some(has) = self.change_holding(agent, |holding| {
            holding.active = false;
            holding.info.resources.clone()
        }) else {
            return;
        };
        self.note_idle(agent);
        self.agents.remove(&agent);
        self.total.take_up_to(&has);
        self.total_has_changed();
        self.dirty_agents.remove(&agent);
        self.woken_on.remove(&agent);
        self.backlog.remove(agent);
        self.forget_bounds(agent);
        self.filters.clear_agent(agent);
    }

    /// Does not offer a framework in this role these resources of this agent, or less of them, before `until`.
    pub fn refuse(&mut self, framework: FrameworkId, role: &str, agent: AgentId, resources: Resources, until: Now) {
        if let Some(seat) = self.seat(framework, role) {
            self.refuse_as(seat, agent, resources, until);
        }
    }

    pub(super) fn refuse_as(&mut self, seat: Seat, agent: AgentId, resources: Resources, until: Now) {
        if let Some(known) = self.members.get(&seat)
            && self.agents.contains_key(&agent)
            && known.active
            && !known.suppressed
        {
            self.filters.add(seat, agent, resources, until, known.demand.is_none());
        }
    }

    /// Counts resources of an agent as allocated to a framework in a role, be it one that it has left. A framework that is not
    /// known has no share, but what it holds is not free all the same.
    /// Gives back what of it is of which reservation: whatever the framework may use of what is reserved there, first.
    pub fn charge(
        &mut self,
        framework: FrameworkId,
        role: &str,
        agent: AgentId,
        resources: &Resources,
        volumes: &[VolumeId],
    ) -> Portion {
        let portion = self.agents.get(&agent).map(|holding| holding.share_of(role, resources));
        let mut portion = portion.unwrap_or_else(|| resources.clone().into());
        portion.give(&Portion { volumes: volumes.to_vec(), ..Portion::default() });
        self.change_holding(agent, |holding| holding.allocate(&portion));
        if let Some(seat) = self.seat_or_kept(framework, role)
            && let Some(known) = self.members.get_mut(&seat)
        {
            known.account.give(resources);
            self.tree.each_account(seat.role, |account| account.give(resources));
            self.unranked.insert(seat);
        }
        portion
    }

    /// Takes back what was charged, or what an offer promised that is closed.
    pub fn free(&mut self, framework: FrameworkId, role: &str, agent: AgentId, portion: &Portion) {
        match self.seat(framework, role) {
            Some(seat) => self.free_of(seat, agent, portion),
            None => drop(self.change_holding(agent, |holding| holding.allocated.take_up_to(portion))),
        }
    }

    pub(super) fn free_of(&mut self, seat: Seat, agent: AgentId, portion: &Portion) {
        let resources = &portion.resources;
        self.change_holding(agent, |holding| holding.allocated.take_up_to(portion));
        if let Some(known) = self.members.get_mut(&seat) {
            known.account.take(resources);
            self.tree.each_account(seat.role, |account| account.take(resources));
            self.unranked.insert(seat);
            self.note_less(seat.role);
            self.forget_if_gone(seat);
        }
    }

    /// Ends an open offer. What it promised stays allocated: the caller frees it, or launches tasks on it.
    pub fn close(&mut self, id: OfferId) -> Option<Promise> {
        let promise = self.promises.remove(id)?;
        if let Some(holding) = self.agents.get_mut(&promise.agent) {
            holding.promises.remove(&id);
        }
        let seat = promise.seat;
        if let Some(known) = self.members.get_mut(&seat) {
            known.promises.remove(&id);
            known.account.close(&promise.portion.resources);
            if let Some(demand) = &mut known.demand {
                demand.release(&promise.units);
            }
            self.tree.each_account(seat.role, |account| account.close(&promise.portion.resources));
            self.unranked.insert(seat);
            // What it gave back may be wanted elsewhere.
            self.woken.extend(Some(seat).filter(|_| known.demand.is_some()));
        }
        Some(promise)
    }

    /// A framework has launched tasks on an offer of this agent for this role, by themselves or in a group, which need this much
    /// each, and these volumes: they wait for room no longer.
    pub fn launched<'a>(
        &mut self,
        framework: FrameworkId,
        role: &str,
        agent: AgentId,
        tasks: impl IntoIterator<Item = (&'a Resources, Vec<VolumeId>)>,
        in_group: bool,
    ) {
        let Some(seat) = self.seat(framework, role) else { return };
        let Some(known) = self.members.get_mut(&seat) else { return };
        let Some(info) = self.agents.get(&agent).map(|holding| &holding.info) else { return };
        let mut any = false;
        for (resources, volumes) in tasks {
            any = true;
            if let Some(demand) = &mut known.demand {
                demand.launched(resources, &volumes, info.traits(), in_group);
            }
        }
        if any {
            known.patience.used();
            self.tree.each_patience(seat.role, Patience::used);
            self.unranked.insert(seat);
        }
    }

    /// Changes something about an agent, which is looked at again then.
    pub(super) fn change_holding<T>(&mut self, agent: AgentId, change: impl FnOnce(&mut Holding) -> T) -> Option<T> {
        let holding = self.agents.get_mut(&agent)?;
        let is_kept = self.tree.quotas > 0;
        let before = (is_kept && holding.active).then(|| holding.unused());
        let changed = change(holding);
        let after = (is_kept && holding.active).then(|| holding.unused());
        self.note_free(before, after);
        self.dirty_agents.insert(agent);
        Some(changed)
    }

    /// What nobody uses of an active agent was this, and is that.
    fn note_free(&mut self, before: Option<Portion>, after: Option<Portion>) {
        if let Some(before) = before {
            self.free.take_up_to(&before.unreserved());
            before
                .reserved
                .iter()
                .for_each(|part| self.tree.change_idle(part, |idle| idle.take_up_to(&part.resources)));
        }
        if let Some(after) = after {
            self.free.give(&after.unreserved());
            self.free.ports = Ports::default();
            after.reserved.iter().for_each(|part| self.tree.change_idle(part, |idle| idle.give(&part.resources)));
        }
    }

    /// Adds up what is free on all active agents.
    pub(super) fn add_up_free(&mut self) {
        self.free = Resources::default();
        self.tree.forget_idle();
        let active = self.agents.values().filter(|holding| holding.active);
        let free: Vec<Portion> = active.map(|holding| holding.unused()).collect();
        free.into_iter().for_each(|free| self.note_free(None, Some(free)));
    }

    /// The same port exists on many agents: a sum of them has no meaning, and no share.
    fn add_to_total(&mut self, resources: &Resources) {
        self.total.give(resources);
        self.total.ports = Ports::default();
    }

    /// A total that was too large to be written down is added up anew once it may not be any more.
    fn total_has_changed(&mut self) {
        self.total_changed = true;
        if self.total_is_cut || self.total.is_saturated() {
            self.total = Resources::default();
            for info in self.agents.values().map(|holding| Arc::clone(&holding.info)).collect::<Vec<_>>() {
                self.add_to_total(&info.resources);
            }
            self.total_is_cut = self.total.is_saturated();
        }
    }
}
