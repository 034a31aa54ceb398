//! What the SDK tells, as Python's dictionaries. What the command line and the pages tell as well is worded in one place for all
//! three, `haggle_pages::record`; here is what only a framework hears.

use std::collections::BTreeMap;

use haggle_pages::record::{self, ReservedRecord, ResourcesRecord, UnavailabilityRecord};
use haggle_sdk::{InverseOffer, Offer, TaskStatus, TaskView, Volume};
use pyo3::{Bound, PyAny, PyResult, Python};
use serde::Serialize;

/// A record as Python has it: of dictionaries, lists, texts and numbers.
///
/// # Errors
/// When Python has no memory left.
pub(crate) fn told<'py>(py: Python<'py>, record: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    Ok(pythonize::pythonize(py, record)?)
}

/// The same for each of them.
///
/// # Errors
/// As [`told`].
pub(crate) fn all_told<'py, 'a, T: 'a, R: Serialize + From<&'a T>>(
    py: Python<'py>,
    all: &'a [T],
) -> PyResult<Bound<'py, PyAny>> {
    told(py, &all.iter().map(R::from).collect::<Vec<R>>())
}

/// What was said of a task, and what an acknowledgement names.
#[derive(Serialize)]
pub(crate) struct StatusRecord {
    task: String,
    update: u64,
    agent: Option<String>,
    is_terminal: bool,
    #[serde(flatten)]
    status: record::StatusRecord,
}

impl From<&TaskStatus> for StatusRecord {
    fn from(status: &TaskStatus) -> Self {
        Self {
            task: status.task.to_string(),
            update: status.update.0,
            agent: status.agent.map(|agent| agent.to_string()),
            is_terminal: status.state.is_terminal(),
            status: status.into(),
        }
    }
}

/// A task as an operator sees it.
#[derive(Serialize)]
pub(crate) struct TaskRecord {
    status: StatusRecord,
    #[serde(flatten)]
    task: record::TaskRecord,
}

impl From<&TaskView> for TaskRecord {
    fn from(task: &TaskView) -> Self {
        Self { status: (&task.status).into(), task: task.into() }
    }
}

/// An offer to a framework.
#[derive(Serialize)]
pub(crate) struct OfferRecord {
    id: String,
    agent: String,
    agent_name: String,
    attributes: BTreeMap<String, String>,
    role: String,
    resources: ResourcesRecord,
    reserved: Vec<ReservedRecord>,
    volumes: Vec<VolumeRecord>,
    unavailable: Option<UnavailabilityRecord>,
}

impl From<&Offer> for OfferRecord {
    fn from(offer: &Offer) -> Self {
        Self {
            id: offer.id.to_string(),
            agent: offer.agent.to_string(),
            agent_name: offer.agent_name.clone(),
            attributes: offer.attributes.clone(),
            role: offer.role.clone(),
            resources: (&offer.resources).into(),
            reserved: offer.reserved.iter().map(Into::into).collect(),
            volumes: offer.volumes.iter().map(Into::into).collect(),
            unavailable: offer.unavailability.map(Into::into),
        }
    }
}

/// A volume that is offered.
#[derive(Serialize)]
struct VolumeRecord {
    id: String,
    name: String,
    role: String,
    size_bytes: u64,
    shared: bool,
}

impl From<&Volume> for VolumeRecord {
    fn from(volume: &Volume) -> Self {
        Self {
            id: volume.id.to_string(),
            name: volume.name.clone(),
            role: volume.role().to_owned(),
            size_bytes: volume.size.get(),
            shared: volume.shared,
        }
    }
}

/// An agent that will not be there.
#[derive(Serialize)]
pub(crate) struct InverseOfferRecord {
    id: String,
    agent: String,
    unavailable: UnavailabilityRecord,
}

impl From<&InverseOffer> for InverseOfferRecord {
    fn from(offer: &InverseOffer) -> Self {
        Self { id: offer.id.to_string(), agent: offer.agent.to_string(), unavailable: offer.when.into() }
    }
}
