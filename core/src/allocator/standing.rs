//! What can be seen of agents, frameworks and roles.

use alloc::collections::{BTreeMap, BTreeSet};
use core::num::NonZeroU32;

use super::demand::Demand;
use super::seat::Seat;
use super::tree::ROOT;
use super::{Allocator, Member, Promise};
use crate::id::{AgentId, FrameworkId, OfferId};
use crate::placement::Placement;
use crate::quantity::MilliCpu;
use crate::quota::Quota;
use crate::reservation::Portion;
use crate::resources::{Resources, Share};

/// A role, with all roles below it where nothing else is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleStanding<'a> {
    /// Its path.
    pub name: &'a str,
    /// Its weight against its siblings.
    pub weight: NonZeroU32,
    /// The frameworks in the role itself.
    pub frameworks: usize,
    /// Those that would take something that they are not offered.
    pub waiting: usize,
    /// What tasks hold, without ports.
    pub used: Resources,
    /// What open offers promise, without ports.
    pub offered: &'a Resources,
    /// What agents keep for it, used or not, without ports.
    pub reserved: &'a Resources,
    /// The dominant share of what is used and offered, not divided by the weight.
    pub share: Share,
    /// The share that it would have if all its siblings with frameworks took all they may.
    pub fair_share: Share,
    /// What it is promised, and may have at most.
    pub quota: Option<&'a Quota>,
    /// Which agents its offers are made of, as in the nearest role above where nothing is said of it.
    pub placement: Placement,
    /// The least that makes an offer to it, likewise; `None` is that of the cluster.
    pub min_allocatable: Option<&'a Resources>,
}

/// The cluster as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing<'a> {
    /// What all agents have.
    pub total: &'a Resources,
    /// What agents measure to be unused of what tasks hold: beside the total.
    pub revocable: MilliCpu,
    /// What tasks hold of it, without ports.
    pub used: Resources,
    /// What open offers promise of it, without ports.
    pub offered: &'a Resources,
    /// Frameworks that would take something that they are not offered in some role.
    pub waiting: usize,
    /// How often a framework refuses something of an agent.
    pub refusals: usize,
    /// Agents that changed and were not looked at yet.
    pub dirty: usize,
}

impl Allocator {
    /// How the cluster stands as a whole. Takes time in proportion to the agents and frameworks, and to the agents that were refused.
    pub fn standing(&self) -> Standing<'_> {
        let all = &self.tree.role(ROOT).budget.account;
        let waiting = self.members.iter().filter(|(_, known)| known.waits_since.is_some());
        let waiting: BTreeSet<FrameworkId> = waiting.map(|(seat, _)| seat.framework).collect();
        Standing {
            total: &self.total,
            revocable: self.agents.values().fold(MilliCpu::ZERO, |sum, agent| sum.saturating_add(agent.revocable)),
            used: all.used(),
            offered: &all.promised,
            waiting: waiting.len(),
            refusals: self.filters.pairs(),
            dirty: self.backlog.agents().chain(self.dirty_agents.iter().copied()).collect::<BTreeSet<_>>().len(),
        }
    }

    /// How much the frameworks of each role refuse: those in the role itself, of roles in which somebody does. Takes time in proportion
    /// to that.
    pub fn refusals_of_roles(&self) -> BTreeMap<&str, usize> {
        let mut sums = BTreeMap::new();
        for (seat, refusals) in self.filters.by_seat() {
            *sums.entry(&*self.tree.role(seat.role).path).or_default() += refusals;
        }
        sums
    }

    /// What an agent measures to be unused of the processor time that its tasks hold, or nothing when it is not known.
    pub fn revocable_on(&self, agent: AgentId) -> MilliCpu {
        self.agents.get(&agent).map_or(MilliCpu::ZERO, |holding| holding.revocable)
    }

    /// What is allocated on an agent, or nothing when it is not known.
    pub fn allocated_on(&self, agent: AgentId) -> Portion {
        self.agents.get(&agent).map(|holding| holding.allocated.clone()).unwrap_or_default()
    }

    /// Whether it could be offered, were it not for what keeps it from that.
    pub fn has_agent(&self, agent: AgentId) -> bool {
        self.agents.contains_key(&agent)
    }

    /// What is allocated to a framework in all of its roles, without ports.
    pub fn allocated_to(&self, framework: FrameworkId) -> Resources {
        let mut sum = Resources::default();
        for (_, known) in self.members.range(Seat::all_of(framework)) {
            sum.give(&known.account.allocated);
        }
        sum
    }

    /// Whether a framework wants no offers in any of its roles.
    pub fn is_suppressed(&self, framework: FrameworkId) -> bool {
        let wants_none = |known: &Member| known.suppressed || known.demand.as_ref().is_some_and(Demand::is_empty);
        let mut seats = self.members.range(Seat::all_of(framework)).filter(|(_, known)| known.subscribed).peekable();
        seats.peek().is_some() && seats.all(|(_, known)| wants_none(known))
    }

    /// An open offer.
    pub fn offer(&self, id: OfferId) -> Option<&Promise> {
        self.promises.get(id)
    }

    /// The open offers behind this one, by id.
    pub fn offers_after(&self, id: Option<OfferId>) -> impl Iterator<Item = (OfferId, &Promise)> {
        self.promises.after(id)
    }

    /// How many offers are open.
    pub fn open_offers(&self) -> usize {
        self.promises.len()
    }

    /// The open offers of an agent.
    pub fn offers_of(&self, agent: AgentId) -> BTreeSet<OfferId> {
        self.agents.get(&agent).map(|holding| holding.promises.clone()).unwrap_or_default()
    }

    /// The open offers to a framework.
    pub fn offers_to(&self, framework: FrameworkId) -> BTreeSet<OfferId> {
        self.members.range(Seat::all_of(framework)).flat_map(|(_, known)| &known.promises).copied().collect()
    }

    /// The roles behind this one, by path: those with frameworks, those above one that has some, those of which an
    /// operator has decided something, and those for which something is reserved.
    pub fn roles_after(&self, path: Option<&str>) -> impl Iterator<Item = RoleStanding<'_>> {
        self.tree.iter_after(path).map(|(id, role)| {
            let waits = |seat: &Seat| self.members.get(seat).is_some_and(|known| known.waits_since.is_some());
            RoleStanding {
                name: &role.path,
                weight: role.weight,
                frameworks: role.members.len(),
                waiting: self.tree.members_below(id).iter().filter(|seat| waits(seat)).count(),
                used: role.budget.account.used(),
                offered: &role.budget.account.promised,
                reserved: &role.reserved,
                share: role.budget.account.allocated.dominant_share(&self.total),
                fair_share: self.tree.fair_share(id),
                quota: role.budget.quota.as_ref(),
                placement: self.placement_of(id),
                min_allocatable: self.least_of(id),
            }
        })
    }
}
