//! Which frameworks each principal has, so that no one has more than its part.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;

use crate::id::FrameworkId;

/// By the name of the principal. One without a framework is not here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Principals(BTreeMap<Arc<str>, BTreeSet<FrameworkId>>);

impl Principals {
    /// The frameworks of that one, connected or not.
    pub(super) fn frameworks(&self, name: &str) -> &BTreeSet<FrameworkId> {
        static NONE: BTreeSet<FrameworkId> = BTreeSet::new();
        self.0.get(name).unwrap_or(&NONE)
    }

    pub(super) fn insert(&mut self, name: &Arc<str>, id: FrameworkId) {
        self.0.entry(Arc::clone(name)).or_default().insert(id);
    }

    pub(super) fn remove(&mut self, name: &str, id: FrameworkId) {
        if let Some(frameworks) = self.0.get_mut(name) {
            frameworks.remove(&id);
            if frameworks.is_empty() {
                self.0.remove(name);
            }
        }
    }
}
