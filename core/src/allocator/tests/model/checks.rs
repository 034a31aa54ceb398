//! What must hold after each step, whatever it was.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::super::super::demand::Urgency;
use super::super::super::room::Budgets;
use super::super::super::seat::Seat;
use super::super::super::slots::{Rooms, Slots};
use super::super::super::verdict::Stage;
use super::super::super::{Allocation, Allocator, Hindrance, Lacking, Obstacle, Sight, Waits};
use super::steps::{Model, Refusal, Task};
use crate::demand::Want;
use crate::id::{AgentId, FrameworkId};
use crate::quantity::MilliCpu;
use crate::reservation::{Portion, is_at_or_below};
use crate::resources::Resources;

impl Model {
    /// No agent has given more than it has, and every sum is what its parts make.
    pub(super) fn check_books(&self) {
        let allocator = &self.world.allocator;
        let mut of_roles: BTreeMap<String, (Resources, Resources)> = BTreeMap::new();
        for (seat, known) in &allocator.members {
            let path = allocator.tree.path(seat.role);
            let mut offered = Resources::default();
            known.promises.iter().for_each(|offer| offered.give(&allocator.offer(*offer).unwrap().portion.resources));
            let mut held = offered.clone();
            let its = |task: &&Task| task.0 == seat.framework.0 && task.3 == path;
            self.tasks.iter().filter(its).for_each(|task| held.give(&task.2.resources));
            assert_eq!(known.account.allocated, held, "{seat:?}");
            assert_eq!(known.account.promised, offered, "{seat:?}");
            assert!(known.subscribed || !held.is_empty(), "{seat:?} has nothing to do there");
            for (_, role) in allocator.tree.up_from(seat.role) {
                let sums = of_roles.entry(role.path.to_string()).or_default();
                sums.0.give(&known.account.allocated);
                sums.1.give(&known.account.promised);
            }
        }
        for (path, role) in allocator.tree.iter() {
            let (allocated, promised) = of_roles.remove(path).unwrap_or_default();
            assert_eq!(
                (&role.budget.account.allocated, &role.budget.account.promised),
                (&allocated, &promised),
                "{path}"
            );
        }
        let (mut free, mut idle, mut slots) = (Resources::default(), Vec::new(), Slots::default());
        for (id, holding) in &allocator.agents {
            let rooms = Rooms::of(holding, &allocator.tree);
            assert_eq!(holding.idle, rooms, "{id}");
            slots.insert(*id, &rooms);
            let mut held = Portion::default();
            self.tasks.iter().filter(|task| task.1 == id.0).for_each(|task| held.give(&task.2));
            for offer in &holding.promises {
                held.give(&allocator.offer(*offer).expect("it is open").portion);
            }
            // What is shared is nobody's.
            held.volumes.retain(|volume| !self.volumes.is_shared(*volume));
            let kept = self.volumes.room_on(id.0);
            assert_eq!(holding.allocated, held, "{id}");
            // Each part of it is free or allocated, or the agent came back smaller.
            let left = holding.free();
            for part in &holding.reserved {
                let one = Some(&part.reservation);
                let mut sum = left.of(one).into_owned();
                sum.give(&held.of(one));
                sum.give(&kept.of(one));
                let is_smaller = !holding.has().contains(&held.resources);
                assert!(part.resources.contains(&left.of(one)), "{id}");
                assert!(is_smaller || self.shrank.contains(&id.0) || sum == part.resources, "{id}: {part:?}, {left:?}");
            }
            // What is revocable is beside all that, and may be overused once it became less.
            let (unused, of_it) = (left.resources.revocable, held.resources.revocable);
            assert_eq!(unused, holding.revocable.saturating_sub(of_it), "{id}");
            if holding.active {
                let mut unused = left;
                unused.give(&kept);
                free.give(&unused.unreserved());
                idle.extend(unused.reserved);
            }
        }
        assert_eq!(allocator.idle, slots);
        if allocator.tree.quotas > 0 {
            assert_eq!(allocator.free, free);
            for (path, role) in allocator.tree.iter() {
                let mut sum = role.budget.account.allocated.clone();
                let its = idle.iter().filter(|part| is_at_or_below(part.reservation.role(), path));
                its.for_each(|part| sum.give(&part.resources));
                assert_eq!(*role.budget.consumed(), sum, "{path}");
            }
        }
    }

    fn shortfall(&self, path: &str) -> Resources {
        let allocator = &self.world.allocator;
        let parent = |other: &str| other.rsplit_once('/').map_or("", |(above, _)| above).to_string();
        let mut sum = Resources::default();
        for (child, _) in allocator.tree.iter().filter(|(other, _)| parent(other) == path) {
            sum.give(&self.shortfall(child));
        }
        let Some(id) = allocator.tree.find(path) else { return sum };
        let role = allocator.tree.role(id);
        let mut own = role.budget.quota.as_ref().map(|quota| quota.guarantee.clone()).unwrap_or_default();
        own.take_up_to(&role.budget.consumed());
        own.raise_to(&sum);
        own
    }

    /// Whether a bound of a role, or what is kept for others, forbids so much.
    fn is_forbidden(&self, role: &str, wanted: &Resources) -> bool {
        let allocator = &self.world.allocator;
        let mut path = role;
        loop {
            if let Some(id) = allocator.tree.find(path)
                && let Some(quota) = &allocator.tree.role(id).budget.quota
                && !quota.limit.left(&allocator.tree.role(id).budget.consumed()).admits(wanted)
            {
                return true;
            }
            match path.rsplit_once('/') {
                Some((above, _)) => path = above,
                None => break,
            }
        }
        // What is free afterwards must do for what is missing afterwards, unless it was too little before.
        let kept = self.shortfall("");
        if kept.is_empty() {
            return false;
        }
        let mut after = self.world.allocator.clone();
        let framework = FrameworkId(99);
        after.set_framework(framework, &[role]);
        let id = after.tree.find(role).expect("it has a framework");
        let room = after.tree.room(id, Stage::FairShare, &after.free);
        !room.admits(wanted)
    }

    fn refuses(&self, seat: Seat, agent: u64, wanted: &Resources) -> bool {
        let (now, path) = (self.world.now, self.world.allocator.tree.path(seat.role));
        let is_its = |refusal: &&Refusal| (refusal.0, refusal.1) == (seat.framework.0, agent) && refusal.3 == path;
        let mut holding = self.refusals.iter().filter(is_its).filter(|refusal| now < refusal.4);
        holding.any(|refusal| refusal.2.contains(wanted))
            || self.world.allocator.filters.hold(seat, AgentId(agent), wanted, now).is_some()
    }

    /// Nobody is left out who would take what is free.
    pub(super) fn check_work_is_conserved(&self) {
        let allocator = &self.world.allocator;
        for (id, known) in allocator.members.iter().filter(|(_, known)| known.active && !known.suppressed) {
            let role = allocator.tree.path(id.role);
            for (agent, holding) in allocator.agents.iter().filter(|(_, holding)| holding.active) {
                let can_mount = |want: &Want| want.volumes.iter().all(|id| self.is_to_be_had(*id, agent.0, &role));
                let wanted: Vec<Resources> = match &known.demand {
                    None => Vec::from([holding.free().usable(&role).resources.clone().with_revocable(MilliCpu::ZERO)]),
                    Some(demand) => demand
                        .open(Urgency::Waiting)
                        .filter(|(_, want, _)| can_mount(want) && want.suits(holding.info.traits()).is_ok())
                        .map(|(_, want, _)| want.resources.clone())
                        .collect(),
                };
                for wanted in wanted {
                    let fits = holding.free().usable(&role).resources.contains(&wanted);
                    let is_enough = known.demand.is_some() || allocator.is_enough_for(id.role, &wanted);
                    let is_left_out = fits && is_enough && !self.refuses(*id, agent.0, &wanted);
                    // Of a whole agent a part may be allowed.
                    let forbidden =
                        self.is_forbidden(&role, &wanted) || known.demand.is_none() && allocator.tree.quotas > 0;
                    assert!(
                        !is_left_out || forbidden,
                        "{id:?} wants {wanted} of {agent}, where {} is free",
                        holding.free().resources
                    );
                }
            }
        }
    }

    pub(super) fn does_a_gang_wait(&self) -> bool {
        let mut demands = self.world.allocator.members.values().filter_map(|known| known.demand.as_ref());
        demands.any(|demand| demand.gangs().next().is_some())
    }

    /// No gang of one kind of tasks is left out that has room for all of them, wherever that is.
    pub(super) fn check_gangs_are_served(&self) {
        let (allocator, now) = (&self.world.allocator, self.world.now);
        for (seat, known) in allocator.members.iter().filter(|(_, known)| known.active && !known.suppressed) {
            let role = allocator.tree.path(seat.role);
            for gang in known.demand.iter().flat_map(|demand| demand.gangs()) {
                let &[(_, wanted, count)] = gang.wants.as_slice() else { continue };
                let (mut fit, mut sum) = (0, Resources::default());
                for (agent, holding) in allocator.agents.iter().filter(|(_, holding)| holding.active) {
                    let mut room = holding.free().usable(&role).resources.clone();
                    let refused = allocator.filters.hold(*seat, *agent, &wanted.resources, now).is_some();
                    let can_mount = wanted.volumes.iter().all(|id| self.is_to_be_had(*id, agent.0, &role));
                    let most = if wanted.volumes.iter().all(|id| self.volumes.is_shared(*id)) { count } else { 1 };
                    let suits = wanted.suits(holding.info.traits()).is_ok();
                    while !refused && suits && can_mount && fit < most && room.take(&wanted.resources).is_ok() {
                        fit += 1;
                        sum.give(&wanted.resources);
                    }
                }
                let is_free = allocator.tree.quotas == 0;
                assert!(fit < count || !is_free, "{seat:?} wants {count} of {}, and there is room", wanted.resources);
            }
        }
    }

    /// Of a gang, nothing is offered but all of it.
    fn check_gangs_are_whole(&self, allocation: &Allocation) {
        let mut offered: BTreeMap<(Seat, u32), u32> = BTreeMap::new();
        for (seat, key, count) in allocation.offers.iter().flat_map(|id| {
            let promise = self.world.allocator.offer(*id).expect("it was just made");
            promise.units.iter().map(|&(key, count)| (promise.seat, key, count))
        }) {
            *offered.entry((seat, key)).or_default() += count;
        }
        for ((seat, key), count) in offered {
            let demand = self.world.allocator.members[&seat].demand.as_ref();
            let wanted = demand.and_then(|demand| demand.of_gang(key));
            assert!(wanted.is_none_or(|wanted| wanted == count), "{seat:?} is offered {count} of {wanted:?}");
        }
    }

    /// Whoever waits has a reason, and whoever does not has none.
    pub(super) fn check_reasons(&self) {
        let allocator = &self.world.allocator;
        for (id, known) in allocator.members.iter().filter(|(_, known)| known.subscribed) {
            let path = allocator.tree.path(id.role);
            let why = allocator.why(id.framework, &path, self.world.now, &Sight::ALL).expect("it is known");
            if why.since.is_some() {
                assert!(!why.hindrances.is_empty(), "{id:?} waits for no reason: {known:?}");
            } else if known.active && !known.suppressed && !known.promises.is_empty() {
                assert!(why.hindrances.is_empty(), "{id:?} has all it wants: {why:?}");
            }
            self.check_who_is_ahead(*id, &why);
            why.hindrances.iter().for_each(|hindrance| self.check_who_is_near(hindrance));
        }
    }

    /// Those that are said to be ahead are, and nobody before them is left out.
    fn check_who_is_ahead(&self, id: Seat, why: &Waits) {
        let allocator = &self.world.allocator;
        let before = why.rank.filter(|_| why.since.is_some()).map_or(0, |rank| rank - 1);
        assert_eq!(why.ahead.len(), before.min(Allocator::MOST_AHEAD), "{id:?}: {why:?}");
        for ahead in &why.ahead {
            let role = allocator.tree.find(&ahead.role).expect("it has a framework");
            let first = Seat { framework: ahead.framework, role };
            assert!(first != id && ahead.share <= ahead.than && allocator.is_ahead(first, id), "{id:?}: {ahead:?}");
        }
    }

    /// Agents are named as often as they are counted, and each that is said to lack something does.
    fn check_who_is_near(&self, hindrance: &Hindrance) {
        let allocator = &self.world.allocator;
        let of_itself = hindrance.agents == 0;
        assert!(
            hindrance.nearest.is_empty() == of_itself && hindrance.nearest.len() <= hindrance.agents,
            "{hindrance:?}"
        );
        for Lacking { agent, lacks } in &hindrance.nearest {
            let holding = &allocator.agents[agent];
            let (has, free) = (holding.has(), holding.free().resources);
            match (&hindrance.obstacle, &hindrance.want) {
                (Obstacle::TooLarge { .. } | Obstacle::NotUnused { .. }, Some(want)) => {
                    let mut enough = has;
                    assert!(!lacks.is_empty() && !enough.contains(want), "{hindrance:?}");
                    enough.give(lacks);
                    assert!(enough.contains(want), "{hindrance:?}");
                }
                (Obstacle::InUse { .. }, Some(want)) => {
                    let mut enough = free;
                    enough.give(lacks);
                    assert!(!lacks.is_empty() && has.contains(want) && enough.contains(want), "{hindrance:?}");
                }
                (Obstacle::Withheld(withheld), _) => {
                    assert!(!holding.active && holding.withheld == Some(*withheld) && lacks.is_empty());
                }
                _ => assert!(holding.active, "{hindrance:?}"),
            }
        }
    }

    /// No role was offered more than it may have.
    fn check_limits(&self, before: &BTreeMap<String, Resources>, allocation: &Allocation) {
        let allocator = &self.world.allocator;
        for (path, role) in allocator.tree.iter() {
            let Some(quota) = &role.budget.quota else { continue };
            let was_within = quota.limit.admits(before.get(path).unwrap_or(&Resources::default()));
            if was_within && allocation.rescinded.is_empty() {
                let has = role.budget.consumed();
                assert!(quota.limit.admits(&has), "{path} has {has}, and may have {}", quota.limit);
            }
        }
    }

    /// Nobody is offered what is revocable who has not asked for it.
    fn check_revocable(&self, allocation: &Allocation) {
        let allocator = &self.world.allocator;
        for promise in allocation.offers.iter().filter_map(|offer| allocator.offer(*offer)) {
            let demand = allocator.members[&promise.seat].demand.as_ref();
            let asks = demand.is_some_and(|demand| demand.wants().any(|want| !want.resources.revocable.is_zero()));
            assert!(asks || promise.portion.resources.revocable.is_zero(), "{promise:?}");
        }
    }

    pub(super) fn allocate(&mut self) -> Allocation {
        let roles = self.world.allocator.tree.iter();
        let before = roles.map(|(path, role)| (path.to_string(), role.budget.consumed().into_owned())).collect();
        let allocation = self.world.allocate();
        self.check_limits(&before, &allocation);
        self.check_gangs_are_whole(&allocation);
        self.check_revocable(&allocation);
        allocation
    }
}
