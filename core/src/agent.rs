//! What an agent says of itself.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};

use crate::reservation::{InvalidReservation, Reservation};
use crate::resources::Resources;

/// An agent as it introduces itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentInfo {
    /// For people; need not be unique.
    pub name: String,
    /// Everything it has to give.
    pub resources: Resources,
    /// What of that it keeps for roles, which nobody else can change. Not more than it has.
    pub reserved: BTreeMap<String, Resources>,
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

    /// Whether it can keep what it says that it keeps for roles.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check_reserved(&self) -> Result<(), InvalidReservation> {
        let mut sum = Resources::default();
        for (role, resources) in &self.reserved {
            Reservation::fixed(role)?;
            if resources.is_empty() {
                return Err(InvalidReservation::Nothing);
            }
            // Ports that are kept for two roles would be the same ones.
            let mut twice = sum.ports.clone();
            twice.remove(&resources.ports);
            let is_twice = twice != sum.ports;
            sum.give(resources);
            if is_twice || !self.resources.contains(&sum) {
                let (reserved, has) = (sum.to_string(), self.resources.to_string());
                return Err(InvalidReservation::TooMuch { reserved, has });
            }
        }
        Ok(())
    }
}
