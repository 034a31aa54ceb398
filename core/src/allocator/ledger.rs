//! Who holds how much.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::slots::{RoomLeft, Rooms};
use super::volumes::HeldVolume;
use crate::agent::AgentInfo;
use crate::id::{OfferId, VolumeId};
use crate::quantity::MilliCpu;
use crate::reservation::{Portion, Reserved};
use crate::resources::{Ports, Resources};

/// What a role or a framework was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Over all agents, without ports: the same port exists on many agents, and a sum of them has no meaning.
    pub(super) allocated: Resources,
    /// Of that, what open offers promise.
    pub(super) promised: Resources,
    /// How often it was chosen; breaks ties between equal shares.
    pub(super) grants: u64,
}

impl Account {
    pub(super) fn give(&mut self, resources: &Resources) {
        self.allocated.give(resources);
        self.allocated.ports = Ports::default();
    }

    pub(super) fn take(&mut self, resources: &Resources) {
        self.allocated.take_up_to(resources);
    }

    /// What was given is in an open offer from now on.
    pub(super) fn promise(&mut self, resources: &Resources) {
        self.promised.give(resources);
        self.promised.ports = Ports::default();
    }

    /// It is in an offer no longer.
    pub(super) fn close(&mut self, resources: &Resources) {
        self.promised.take_up_to(resources);
    }

    /// What tasks hold.
    pub(super) fn used(&self) -> Resources {
        let mut used = self.allocated.clone();
        used.take_up_to(&self.promised);
        used
    }
}

/// Why an agent is offered to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// An operator has deactivated it.
    Deactivated,
    /// It is being drained.
    Draining,
    /// It was drained.
    Drained,
    /// It leaves by itself.
    Leaving,
}

/// What an agent is, has and has given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) info: Arc<AgentInfo>,
    /// What of it is reserved, by its own configuration and beside that; none of it empty.
    pub(super) reserved: Vec<Reserved>,
    /// Of volumes, those that are not shared.
    pub(super) allocated: Portion,
    pub(super) volumes: BTreeMap<VolumeId, HeldVolume>,
    /// The room of its volumes, while it has some: nobody else's, whether somebody uses them or not.
    pub(super) kept: Option<Box<Portion>>,
    /// What it measures to be unused of the processor time that its tasks hold.
    pub(super) revocable: MilliCpu,
    pub(super) active: bool,
    /// What keeps it from being active, though it is there.
    pub(super) withheld: Option<Withheld>,
    /// The open offers of it.
    pub(super) promises: BTreeSet<OfferId>,
    /// Its places among the idle agents, while it is one.
    pub(super) idle: Rooms,
}

impl Holding {
    /// Everything that it has to give, be it revocable or not.
    pub(super) fn has(&self) -> Resources {
        self.info.resources.clone().with_revocable(self.revocable)
    }

    /// What is left. Nothing of a resource of which more is allocated than the agent has, as when it came back
    /// smaller than what it runs. What is allocated beyond a reservation, as when that became smaller, is of what is reserved for
    /// nobody.
    pub(super) fn free(&self) -> Portion {
        let mut free = Portion::from(self.has());
        free.resources.take_up_to(&self.allocated.resources);
        if self.reserved.is_empty() {
            return free;
        }
        let kept = self.kept.as_deref();
        if let Some(kept) = kept {
            free.resources.take_up_to(&kept.resources);
        }
        free.volumes = self.free_volumes();
        let mut rest = free.resources.clone();
        for part in &self.reserved {
            let mut left = part.resources.clone();
            left.take_up_to(&self.allocated.of(Some(&part.reservation)));
            if let Some(kept) = kept {
                left.take_up_to(&kept.of(Some(&part.reservation)));
            }
            left.cut_to(&rest);
            rest.take_up_to(&left);
            if !left.is_empty() {
                free.reserved.push(Reserved { reservation: part.reservation.clone(), resources: left });
            }
        }
        free
    }

    /// What is free on an agent on which nothing is reserved, as far as agents are ordered by it; `None` when nothing is.
    pub(super) fn room_left(&self) -> Option<RoomLeft> {
        let (has, allocated) = (&self.info.resources, &self.allocated.resources);
        let room = (has.cpus.saturating_sub(allocated.cpus), has.mem.saturating_sub(allocated.mem));
        (!room.0.is_zero() || !room.1.is_zero() || !self.free().resources.is_empty()).then_some(room)
    }

    /// What would be free if nothing were allocated.
    pub(super) fn all(&self) -> Portion {
        Self { allocated: Portion::default(), ..self.clone() }.free()
    }

    /// What nobody uses: what is free, and the room of volumes. That is reserved, and counts as such.
    pub(super) fn unused(&self) -> Portion {
        let mut unused = self.free();
        if let Some(kept) = &self.kept {
            unused.give(kept);
        }
        unused
    }
}
