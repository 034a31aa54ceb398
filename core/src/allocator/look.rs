//! A look at agents: what is free on those that changed, or stand idle, is handed out.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use core::mem;

use super::demand::{Demand, Urgency};
use super::ledger::Account;
use super::place::{Look, Pending};
use super::promises::Promise;
use super::seat::Seat;
use super::slots::Rooms;
use super::turn::{Next, Turn};
use super::verdict::Take;
use super::worth::is_worth_offering;
use super::{Allocation, Allocator};
use crate::id::{AgentId, OfferId};
use crate::quantity::{Bytes, MilliCpu};
use crate::reservation::Portion;
use crate::time::Now;

/// With more frameworks than these that want to be asked about all idle agents, everybody is: that is found out sooner than who
/// of so many comes first.
const FEW: usize = 16;

impl Allocator {
    /// Says whether every agent that changed a while ago has been looked at.
    pub(super) fn look(&mut self, now: Now, most: usize, allocation: &mut Allocation) -> bool {
        self.rank();
        self.look_again();
        self.gangs.get_mut().begin_look();
        let mut woken = mem::take(&mut self.woken);
        if woken.len() > FEW {
            woken.clear();
            self.dirty_agents.extend(self.idle.agents());
        }
        self.spread(&mut woken, most);
        let many = self.woken_on.iter().filter(|(_, woken)| woken.len() > FEW);
        self.dirty_agents.extend(many.map(|(&agent, _)| agent));
        let is_whole = self.cut_slice(most);
        let mut woken_on = mem::take(&mut self.woken_on);
        let mut look = self.begin_look(&woken);
        while let Some(agent) = self.dirty_agents.pop_first() {
            woken_on.remove(&agent);
            self.share_out(agent, now, None, &mut look);
        }
        for (agent, few) in woken_on {
            self.share_out(agent, now, Some(&few), &mut look);
        }
        self.look_at_idle(now, &woken, &mut look);
        self.make_offers(now, &mut look);
        allocation.take_in(look);
        is_whole
    }

    /// Looks at the idle agents for frameworks that want more than before.
    fn look_at_idle(&mut self, now: Now, woken: &BTreeSet<Seat>, look: &mut Look) {
        // An idle agent is one that everybody else has passed over already, so only the newly eager are asked. With less
        // processor time than any of their tasks needs an agent is not even looked at.
        let least = (self.least_cpus(woken), Bytes::ZERO);
        for order in self.idle.orders(&self.tree, woken.iter().map(|seat| seat.role)) {
            let mut next = Some((least, AgentId(0)));
            while let Some(from) = next {
                if !woken.iter().any(|seat| self.would_take(*seat)) {
                    return;
                }
                let Some((room, agent)) = self.idle.next(&order, from) else { break };
                next = agent.0.checked_add(1).map(|above| (room, AgentId(above)));
                self.share_out(agent, now, Some(woken), look);
            }
        }
        // Who was passed over before by those that chose may be behind now.
        while let Some(agent) = look.next_chosen() {
            self.share_out(agent, now, Some(woken), look);
        }
    }

    /// The least processor time that a task of these needs.
    pub(super) fn least_cpus(&self, seats: &BTreeSet<Seat>) -> MilliCpu {
        let of = |seat: &Seat| {
            let demand = self.members.get(seat)?.demand.as_ref();
            let least = demand.map(|demand| demand.wants().map(|want| want.resources.cpus).min());
            Some(least.flatten().unwrap_or(MilliCpu::ZERO))
        };
        seats.iter().filter_map(of).min().unwrap_or(MilliCpu::ZERO)
    }

    /// Whether a member would take anything at all, as far as idle agents have not been looked at for it.
    pub(super) fn would_take(&self, seat: Seat) -> bool {
        self.members.get(&seat).is_some_and(|known| {
            let is_single = |demand: &Demand, urgency| demand.open(urgency).next().is_some();
            let takes = |demand: &Demand| {
                is_single(demand, Urgency::Waiting)
                    || is_single(demand, Urgency::Spare)
                    || demand.gangs().any(|gang| !self.gangs.borrow().are_known(seat, gang.id))
            };
            known.active && !known.suppressed && known.demand.as_ref().is_none_or(takes)
        })
    }

    /// Whether some framework has said what it wants, and wants more.
    pub(super) fn is_anything_wanted(&self) -> bool {
        !self.hungry.is_empty() || !self.sparing.is_empty()
    }

    /// Offers what is free on one agent to whoever is next and wants it, of all or of `among`, until nobody does. Who may choose
    /// is offered something of another one instead.
    pub(super) fn share_out(&mut self, agent: AgentId, now: Now, among: Option<&BTreeSet<Seat>>, look: &mut Look) {
        look.examined += 1;
        let mut turns: u32 = 0;
        while let Some(free) = self.agents.get(&agent).filter(|holding| holding.active).map(|holding| holding.free()) {
            let (next, bounds) = Turn::new(self, agent, &free, now, among, turns).next();
            turns = turns.saturating_add(1);
            self.note_bounds(agent, bounds);
            match next {
                None => {
                    if among.is_none() {
                        self.note_refusals(agent, &free);
                    }
                    break;
                }
                Some(Next::One(next)) => {
                    let seat = next.seat;
                    let (place, take) = self.choose(next, agent, now, look);
                    self.hand_out(seat, place, take, agent, look);
                }
                Some(Next::Gang(seat, places)) => {
                    for (place, take) in places {
                        self.hand_out(seat, place, take, agent, look);
                    }
                }
            }
        }
        self.note_idle(agent);
        self.dirty_agents.remove(&agent);
        if !look.is_a_choice() {
            self.make_offers(now, look);
        }
    }

    /// Gives somebody something of an agent whose turn it was on `here`.
    fn hand_out(&mut self, seat: Seat, place: AgentId, take: Take, here: AgentId, look: &mut Look) {
        let was_dirty = self.dirty_agents.contains(&place);
        self.give(seat, place, &take);
        self.note_given(place, here, was_dirty, look);
        look.add(place, seat, take);
    }

    /// Makes offers of what was given.
    fn make_offers(&mut self, now: Now, look: &mut Look) {
        for (agent, pending) in look.take_pending() {
            look.offers.extend(pending.into_iter().map(|pending| self.promise(agent, pending, now)));
        }
    }

    /// Counts what a member takes as allocated, and as promised.
    fn give(&mut self, seat: Seat, agent: AgentId, take: &Take) {
        let resources = &take.portion.resources;
        self.change_holding(agent, |holding| holding.allocate(&take.portion));
        let known = self.members.get_mut(&seat).expect("whoever takes something is known");
        if let Some((key, count)) = take.units
            && let Some(demand) = &mut known.demand
        {
            demand.hold(key, count);
        }
        let grant = |account: &mut Account| {
            account.give(resources);
            account.promise(resources);
            account.grants += 1;
        };
        grant(&mut known.account);
        self.tree.each_account(seat.role, grant);
        self.set_standing(seat);
        self.rank();
    }

    /// Makes an offer of what a member was given.
    fn promise(&mut self, agent: AgentId, pending: Pending, now: Now) -> OfferId {
        let Pending { seat, portion, units } = pending;
        let role = Arc::clone(&self.tree.role(seat.role).path);
        let framework = seat.framework;
        let id = self.promises.add(Promise { framework, role, agent, portion, since: now, seat, units });
        let known = self.members.get_mut(&seat).expect("whoever takes something is known");
        known.promises.insert(id);
        // Who takes whatever there is has its place by what it was given.
        if known.demand.is_some() {
            self.unranked.insert(seat);
        }
        self.agents.get_mut(&agent).expect("only known agents are shared out").promises.insert(id);
        id
    }

    /// Everybody was asked about an agent: those that refused it need not be asked one by one for as much again.
    fn note_refusals(&mut self, agent: AgentId, free: &Portion) {
        // Where something else may have been in the way, who was passed over need not have refused it.
        let is_plain = self.tree.quotas + self.tree.minima == 0 && free.reserved.is_empty();
        if is_plain && self.hungry.is_empty() && is_worth_offering(&free.resources) {
            self.filters.note_everybodys(self.blind, agent, &free.resources);
        }
    }

    /// Puts an agent among the idle ones, or takes it out.
    pub(super) fn note_idle(&mut self, agent: AgentId) {
        let Some(holding) = self.agents.get_mut(&agent) else { return };
        let rooms = Rooms::of(holding, &self.tree);
        if holding.idle != rooms {
            self.idle.remove(agent, &holding.idle);
            self.idle.insert(agent, &rooms);
            holding.idle = rooms;
        }
    }
}
