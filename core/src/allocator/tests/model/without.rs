//! What is known of quotas: what they would leave without an offer is what they leave once it has been taken back, and whom they alone keep
//! from something.

use super::super::super::demand::Urgency;
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

    /// Where quotas alone keep somebody from what it waits for, that is known: offers may give way for it.
    pub(super) fn check_what_quotas_keep_is_known(&self) {
        let allocator = &self.world.allocator;
        for (seat, known) in allocator.members.iter().filter(|(seat, _)| allocator.hungry.contains(seat)) {
            let Some(demand) = &known.demand else { continue };
            let role = &allocator.tree.role(seat.role).path;
            for (key, want, _) in demand.open(Urgency::Waiting) {
                let (_, beyond) = demand.want(key).expect("it is one of its wants");
                for (&agent, holding) in allocator.agents.iter().filter(|(_, holding)| holding.active) {
                    let usable = holding.usable(&holding.free(), role).into_owned();
                    let has_room = usable.resources.contains(&want.resources) && usable.has_volumes(&want.volumes);
                    let suits = want.suits(holding.info.traits()).is_ok();
                    let refused = allocator.filters.hold(*seat, agent, &want.resources, self.world.now).is_some();
                    let is_kept = has_room && suits && !refused;
                    assert!(!is_kept || beyond.has(agent), "{seat:?} may not know that {agent} has {}", want.resources);
                }
            }
        }
    }
}
