//! What each principal has, so that no one has more than its part.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use core::ops::Bound;

use crate::id::FrameworkId;

/// By the name of the principal. One without a framework is not here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Principals(BTreeMap<Arc<str>, Owned>);

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
    pub(super) fn frameworks(&self, name: &str) -> &BTreeSet<FrameworkId> {
        static NONE: BTreeSet<FrameworkId> = BTreeSet::new();
        self.0.get(name).map_or(&NONE, |owned| &owned.frameworks)
    }

    /// Those behind `after`, by name.
    pub(super) fn iter_after<'a>(&'a self, after: Option<&str>) -> impl Iterator<Item = (&'a Arc<str>, &'a Owned)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.0.range::<str, _>((from, Bound::Unbounded))
    }

    pub(super) fn insert(&mut self, name: &Arc<str>, id: FrameworkId) {
        self.0.entry(Arc::clone(name)).or_default().frameworks.insert(id);
    }

    pub(super) fn remove(&mut self, name: &str, id: FrameworkId) {
        if let Some(owned) = self.0.get_mut(name) {
            owned.frameworks.remove(&id);
            if owned.frameworks.is_empty() {
                self.0.remove(name);
            }
        }
    }

    /// One more of its tasks was dropped since it has too many.
    pub(super) fn note_dropped(&mut self, name: &str) {
        if let Some(owned) = self.0.get_mut(name) {
            owned.dropped += 1;
        }
    }
}
