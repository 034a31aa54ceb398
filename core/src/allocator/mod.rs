//! Dominant resource fairness: which framework is offered what becomes free (Ghodsi et al., NSDI 2011).
//!
//! Roles compete by their weighted dominant shares, then the frameworks of the role that is furthest behind. Like
//! Mesos's, the allocator is coarse-grained: everything free on one agent goes to one framework. Unlike Mesos's
//! it has no cycle: [`Allocator::allocate`] looks at what changed since it last ran, and at nothing else.

mod fit;
mod ledger;
mod share;
mod why;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::num::NonZeroU32;

use crate::id::{AgentId, FrameworkId};
use crate::resources::{Resources, Share};
use crate::time::Now;

pub use why::{Hindrance, Obstacle};

use fit::{Filters, is_worth_offering};
use ledger::{Account, Holding};
use share::Ranking;

/// Who may be offered what is free.
///
/// What is *allocated* is what tasks hold together with what open offers promise. The allocator does not tell the
/// two apart: neither may be promised again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocator {
    weights: BTreeMap<String, NonZeroU32>,
    agents: BTreeMap<AgentId, Holding>,
    frameworks: BTreeMap<FrameworkId, Framework>,
    roles: BTreeMap<Arc<str>, Role>,
    /// The roles that have a framework to offer to, in the order in which they are served.
    ranking: Ranking<Arc<str>>,
    filters: Filters,
    /// The sum over all agents: what shares are shares of.
    total: Resources,
    /// Active agents with something to offer that nobody wanted when it was last looked at.
    idle: BTreeSet<AgentId>,
    /// Agents to look at for every framework.
    dirty_agents: BTreeSet<AgentId>,
    /// Frameworks for which the idle agents are to be looked at again.
    dirty_frameworks: BTreeSet<FrameworkId>,
    /// Frameworks whose place in the ranking is out of date.
    unranked: BTreeSet<FrameworkId>,
    /// Whether `total` is less than the sum, because that cannot be written down.
    total_is_cut: bool,
    /// Whether `total` changed, and with it every share.
    total_changed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Framework {
    role: Arc<str>,
    account: Account,
    active: bool,
    suppressed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Role {
    weight: NonZeroU32,
    account: Account,
    members: usize,
    /// Its frameworks that may be offered something, in the order in which they are served.
    ranking: Ranking<FrameworkId>,
}

/// Everything free on an agent, to be offered to a framework. Counts as allocated from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// To whom.
    pub framework: FrameworkId,
    /// Where.
    pub agent: AgentId,
    /// How much.
    pub resources: Resources,
}

/// A role, as its frameworks together stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleStanding<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its weight against other roles.
    pub weight: NonZeroU32,
    /// Its frameworks.
    pub frameworks: usize,
    /// What is allocated to them, without ports.
    pub allocated: &'a Resources,
    /// The dominant share of `allocated`, not divided by the weight.
    pub share: Share,
}

impl Allocator {
    /// An allocator without agents and frameworks. A role without a weight has weight 1.
    pub fn new(weights: BTreeMap<String, NonZeroU32>) -> Self {
        Self { weights, ..Self::default() }
    }

    /// Chooses, for everything that changed since the last call, who is offered what.
    pub fn allocate(&mut self, now: Now) -> Vec<Grant> {
        if self.dirty_agents.is_empty() && self.dirty_frameworks.is_empty() {
            return Vec::new();
        }
        self.rank();
        let mut grants = Vec::new();
        let newly_eager = mem::take(&mut self.dirty_frameworks);
        for agent in mem::take(&mut self.dirty_agents) {
            grants.extend(self.grant(agent, now, None));
        }
        if !newly_eager.is_empty() {
            // An idle agent is one that everybody else has passed over already, so only the newly eager are asked.
            for agent in self.idle.clone() {
                grants.extend(self.grant(agent, now, Some(&newly_eager)));
            }
        }
        grants
    }

    /// Adds an agent, or changes what it has. It is offered once it is active.
    pub fn set_agent(&mut self, agent: AgentId, total: &Resources) {
        let holding = self.agents.entry(agent).or_default();
        self.total.take_up_to(&holding.total);
        self.total.give(total);
        // The same port exists on many agents: a sum of them has no meaning, and no share.
        self.total.ports = Default::default();
        holding.total = total.clone();
        self.total_has_changed();
        self.dirty_agents.insert(agent);
    }

    /// A total that was too large to be written down is added up anew once it may not be any more.
    fn total_has_changed(&mut self) {
        self.total_changed = true;
        if self.total_is_cut || self.total.is_saturated() {
            self.total = Resources::default();
            for holding in self.agents.values() {
                self.total.give(&holding.total);
                self.total.ports = Default::default();
            }
            self.total_is_cut = self.total.is_saturated();
        }
    }

    /// Whether the free resources of an agent may be offered.
    pub fn set_agent_active(&mut self, agent: AgentId, active: bool) {
        if let Some(holding) = self.agents.get_mut(&agent) {
            holding.active = active;
            self.dirty_agents.insert(agent);
        }
    }

    /// Forgets an agent with its filters. What was allocated there is to be freed one by one, before or after.
    pub fn remove_agent(&mut self, agent: AgentId) {
        if let Some(holding) = self.agents.remove(&agent) {
            self.total.take_up_to(&holding.total);
            self.total_has_changed();
            self.idle.remove(&agent);
            self.dirty_agents.remove(&agent);
            self.filters.clear_agent(agent);
        }
    }

    /// Adds a framework, or moves it with all it holds to another role. It is offered something once it is active.
    pub fn set_framework(&mut self, framework: FrameworkId, role: &Arc<str>) {
        let account = match self.frameworks.get(&framework) {
            Some(known) if known.role == *role => return,
            Some(_) => self.take_out(framework).account,
            None => Account::default(),
        };
        let weight = self.weights.get(&**role).copied().unwrap_or(NonZeroU32::MIN);
        let joined = self.roles.entry(role.clone()).or_insert_with(|| Role {
            weight,
            account: Account::default(),
            members: 0,
            ranking: Ranking::default(),
        });
        joined.members += 1;
        joined.account.give(&account.allocated);
        let framework_of_role = Framework { role: role.clone(), account, active: false, suppressed: false };
        self.frameworks.insert(framework, framework_of_role);
    }

    /// Whether a framework can be offered anything. Whatever it refused or suppressed before is forgotten, as its
    /// next instance may think otherwise.
    pub fn set_framework_active(&mut self, framework: FrameworkId, active: bool) {
        if let Some(known) = self.frameworks.get_mut(&framework) {
            known.active = active;
            known.suppressed = false;
            self.filters.clear_framework(framework);
            self.wake(framework);
        }
    }

    /// Forgets a framework with its filters. What it held on agents stays allocated there until it is freed.
    pub fn remove_framework(&mut self, framework: FrameworkId) {
        if self.frameworks.contains_key(&framework) {
            self.take_out(framework);
            self.filters.clear_framework(framework);
            self.dirty_frameworks.remove(&framework);
            self.unranked.remove(&framework);
        }
    }

    /// Offers nothing to a framework until it revives.
    pub fn suppress(&mut self, framework: FrameworkId) {
        if let Some(known) = self.frameworks.get_mut(&framework) {
            known.suppressed = true;
            self.unranked.insert(framework);
        }
    }

    /// Forgets the filters and the suppression of a framework.
    pub fn revive(&mut self, framework: FrameworkId) {
        if let Some(known) = self.frameworks.get_mut(&framework) {
            known.suppressed = false;
            self.filters.clear_framework(framework);
            self.wake(framework);
        }
    }

    /// Does not offer a framework these resources of this agent, or less of them, before `until`.
    pub fn refuse(&mut self, framework: FrameworkId, agent: AgentId, resources: Resources, until: Now) {
        if self.frameworks.contains_key(&framework) && self.agents.contains_key(&agent) {
            self.filters.add(framework, agent, resources, until);
        }
    }

    /// Counts resources of an agent as allocated to a framework. A framework that is not known has no share, but
    /// what it holds is not free all the same.
    pub fn charge(&mut self, framework: FrameworkId, agent: AgentId, resources: &Resources) {
        if let Some(holding) = self.agents.get_mut(&agent) {
            holding.allocated.give(resources);
            self.dirty_agents.insert(agent);
        }
        if let Some(known) = self.frameworks.get_mut(&framework) {
            known.account.give(resources);
            self.roles.get_mut(&known.role).expect("a framework's role is known").account.give(resources);
            self.unranked.insert(framework);
        }
    }

    /// Takes back what was granted or charged.
    pub fn free(&mut self, framework: FrameworkId, agent: AgentId, resources: &Resources) {
        if let Some(holding) = self.agents.get_mut(&agent) {
            holding.allocated.take_up_to(resources);
            self.dirty_agents.insert(agent);
        }
        if let Some(known) = self.frameworks.get_mut(&framework) {
            known.account.take(resources);
            self.roles.get_mut(&known.role).expect("a framework's role is known").account.take(resources);
            self.unranked.insert(framework);
        }
    }

    /// When the next filter ends.
    pub fn next_deadline(&self) -> Option<Now> {
        self.filters.next_deadline()
    }

    /// Forgets the filters that end at `now` or earlier, and looks at their agents again.
    pub fn expire(&mut self, now: Now) {
        self.dirty_agents.extend(self.filters.expire(now));
    }

    /// What is allocated on an agent, or nothing when it is not known.
    pub fn allocated_on(&self, agent: AgentId) -> Resources {
        self.agents.get(&agent).map(|holding| holding.allocated.clone()).unwrap_or_default()
    }

    /// What is allocated to a framework, without ports.
    pub fn allocated_to(&self, framework: FrameworkId) -> Resources {
        self.frameworks.get(&framework).map(|known| known.account.allocated.clone()).unwrap_or_default()
    }

    /// Whether a framework wants no offers.
    pub fn is_suppressed(&self, framework: FrameworkId) -> bool {
        self.frameworks.get(&framework).is_some_and(|known| known.suppressed)
    }

    /// The roles that have frameworks, by name.
    pub fn roles(&self) -> impl Iterator<Item = RoleStanding<'_>> {
        self.roles.iter().map(|(name, role)| RoleStanding {
            name,
            weight: role.weight,
            frameworks: role.members,
            allocated: &role.account.allocated,
            share: role.account.allocated.dominant_share(&self.total),
        })
    }

    /// Gives everything free on one agent to the neediest framework that wants it: of all, or of `among`.
    fn grant(&mut self, agent: AgentId, now: Now, among: Option<&BTreeSet<FrameworkId>>) -> Option<Grant> {
        let free = self.agents.get(&agent).filter(|holding| holding.active).map(Holding::free);
        let Some(resources) = free.filter(is_worth_offering) else {
            self.idle.remove(&agent);
            return None;
        };
        let wants = |framework: &FrameworkId| !self.filters.hold(*framework, agent, &resources, now);
        let neediest = match among {
            None => self
                .ranking
                .in_order()
                .flat_map(|role| self.roles[role].ranking.in_order())
                .find(|framework| wants(framework))
                .copied(),
            Some(few) => few
                .iter()
                .filter(|framework| wants(framework))
                .filter_map(|&framework| Some((self.place(framework)?, framework)))
                .min()
                .map(|(_, framework)| framework),
        };
        let Some(framework) = neediest else {
            self.idle.insert(agent);
            return None;
        };
        self.charge(framework, agent, &resources);
        self.idle.remove(&agent);
        self.dirty_agents.remove(&agent);
        let known = self.frameworks.get_mut(&framework).expect("a ranked framework is known");
        known.account.grants += 1;
        self.roles.get_mut(&known.role).expect("a framework's role is known").account.grants += 1;
        self.rank();
        Some(Grant { framework, agent, resources })
    }

    /// Where a framework stands among all, or `None` when it is offered nothing.
    fn place(&self, framework: FrameworkId) -> Option<impl Ord + use<>> {
        let role = &self.frameworks.get(&framework)?.role;
        let among_frameworks = self.roles[role].ranking.place(&framework)?;
        Some((self.ranking.place(role)?, role.clone(), among_frameworks))
    }

    /// Has the idle agents looked at for a framework.
    fn wake(&mut self, framework: FrameworkId) {
        self.unranked.insert(framework);
        self.dirty_frameworks.insert(framework);
    }

    /// Takes a framework out of its role, and the role away with its last framework.
    fn take_out(&mut self, framework: FrameworkId) -> Framework {
        let known = self.frameworks.remove(&framework).expect("the caller has seen it");
        let role = self.roles.get_mut(&known.role).expect("a framework's role is known");
        role.account.take(&known.account.allocated);
        role.ranking.remove(&framework);
        role.members -= 1;
        if role.members == 0 {
            self.roles.remove(&known.role);
            self.ranking.remove(&known.role);
        } else {
            self.rank_role(&known.role);
        }
        known
    }

    /// Brings the rankings up to date.
    fn rank(&mut self) {
        if mem::take(&mut self.total_changed) {
            self.unranked.extend(self.frameworks.keys());
        }
        while let Some(framework) = self.unranked.pop_first() {
            let Some(known) = self.frameworks.get(&framework) else { continue };
            let role_name = known.role.clone();
            let role = self.roles.get_mut(&role_name).expect("a framework's role is known");
            if known.active && !known.suppressed {
                let share = known.account.allocated.dominant_share(&self.total);
                role.ranking.set(framework, share, known.account.grants);
            } else {
                role.ranking.remove(&framework);
            }
            self.rank_role(&role_name);
        }
    }

    fn rank_role(&mut self, name: &Arc<str>) {
        let role = &self.roles[name];
        if role.ranking.is_empty() {
            self.ranking.remove(name);
        } else {
            let share = role.account.allocated.dominant_share(&self.total).per_weight(role.weight);
            self.ranking.set(name.clone(), share, role.account.grants);
        }
    }
}

#[cfg(test)]
mod tests;
