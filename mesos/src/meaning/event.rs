//! How a scheduler is told what happens.

use haggle_core::cluster::FrameworkEvent;
use haggle_core::{AgentId, InverseOffer, Offer, TaskId, TaskStatus, Unavailability};

use super::{Dialect, resources, role_out, status};
use crate::wire::common::{Address, AllocationInfo, Attribute, DurationInfo, Text, TimeInfo, Url, ValueType};
use crate::wire::offer as wire;
use crate::wire::scheduler::{
    Event, EventType, Failure, InverseOffersEvent, OffersEvent, Rescind, RescindInverseOffer, Update,
};

/// Nobody listens at an agent: it has no address that a client could use. Some cannot do without one.
const NOWHERE: &str = "0.0.0.0";

impl Dialect {
    /// The events that tell of one thing. Of tasks, `name` says what the framework calls them and where they are for it.
    ///
    /// What begins and ends a session is told by whoever holds it, and queues by nobody: no framework that came by this API has any.
    pub fn events(
        &self,
        event: FrameworkEvent,
        name: impl FnOnce(TaskId) -> (String, Option<AgentId>),
        seconds: f64,
    ) -> Vec<Event> {
        match event {
            FrameworkEvent::Offers(offers) => {
                let offers = offers.into_iter().map(|offer| self.offer(offer)).collect();
                vec![Event { offers: Some(OffersEvent { offers }), ..Event::of(EventType::Offers) }]
            }
            FrameworkEvent::Rescinded(offers) => {
                let rescind = |offer| Event {
                    rescind: Some(Rescind { offer_id: self.ids.offer(offer).into() }),
                    ..Event::of(EventType::Rescind)
                };
                offers.into_iter().map(rescind).collect()
            }
            FrameworkEvent::InverseOffers(offers) => {
                let inverse_offers = offers.into_iter().map(|offer| self.inverse_offer(&offer)).collect();
                let event = Event::of(EventType::InverseOffers);
                vec![Event { inverse_offers: Some(InverseOffersEvent { inverse_offers }), ..event }]
            }
            FrameworkEvent::InverseRescinded(offers) => {
                let rescind = |offer| {
                    let inverse_offer_id = self.ids.inverse_offer(offer).into();
                    let event = Event::of(EventType::RescindInverseOffer);
                    Event { rescind_inverse_offer: Some(RescindInverseOffer { inverse_offer_id }), ..event }
                };
                offers.into_iter().map(rescind).collect()
            }
            FrameworkEvent::Update(status) => {
                let (name, agent) = name(status.task);
                let status = TaskStatus { agent: status.agent.or(agent), ..status };
                let status = status::told(self, &status, name, seconds);
                vec![Event { update: Some(Update { status }), ..Event::of(EventType::Update) }]
            }
            FrameworkEvent::AgentLost(agent) => {
                let failure = Failure { agent_id: Some(self.ids.agent(agent).into()), ..Failure::default() };
                vec![Event { failure: Some(failure), ..Event::of(EventType::Failure) }]
            }
            FrameworkEvent::Error(why) => vec![Event::error(capital(&why))],
            FrameworkEvent::Subscribed { .. } | FrameworkEvent::OperationDropped { .. } | FrameworkEvent::Queue(_) => {
                Vec::new()
            }
        }
    }

    pub(super) fn offer(&self, offer: Offer) -> wire::Offer {
        let attribute = |(name, value): (String, String)| Attribute {
            name,
            r#type: ValueType::Text.into(),
            text: Some(Text { value }),
            ..Attribute::default()
        };
        wire::Offer {
            id: self.ids.offer(offer.id).into(),
            framework_id: self.ids.framework(self.framework).into(),
            agent_id: self.ids.agent(offer.agent).into(),
            url: Some(url(&offer.agent_name)),
            hostname: offer.agent_name,
            resources: resources::write(&offer.resources, &offer.reserved, Some(&offer.role)),
            attributes: offer.attributes.into_iter().map(attribute).collect(),
            executor_ids: Vec::new(),
            unavailability: offer.unavailability.map(unavailability),
            allocation_info: Some(AllocationInfo { role: Some(role_out(&offer.role)) }),
        }
    }

    fn inverse_offer(&self, offer: &InverseOffer) -> wire::InverseOffer {
        wire::InverseOffer {
            id: self.ids.inverse_offer(offer.id).into(),
            framework_id: self.ids.framework(self.framework).into(),
            agent_id: Some(self.ids.agent(offer.agent).into()),
            unavailability: unavailability(offer.when),
            resources: Vec::new(),
        }
    }
}

fn url(name: &str) -> Url {
    let address = Address { hostname: Some(name.to_owned()), ip: Some(NOWHERE.to_owned()), port: 0 };
    Url { scheme: "http".to_owned(), address, path: Some("/".to_owned()) }
}

fn unavailability(when: Unavailability) -> crate::wire::common::Unavailability {
    let nanoseconds = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    crate::wire::common::Unavailability {
        start: TimeInfo { nanoseconds: nanoseconds(when.start_ms) },
        duration: Some(DurationInfo { nanoseconds: nanoseconds(when.duration_ms) }),
    }
}

/// As Mesos writes them: some clients compare the first words.
fn capital(why: &str) -> String {
    let mut letters = why.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
