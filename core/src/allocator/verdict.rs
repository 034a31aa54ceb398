//! What a framework in one of its roles would take of an agent, or what is in the way: asked by whoever allocates, and by whoever wants to know why.

use alloc::borrow::Cow;

use super::demand::{Urgency, WantKey};
use super::ledger::Holding;
use super::room::Budgets;
use super::seat::Seat;
use super::tree::{ROOT, Role, RoleId};
use super::{Allocator, Member};
use crate::demand::{Constraint, Want};
use crate::id::{AgentId, VolumeId};
use crate::quantity::{Bytes, MilliCpu};
use crate::reservation::Portion;
use crate::resources::Resources;
use crate::time::Now;

/// On whose account something is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// A role has less than it is promised.
    Guarantee(RoleId),
    /// It is somebody's turn.
    FairShare,
    /// Nobody waits for it.
    Spare,
}

/// What a framework would take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Take {
    pub(super) portion: Portion,
    /// Units of which want, and how many; `None` when it has not said what it wants.
    pub(super) units: Option<(WantKey, u32)>,
}

/// What is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed<'a> {
    /// It refuses this until then.
    Refused(Now),
    /// The agent is not what it needs.
    Constraint(&'a Constraint),
    /// The agent does not hold this volume for its role.
    NoVolume(VolumeId),
    /// This volume is in use, or in an offer.
    VolumeInUse(VolumeId),
    /// There is too little.
    TooLittle,
    /// There would be enough, were it not for the limit of this role.
    AtLimit(RoleId),
    /// There would be enough, were it not for what others are promised.
    Kept,
}

/// A framework in one of its roles, an agent, and what is free there.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) seat: Seat,
    pub(super) member: &'a Member,
    pub(super) agent: AgentId,
    pub(super) holding: &'a Holding,
    pub(super) free: &'a Portion,
    pub(super) now: Now,
}

impl Allocator {
    /// What the framework would take there, `most` units at most of what it said that it wants; `passes` hears of each thing that it
    /// wants more than that, which of its wants that is, and what is in the way of it.
    pub(super) fn verdict<'a>(
        &self,
        case: &Case<'a>,
        stage: Stage,
        most: u32,
        passes: &mut dyn FnMut(Option<WantKey>, Passed<'a>),
    ) -> Option<Take> {
        let Some(demand) = &case.member.demand else {
            return match stage {
                Stage::Spare => None,
                _ => self.whatever_there_is(case, stage).map_err(|passed| passes(None, passed)).ok(),
            };
        };
        let room = self.room_in(case, stage);
        let urgency = if stage == Stage::Spare { Urgency::Spare } else { Urgency::Waiting };
        for (key, want, open) in demand.open(urgency) {
            if let Err(passed) = self.one_task(case, want, &room) {
                passes(Some(key), passed);
                continue;
            }
            let one_at_a_time = case.holding.is_one_at_a_time(&want.volumes);
            let most = if one_at_a_time { 1 } else { open.min(most) };
            let (count, resources) = times(&want.resources, &room.resources, most);
            let mut portion = room.into_owned().take(&resources).ok()?;
            portion.give(&Portion { volumes: want.volumes.clone(), ..Portion::default() });
            return Some(Take { portion, units: Some((key, count)) });
        }
        None
    }

    /// What a framework would take that has not said what it wants.
    pub(super) fn whatever_there_is<'a>(&self, case: &Case<'a>, stage: Stage) -> Result<Take, Passed<'a>> {
        let usable = self.usable(case);
        if !self.is_enough_for(case.seat.role, &usable.resources) {
            return Err(Passed::TooLittle);
        }
        let room = self.room_in(case, stage);
        if !self.is_enough_for(case.seat.role, &room.resources) {
            return Err(self.bound(case.seat.role, &usable.resources));
        }
        self.not_refused(case, &room.resources)?;
        Ok(Take { portion: room.into_owned(), units: None })
    }

    /// Whether the framework would take room for one task there.
    pub(super) fn one_task<'a>(&self, case: &Case<'a>, want: &'a Want, room: &Portion) -> Result<(), Passed<'a>> {
        want.suits(case.holding.info.traits()).map_err(Passed::Constraint)?;
        let role = &self.tree.role(case.seat.role).path;
        if let Some(volume) = want.volumes.iter().find(|volume| !case.holding.holds_for(**volume, role)) {
            return Err(Passed::NoVolume(*volume));
        }
        if let Some(volume) = want.volumes.iter().find(|volume| !room.volumes.contains(volume)) {
            return Err(Passed::VolumeInUse(*volume));
        }
        if !room.resources.contains(&want.resources) {
            let is_bounded = self.usable(case).resources.contains(&want.resources);
            return Err(if is_bounded { self.bound(case.seat.role, &want.resources) } else { Passed::TooLittle });
        }
        self.not_refused(case, &want.resources)
    }

    fn not_refused<'a>(&self, case: &Case<'a>, resources: &Resources) -> Result<(), Passed<'a>> {
        self.filters
            .hold(case.seat, case.agent, resources, case.now)
            .map_or(Ok(()), |until| Err(Passed::Refused(until)))
    }

    /// What is free there and not reserved for others. What is revocable is for those that ask for it by its name: whoever takes
    /// whatever there is may not know what it is.
    pub(super) fn usable<'a>(&self, case: &Case<'a>) -> Cow<'a, Portion> {
        let mut usable = match case.free.reserved.is_empty() && case.free.volumes.is_empty() {
            true => Cow::Borrowed(case.free),
            false => case.holding.usable(case.free, &self.tree.role(case.seat.role).path),
        };
        if case.member.demand.is_none() && !usable.resources.revocable.is_zero() {
            usable.to_mut().resources.revocable = MilliCpu::ZERO;
        }
        usable
    }

    /// The same, as far as quotas leave it to the framework.
    pub(super) fn room_in<'a>(&self, case: &Case<'a>, stage: Stage) -> Cow<'a, Portion> {
        let usable = self.usable(case);
        let is_unbounded = || usable.reserved.is_empty() && self.leaves(case.seat.role, &usable.resources);
        if self.tree.quotas == 0 || stage == Stage::FairShare && is_unbounded() {
            return usable;
        }
        Cow::Owned(self.tree.room_of(case.seat.role, stage, &self.free, &usable))
    }

    /// Whether no quota is in the way of so much for a role.
    fn leaves(&self, role: RoleId, wanted: &Resources) -> bool {
        let is_within = |role: &Role| {
            role.budget.quota.as_ref().is_none_or(|quota| quota.limit.leaves(&role.budget.consumed(), wanted))
        };
        self.tree.role(ROOT).budget.shortfall_below.is_empty()
            && self.tree.up_from(role).all(|(_, role)| is_within(role))
    }

    /// Which bound keeps so much from the frameworks of a role.
    pub(super) fn bound(&self, role: RoleId, wanted: &Resources) -> Passed<'static> {
        self.limits_in_the_way(role, wanted).next().map_or(Passed::Kept, Passed::AtLimit)
    }

    /// The roles, from this one up, whose limits leave less than so much.
    pub(super) fn limits_in_the_way<'a>(
        &'a self,
        role: RoleId,
        wanted: &'a Resources,
    ) -> impl Iterator<Item = RoleId> + 'a {
        let at_limit = |(_, role): &(RoleId, &Role)| {
            role.budget.quota.as_ref().is_some_and(|quota| !quota.limit.leaves(&role.budget.consumed(), wanted))
        };
        self.tree.up_from(role).filter(at_limit).map(|(id, _)| id)
    }
}

/// How often a task fits that fits once, `most` at most. Without a loop over tasks: they may be small, and billions.
pub(super) fn how_often(unit: &Resources, room: &Resources, most: u32) -> u32 {
    if !unit.ports.is_empty() {
        return 1;
    }
    let scalars = unit.scalars().map(|(name, each)| (each, room.scalar(name)));
    let amounts = [
        (unit.cpus.get(), room.cpus.get()),
        (unit.revocable.get(), room.revocable.get()),
        (unit.mem.get(), room.mem.get()),
        (unit.disk.get(), room.disk.get()),
    ];
    let fits = amounts.into_iter().chain(scalars).filter_map(|(each, has)| has.checked_div(each)).min().unwrap_or(1);
    u32::try_from(fits).unwrap_or(u32::MAX).min(most).max(1)
}

/// The same, and what that is together.
fn times(unit: &Resources, room: &Resources, most: u32) -> (u32, Resources) {
    let count = how_often(unit, room, most);
    if count == 1 {
        return (1, unit.clone());
    }
    let each = |amount: u64| amount.saturating_mul(count.into());
    let mut sum = Resources::new(
        MilliCpu::new(each(unit.cpus.get())),
        Bytes::new(each(unit.mem.get())),
        Bytes::new(each(unit.disk.get())),
    )
    .with_revocable(MilliCpu::new(each(unit.revocable.get())));
    for (name, amount) in unit.scalars() {
        sum = sum.with_scalar(name, each(amount));
    }
    (count, sum)
}
