//! What an agent says of itself.

use alloc::collections::BTreeMap;
use alloc::string::String;

use crate::resources::Resources;

/// An agent as it introduces itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentInfo {
    /// For people; need not be unique.
    pub name: String,
    /// Everything it has to give.
    pub resources: Resources,
    /// What a framework may choose it by.
    pub attributes: BTreeMap<String, String>,
}

/// What constraints are held against: an agent's name and its attributes.
#[derive(Clone, Copy, Debug)]
pub struct Traits<'a> {
    /// The agent's name.
    pub name: &'a str,
    /// Its attributes.
    pub attributes: &'a BTreeMap<String, String>,
}

impl AgentInfo {
    /// What constraints are held against.
    pub fn traits(&self) -> Traits<'_> {
        Traits { name: &self.name, attributes: &self.attributes }
    }
}
