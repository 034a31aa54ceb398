//! So many places for each principal, of those that all have together: none takes all of them from everybody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use haggle_core::access::PrincipalId;
use tokio::sync::Semaphore;

/// The places of each.
#[derive(Debug)]
pub(crate) struct Each {
    places: usize,
    known: Mutex<HashMap<PrincipalId, Weak<Semaphore>>>,
}

impl Each {
    pub(crate) fn new(places: usize) -> Self {
        Self { places, known: Mutex::default() }
    }

    /// Those of one principal, for as long as anybody has one of them or waits for one.
    pub(crate) fn of(&self, who: PrincipalId) -> Arc<Semaphore> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, places| places.strong_count() > 0);
        let places = known.get(&who).and_then(Weak::upgrade);
        places.unwrap_or_else(|| {
            let places = Arc::new(Semaphore::new(self.places));
            known.insert(who, Arc::downgrade(&places));
            places
        })
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::access::PlainKind;

    use super::*;

    fn who(name: &str) -> PrincipalId {
        PrincipalId { name: name.into(), kind: PlainKind::Framework }
    }

    #[test]
    fn who_has_taken_all_of_its_places_leaves_those_of_others() {
        let each = Each::new(2);
        let taken = [(); 2].map(|()| each.of(who("greedy")).try_acquire_owned().unwrap());

        assert!(each.of(who("greedy")).try_acquire_owned().is_err());
        assert!(each.of(who("modest")).try_acquire_owned().is_ok());

        drop(taken);
        assert!(each.of(who("greedy")).try_acquire_owned().is_ok());
        assert_eq!(each.known.lock().unwrap().len(), 1, "who has none is forgotten");
    }
}
