//! What quotas would leave without an offer is what they leave once it has been taken back.

use super::super::super::room::Budgets;
use super::super::super::verdict::Stage;
use super::super::milli;
use super::steps::Model;
use crate::resources::Resources;

impl Model {
    pub(super) fn check_what_quotas_would_leave(&self) {
        let allocator = &self.world.allocator;
        if allocator.tree.quotas == 0 {
            return;
        }
        for (offer, promise) in allocator.promises.iter() {
            let mut after = allocator.clone();
            after.close(offer);
            after.free_of(promise.seat, promise.agent, &promise.portion);
            // What an agent has, or keeps for others, may have become less since: then a part of the offer does not become free.
            let [holding, later] = [allocator, &after].map(|allocator| &allocator.agents[&promise.agent]);
            let mut unused = holding.unused();
            unused.give(&promise.portion);
            if !holding.active || unused != later.unused() {
                continue;
            }
            for &seat in after.members.keys() {
                let path = &after.tree.role(seat.role).path;
                let usable = holding.usable(&holding.all(), path).into_owned();
                let room = after.tree.room_of(seat.role, Stage::FairShare, &after.free, &usable);
                let may_have = |unit: &Resources| allocator.may_have(seat, unit, &usable, &[offer]);
                for more in [milli(0, 0), milli(1, 0), milli(0, 1)] {
                    let mut unit = room.resources.clone();
                    unit.give(&more);
                    let is_left = room.resources.contains(&unit);
                    assert_eq!(may_have(&unit), is_left, "{seat:?} wants {unit}, and {room:?} is left without {offer}");
                }
            }
        }
    }
}
