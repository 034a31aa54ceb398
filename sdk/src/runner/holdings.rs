//! The offers that a runner has in hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use haggle_core::{AgentId, AgentInfo, Offer, OfferId, Resources, Volume};

use super::pack::Room;

/// What one agent offers, all its open offers together.
#[derive(Debug)]
pub(super) struct Hold {
    /// Its name and attributes.
    pub(super) info: Arc<AgentInfo>,
    offers: Vec<Held>,
    free: Resources,
    /// When the agent will not be there, in milliseconds since 1970.
    away_from: Option<u64>,
}

#[derive(Debug)]
struct Held {
    id: OfferId,
    resources: Resources,
    volumes: Vec<Volume>,
}

/// The open offers, by agent.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    agents: BTreeMap<AgentId, Hold>,
    homes: BTreeMap<OfferId, AgentId>,
}

impl Holdings {
    pub(super) fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    pub(super) fn add(&mut self, offer: Offer) {
        if self.homes.insert(offer.id, offer.agent).is_some() {
            return;
        }
        let hold = self.agents.entry(offer.agent).or_insert_with(|| Hold {
            info: Arc::new(AgentInfo { name: offer.agent_name, attributes: offer.attributes, ..AgentInfo::default() }),
            offers: Vec::new(),
            free: Resources::default(),
            away_from: None,
        });
        hold.away_from = offer.unavailability.map(|when| when.start_ms);
        hold.free.give(&offer.resources);
        hold.offers.push(Held { id: offer.id, resources: offer.resources, volumes: offer.volumes });
    }

    /// These were rescinded.
    pub(super) fn remove(&mut self, offers: &[OfferId]) {
        for id in offers {
            let Some(agent) = self.homes.remove(id) else { continue };
            let Some(hold) = self.agents.get_mut(&agent) else { continue };
            hold.offers.retain(|kept| kept.id != *id);
            hold.free = Resources::default();
            for Held { resources, .. } in &hold.offers {
                hold.free.give(resources);
            }
            if hold.offers.is_empty() {
                self.agents.remove(&agent);
            }
        }
    }

    /// Takes everything of one agent out of hand.
    pub(super) fn take(&mut self, agent: AgentId) -> Option<(Hold, Vec<OfferId>)> {
        let hold = self.agents.remove(&agent)?;
        let offers: Vec<_> = hold.offers.iter().map(|held| held.id).collect();
        for id in &offers {
            self.homes.remove(id);
        }
        Some((hold, offers))
    }

    pub(super) fn rooms(&self) -> Vec<Room> {
        let room = |(&agent, hold): (&AgentId, &Hold)| {
            let mut room = Room::new(agent, Arc::clone(&hold.info), hold.free.clone());
            room.away_from = hold.away_from.unwrap_or(u64::MAX);
            let volumes = hold.offers.iter().flat_map(|held| &held.volumes);
            room.volumes = volumes.map(|volume| (volume.id, volume.shared)).collect();
            room
        };
        self.agents.iter().map(room).collect()
    }

    /// Takes out of hand what goes beyond `room` in all, and every volume: others may wait for it.
    pub(super) fn take_beyond(&mut self, room: &Resources) -> Vec<OfferId> {
        let mut left = room.clone();
        let offers = self.agents.values().flat_map(|hold| &hold.offers);
        let beyond = offers.filter(|held| !held.volumes.is_empty() || left.take(&held.resources).is_err());
        let beyond = beyond.map(|held| held.id);
        let beyond: Vec<OfferId> = beyond.collect();
        self.remove(&beyond);
        beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_core::{Bytes, MilliCpu, Unavailability};

    fn cpus(milli: u64) -> Resources {
        Resources::new(MilliCpu::new(milli), Bytes::ZERO, Bytes::ZERO)
    }

    fn offer(id: u64, agent: u64, milli: u64) -> Offer {
        Offer {
            id: OfferId(id),
            agent: AgentId(agent),
            agent_name: format!("a{agent}"),
            attributes: Default::default(),
            role: "role".to_owned(),
            reserved: Vec::new(),
            volumes: Vec::new(),
            resources: cpus(milli),
            unavailability: None,
        }
    }

    fn held(offers: &[Offer]) -> Holdings {
        let mut holdings = Holdings::default();
        for offer in offers {
            holdings.add(offer.clone());
        }
        holdings
    }

    #[test]
    fn offers_of_one_agent_are_one_room() {
        let holdings = held(&[offer(1, 1, 500), offer(2, 1, 500), offer(3, 2, 250)]);

        let rooms: Vec<_> = holdings.rooms().into_iter().map(|room| (room.agent.0, room.free)).collect();

        assert_eq!(rooms, [(1, cpus(1000)), (2, cpus(250))]);
    }

    #[test]
    fn a_room_is_there_until_its_agent_is_not() {
        let when = Unavailability { start_ms: 1_000, duration_ms: 1 };
        let leaves = Offer { unavailability: Some(when), ..offer(1, 1, 500) };

        let rooms: Vec<_> = held(&[leaves, offer(2, 2, 500)]).rooms().into_iter().map(|room| room.away_from).collect();

        assert_eq!(rooms, [1_000, u64::MAX]);
    }

    #[test]
    fn a_rescinded_offer_is_no_room_any_more() {
        let mut holdings = held(&[offer(1, 1, 500), offer(2, 1, 250)]);

        holdings.remove(&[OfferId(1), OfferId(99)]);
        assert_eq!(holdings.rooms()[0].free, cpus(250));

        holdings.remove(&[OfferId(2)]);
        assert!(holdings.is_empty());
    }

    #[test]
    fn what_goes_beyond_the_room_that_is_kept_is_taken_out_of_hand() {
        let mut holdings = held(&[offer(1, 1, 500), offer(2, 1, 2000), offer(3, 2, 500), offer(4, 2, 500)]);

        assert_eq!(holdings.take_beyond(&cpus(1000)), [OfferId(2), OfferId(4)]);
        assert_eq!(holdings.take_beyond(&cpus(1000)), []);
        assert_eq!(holdings.take_beyond(&Resources::default()), [OfferId(1), OfferId(3)]);
        assert!(holdings.is_empty());
    }
}
