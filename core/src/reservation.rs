//! Resources of one agent that are kept for a role.

mod portion;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::access::is_role;
use crate::agent::AgentInfo;
use crate::resources::Resources;

pub use portion::Portion;

/// For whom something is reserved: a role, and whoever is in a role below it. A part of it can be refined for such a role
/// below, and goes back to the one above when that ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reservation {
    /// From the outermost on, each below the one before.
    roles: Vec<String>,
    /// Whether the outermost is of the agent's own configuration, which nobody else can change.
    fixed: bool,
}

/// An amount, and for whom it is reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// For whom.
    pub reservation: Reservation,
    /// How much.
    pub resources: Resources,
}

/// What is to be done to resources of an agent that nobody uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// They are reserved from now on.
    Reserve {
        /// For this role.
        role: String,
        /// They are reserved for this role now, which is above the other; `None`: for nobody.
        within: Option<String>,
        /// How much.
        resources: Resources,
    },
    /// They are reserved for this role no longer, but for whomever they were before.
    Unreserve {
        /// For this role.
        role: String,
        /// How much.
        resources: Resources,
    },
}

/// Why something cannot be reserved, or not for that role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReservation {
    /// The role is no path of names.
    #[error("role {0:?} is no role: names joined by /, none empty, . or .., no spaces, at most 128 bytes")]
    Role(String),
    /// Only for a role below another one something of that one can be refined.
    #[error("what is reserved for {0:?} cannot be refined for {1:?}, which is no role below it")]
    NotBelow(String, String),
    /// Nothing is nobody's.
    #[error("a reservation needs an amount, and this one has none")]
    Nothing,
    /// What is revocable cannot be kept.
    #[error("revocable cpus cannot be reserved: they are there for as long as others leave them unused")]
    Revocable,
    /// An agent keeps something for too many roles.
    #[error("an agent keeps something for {0} roles, at most {max} are taken", max = AgentInfo::RESERVED_MAX)]
    TooManyRoles(usize),
    /// An agent keeps more for roles than it has.
    #[error("{reserved} is reserved on an agent that has {has}")]
    TooMuch {
        /// All that it keeps.
        reserved: String,
        /// What it has.
        has: String,
    },
}

impl Reservation {
    /// By an operator or a framework, who can end it.
    ///
    /// # Errors
    /// When that is no role.
    pub fn new(role: &str) -> Result<Self, InvalidReservation> {
        Self::of([role.to_string()].into(), false)
    }

    /// By the agent's own configuration.
    ///
    /// # Errors
    /// When that is no role.
    pub fn fixed(role: &str) -> Result<Self, InvalidReservation> {
        Self::of([role.to_string()].into(), true)
    }

    /// With all its levels, from the outermost on.
    ///
    /// # Errors
    /// When one of them is no role, or not below the one before.
    pub fn of(roles: Vec<String>, fixed: bool) -> Result<Self, InvalidReservation> {
        let Some(first) = roles.first() else { return Err(InvalidReservation::Role(String::new())) };
        if !is_role(first) {
            return Err(InvalidReservation::Role(first.clone()));
        }
        for (above, role) in roles.iter().zip(&roles[1..]) {
            if !is_role(role) {
                return Err(InvalidReservation::Role(role.clone()));
            }
            if !is_at_or_below(role, above) || role == above {
                return Err(InvalidReservation::NotBelow(above.clone(), role.clone()));
            }
        }
        Ok(Self { roles, fixed })
    }

    /// Whoever is in this role, or below it, may use it.
    pub fn role(&self) -> &str {
        self.roles.last().map_or("", String::as_str)
    }

    /// All its levels, from the outermost on.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// Whether its outermost level is of the agent's own configuration.
    pub fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// Whether whoever is in this role may use it.
    pub fn is_for(&self, role: &str) -> bool {
        is_at_or_below(role, self.role())
    }

    /// The same, refined for a role below.
    ///
    /// # Errors
    /// When it is not below.
    pub fn refined(&self, role: &str) -> Result<Self, InvalidReservation> {
        let mut roles = self.roles.clone();
        roles.push(role.to_string());
        Self::of(roles, self.fixed)
    }

    /// For whom it is once its innermost level has ended; `None`: for nobody.
    pub fn ended(&self) -> Option<Self> {
        let above = self.roles[..self.roles.len() - 1].to_vec();
        (!above.is_empty()).then_some(Self { roles: above, fixed: self.fixed })
    }

    /// Whether its innermost level can end: it is not of the agent's own configuration.
    pub fn can_end(&self) -> bool {
        self.roles.len() > 1 || !self.fixed
    }
}

/// Whether a role is another one, or below it.
pub(crate) fn is_at_or_below(role: &str, above: &str) -> bool {
    role.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl fmt::Display for Reservation {
    /// `eng`, and `eng > eng/batch` when it is refined.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.roles.join(" > "))
    }
}

impl Operation {
    /// For which role.
    pub fn role(&self) -> &str {
        match self {
            Self::Reserve { role, .. } | Self::Unreserve { role, .. } => role,
        }
    }

    /// How much.
    pub fn resources(&self) -> &Resources {
        match self {
            Self::Reserve { resources, .. } | Self::Unreserve { resources, .. } => resources,
        }
    }

    /// Whether it could be carried out anywhere.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), InvalidReservation> {
        match self {
            _ if self.resources().is_empty() => Err(InvalidReservation::Nothing),
            _ if !self.resources().revocable.is_zero() => Err(InvalidReservation::Revocable),
            Self::Reserve { role, within: Some(within), .. } => {
                Reservation::of([within.clone(), role.clone()].into(), false).map(drop)
            }
            _ => Reservation::new(self.role()).map(drop),
        }
    }

    /// Carries it out on what somebody has, and on the list of what is reserved on that agent beside its own configuration. What
    /// is taken and what it becomes.
    ///
    /// # Errors
    /// What could be had; then nothing was changed.
    pub fn carry_out(&self, has: &mut Portion, reserved: &mut Vec<Reserved>) -> Result<(Portion, Portion), Resources> {
        let sources = match self {
            Self::Reserve { within: None, .. } => Vec::from([None]),
            Self::Reserve { within: Some(role), .. } => has.reservations_for(role),
            Self::Unreserve { role, .. } => {
                let mut sources = has.reservations_for(role);
                sources.retain(|source| source.as_ref().is_some_and(Reservation::can_end));
                sources
            }
        };
        let mut available = Resources::default();
        sources.iter().for_each(|source| available.give(&has.of(source.as_ref())));
        if !available.contains(self.resources()) {
            return Err(available);
        }
        let (mut rest, mut before, mut after) = (self.resources().clone(), Portion::default(), Portion::default());
        for source in sources {
            let mut part = has.of(source.as_ref()).into_owned();
            part.cut_to(&rest);
            rest.take_up_to(&part);
            if part.is_empty() {
                continue;
            }
            let target = match self {
                Self::Reserve { role, .. } => match &source {
                    Some(source) => source.refined(role).ok(),
                    None => Reservation::new(role).ok(),
                },
                Self::Unreserve { .. } => source.as_ref().and_then(Reservation::ended),
            };
            let (from, to) = (Portion::of_one(source, part.clone()), Portion::of_one(target, part));
            note(reserved, &from, &to);
            before.give(&from);
            after.give(&to);
        }
        has.take_up_to(&before);
        has.give(&after);
        Ok((before, after))
    }
}

/// Notes in the list of what is reserved beside an agent's configuration that something is of another reservation.
fn note(reserved: &mut Vec<Reserved>, before: &Portion, after: &Portion) {
    let mut list = Portion { reserved: core::mem::take(reserved), ..Portion::default() };
    list.take_up_to(before);
    let is_listed = |part: &Reserved| part.reservation.can_end();
    list.give(&Portion {
        reserved: after.reserved.iter().filter(|part| is_listed(part)).cloned().collect(),
        ..Portion::default()
    });
    *reserved = list.reserved;
}

#[cfg(test)]
mod tests;
