//! A framework in one of its roles: who competes, waits, refuses and holds.

use core::ops::RangeInclusive;

use super::tree::RoleId;
use crate::id::FrameworkId;

/// One of the roles of one framework. In each it has its own share, demand, refusals and offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seat {
    pub(super) framework: FrameworkId,
    pub(super) role: RoleId,
}

impl Seat {
    /// Every seat that a framework could have.
    pub(super) fn all_of(framework: FrameworkId) -> RangeInclusive<Self> {
        Self { framework, role: RoleId::FIRST }..=Self { framework, role: RoleId::LAST }
    }
}
