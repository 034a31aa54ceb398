use alloc::string::String;
use core::num::NonZeroU32;

use super::Ranking;
use crate::quantity::{Bytes, MilliCpu};
use crate::resources::{Resources, Share};

/// `amount` of 100 cpus and 100 bytes.
fn share(cpus: u64, mem: u64) -> Share {
    let total = Resources::new(MilliCpu::new(100), Bytes::new(100), Bytes::ZERO);
    Resources::new(MilliCpu::new(cpus), Bytes::new(mem), Bytes::ZERO).dominant_share(&total)
}

fn order(ranking: &Ranking<char>) -> String {
    ranking.in_order().collect()
}

/// Mesos: `DRFSorterTest.DRF`.
#[test]
fn the_smallest_dominant_share_is_served_first() {
    let mut ranking = Ranking::default();
    ranking.set('a', share(5, 5), 1);
    ranking.set('b', share(6, 6), 1);
    assert_eq!(order(&ranking), "ab");

    ranking.set('c', share(1, 1), 1);
    ranking.set('d', share(3, 1), 1);
    assert_eq!(order(&ranking), "cdab");

    ranking.remove(&'d');
    ranking.set('b', share(4, 4), 2);
    assert_eq!(order(&ranking), "cba");
}

/// Mesos: `DRFSorterTest.WDRF`.
#[test]
fn a_weight_divides_the_share() {
    let mut ranking = Ranking::default();
    let two = NonZeroU32::new(2).expect("two is not zero");
    ranking.set('a', share(5, 5), 1);
    ranking.set('b', share(6, 6).per_weight(two), 1);

    assert_eq!(order(&ranking), "ba");
}

/// Mesos: `DRFSorterTest.AllocationCountTieBreak`.
#[test]
fn among_equal_shares_the_one_chosen_least_often_is_first_and_then_the_first_by_name() {
    let mut ranking = Ranking::default();
    for (name, grants) in [('a', 1), ('b', 1), ('c', 3), ('d', 2), ('e', 1)] {
        ranking.set(name, Share::ZERO, grants);
    }

    assert_eq!(order(&ranking), "abedc");
}
