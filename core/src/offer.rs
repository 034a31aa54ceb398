//! What a framework may take.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::agent::Traits;
use crate::id::{AgentId, OfferId};
use crate::reservation::{Operation, Reserved};
use crate::resources::Resources;
use crate::upkeep::Unavailability;
use crate::volume::{Volume, VolumeOperation};

/// Free resources of one agent, promised to one framework until it answers or the offer expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its name.
    pub id: OfferId,
    /// Where the resources are.
    pub agent: AgentId,
    /// The agent's name for people.
    pub agent_name: String,
    /// The agent's attributes.
    pub attributes: BTreeMap<String, String>,
    /// Which of the framework's roles it is for: what is launched on it counts towards that.
    pub role: String,
    /// How much may be taken.
    pub resources: Resources,
    /// What of that is reserved, and for whom. A task takes from that first.
    pub reserved: Vec<Reserved>,
    /// Volumes that tasks may mount which are launched on it.
    pub volumes: Vec<Volume>,
    /// When the agent will not be there: the maintenance window of it that is next, if there is one.
    pub unavailability: Option<Unavailability>,
}

/// What a framework wants done to what it is offered, before anything is launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfferOperation {
    /// To what is reserved.
    Reservation(Operation),
    /// To its volumes.
    Volume(VolumeOperation),
}

impl OfferOperation {
    /// Operations in one accept.
    pub const MAX: usize = 64;
}

impl From<Operation> for OfferOperation {
    fn from(operation: Operation) -> Self {
        Self::Reservation(operation)
    }
}

impl From<VolumeOperation> for OfferOperation {
    fn from(operation: VolumeOperation) -> Self {
        Self::Volume(operation)
    }
}

impl Offer {
    /// What constraints are held against.
    pub fn traits(&self) -> Traits<'_> {
        Traits { name: &self.agent_name, attributes: &self.attributes }
    }
}
