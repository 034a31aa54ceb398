//! Open offers.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use super::demand::Units;
use super::seat::Seat;
use crate::id::{AgentId, FrameworkId, OfferId};
use crate::reservation::Portion;
use crate::time::Now;

/// What an open offer promises. Its resources count as allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// To whom.
    pub framework: FrameworkId,
    /// For which of its roles.
    pub role: Arc<str>,
    /// Where.
    pub agent: AgentId,
    /// How much, and what of it is reserved.
    pub portion: Portion,
    /// When it was made.
    pub since: Now,
    pub(super) seat: Seat,
    /// Which of the framework's wants it meets.
    pub(super) units: Units,
}

/// All open offers. Ids rise, so the oldest offer comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Promises {
    /// Boxed: what is added and removed all the time moves its neighbours.
    open: BTreeMap<OfferId, Box<Promise>>,
    last: u64,
}

impl Promises {
    /// None; their ids will be above `last`.
    pub(super) fn above(last: u64) -> Self {
        Self { open: BTreeMap::new(), last }
    }

    pub(super) fn add(&mut self, promise: Promise) -> OfferId {
        self.last += 1;
        let id = OfferId(self.last);
        self.open.insert(id, Box::new(promise));
        id
    }

    pub(super) fn get(&self, id: OfferId) -> Option<&Promise> {
        self.open.get(&id).map(Box::as_ref)
    }

    pub(super) fn remove(&mut self, id: OfferId) -> Option<Promise> {
        self.open.remove(&id).map(|promise| *promise)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (OfferId, &Promise)> {
        self.open.iter().map(|(&id, promise)| (id, &**promise))
    }

    pub(super) fn after(&self, id: Option<OfferId>) -> impl Iterator<Item = (OfferId, &Promise)> {
        let from = id.map_or(core::ops::Bound::Unbounded, core::ops::Bound::Excluded);
        self.open.range((from, core::ops::Bound::Unbounded)).map(|(&id, promise)| (id, &**promise))
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }
}
