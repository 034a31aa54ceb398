use alloc::collections::BTreeMap;
use alloc::string::String;
use core::num::NonZeroU32;

use super::{Place, Ranking};
use crate::quantity::{Bytes, MilliCpu};
use crate::resources::{Resources, Share};

/// `amount` of 100 cpus and 100 bytes.
fn share(cpus: u64, mem: u64) -> Share {
    let total = Resources::new(MilliCpu::new(100), Bytes::new(100), Bytes::ZERO);
    Resources::new(MilliCpu::new(cpus), Bytes::new(mem), Bytes::ZERO).dominant_share(&total)
}

/// Claimants with their places.
#[derive(Default)]
struct Claimants(Ranking<char>, BTreeMap<char, Option<Place>>);

impl Claimants {
    fn set(&mut self, id: char, share: Share, grants: u64) {
        self.0.move_to(&id, self.1.entry(id).or_default(), Some((share, grants)));
    }
}

fn order(claimants: &Claimants) -> String {
    claimants.0.in_order().collect()
}

/// Mesos: `DRFSorterTest.DRF`.
#[test]
fn the_smallest_dominant_share_is_served_first() {
    let mut claimants = Claimants::default();
    claimants.set('a', share(5, 5), 1);
    claimants.set('b', share(6, 6), 1);
    assert_eq!(order(&claimants), "ab");

    claimants.set('c', share(1, 1), 1);
    claimants.set('d', share(3, 1), 1);
    assert_eq!(order(&claimants), "cdab");

    claimants.0.move_to(&'d', claimants.1.entry('d').or_default(), None);
    claimants.set('b', share(4, 4), 2);
    assert_eq!(order(&claimants), "cba");
}

/// S6. Mesos: `DRFSorterTest.WDRF`.
#[test]
fn a_weight_divides_the_share() {
    let mut claimants = Claimants::default();
    let two = NonZeroU32::new(2).expect("two is not zero");
    claimants.set('a', share(5, 5), 1);
    claimants.set('b', share(6, 6).per_weight(two), 1);

    assert_eq!(order(&claimants), "ba");
}

/// S7. Mesos: `DRFSorterTest.AllocationCountTieBreak`.
#[test]
fn among_equal_shares_the_one_chosen_least_often_is_first_and_then_the_first_by_name() {
    let mut claimants = Claimants::default();
    for (name, grants) in [('a', 1), ('b', 1), ('c', 3), ('d', 2), ('e', 1)] {
        claimants.set(name, Share::ZERO, grants);
    }

    assert_eq!(order(&claimants), "abedc");
}
