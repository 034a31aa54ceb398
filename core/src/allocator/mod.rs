//! Who is offered what becomes free: dominant resource fairness (Ghodsi et al., NSDI 2011) over a tree of roles, within quotas,
//! as much as is wanted.
//!
//! | room | its one idea |
//! |---|---|
//! | [`tree`](self) | roles, their accounts, and who is next at every level |
//! | `share` | claimants in the order in which they are served |
//! | `look` | what is free on agents that changed, or stand idle, is handed out |
//! | `turn` | whose turn it is on one agent: who is promised something, who is next, who would like more |
//! | `place` | which agents whoever is next takes that of: spread, binpack |
//! | `slots` | agents in the order of what is free on them for a role |
//! | `verdict` | what one framework would take of one agent, or what is in the way |
//! | `worth` | the least that makes an offer |
//! | `demand` | what frameworks said that they want |
//! | `gang` | wants that are met together or not at all |
//! | `quota` | what roles are promised, and may have at most |
//! | `reserves` | what of agents is reserved, and for whom |
//! | `volumes` | which volumes agents hold, and who may have them |
//! | `room` | how much quotas and reservations leave to a role |
//! | `heldback` | what quotas kept from somebody, to be looked at again |
//! | `filters` | what frameworks refused |
//! | `backlog` | agents that changed, a slice at a time |
//! | `promises` | open offers |
//! | `contest`, `patience` | which open offers give way to somebody who waits |
//! | `without` | what quotas would leave to somebody without some of them |
//! | `seat` | a framework in one of its roles: whoever competes |
//! | `members`, `ledger` | agents and frameworks come, go, hold and free |
//! | `subscriptions` | in which roles frameworks are, and what they want there |
//! | `why` | why somebody is offered nothing, and since when |
//! | `lack` | what agents lack of what somebody wants, the nearest first |
//! | `ahead` | who is served before somebody, and by how much |
//! | `standing` | what an operator sees of roles and of the whole |
//!
//! Mesos's allocator looks at every agent and every framework once a second. This one has no cycle: [`Allocator::allocate`]
//! looks at what changed since it last ran, and at nothing else.

mod ahead;
mod backlog;
mod contest;
mod demand;
mod filters;
mod gang;
mod heldback;
mod lack;
mod ledger;
mod look;
mod members;
mod patience;
mod place;
mod promises;
mod quota;
mod reserves;
mod room;
mod seat;
mod share;
mod slots;
mod standing;
mod subscriptions;
mod tree;
mod turn;
mod verdict;
mod volumes;
mod why;
mod without;
mod worth;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::mem;

use crate::id::{AgentId, OfferId};
use crate::resources::Resources;
use crate::time::Now;

pub use ahead::Ahead;
pub use lack::Lacking;
pub use ledger::Withheld;
pub use promises::Promise;
pub use quota::QuotaRefusal;
pub use standing::{RoleStanding, Standing};
pub use volumes::HeldVolume;
pub use why::{Hindrance, Obstacle, Sight, Waits};

use backlog::Backlog;
use demand::{Demand, Urgency};
use filters::Filters;
use gang::Gangs;
use heldback::HeldBack;
use ledger::{Account, Holding};
use patience::Patience;
use place::Look;
use promises::Promises;
use seat::Seat;
use share::Place;
use slots::Slots;
use tree::Tree;
use why::Rest;

/// Who may be offered what is free.
///
/// What is *allocated* is what tasks hold together with what open offers promise. Neither may be promised again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocator {
    /// Boxed: half of the room in the nodes of such a tree is empty.
    agents: BTreeMap<AgentId, Box<Holding>>,
    members: BTreeMap<Seat, Member>,
    tree: Tree,
    filters: Filters,
    promises: Promises,
    /// The sum over all agents: what shares are shares of.
    total: Resources,
    /// Whether `total` is less than the sum, because that cannot be written down.
    total_is_cut: bool,
    /// Whether `total` changed, and with it every share.
    total_changed: bool,
    /// What is free on all active agents together and reserved for nobody. Kept while there are quotas.
    free: Resources,
    /// Active agents with something to offer that nobody wanted when it was last looked at, by what is free there.
    idle: Slots,
    /// Agents to look at for every framework.
    dirty_agents: BTreeSet<AgentId>,
    /// Agents that changed, and are looked at by the next allocations.
    backlog: Backlog,
    /// Members for which the idle agents are to be looked at again.
    woken: BTreeSet<Seat>,
    /// Members for which one agent is to be looked at again.
    woken_on: BTreeMap<AgentId, BTreeSet<Seat>>,
    /// Members whose place in the ranking is out of date.
    unranked: BTreeSet<Seat>,
    /// How many active members take whatever there is.
    blind: usize,
    /// Members with tasks that wait, and no offers for these.
    hungry: BTreeSet<Seat>,
    /// Members that would like to have more at hand, those first that were chosen least often.
    sparing: BTreeSet<(u64, Seat)>,
    /// Members with open offers only to have room at hand.
    idlers: BTreeSet<Seat>,
    /// Members of which it is to be noted since when they wait.
    unnoted: BTreeSet<Seat>,
    /// What quotas kept from somebody.
    held_back: HeldBack,
    /// What is known of gangs that wait: found out by whoever looks, who changes nothing else.
    gangs: RefCell<Gangs>,
    /// When an open offer can be contested that somebody waits for and that cannot be now.
    contestable: Option<Now>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    account: Account,
    /// Its place in its role.
    place: Option<Place>,
    /// Whether the framework is in the role. Else it has left it, and has tasks here that count.
    subscribed: bool,
    active: bool,
    suppressed: bool,
    /// What it said that it wants; `None`: whatever there is.
    demand: Option<Demand>,
    patience: Patience,
    promises: BTreeSet<OfferId>,
    /// Since when it has wanted something that it is not offered.
    waits_since: Option<Now>,
    /// Why it is to have no offers and has none, and since when.
    rests: Option<(Rest, Now)>,
    /// How it stands in [`Allocator::blind`] and [`Allocator::sparing`].
    counts_as_blind: bool,
    spares: Option<u64>,
}

/// What an allocation has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// Offers that gave way to somebody who waits. They are closed.
    pub rescinded: Vec<(OfferId, Promise)>,
    /// New offers.
    pub offers: Vec<OfferId>,
    /// How often an agent was looked at.
    pub examined: usize,
}

impl Allocation {
    fn take_in(&mut self, look: Look) {
        self.examined += look.examined;
        self.offers.extend(look.offers);
    }
}

impl Allocator {
    /// An allocator without agents and frameworks, whose offers are numbered above `last_offer`.
    pub fn new(last_offer: u64) -> Self {
        Self { promises: Promises::above(last_offer), ..Self::default() }
    }

    /// Chooses, for everything that changed since the last call, who is offered what.
    pub fn allocate(&mut self, now: Now) -> Allocation {
        self.allocate_slice(now, usize::MAX)
    }

    /// The same for about so many agents that changed. Where there are more, the allocator [is behind](Self::is_behind). Offers are
    /// taken back for somebody who waits only when all that waited had their turn: what is free there may do.
    pub fn allocate_slice(&mut self, now: Now, most: usize) -> Allocation {
        let mut allocation = Allocation::default();
        if self.look(now, most, &mut allocation) {
            self.contest(now, &mut allocation);
        }
        if !allocation.rescinded.is_empty() {
            self.look(now, most, &mut allocation);
        }
        self.rank();
        self.note_surplus();
        self.note_waits(now);
        allocation.examined += self.gangs.get_mut().take_examined();
        if !allocation.rescinded.is_empty() {
            // What was offered and taken back at once was never offered.
            let Allocation { rescinded, offers, .. } = &mut allocation;
            rescinded.retain(|(id, _)| !offers.contains(id));
            offers.retain(|id| self.promises.get(*id).is_some());
        }
        allocation
    }

    /// When something is due: a refusal ends, an offer can be contested, or a gang is to be looked for again.
    pub fn next_deadline(&self) -> Option<Now> {
        let of_gangs = self.gangs.borrow().next_deadline();
        self.filters.next_deadline().into_iter().chain(self.contestable).chain(of_gangs).min()
    }

    /// Forgets the refusals that end at `now` or earlier, and has who refused asked again. Which offers can be contested the next
    /// allocation finds out.
    pub fn expire(&mut self, now: Now) {
        self.contestable = self.contestable.filter(|&from| from > now);
        for (agent, seat) in self.filters.expire(now) {
            self.woken_on.entry(agent).or_default().insert(seat);
        }
        if let Some((seat, agent)) = self.gangs.get_mut().take_due(now) {
            match self.agents.get(&agent).is_some_and(|holding| holding.active) {
                true => {
                    self.woken_on.entry(agent).or_default().insert(seat);
                }
                false => {
                    self.gangs.get_mut().forget(seat);
                    self.woken.insert(seat);
                }
            }
        }
    }

    /// Brings all places up to date.
    fn rank(&mut self) {
        if mem::take(&mut self.total_changed) {
            let has_some = |(_, known): &(&Seat, &Member)| !known.account.allocated.is_empty();
            self.unranked.extend(self.members.iter().filter(has_some).map(|(&id, _)| id));
            self.tree.set_all_stale();
        }
        while let Some(id) = self.unranked.pop_first() {
            self.set_standing(id);
        }
        self.tree.rank(&self.total);
    }

    /// Notes whether a member would take something, and its place among those that would.
    fn set_standing(&mut self, id: Seat) {
        if let Some(known) = self.members.get_mut(&id) {
            let takes_part = known.active && !known.suppressed;
            let is_open = |urgency| known.demand.as_ref().is_some_and(|demand| demand.is_open(urgency));
            let is_blind = takes_part && known.demand.is_none();
            let is_hungry = takes_part && is_open(Urgency::Waiting);
            let spares = (takes_part && is_open(Urgency::Spare)).then_some(known.account.grants);
            self.blind -= usize::from(mem::replace(&mut known.counts_as_blind, is_blind));
            self.blind += usize::from(is_blind);
            if let Some(before) = mem::replace(&mut known.spares, spares) {
                self.sparing.remove(&(before, id));
            }
            self.sparing.extend(spares.map(|grants| (grants, id)));
            if is_hungry {
                self.hungry.insert(id);
            } else {
                self.hungry.remove(&id);
            }
            if known.is_idle() && !known.promises.is_empty() {
                self.idlers.insert(id);
            } else {
                self.idlers.remove(&id);
            }
            let share = known.account.allocated.dominant_share(&self.total);
            let place = (is_blind || is_hungry).then_some((share, known.account.grants));
            self.tree.set_eager(id, &mut known.place, place);
            self.unnoted.insert(id);
        }
    }
}

impl Member {
    /// Whether its offers are only to have room at hand.
    fn is_idle(&self) -> bool {
        self.demand.as_ref().is_some_and(|demand| !demand.has_waiting())
    }
}

#[cfg(test)]
mod tests;
