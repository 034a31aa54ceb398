//! Who is next.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::resources::Share;

/// Claimants in the order in which they are served: the smallest share first, among equals the one that was
/// chosen least often, then by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ranking<Id: Ord> {
    places: BTreeMap<Id, (Share, u64)>,
    order: BTreeSet<((Share, u64), Id)>,
}

impl<Id: Ord> Default for Ranking<Id> {
    fn default() -> Self {
        Self { places: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<Id: Ord + Clone> Ranking<Id> {
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Id> {
        self.order.iter().map(|(_, id)| id)
    }

    pub(super) fn place(&self, id: &Id) -> Option<(Share, u64)> {
        self.places.get(id).copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn set(&mut self, id: Id, share: Share, grants: u64) {
        self.remove(&id);
        self.places.insert(id.clone(), (share, grants));
        self.order.insert(((share, grants), id));
    }

    pub(super) fn remove(&mut self, id: &Id) {
        if let Some((id, place)) = self.places.remove_entry(id) {
            self.order.remove(&(place, id));
        }
    }
}

#[cfg(test)]
mod tests;
