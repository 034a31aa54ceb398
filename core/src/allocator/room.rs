//! How much quotas leave to a role of what it may use: limits from the role up, and what is kept for others.

use alloc::vec::Vec;

use super::tree::{ROOT, RoleId, Tree};
use super::verdict::Stage;
use crate::quantity::{Bytes, MilliCpu};
use crate::quota::Ceiling;
use crate::reservation::Portion;
use crate::resources::Resources;

impl Tree {
    /// How much more the frameworks of a role may be offered, with so much free on all active agents together.
    pub(super) fn room(&self, role: RoleId, stage: Stage, free: &Resources) -> Ceiling {
        let mut room = self.headroom(role, free);
        if let Stage::Guarantee(promised) = stage {
            // Of what it is promised and lacks, no more than that; of the rest, what it would get anyway.
            let lacks = self.role(promised).own_shortfall();
            room.lower(&Ceiling {
                cpus: Some(lacks.cpus).filter(|lacks| !lacks.is_zero()),
                mem: Some(lacks.mem).filter(|lacks| !lacks.is_zero()),
                disk: Some(lacks.disk).filter(|lacks| !lacks.is_zero()),
                scalars: lacks.scalars().map(|(name, amount)| (name.into(), amount)).collect(),
            });
        }
        for (_, role) in self.up_from(role) {
            if let Some(quota) = &role.quota {
                room.lower(&quota.limit.left(&role.consumed()));
            }
        }
        room
    }

    /// As much of what is free on an agent, and reserved for no other role, as quotas leave to the frameworks of a role.
    ///
    /// What is reserved counts towards its role, and those above, be it used or not: there, using it needs no room. Nothing of it is
    /// kept for others.
    pub(super) fn room_of(&self, role: RoleId, stage: Stage, free: &Resources, usable: &Portion) -> Portion {
        if usable.reserved.is_empty() {
            let resources = self.room(role, stage, free).cut(&usable.resources);
            return Portion { resources, reserved: Vec::new(), volumes: usable.volumes.clone() };
        }
        let mut limits: Vec<(&str, Ceiling)> = (self.up_from(role))
            .filter_map(|(_, role)| Some((&*role.path, role.quota.as_ref()?.limit.left(&role.consumed()))))
            .collect();
        // The room of volumes counts already.
        let mut room = Portion { volumes: usable.volumes.clone(), ..Portion::default() };
        for part in &usable.reserved {
            let is_below = |path: &str| part.reservation.is_for(path) && path != part.reservation.role();
            let mut most = Ceiling::default();
            limits.iter().filter(|(path, _)| is_below(path)).for_each(|(_, left)| most.lower(left));
            let part = Portion::of_one(Some(part.reservation.clone()), most.cut(&part.resources));
            let below = limits.iter_mut().filter(|(path, _)| is_below(path));
            below.for_each(|(_, left)| *left = left.left(&part.resources));
            room.give(&part);
        }
        let mut most = self.room(role, stage, free);
        limits.iter().for_each(|(_, left)| most.lower(left));
        room.give(&Portion::from(most.cut(&usable.unreserved())));
        room
    }

    /// What of the free resources is not kept for what other roles are promised. Resources of which nothing is kept are not
    /// bounded.
    fn headroom(&self, role: RoleId, free: &Resources) -> Ceiling {
        let kept = &self.role(ROOT).shortfall_below;
        if kept.is_empty() {
            return Ceiling::default();
        }
        // What is kept for this role itself is not kept from it.
        let mut others = self.role(role).shortfall_below.clone();
        let mut below = self.role(role);
        for (_, above) in self.up_from(role).skip(1) {
            let mut sum = above.shortfall_below.clone();
            sum.take_up_to(&below.shortfall);
            sum.give(&others);
            others = sum;
            below = above;
        }
        let mut own = kept.clone();
        own.take_up_to(&others);
        let left = |free: u64, kept: u64, own: u64| (kept > 0).then(|| free.saturating_sub(kept).saturating_add(own));
        Ceiling {
            cpus: left(free.cpus.get(), kept.cpus.get(), own.cpus.get()).map(MilliCpu::new),
            mem: left(free.mem.get(), kept.mem.get(), own.mem.get()).map(Bytes::new),
            disk: left(free.disk.get(), kept.disk.get(), own.disk.get()).map(Bytes::new),
            scalars: (kept.scalars())
                .filter_map(|(name, kept)| Some((name.into(), left(free.scalar(name), kept, own.scalar(name))?)))
                .collect(),
        }
    }
}
