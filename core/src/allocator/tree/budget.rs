//! What quotas count of one role.

use alloc::borrow::Cow;

use super::super::ledger::Account;
use crate::quota::{Ceiling, Quota};
use crate::resources::{Ports, Resources};

/// What a role may have, what it has, and what it is promised and has not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Budget {
    pub(in super::super) quota: Option<Quota>,
    /// What it has, with all roles below.
    pub(in super::super) account: Account,
    /// What is reserved for it, and for the roles below it, and free on active agents. Kept while there are quotas.
    pub(in super::super) idle: Resources,
    /// What it and the roles below it are promised and have not.
    pub(in super::super) shortfall: Resources,
    /// The sum of that over the roles right below.
    pub(in super::super) shortfall_below: Resources,
}

impl Budget {
    /// What the role is promised itself and has not.
    pub(in super::super) fn own_shortfall(&self) -> Resources {
        let mut short = self.quota.as_ref().map(|quota| quota.guarantee.clone()).unwrap_or_default();
        short.take_up_to(&self.consumed());
        short
    }

    /// What counts towards its quota: what is allocated to it, and what is reserved for it though nobody uses it.
    pub(in super::super) fn consumed(&self) -> Cow<'_, Resources> {
        if self.idle.is_empty() {
            return Cow::Borrowed(&self.account.allocated);
        }
        let mut sum = self.account.allocated.clone();
        sum.give(&self.idle);
        Cow::Owned(sum)
    }

    /// More or less is free of what is reserved.
    pub(in super::super) fn change_idle(&mut self, change: impl FnOnce(&mut Resources)) {
        change(&mut self.idle);
        self.idle.ports = Ports::default();
    }

    /// What its limit leaves; `None` without one.
    pub(in super::super) fn left(&self) -> Option<Ceiling> {
        self.quota.as_ref().map(|quota| quota.limit.left(&self.consumed()))
    }
}
