//! Volumes in the model: an agent holds one for a role, its room is nobody's, and one task at a time has it unless it is shared.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::super::Promise;
use super::super::super::volumes::HeldVolume;
use super::steps::Model;
use crate::access::{PlainKind, PrincipalId};
use crate::id::{AgentId, FrameworkId, VolumeId};
use crate::quantity::Bytes;
use crate::reservation::{Portion, Reservation, is_at_or_below};
use crate::resources::Resources;
use crate::volume::Volume;

/// Of each volume, in MiB.
const SIZE: u64 = 256;

/// The volumes of all agents, and which of them their agents say are there.
#[derive(Default)]
pub(super) struct Held {
    all: BTreeMap<VolumeId, (Volume, bool)>,
    last: u64,
}

impl Held {
    /// One of them.
    pub(super) fn pick(&self, pick: usize) -> Option<VolumeId> {
        self.all.keys().nth(pick % self.all.len().max(1)).copied()
    }

    pub(super) fn is_shared(&self, id: VolumeId) -> bool {
        self.all.get(&id).is_some_and(|(volume, _)| volume.shared)
    }

    /// The room of all volumes of an agent.
    pub(super) fn room_on(&self, agent: u64) -> Portion {
        let mut room = Portion::default();
        self.all
            .values()
            .filter(|(volume, _)| volume.id.agent.0 == agent)
            .for_each(|(volume, _)| room.give(&volume.portion()));
        room
    }

    pub(super) fn forget(&mut self, agent: u64) {
        self.all.retain(|id, _| id.agent.0 != agent);
    }
}

impl Model {
    /// As an operator does, where there is as much disk that is reserved for nobody.
    pub(super) fn make_volume(&mut self, agent: u64, role: &str, shared: bool) {
        let size = Bytes::from_mib(SIZE);
        let free = self.world.allocator.free_on(AgentId(agent));
        if free.unreserved().disk < size || !self.world.allocator.agents.contains_key(&AgentId(agent)) {
            return;
        }
        self.volumes.last += 1;
        let id = VolumeId { agent: AgentId(agent), number: self.volumes.last };
        let volume = Volume {
            id,
            name: id.to_string(),
            reservation: Reservation::new(role).expect("it is a role"),
            size,
            shared,
            creator: PrincipalId { name: Arc::from("ops"), kind: PlainKind::Operator },
            made: true,
        };
        self.volumes.all.insert(id, (volume, true));
        self.tell_volumes(agent);
    }

    /// Where nobody uses it, and no offer promises it.
    pub(super) fn destroy_volume(&mut self, pick: usize) {
        let Some(id) = self.volumes.pick(pick).filter(|id| self.users_of(*id) == 0) else { return };
        self.volumes.all.remove(&id);
        self.tell_volumes(id.agent.0);
    }

    /// The same: who has it would have it as it was.
    pub(super) fn share_volume(&mut self, pick: usize, shared: bool) {
        let Some(id) = self.volumes.pick(pick).filter(|id| self.users_of(*id) == 0) else { return };
        self.volumes.all.get_mut(&id).expect("it was just picked").0.shared = shared;
        self.tell_volumes(id.agent.0);
    }

    /// Its agent says that it is there, or does not say so.
    pub(super) fn confirm_volume(&mut self, pick: usize, there: bool) {
        let Some(id) = self.volumes.pick(pick) else { return };
        self.volumes.all.get_mut(&id).expect("it was just picked").1 = there;
        self.tell_volumes(id.agent.0);
    }

    fn tell_volumes(&mut self, agent: u64) {
        let reserved = self.reserved.get(&agent).cloned().unwrap_or_default();
        let its = self.volumes.all.iter().filter(|(id, _)| id.agent.0 == agent);
        let its = its.map(|(&id, (volume, there))| (id, HeldVolume::new(volume, *there)));
        self.world.allocator.set_volumes(AgentId(agent), &reserved, its);
    }

    /// Launches a task on the oldest offer of a framework, which mounts all volumes that are in it, and gives back the rest.
    pub(super) fn launch(&mut self, id: u64, task: &Resources) -> Portion {
        let allocator = &mut self.world.allocator;
        let offer = *allocator.offers_to(FrameworkId(id)).first().expect("the caller has seen it");
        let Promise { framework, role, agent, mut portion, .. } = allocator.close(offer).expect("it is open");
        let mut held = portion.take(task).expect("the task fits the offer");
        held.volumes = core::mem::take(&mut portion.volumes);
        allocator.launched(framework, &role, agent, [(task, held.volumes.clone())], false);
        allocator.free(framework, &role, agent, &portion);
        held
    }

    /// In how many offers and tasks it is.
    fn users_of(&self, id: VolumeId) -> usize {
        let allocator = &self.world.allocator;
        let offers = allocator.agents.get(&id.agent).into_iter().flat_map(|holding| &holding.promises);
        let promised =
            offers.filter_map(|offer| allocator.offer(*offer)).filter(|offer| offer.portion.volumes.contains(&id));
        promised.count() + self.tasks.iter().filter(|task| task.1 == id.agent.0 && task.2.volumes.contains(&id)).count()
    }

    /// Whether a framework in this role could mount a volume of this agent now.
    pub(super) fn is_to_be_had(&self, id: VolumeId, agent: u64, role: &str) -> bool {
        let Some((volume, there)) = self.volumes.all.get(&id).filter(|_| id.agent.0 == agent) else { return false };
        *there && is_at_or_below(role, volume.role()) && (volume.shared || self.users_of(id) == 0)
    }

    /// No volume is promised or used twice that is not shared, none by somebody whose it is not, and none that its agent does not hold is
    /// offered.
    pub(super) fn check_volumes(&self) {
        let allocator = &self.world.allocator;
        for (id, (volume, there)) in &self.volumes.all {
            assert!(volume.shared || self.users_of(*id) < 2, "{id} is in {} offers and tasks", self.users_of(*id));
            for offer in allocator.offers_with(id.agent, *id) {
                let role = &allocator.offer(offer).expect("it is open").role;
                assert!(is_at_or_below(role, volume.role()), "{id} of {} is offered to {role}", volume.role());
            }
            assert!(*there || !allocator.free_on(id.agent).volumes.contains(id), "{id} is not there");
        }
        let known: Vec<&VolumeId> = self.volumes.all.keys().collect();
        let free = allocator.agents.values().flat_map(|holding| holding.free().volumes);
        free.for_each(|id| assert!(known.contains(&&id), "{id} is free, and there is no such volume"));
    }
}
