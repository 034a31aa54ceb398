//! What each principal has, so that no one has more than its part.

use alloc::collections::{BTreeMap, BTreeSet};
use core::ops::Bound;

use crate::access::PrincipalId;
use crate::id::FrameworkId;

/// Principals that have a framework.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Principals(BTreeMap<PrincipalId, Owned>);

/// What one principal has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Owned {
    /// Its frameworks, connected or not.
    pub(super) frameworks: BTreeSet<FrameworkId>,
    /// Tasks of its that were dropped since it had too many, as long as it has frameworks.
    pub(super) dropped: u64,
}

impl Principals {
    /// The frameworks of that one, connected or not.
    pub(super) fn frameworks(&self, who: &PrincipalId) -> &BTreeSet<FrameworkId> {
        static NONE: BTreeSet<FrameworkId> = BTreeSet::new();
        self.0.get(who).map_or(&NONE, |owned| &owned.frameworks)
    }

    /// Those behind `after`, by name.
    pub(super) fn iter_after(&self, after: Option<&PrincipalId>) -> impl Iterator<Item = (&PrincipalId, &Owned)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.0.range((from, Bound::Unbounded))
    }

    pub(super) fn insert(&mut self, who: &PrincipalId, id: FrameworkId) {
        self.0.entry(who.clone()).or_default().frameworks.insert(id);
    }

    pub(super) fn remove(&mut self, who: &PrincipalId, id: FrameworkId) {
        if let Some(owned) = self.0.get_mut(who) {
            owned.frameworks.remove(&id);
            if owned.frameworks.is_empty() {
                self.0.remove(who);
            }
        }
    }

    /// One more of its tasks was dropped since it has too many.
    pub(super) fn note_dropped(&mut self, who: &PrincipalId) {
        if let Some(owned) = self.0.get_mut(who) {
            owned.dropped += 1;
        }
    }
}
