//! Why somebody is offered nothing, and since when.

mod obstacle;

use alloc::vec::Vec;

use super::ahead::{Ahead, Rank};
use super::demand::{Gang, Urgency};
use super::gang::{Asking, Unmet};
use super::lack::Nearest;
use super::seat::Seat;
use super::tree::ROOT;
use super::verdict::{Case, Passed, Stage};
use super::{Allocator, Member, Promise};
use crate::demand::Want;
use crate::id::{AgentId, FrameworkId};
use crate::resources::Resources;
use crate::time::Now;

pub use obstacle::{Hindrance, Obstacle};

use obstacle::Found;

/// Wants of one framework that are looked at: those after these will have their turn.
const WANTS: usize = 8;

/// What may be named to whoever asks: others are counted, and their names are not said.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// Whether a framework in one of its roles may.
    pub framework: &'a dyn Fn(FrameworkId, &str) -> bool,
    /// Whether an agent may.
    pub agent: &'a dyn Fn(AgentId) -> bool,
}

impl Sight<'_> {
    /// Of whoever sees everything.
    pub const ALL: Self = Self { framework: &|_, _| true, agent: &|_| true };
}

/// Why a framework is to have no offers in a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    NotConnected,
    Suppressed,
    WantsNothing,
}

/// What a framework waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Since when it has wanted something that it is not offered; `None` when it has not.
    pub since: Option<Now>,
    /// How many offers it has.
    pub offers: usize,
    /// Where it stands among those that would take something: 1 is next.
    pub rank: Option<usize>,
    /// How many stand there.
    pub ranked: usize,
    /// The first of those that stand before it, while it waits: as many as are named, of those that may be.
    pub ahead: Vec<Ahead>,
    /// What is in its way, what concerns most agents first.
    pub hindrances: Vec<Hindrance>,
}

impl Allocator {
    /// Why a framework is not offered what it wants in one of its roles, by the same verdicts that decide on it, told to somebody who
    /// sees so much. `None` when it is not in that role.
    pub fn why(&self, framework: FrameworkId, role: &str, now: Now, sight: &Sight<'_>) -> Option<Waits> {
        let id = self.subscribed(framework, Some(role)).first().copied()?;
        let known = self.members.get(&id)?;
        let Rank { rank, ranked, ahead } = self.rank_of(id, known, sight);
        let (since, offers) = (known.waits_since, known.promises.len());
        Some(Waits { since, offers, rank, ranked, ahead, hindrances: self.hindrances(id, known, now, sight) })
    }

    /// Notes since when whoever wants something waits for it, and since when the others do not.
    pub(super) fn note_waits(&mut self, now: Now) {
        while let Some(id) = self.unnoted.pop_first() {
            let is_hungry = self.hungry.contains(&id);
            let Some(known) = self.members.get_mut(&id) else { continue };
            let waits = is_hungry || (known.counts_as_blind && known.promises.is_empty());
            known.waits_since = waits.then(|| known.waits_since.unwrap_or(now));
            let before = known.rests;
            known.rests = known.rest(waits).map(|rest| match before {
                Some((same, since)) if same == rest => (rest, since),
                _ => (rest, now),
            });
        }
    }

    fn hindrances(&self, id: Seat, known: &Member, now: Now, sight: &Sight<'_>) -> Vec<Hindrance> {
        let of_itself = |obstacle, age| Vec::from([Hindrance { age, ..Hindrance::new(obstacle, None, 0) }]);
        if let Some((rest, since)) = known.rests {
            let obstacle = match rest {
                Rest::NotConnected => Obstacle::NotConnected,
                Rest::Suppressed => Obstacle::Suppressed,
                Rest::WantsNothing => Obstacle::WantsNothing,
            };
            return of_itself(obstacle, Some(now.since(since)));
        }
        if known.waits_since.is_none() {
            return Vec::new();
        }
        if !self.agents.values().any(|holding| holding.active || holding.withheld.is_some()) {
            return of_itself(Obstacle::NoAgent, None);
        }
        let mut found = Found { hindrances: Vec::new(), sight };
        match &known.demand {
            None => self.hinders(id, known, None, now, &mut found),
            Some(demand) => {
                for (_, want, _) in demand.open(Urgency::Waiting).take(WANTS) {
                    self.hinders(id, known, Some(want), now, &mut found);
                }
                for gang in demand.gangs().take(WANTS) {
                    self.hinders_gang(id, known, &gang, now, &mut found);
                }
            }
        }
        let told = |(hindrance, nearest): (_, Nearest)| Hindrance { nearest: nearest.into_agents(), ..hindrance };
        let mut hindrances: Vec<Hindrance> = found.hindrances.into_iter().map(told).collect();
        let is_of_gang = |hindrance: &Hindrance| matches!(hindrance.obstacle, Obstacle::Gang { .. });
        hindrances.sort_by_key(|hindrance| core::cmp::Reverse((is_of_gang(hindrance), hindrance.agents)));
        hindrances
    }

    /// What is in the way of one want, over all agents.
    fn hinders(&self, id: Seat, known: &Member, want: Option<&Want>, now: Now, found: &mut Found<'_>) {
        for (&agent, holding) in self.agents.iter().filter(|(_, holding)| holding.active) {
            let free = holding.free();
            let case = Case { seat: id, member: known, agent, holding, free: &free, now };
            let Some(passed) = self.passed(&case, want) else { continue };
            if let (Passed::Constraint(_), Some(want)) = (passed, want) {
                // Each of them is in the way by itself.
                for unmet in want.unmet(holding.info.traits()) {
                    self.note(&case, Obstacle::Constraint(unmet.clone()), Some(want), found);
                }
            } else if let Some(obstacle) =
                self.in_words(passed, now, || Some(self.too_little(&case, want, found.sight)))
            {
                self.note(&case, obstacle, want, found);
            }
        }
        // One that would not be offered either way is not in the way.
        let withheld = self.agents.iter().filter_map(|(&agent, holding)| Some((agent, holding, holding.withheld?)));
        for (agent, holding, withheld) in withheld.filter(|(_, holding, _)| !holding.active) {
            let free = holding.all();
            let case = Case { seat: id, member: known, agent, holding, free: &free, now };
            if self.passed(&case, want).is_none() {
                self.note(&case, Obstacle::Withheld(withheld), want, found);
            }
        }
    }

    /// Counts one more agent on which something is in the way.
    fn note(&self, case: &Case<'_>, obstacle: Obstacle, want: Option<&Want>, found: &mut Found<'_>) {
        let needed = self.needed(case, want);
        let lacks = self.lacks(case, &obstacle, &needed);
        let may_name = found.sight.agent;
        found.add(obstacle, want).add(case.agent, lacks, &needed, || may_name(case.agent));
    }

    /// What is in the way of a gang as a whole, and where one of its tasks would not run.
    fn hinders_gang(&self, id: Seat, known: &Member, gang: &Gang<'_>, now: Now, found: &mut Found<'_>) {
        let asking = Asking { seat: id, member: known, now };
        let rooms = self.rooms_for(asking, None);
        let want = (gang.wants.len() == 1).then(|| gang.wants[0].1.resources.clone());
        let obstacle = match self.places_in(asking, gang, &rooms) {
            // It is not looked for at every moment.
            Ok(_) => match self.gangs.borrow().fit_while_resting(id, gang.id) {
                Some(fit) => Some(Obstacle::Gang { tasks: gang.tasks(), fit }),
                None => return,
            },
            Err(Unmet::Room(fit)) => Some(Obstacle::Gang { tasks: gang.tasks(), fit }),
            Err(Unmet::Bound(passed)) => self.in_words(passed, now, || None),
        };
        found.hindrances.extend(obstacle.map(|obstacle| (Hindrance::new(obstacle, want, 0), Nearest::default())));
        for (_, want, _) in gang.wants.iter().take(WANTS) {
            self.hinders(id, known, Some(want), now, found);
        }
    }

    /// What the rules say of one agent: `None` when nothing is in the way there.
    fn passed<'a>(&self, case: &Case<'a>, want: Option<&'a Want>) -> Option<Passed<'a>> {
        match want {
            Some(want) => self.one_task(case, want, &self.room_in(case, Stage::FairShare)).err(),
            None => self.whatever_there_is(case, Stage::FairShare).err(),
        }
    }

    fn in_words(
        &self,
        passed: Passed<'_>,
        now: Now,
        too_little: impl FnOnce() -> Option<Obstacle>,
    ) -> Option<Obstacle> {
        Some(match passed {
            Passed::Refused(until) => Obstacle::Refused { lasts: until.since(now) },
            Passed::Constraint(unmet) => Obstacle::Constraint(unmet.clone()),
            Passed::NoVolume(volume) => Obstacle::NoVolume(volume),
            Passed::VolumeInUse(volume) => Obstacle::VolumeInUse(volume),
            Passed::AtLimit(role) => {
                let at_limit = self.tree.role(role);
                let limit = at_limit.budget.quota.as_ref().map(|quota| quota.limit.clone()).unwrap_or_default();
                Obstacle::AtLimit { role: self.tree.path(role), limit, has: at_limit.budget.account.allocated.clone() }
            }
            Passed::Kept => Obstacle::KeptForOthers { kept: self.tree.role(ROOT).budget.shortfall_below.clone() },
            Passed::TooLittle => return too_little(),
        })
    }

    /// Whether tasks or offers are in the way, or the agent is too small.
    fn too_little(&self, case: &Case<'_>, want: Option<&Want>, sight: &Sight<'_>) -> Obstacle {
        let is_enough = |room: &Resources| match want {
            Some(want) => room.contains(&want.resources),
            None => self.is_enough_for(case.seat.role, room),
        };
        let most = case.holding.revocable;
        if want.is_some_and(|want| want.resources.revocable > most) {
            return Obstacle::NotUnused { most };
        }
        let has = &case.holding.has();
        if !is_enough(has) {
            return Obstacle::TooLarge { largest: has.clone() };
        }
        let role = &self.tree.role(case.seat.role).path;
        let of_others = case.holding.reserved_for_others(role);
        let mut largest = has.clone();
        largest.take_up_to(&of_others);
        // It would not do though nothing ran there, or what is free there would if it were not kept for others.
        if !is_enough(&largest) || is_enough(&case.free.resources) {
            return Obstacle::Reserved { reserved: of_others };
        }
        let mut room = self.usable(case).into_owned();
        let mut oldest: Option<&Promise> = None;
        for offer in &case.holding.promises {
            let Some(promise) = self.promises.get(*offer).filter(|promise| promise.seat != case.seat) else {
                continue;
            };
            room.give(&promise.portion);
            oldest = oldest.or(Some(promise));
        }
        match oldest.filter(|_| is_enough(&case.holding.usable(&room, role).resources)) {
            Some(Promise { framework, role, since, .. }) => {
                let to = Some(*framework).filter(|to| (sight.framework)(*to, role));
                Obstacle::Offered { to, age: case.now.since(*since) }
            }
            None => Obstacle::InUse { free: self.usable(case).resources.clone() },
        }
    }
}

impl Member {
    /// Why the framework is to have no offers in the role, when it does not wait.
    fn rest(&self, waits: bool) -> Option<Rest> {
        match (self.active, self.suppressed) {
            (false, _) => Some(Rest::NotConnected),
            (true, true) => Some(Rest::Suppressed),
            // Whoever has offers has nothing in its way.
            (true, false) => (!waits && self.promises.is_empty()).then_some(Rest::WantsNothing),
        }
    }
}
