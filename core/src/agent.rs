//! What an agent says of itself.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::reservation::{InvalidReservation, Portion, Reservation, Reserved};
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
    /// Roles for which one agent can keep something.
    pub const RESERVED_MAX: usize = 64;

    /// What constraints are held against.
    pub fn traits(&self) -> Traits<'_> {
        Traits { name: &self.name, attributes: &self.attributes }
    }

    /// Whether it can keep what it says that it keeps for roles.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check_reserved(&self) -> Result<(), InvalidReservation> {
        if self.reserved.len() > Self::RESERVED_MAX {
            return Err(InvalidReservation::TooManyRoles(self.reserved.len()));
        }
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

    /// What of it is reserved with this `beside` what it keeps itself, in the order in which it is used. What volumes hold is
    /// reserved, whatever it keeps now.
    pub fn all_reserved(&self, beside: &[Reserved], volumes: Option<&Portion>) -> Vec<Reserved> {
        if self.reserved.is_empty() && beside.is_empty() && volumes.is_none_or(Portion::is_empty) {
            return Vec::new();
        }
        let mut all = Portion::default();
        for (role, resources) in &self.reserved {
            // Checked when it registered.
            all.give(&Portion::of_one(Reservation::fixed(role).ok(), resources.clone()));
        }
        for part in beside {
            if part.reservation.is_fixed() {
                let base = Reservation::fixed(&part.reservation.roles()[0]).ok();
                all.take_up_to(&Portion::of_one(base, part.resources.clone()));
            }
            all.give(&Portion::of_one(Some(part.reservation.clone()), part.resources.clone()));
        }
        for room in volumes.into_iter().flat_map(|volumes| &volumes.reserved) {
            let mut lacks = room.clone();
            lacks.resources.take_up_to(&all.of(Some(&room.reservation)));
            all.give(&Portion { reserved: Vec::from([lacks]), ..Portion::default() });
        }
        all.reserved
    }
}
