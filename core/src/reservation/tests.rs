use alloc::string::ToString;
use alloc::vec;

use super::*;
use crate::quantity::{Bytes, MilliCpu};

fn cpus(cores: u64) -> Resources {
    Resources::new(MilliCpu::from_cores(cores), Bytes::ZERO, Bytes::ZERO)
}

fn part(reservation: Reservation, cores: u64) -> Reserved {
    Reserved { reservation, resources: cpus(cores) }
}

fn eng() -> Reservation {
    Reservation::new("eng").unwrap()
}

fn reserve(role: &str, within: Option<&str>, cores: u64) -> Operation {
    Operation::Reserve { role: role.to_string(), within: within.map(ToString::to_string), resources: cpus(cores) }
}

fn unreserve(role: &str, cores: u64) -> Operation {
    Operation::Unreserve { role: role.to_string(), resources: cpus(cores) }
}

#[test]
fn what_is_reserved_is_for_the_role_and_those_below() {
    let batch = eng().refined("eng/batch").unwrap();

    assert!(eng().is_for("eng") && eng().is_for("eng/batch") && !eng().is_for("engine") && !eng().is_for("web"));
    assert!(batch.is_for("eng/batch/x") && !batch.is_for("eng"));
    assert_eq!(batch.to_string(), "eng > eng/batch");
    assert_eq!(batch.ended(), Some(eng()));
    assert_eq!(eng().ended(), None);
    assert!(eng().refined("web").is_err() && eng().refined("eng").is_err());
}

#[test]
fn what_is_taken_is_first_what_others_could_not_use() {
    let batch = eng().refined("eng/batch").unwrap();
    let mut has = Portion::from(cpus(2));
    has.give(&Portion::of_one(Some(eng()), cpus(2)));
    has.give(&Portion::of_one(Some(batch.clone()), cpus(1)));

    let taken = has.take(&cpus(4)).unwrap();

    assert_eq!(taken.reserved, [part(batch, 1), part(eng(), 2)]);
    assert_eq!(*taken.unreserved(), cpus(1));
    assert_eq!(has, Portion::from(cpus(1)));
    assert!(has.take(&cpus(2)).is_err());
}

#[test]
fn others_cannot_use_what_is_reserved() {
    let mut has = Portion::from(cpus(2));
    has.give(&Portion::of_one(Some(eng()), cpus(3)));

    assert_eq!(has.usable("web").resources, cpus(2));
    assert_eq!(has.usable("eng/batch").resources, cpus(5));
}

#[test]
fn reserving_refining_and_ending_each_go_one_level() {
    let (mut has, mut list) = (Portion::from(cpus(4)), vec![]);
    reserve("eng", None, 3).carry_out(&mut has, &mut list).unwrap();
    assert_eq!((has.resources.clone(), list.clone()), (cpus(4), vec![part(eng(), 3)]));

    reserve("eng/batch", Some("eng"), 1).carry_out(&mut has, &mut list).unwrap();
    let batch = eng().refined("eng/batch").unwrap();
    assert_eq!(list, [part(batch, 1), part(eng(), 2)]);

    assert_eq!(unreserve("eng/batch", 2).carry_out(&mut has, &mut list), Err(cpus(1)));
    unreserve("eng/batch", 1).carry_out(&mut has, &mut list).unwrap();
    assert_eq!(list, [part(eng(), 3)]);
    unreserve("eng", 3).carry_out(&mut has, &mut list).unwrap();
    assert_eq!((has, list), (Portion::from(cpus(4)), vec![]));
}

#[test]
fn what_an_agents_configuration_reserves_can_be_refined_and_not_ended() {
    let fixed = Reservation::fixed("eng").unwrap();
    let (mut has, mut list) = (Portion::of_one(Some(fixed.clone()), cpus(2)), vec![]);
    assert_eq!(unreserve("eng", 1).carry_out(&mut has, &mut list), Err(cpus(0)));

    reserve("eng/x", Some("eng"), 1).carry_out(&mut has, &mut list).unwrap();
    assert_eq!(list, [part(fixed.refined("eng/x").unwrap(), 1)]);
    unreserve("eng/x", 1).carry_out(&mut has, &mut list).unwrap();

    assert_eq!((has, list), (Portion::of_one(Some(fixed), cpus(2)), vec![]));
}

#[test]
fn what_makes_no_sense_is_refused() {
    assert_eq!(reserve("eng", None, 0).check(), Err(InvalidReservation::Nothing));
    assert!(reserve("a//b", None, 1).check().is_err());
    assert!(reserve("web", Some("eng"), 1).check().is_err());
    assert!(reserve("eng/x", Some("eng"), 1).check().is_ok());
    assert!(unreserve("", 1).check().is_err());
}
