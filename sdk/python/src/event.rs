//! What a framework hears.

use haggle_pages::record::ResourcesRecord;
use haggle_sdk::{Event, OfferOperation, Operation, QueueUpdate, TaskId, VolumeOperation};
use serde::Serialize;

use crate::told::{InverseOfferRecord, OfferRecord, StatusRecord};

/// What it heard, with what there is to tell of that kind.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum EventRecord {
    Offers { offers: Vec<OfferRecord> },
    Rescinded { offers: Vec<String> },
    InverseOffers { offers: Vec<InverseOfferRecord> },
    InverseRescinded { offers: Vec<String> },
    Update { status: StatusRecord },
    Queue(QueueRecord),
    OperationDropped { operation: OperationRecord, why: String },
    AgentLost { agent: String },
    Disconnected { why: String },
    Subscribed,
    Error { why: String },
}

/// News of the tasks in an allocation.
#[derive(Serialize)]
pub(crate) struct QueueRecord {
    allocation: String,
    update: u64,
    agent: Option<String>,
    started: Vec<String>,
    ended: Vec<StatusRecord>,
}

/// An operation in an accept, in the words in which it was asked for.
#[derive(Serialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub(crate) enum OperationRecord {
    Reserve { role: String, within: Option<String>, resources: ResourcesRecord },
    Unreserve { role: String, resources: ResourcesRecord },
    CreateVolume { role: String, name: String, size: u64 },
    DestroyVolume { volume: String },
    ShareVolume { volume: String, shared: bool },
}

impl From<Event> for EventRecord {
    fn from(event: Event) -> Self {
        match event {
            Event::Offers(offers) => Self::Offers { offers: offers.iter().map(Into::into).collect() },
            Event::Rescinded(offers) => Self::Rescinded { offers: texts(offers) },
            Event::InverseOffers(offers) => Self::InverseOffers { offers: offers.iter().map(Into::into).collect() },
            Event::InverseRescinded(offers) => Self::InverseRescinded { offers: texts(offers) },
            Event::Update(status) => Self::Update { status: (&status).into() },
            Event::Queue(update) => Self::Queue((&*update).into()),
            Event::OperationDropped { operation, why } => {
                Self::OperationDropped { operation: (&operation).into(), why }
            }
            Event::AgentLost(agent) => Self::AgentLost { agent: agent.to_string() },
            Event::Subscribed(_) => Self::Subscribed,
            Event::Disconnected(why) => Self::Disconnected { why },
            Event::Error(why) => Self::Error { why },
        }
    }
}

impl From<&QueueUpdate> for QueueRecord {
    fn from(update: &QueueUpdate) -> Self {
        let framework = update.allocation.framework;
        let started = update.started.iter().map(|&number| TaskId { framework, number }.to_string()).collect();
        Self {
            allocation: update.allocation.to_string(),
            update: update.update.0,
            agent: update.agent.map(|agent| agent.to_string()),
            started,
            ended: update.clone().ends().map(|status| (&status).into()).collect(),
        }
    }
}

impl From<&OfferOperation> for OperationRecord {
    fn from(operation: &OfferOperation) -> Self {
        match operation {
            OfferOperation::Reservation(Operation::Reserve { role, within, resources }) => {
                Self::Reserve { role: role.clone(), within: within.clone(), resources: resources.into() }
            }
            OfferOperation::Reservation(Operation::Unreserve { role, resources }) => {
                Self::Unreserve { role: role.clone(), resources: resources.into() }
            }
            OfferOperation::Volume(VolumeOperation::Create { role, name, size }) => {
                Self::CreateVolume { role: role.clone(), name: name.clone(), size: size.get() }
            }
            OfferOperation::Volume(VolumeOperation::Destroy(volume)) => {
                Self::DestroyVolume { volume: volume.to_string() }
            }
            OfferOperation::Volume(VolumeOperation::Share { volume, shared }) => {
                Self::ShareVolume { volume: volume.to_string(), shared: *shared }
            }
        }
    }
}

fn texts(ids: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    ids.into_iter().map(|id| id.to_string()).collect()
}
