//! Ids, quantities and resources: how they read, and how they add up.

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use haggle_core::resources::{PortRange, Ports, Share};
use haggle_core::{
    AgentId, Bytes, Digest, FrameworkId, Fuel, InverseOfferId, MaintenanceId, MilliCpu, Now, OfferId, Resources,
    SessionId, TaskId, UpdateId,
};
use proptest::prelude::*;

/// Reads back what it printed.
fn round_trip<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(value: &T, text: &str) {
    assert_eq!(value.to_string(), text);
    assert_eq!(text.parse::<T>().expect("it was printed like this"), *value);
}

fn complaint<T: FromStr<Err: Display> + Debug>(text: &str) -> String {
    text.parse::<T>().expect_err("it is wrong").to_string()
}

fn ports(ranges: &[(u16, u16)]) -> Ports {
    Ports::new(ranges.iter().map(|&(first, last)| PortRange { first, last }))
}

fn resources(milli: u64, mib: u64) -> Resources {
    Resources::new(MilliCpu::new(milli), Bytes::from_mib(mib), Bytes::ZERO)
}

#[test]
fn ids_read_as_they_print() {
    round_trip(&AgentId(1), "agent-1");
    round_trip(&FrameworkId(2), "framework-2");
    round_trip(&OfferId(3), "offer-3");
    round_trip(&InverseOfferId(3), "inverse-offer-3");
    round_trip(&MaintenanceId(3), "maintenance-3");
    round_trip(&SessionId(4), "session-4");
    round_trip(&UpdateId(5), "update-5");
    round_trip(&TaskId { framework: FrameworkId(3), number: 7 }, "task-3.7");
    round_trip(&Digest([0xab; 32]), &format!("sha256:{}", "ab".repeat(32)));
}

#[test]
fn a_text_that_is_no_id_says_what_was_wanted() {
    assert_eq!(complaint::<AgentId>("offer-1"), "\"offer-1\" is not an id like agent-1");
    assert_eq!(complaint::<TaskId>("task-3"), "\"task-3\" is not an id like task-3.7");
    assert_eq!(complaint::<TaskId>("task-a.b"), "\"task-a.b\" is not an id like task-3.7");
    assert!(complaint::<Digest>("sha256:12").contains("64 hexadecimal digits"));
    assert!(complaint::<Digest>(&format!("sha256:{}", "é".repeat(32))).contains("64 hexadecimal digits"));
}

#[test]
fn cores_are_read_in_thousandths() {
    for (text, milli) in [("2", 2000), ("0.25", 250), ("0.5", 500), ("1.001", 1001), ("0", 0)] {
        assert_eq!(text.parse(), Ok(MilliCpu::new(milli)), "{text}");
    }
    for text in ["", ".", ".5", "1.", "1.0001", "-1", "+1", "1e3", "99999999999999999999"] {
        assert!(text.parse::<MilliCpu>().is_err(), "{text} is read");
    }
    assert_eq!(
        complaint::<MilliCpu>("many"),
        "\"many\" is not a number of cores like 2 or 0.25, in thousandths at the finest"
    );
}

#[test]
fn sizes_are_read_with_binary_units() {
    for (text, bytes) in [("64MiB", 64 << 20), ("64 MiB", 64 << 20), ("1GiB", 1 << 30), ("512KiB", 512 << 10)] {
        assert_eq!(text.parse(), Ok(Bytes::new(bytes)), "{text}");
    }
    assert_eq!("4096".parse(), Ok(Bytes::new(4096)));
    assert_eq!("4096B".parse(), Ok(Bytes::new(4096)));
    for text in ["", "MiB", "-1", "1.5GiB", "1MB", "99999999TiB"] {
        assert!(text.parse::<Bytes>().is_err(), "{text} is read");
    }
    assert_eq!(complaint::<Bytes>("big"), "\"big\" is not a size like 64MiB, 1GiB or 4096");
}

#[test]
fn amounts_print_with_their_unit() {
    assert_eq!(MilliCpu::new(500).to_string(), "0.500 cpu");
    assert_eq!(Bytes::from_mib(64).to_string(), "64 MiB");
    assert_eq!(Bytes::new(1536).to_string(), "1.5 KiB");
    assert_eq!(Bytes::ZERO.to_string(), "0 B");
    assert_eq!(Fuel::new(7).to_string(), "7 fuel");
    assert_eq!(Now::from_millis(1500).to_string(), "1.500s");
}

#[test]
fn arithmetic_on_amounts_is_checked_or_stops_at_the_end() {
    let (one, two) = (Bytes::new(1), Bytes::new(2));

    assert_eq!(one.checked_sub(two), None);
    assert_eq!(one.saturating_sub(two), Bytes::ZERO);
    assert_eq!(Bytes::MAX.checked_add(one), None);
    assert_eq!(Bytes::MAX.saturating_add(one), Bytes::MAX);
    assert_eq!(Now::ZERO + Duration::MAX, Now::from_nanos(u64::MAX));
    assert_eq!(Now::ZERO - Now::from_millis(5), Duration::ZERO);
}

#[test]
fn resources_print_what_there_is() {
    assert_eq!(resources(500, 64).to_string(), "0.500 cpu, 64 MiB mem");

    let everything = Resources::new(MilliCpu::new(500), Bytes::from_mib(64), Bytes::from_mib(16))
        .with_ports(ports(&[(8000, 8009), (9000, 9000)]))
        .with_scalar("licences", 1500);
    let text = "0.500 cpu, 64 MiB mem, 16 MiB disk, ports 8000-8009,9000-9000, 1.500 licences";
    assert_eq!(everything.to_string(), text);
}

#[test]
fn what_does_not_fit_says_what_was_wanted_and_what_there_was() {
    let has = resources(500, 64).with_ports(ports(&[(80, 80)])).with_scalar("gpu", 1000);
    let short = |wanted: &Resources| has.fits(wanted).expect_err("it is too much").to_string();

    assert_eq!(short(&resources(501, 64)), "wants 0.501 cpu, has 0.500 cpu");
    assert_eq!(short(&resources(1, 65)), "wants 65 MiB mem, has 64 MiB mem");
    let disk = Resources::new(MilliCpu::ZERO, Bytes::ZERO, Bytes::new(1));
    assert_eq!(short(&disk), "wants 1 B disk, has 0 B disk");
    assert_eq!(short(&Resources::default().with_ports(ports(&[(80, 81)]))), "wants ports 80-81, has ports 80-80");
    assert_eq!(short(&Resources::default().with_scalar("gpu", 2000)), "wants 2.000 gpu, has 1.000 gpu");
}

#[test]
fn taking_too_much_takes_nothing() {
    let mut has = resources(500, 64).with_scalar("gpu", 1000);
    let before = has.clone();

    assert!(has.take(&resources(100, 10).with_scalar("gpu", 1001)).is_err());

    assert_eq!(has, before);
}

#[test]
fn a_scalar_of_zero_is_not_kept() {
    let mut has = resources(0, 0).with_scalar("gpu", 1000);
    has.take(&Resources::default().with_scalar("gpu", 1000)).expect("it is there");

    assert!(has.is_empty());
    assert_eq!(has.with_scalar("gpu", 0), Resources::default());
}

#[test]
fn the_dominant_share_is_the_largest() {
    let total = resources(9000, 18 * 1024);

    assert_eq!(resources(1000, 4 * 1024).dominant_share(&total), Share::new(4, 18));
    assert_eq!(resources(3000, 1024).dominant_share(&total), Share::new(3, 9));
    assert_eq!(resources(1, 1).dominant_share(&Resources::default()), Share::ZERO);
    let gpus = total.with_scalar("gpu", 4000);
    assert_eq!(resources(1, 1).with_scalar("gpu", 2000).dominant_share(&gpus), Share::new(1, 2));
}

#[test]
fn touching_ranges_are_one() {
    assert_eq!(ports(&[(3, 4), (1, 2), (8, 9), (9, 12), (7, 5)]), ports(&[(1, 4), (8, 12)]));
    assert_eq!(ports(&[(0, 65535), (65535, 65535)]).to_string(), "0-65535");
}

#[test]
fn ports_are_cut_out_of_ranges() {
    let mut some = ports(&[(0, 100), (65535, 65535)]);

    some.remove(&ports(&[(0, 0), (50, 60), (65535, 65535)]));

    assert_eq!(some, ports(&[(1, 49), (61, 100)]));
    assert!(some.contains(&ports(&[(1, 2), (61, 100)])));
    assert!(!some.contains(&ports(&[(49, 50)])));
}

fn amount() -> impl Strategy<Value = Resources> {
    let ranges = prop::collection::vec((0..50_u16, 0..10_u16), 0..4);
    (0..1000_u64, 0..1000_u64, 0..3_u64, ranges).prop_map(|(cpus, mem, gpus, ranges)| {
        let ranges: Vec<_> = ranges.into_iter().map(|(first, more)| (first, first + more)).collect();
        resources(cpus, mem).with_scalar("gpu", gpus).with_ports(ports(&ranges))
    })
}

fn each(ports: &Ports) -> BTreeSet<u16> {
    ports.ranges().iter().flat_map(|range| range.first..=range.last).collect()
}

proptest! {
    #[test]
    fn what_was_taken_can_be_given_back(has in amount(), wanted in amount()) {
        let mut left = has.clone();

        prop_assert_eq!(has.contains(&wanted), has.fits(&wanted).is_ok());
        if left.take(&wanted).is_ok() {
            left.give(&wanted);
        }

        prop_assert_eq!(left, has);
    }

    #[test]
    fn taking_up_to_an_amount_leaves_what_taking_it_would(has in amount(), wanted in amount()) {
        let (mut taken, mut taken_up_to) = (has.clone(), has);

        taken_up_to.take_up_to(&wanted);

        if taken.take(&wanted).is_ok() {
            prop_assert_eq!(taken, taken_up_to);
        } else {
            prop_assert!(taken.contains(&taken_up_to));
        }
    }

    #[test]
    fn ports_are_a_set(has in amount(), other in amount()) {
        let (has, other) = (has.ports, other.ports);
        let (mut sum, mut rest) = (has.clone(), has.clone());
        sum.insert(&other);
        rest.remove(&other);

        prop_assert_eq!(each(&sum), &each(&has) | &each(&other));
        prop_assert_eq!(each(&rest), &each(&has) - &each(&other));
        prop_assert_eq!(has.contains(&other), each(&has).is_superset(&each(&other)));
    }

    /// Also where the cross-products do not fit 128 bits.
    #[test]
    fn shares_are_compared_exactly(part: u64, of in 1..u64::MAX, weight: NonZeroU32) {
        let share = Share::new(part, of).per_weight(weight);

        prop_assert_eq!(share, Share::new(part, of).per_weight(weight));
        if part < u64::MAX {
            prop_assert!(share < Share::new(part + 1, of).per_weight(weight));
        }
        if part > 0 {
            prop_assert!(share > Share::new(part, of + 1).per_weight(weight));
        }
        prop_assert!(Share::ZERO <= share);
    }
}
