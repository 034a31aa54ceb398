//! The offers that a runner has in hand.

use std::collections::BTreeMap;
use std::time::Duration;

use haggle_core::{AgentId, Now, Offer, OfferId, Resources};

use super::pack::{Line, Room};

/// How long an offer is kept that is too small for every waiting task, in case more of the same agent comes.
pub(super) const HOPE: Duration = Duration::from_secs(1);

/// What one agent offers, all its open offers together.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) agent_name: String,
    offers: Vec<(OfferId, Resources)>,
    free: Resources,
    useless_since: Option<Now>,
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
            agent_name: offer.agent_name,
            offers: Vec::new(),
            free: Resources::default(),
            useless_since: None,
        });
        hold.free.give(&offer.resources);
        hold.offers.push((offer.id, offer.resources));
    }

    /// These were rescinded.
    pub(super) fn remove(&mut self, offers: &[OfferId]) {
        for id in offers {
            let Some(agent) = self.homes.remove(id) else { continue };
            let Some(hold) = self.agents.get_mut(&agent) else { continue };
            hold.offers.retain(|(kept, _)| kept != id);
            hold.free = Resources::default();
            for (_, resources) in &hold.offers {
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
        let offers: Vec<_> = hold.offers.iter().map(|&(id, _)| id).collect();
        for id in &offers {
            self.homes.remove(id);
        }
        Some((hold, offers))
    }

    /// Takes everything out of hand.
    pub(super) fn take_all(&mut self) -> Vec<OfferId> {
        self.agents.clear();
        std::mem::take(&mut self.homes).into_keys().collect()
    }

    pub(super) fn rooms(&self) -> Vec<Room> {
        self.agents.iter().map(|(&agent, hold)| Room::new(agent, hold.free.clone())).collect()
    }

    /// The agent with the most processor time in hand.
    pub(super) fn largest(&self) -> Option<(&str, &Resources)> {
        self.agents
            .values()
            .max_by_key(|hold| (hold.free.cpus, hold.free.mem))
            .map(|hold| (hold.agent_name.as_str(), &hold.free))
    }

    /// Takes out of hand what has been too small for everybody in the line for too long.
    pub(super) fn take_hopeless(&mut self, now: Now, line: &Line) -> Vec<OfferId> {
        let mut hopeless = Vec::new();
        for (&agent, hold) in &mut self.agents {
            if line.is_empty() || line.wants_any_of(&hold.free) {
                hold.useless_since = None;
            } else if now >= *hold.useless_since.get_or_insert(now) + HOPE {
                hopeless.push(agent);
            }
        }
        hopeless.into_iter().filter_map(|agent| self.take(agent)).flat_map(|(_, offers)| offers).collect()
    }

    /// When [`Self::take_hopeless`] has something to do next.
    pub(super) fn next_deadline(&self) -> Option<Now> {
        self.agents.values().filter_map(|hold| hold.useless_since).min().map(|since| since + HOPE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_core::{Bytes, MilliCpu};

    fn cpus(milli: u64) -> Resources {
        Resources::new(MilliCpu::new(milli), Bytes::ZERO, Bytes::ZERO)
    }

    fn offer(id: u64, agent: u64, milli: u64) -> Offer {
        Offer {
            id: OfferId(id),
            agent: AgentId(agent),
            agent_name: format!("a{agent}"),
            attributes: Default::default(),
            resources: cpus(milli),
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
        assert_eq!(holdings.largest(), Some(("a1", &cpus(1000))));
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
    fn an_offer_that_nobody_can_use_is_given_up_after_a_while() {
        let mut holdings = held(&[offer(1, 1, 500)]);
        let mut line = Line::default();
        line.push(0, &cpus(1000), 0);
        let start = Now::from_millis(1);

        assert!(holdings.take_hopeless(start, &line).is_empty());
        assert_eq!(holdings.next_deadline(), Some(start + HOPE));
        assert_eq!(holdings.take_hopeless(start + HOPE, &line), [OfferId(1)]);
        assert!(holdings.is_empty());
    }

    #[test]
    fn hope_begins_anew_once_the_offers_are_large_enough() {
        let mut holdings = held(&[offer(1, 1, 500)]);
        let mut line = Line::default();
        line.push(0, &cpus(1000), 0);
        assert!(holdings.take_hopeless(Now::ZERO, &line).is_empty());

        holdings.add(offer(2, 1, 500));

        assert!(holdings.take_hopeless(Now::ZERO + HOPE, &line).is_empty());
        assert_eq!(holdings.next_deadline(), None);
    }
}
