//! Agents and frameworks come, go, hold and free.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

use super::demand::Demand;
use super::ledger::{Account, Holding, Withheld};
use super::patience::Patience;
use super::promises::Promise;
use super::{Allocator, Framework};
use crate::agent::AgentInfo;
use crate::demand::Want;
use crate::id::{AgentId, FrameworkId, OfferId};
use crate::resources::{Ports, Resources};
use crate::time::Now;

impl Allocator {
    /// Adds an agent, or changes what it is and has. It is offered once it is active.
    pub fn set_agent(&mut self, agent: AgentId, info: &Arc<AgentInfo>) {
        self.agents.entry(agent).or_default();
        let before = self.change_holding(agent, |holding| mem::replace(&mut holding.info, Arc::clone(info)));
        if let Some(before) = before {
            self.total.take_up_to(&before.resources);
        }
        self.add_to_total(&info.resources);
        self.total_has_changed();
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
        self.forget_bounds(agent);
        self.filters.clear_agent(agent);
    }

    /// Adds a framework, or moves it with all it has to another role. It is offered something once it is active.
    pub fn set_framework(&mut self, framework: FrameworkId, role: &str) {
        let known = match self.frameworks.remove(&framework) {
            Some(known) if &*self.tree.role(known.role).path == role => {
                self.frameworks.insert(framework, known);
                return;
            }
            Some(mut known) => {
                self.note_less(known.role);
                self.tree.leave(known.role, framework, &mut known.place, &known.account);
                Framework { role: self.tree.join(role, framework, &known.account), ..known }
            }
            None => Framework {
                role: self.tree.join(role, framework, &Account::default()),
                account: Account::default(),
                place: None,
                active: false,
                suppressed: false,
                demand: None,
                patience: Patience::default(),
                promises: BTreeSet::new(),
                waits_since: None,
                counts_as_blind: false,
                spares: None,
            },
        };
        self.frameworks.insert(framework, known);
        self.unranked.insert(framework);
    }

    /// Whether a framework can be offered anything. Whatever it refused, suppressed or said that it wants is forgotten, as
    /// its next instance may think otherwise.
    pub fn set_framework_active(&mut self, framework: FrameworkId, active: bool) {
        if let Some(known) = self.frameworks.get_mut(&framework) {
            known.active = active;
        }
        self.revive(framework);
    }

    /// Forgets a framework with its refusals. Its offers are to be closed before. What it holds on agents stays allocated
    /// there until it is freed.
    pub fn remove_framework(&mut self, framework: FrameworkId) {
        if !self.frameworks.contains_key(&framework) {
            return;
        }
        self.set_framework_active(framework, false);
        self.rank();
        if let Some(mut known) = self.frameworks.remove(&framework) {
            self.note_less(known.role);
            self.tree.leave(known.role, framework, &mut known.place, &known.account);
        }
        self.woken.remove(&framework);
        self.unnoted.remove(&framework);
    }

    /// Offers nothing to a framework until it revives.
    pub fn suppress(&mut self, framework: FrameworkId) {
        if let Some(known) = self.frameworks.get_mut(&framework) {
            known.suppressed = true;
            // Only what ends the suppression would ask for them, and forgets them.
            self.filters.clear_framework(framework);
            self.unranked.insert(framework);
        }
    }

    /// Forgets the refusals and the suppression of a framework, and what it said that it wants.
    pub fn revive(&mut self, framework: FrameworkId) {
        self.wants(framework, None);
    }

    /// A framework wants this, and no more. Forgets its refusals and its suppression.
    pub fn demand(&mut self, framework: FrameworkId, wants: Vec<Want>) {
        self.wants(framework, Some(wants));
    }

    fn wants(&mut self, framework: FrameworkId, wants: Option<Vec<Want>>) {
        if let Some(known) = self.frameworks.get_mut(&framework) {
            known.suppressed = false;
            match wants {
                Some(wants) => known.demand.get_or_insert_with(Demand::default).restate(wants),
                None => known.demand = None,
            }
            self.filters.clear_framework(framework);
            self.unranked.insert(framework);
            self.woken.insert(framework);
        }
    }

    /// Does not offer a framework these resources of this agent, or less of them, before `until`.
    pub fn refuse(&mut self, framework: FrameworkId, agent: AgentId, resources: Resources, until: Now) {
        if let Some(known) = self.frameworks.get(&framework)
            && self.agents.contains_key(&agent)
            && known.active
            && !known.suppressed
        {
            self.filters.add(framework, agent, resources, until, known.demand.is_none());
        }
    }

    /// Counts resources of an agent as allocated to a framework. A framework that is not known has no share, but
    /// what it holds is not free all the same.
    pub fn charge(&mut self, framework: FrameworkId, agent: AgentId, resources: &Resources) {
        self.change_holding(agent, |holding| holding.allocated.give(resources));
        if let Some(known) = self.frameworks.get_mut(&framework) {
            known.account.give(resources);
            self.tree.each_account(known.role, |account| account.give(resources));
            self.unranked.insert(framework);
        }
    }

    /// Takes back what was charged, or what an offer promised that is closed.
    pub fn free(&mut self, framework: FrameworkId, agent: AgentId, resources: &Resources) {
        self.change_holding(agent, |holding| holding.allocated.take_up_to(resources));
        if let Some(known) = self.frameworks.get_mut(&framework) {
            known.account.take(resources);
            let role = known.role;
            self.tree.each_account(role, |account| account.take(resources));
            self.unranked.insert(framework);
            self.note_less(role);
        }
    }

    /// Ends an open offer. What it promised stays allocated: the caller frees it, or launches tasks on it.
    pub fn close(&mut self, id: OfferId) -> Option<Promise> {
        let promise = self.promises.remove(id)?;
        if let Some(holding) = self.agents.get_mut(&promise.agent) {
            holding.promises.remove(&id);
        }
        if let Some(known) = self.frameworks.get_mut(&promise.framework) {
            known.promises.remove(&id);
            known.account.close(&promise.resources);
            if let Some(demand) = &mut known.demand {
                demand.release(&promise.units);
            }
            self.tree.each_account(known.role, |account| account.close(&promise.resources));
            self.unranked.insert(promise.framework);
            // What it gave back may be wanted elsewhere.
            self.woken.extend(Some(promise.framework).filter(|_| known.demand.is_some()));
        }
        Some(promise)
    }

    /// A framework has launched tasks on an offer of this agent, which need this much each: they wait for room no longer.
    pub fn launched<'a>(
        &mut self,
        framework: FrameworkId,
        agent: AgentId,
        tasks: impl IntoIterator<Item = &'a Resources>,
    ) {
        let Some(known) = self.frameworks.get_mut(&framework) else { return };
        let Some(info) = self.agents.get(&agent).map(|holding| &holding.info) else { return };
        let mut any = false;
        for resources in tasks {
            any = true;
            if let Some(demand) = &mut known.demand {
                demand.launched(resources, info.traits());
            }
        }
        if any {
            known.patience.used();
            self.tree.each_patience(known.role, super::patience::Patience::used);
            self.unranked.insert(framework);
        }
    }

    /// Changes something about an agent, which is looked at again then.
    pub(super) fn change_holding<T>(&mut self, agent: AgentId, change: impl FnOnce(&mut Holding) -> T) -> Option<T> {
        let holding = self.agents.get_mut(&agent)?;
        let is_kept = self.tree.quotas > 0;
        if is_kept && holding.active {
            self.free.take_up_to(&holding.free());
        }
        let changed = change(holding);
        if is_kept && holding.active {
            self.free.give(&holding.free());
            self.free.ports = Ports::default();
        }
        self.dirty_agents.insert(agent);
        Some(changed)
    }

    /// Adds up what is free on all active agents.
    pub(super) fn add_up_free(&mut self) {
        self.free = Resources::default();
        for holding in self.agents.values().filter(|holding| holding.active) {
            self.free.give(&holding.free());
            self.free.ports = Ports::default();
        }
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
