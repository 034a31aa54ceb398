//! The modules of tasks: each digest once, however many tasks have it, as their records have room for its place alone.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use crate::id::Digest;

/// Where a digest is, in four bytes even where there may be none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ModuleAt(
    /// One more than its place.
    NonZeroU32,
);

/// The digests that some record names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Modules {
    places: Vec<Place>,
    free: Vec<ModuleAt>,
    by_digest: BTreeMap<Digest, ModuleAt>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    digest: Digest,
    records: usize,
}

impl Modules {
    /// One record more names it. [`Self::give_back`] is the opposite.
    pub(super) fn take(&mut self, digest: Digest) -> ModuleAt {
        let known = self.by_digest.get(&digest).copied();
        let at = known.unwrap_or_else(|| {
            let at = self.free.pop().unwrap_or_else(|| {
                self.places.push(Place { digest, records: 0 });
                let count = u32::try_from(self.places.len()).expect("there are fewer tasks than that");
                ModuleAt(NonZeroU32::new(count).expect("one was just added"))
            });
            self.places[at.index()].digest = digest;
            self.by_digest.insert(digest, at);
            at
        });
        self.places[at.index()].records += 1;
        at
    }

    /// A record that named it is gone.
    pub(super) fn give_back(&mut self, at: ModuleAt) {
        let place = &mut self.places[at.index()];
        place.records -= 1;
        if place.records == 0 {
            self.by_digest.remove(&place.digest);
            self.free.push(at);
        }
    }

    pub(super) fn digest(&self, at: ModuleAt) -> Digest {
        self.places[at.index()].digest
    }
}

impl ModuleAt {
    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Digest = Digest([1; 32]);
    const B: Digest = Digest([2; 32]);

    #[test]
    fn a_digest_is_kept_once_for_as_long_as_a_record_names_it() {
        let mut modules = Modules::default();
        let [first, other, again] = [A, B, A].map(|digest| modules.take(digest));

        assert_eq!((first, modules.digest(first), modules.digest(other)), (again, A, B));
        modules.give_back(first);
        assert_eq!((modules.digest(again), modules.by_digest.len()), (A, 2));
        modules.give_back(again);
        assert_eq!(modules.by_digest.len(), 1);
    }

    #[test]
    fn a_place_that_nobody_needs_is_for_the_next_digest() {
        let mut modules = Modules::default();
        for number in 0..100 {
            let digest = Digest([number; 32]);
            let at = modules.take(digest);
            assert_eq!(modules.digest(at), digest);
            modules.give_back(at);
        }

        assert_eq!((modules.places.len(), modules.by_digest.len()), (1, 0));
    }

    #[test]
    fn its_place_has_four_bytes_even_where_there_is_none() {
        assert_eq!(size_of::<Option<ModuleAt>>(), 4);
    }
}
