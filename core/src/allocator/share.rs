//! Who is next.

use alloc::collections::BTreeSet;

use crate::resources::Share;

/// Where a claimant stands: its share, and how often it was chosen.
pub(super) type Place = (Share, u64);

/// Claimants in the order in which they are served: the smallest share first, among equals the one that was
/// chosen least often, then by name. Each keeps its own place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ranking<Id: Ord>(BTreeSet<(Place, Id)>);

impl<Id: Ord> Default for Ranking<Id> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<Id: Ord + Clone> Ranking<Id> {
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Id> {
        self.0.iter().map(|(_, id)| id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Moves a claimant from one place to another; `None` is outside of the ranking.
    pub(super) fn move_to(&mut self, id: &Id, from: &mut Option<Place>, to: Option<Place>) {
        if *from == to {
            return;
        }
        if let Some(from) = *from {
            self.0.remove(&(from, id.clone()));
        }
        if let Some(to) = to {
            self.0.insert((to, id.clone()));
        }
        *from = to;
    }
}

#[cfg(test)]
mod tests;
