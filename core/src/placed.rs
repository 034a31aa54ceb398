//! What is to be done on which of the agents that were offered for a group.

use alloc::sync::Arc;

use crate::id::AgentId;
use crate::offer::OfferOperation;
use crate::task::TaskSpec;

/// A task of a group, and where it is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Of which an offer is named in the same call.
    pub agent: AgentId,
    /// What is to run there.
    pub task: Arc<TaskSpec>,
}

/// What is to be done to what is offered of an agent before a group is launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedOperation {
    /// Of which an offer is named in the same call.
    pub agent: AgentId,
    /// What is to be done there.
    pub operation: OfferOperation,
}
