//! Who holds how much.

use crate::resources::{Ports, Resources};

/// What a role or a framework was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Over all agents, without ports: the same port exists on many agents, and a sum of them has no meaning.
    pub(super) allocated: Resources,
    /// How often it was chosen; breaks ties between equal shares.
    pub(super) grants: u64,
}

impl Account {
    pub(super) fn give(&mut self, resources: &Resources) {
        self.allocated.give(resources);
        self.allocated.ports = Ports::default();
    }

    pub(super) fn take(&mut self, resources: &Resources) {
        self.allocated.take_up_to(resources);
    }
}

/// What an agent has and has given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) total: Resources,
    pub(super) allocated: Resources,
    pub(super) active: bool,
}

impl Holding {
    /// What is left. Nothing of a resource of which more is allocated than the agent has, as when it came back
    /// smaller than what it runs.
    pub(super) fn free(&self) -> Resources {
        let mut free = self.total.clone();
        free.take_up_to(&self.allocated);
        free
    }
}
