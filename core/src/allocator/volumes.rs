//! Which volumes agents hold, and who may have them.
//!
//! The room of a volume is reserved, is not free, and is on nobody's account: the volume itself is what offers promise and tasks
//! hold. One that is shared is always to be had.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::Allocator;
use super::ledger::Holding;
use crate::id::{AgentId, OfferId, VolumeId};
use crate::reservation::{Portion, Reservation, Reserved, is_at_or_below};
use crate::volume::Volume;

/// A volume, as far as it matters for who may have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldVolume {
    reservation: Reservation,
    room: Portion,
    shared: bool,
    /// Whether it can be offered: its agent says that it is there.
    there: bool,
}

impl HeldVolume {
    /// A volume that its agent says is there, or not.
    pub fn new(volume: &Volume, there: bool) -> Self {
        Self { reservation: volume.reservation.clone(), room: volume.portion(), shared: volume.shared, there }
    }
}

impl Allocator {
    /// The volumes of an agent, from now on, and what is reserved there beside its own configuration.
    pub fn set_volumes(
        &mut self,
        agent: AgentId,
        reserved: &[Reserved],
        volumes: impl Iterator<Item = (VolumeId, HeldVolume)>,
    ) {
        let volumes: BTreeMap<VolumeId, HeldVolume> = volumes.collect();
        let Some(holding) = self.agents.get(&agent).filter(|holding| holding.volumes != volumes) else { return };
        let is_new = |(id, volume): &(&VolumeId, &HeldVolume)| {
            volume.there && holding.volumes.get(id).is_none_or(|known| !known.there || known.shared != volume.shared)
        };
        let new: Vec<VolumeId> = volumes.iter().filter(is_new).map(|(&id, _)| id).collect();
        self.change_reserved(agent, |holding| {
            let mut kept = Portion::default();
            volumes.values().for_each(|volume| kept.give(&volume.room));
            holding.kept = (!volumes.is_empty()).then(|| Box::new(kept));
            // What is shared is nobody's.
            let is_held = |id: &VolumeId| volumes.get(id).is_none_or(|volume| !volume.shared);
            holding.allocated.volumes.retain(is_held);
            holding.volumes = volumes;
            holding.info.all_reserved(reserved, holding.kept.as_deref())
        });
        self.volumes_freed(agent, &new);
    }

    /// Volumes of an agent are to be had again: who refused the agent without them is asked anew.
    pub fn volumes_freed(&mut self, agent: AgentId, volumes: &[VolumeId]) {
        let Some(holding) = self.agents.get(&agent).filter(|_| !volumes.is_empty()) else { return };
        let its: Vec<&Reservation> =
            volumes.iter().filter_map(|id| Some(&holding.volumes.get(id)?.reservation)).collect();
        let tree = &self.tree;
        self.filters.forget(agent, |seat| its.iter().any(|reservation| reservation.is_for(&tree.role(seat.role).path)));
    }

    /// The open offers that promise a volume.
    pub fn offers_with(&self, agent: AgentId, volume: VolumeId) -> Vec<OfferId> {
        self.offers_that(agent, |portion, _| portion.volumes.contains(&volume))
    }

    /// The open offers of an agent to those that take whatever there is, and could take something that is of this role.
    pub fn offers_to_complete(&self, agent: AgentId, role: &str) -> Vec<OfferId> {
        self.offers_that(agent, |_, promised_to| promised_to.is_some_and(|its| is_at_or_below(its, role)))
    }

    /// The open offers of an agent of which something holds: of what they promise, and of the role that they are for where the
    /// framework takes whatever there is.
    fn offers_that(&self, agent: AgentId, holds: impl Fn(&Portion, Option<&str>) -> bool) -> Vec<OfferId> {
        let Some(holding) = self.agents.get(&agent) else { return Vec::new() };
        let does = |id: &OfferId| {
            let promise = self.promises.get(*id)?;
            let role = promise.units.is_empty().then_some(&*promise.role);
            holds(&promise.portion, role).then_some(*id)
        };
        holding.promises.iter().filter_map(does).collect()
    }
}

impl Holding {
    /// Counts something as allocated. What is shared is nobody's.
    pub(super) fn allocate(&mut self, portion: &Portion) {
        let is_shared = |id: &VolumeId| self.volumes.get(id).is_some_and(|volume| volume.shared);
        match portion.volumes.iter().any(is_shared) {
            true => {
                let mut own = portion.clone();
                own.volumes.retain(|id| !is_shared(id));
                self.allocated.give(&own);
            }
            false => self.allocated.give(portion),
        }
    }

    /// Volumes that can be offered now.
    pub(super) fn free_volumes(&self) -> Vec<VolumeId> {
        let is_free = |(id, volume): &(&VolumeId, &HeldVolume)| {
            volume.there && (volume.shared || !self.allocated.volumes.contains(id))
        };
        self.volumes.iter().filter(is_free).map(|(&id, _)| id).collect()
    }

    /// The part of something of this agent that whoever is in a role may use.
    pub(super) fn usable<'a>(&self, portion: &'a Portion, role: &str) -> Cow<'a, Portion> {
        let mut usable = portion.usable(role);
        if !usable.volumes.iter().all(|&id| self.holds_for(id, role)) {
            usable.to_mut().volumes.retain(|&id| self.holds_for(id, role));
        }
        usable
    }

    /// Whether the agent holds a volume for whoever is in a role.
    pub(super) fn holds_for(&self, volume: VolumeId, role: &str) -> bool {
        self.volumes.get(&volume).is_some_and(|volume| volume.there && volume.reservation.is_for(role))
    }

    /// Whether one task at a time has one of these.
    pub(super) fn is_one_at_a_time(&self, volumes: &[VolumeId]) -> bool {
        volumes.iter().any(|id| self.volumes.get(id).is_none_or(|volume| !volume.shared))
    }
}
