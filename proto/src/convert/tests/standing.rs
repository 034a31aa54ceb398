//! What operators decide of roles and agents, and how those stand, over the wire.

use haggle_core::allocator::Withheld;
use haggle_core::cluster::{
    AgentView, Announcement, MaintenanceView, OfferView, PhaseView, ReservationView, RoleView, WithdrawalView,
};
use haggle_core::resources::Share;

use super::super::{maintenance, placement, weight};
use super::*;

#[test]
fn a_quota_survives_the_wire_and_what_is_absent_is_no_bound() {
    let quota = Quota { guarantee: resources(), limit: ceiling() };

    assert_eq!(Quota::try_from(v1::Quota::from(quota.clone())), Ok(quota));
    assert_eq!(Quota::try_from(v1::Quota::default()), Ok(Quota::default()));
}

#[test]
fn a_limit_beyond_exact_arithmetic_is_malformed() {
    let limit = v1::Ceiling { milli_cpus: Some(u64::MAX), ..Default::default() };

    let refused = Quota::try_from(v1::Quota { limit: Some(limit), guarantee: None }).unwrap_err();

    assert_eq!(refused.to_string(), format!("milli_cpus of a limit is {}, must be at most 2^53", u64::MAX));
}

#[test]
fn a_weight_of_nothing_is_malformed() {
    assert_eq!(weight(None), Ok(None));
    assert_eq!(weight(Some(3)).map(|weight| weight.map(u32::from)), Ok(Some(3)));
    assert_eq!(weight(Some(0)).unwrap_err().to_string(), "weight is 0, must be 1 or more");
}

#[test]
fn an_open_offer_tells_its_age() {
    let offer = OfferView {
        id: OfferId(1),
        framework: FrameworkId(2),
        role: "eng/batch".into(),
        agent: AgentId(3),
        resources: resources(),
        reserved: vec![reserved()],
        volumes: vec![volume()],
        age: Duration::from_millis(1500),
    };

    assert_eq!(OfferView::try_from(v1::OpenOffer::from(offer.clone())), Ok(offer));
}

#[test]
fn an_agent_tells_that_it_takes_no_tasks_and_for_how_long() {
    let kill_in = Duration::from_secs(20);
    let phases = [PhaseView::Deactivated, PhaseView::Draining { kill_in, mark_gone: true }, PhaseView::Drained];
    let causes = [Cause::Operator, Cause::Maintenance(MaintenanceId(4))];
    let withdrawal =
        |phase| causes.map(|cause| Some(WithdrawalView { phase, age: Duration::from_millis(1500), cause }));

    for withdrawal in phases.into_iter().flat_map(withdrawal).chain([None]) {
        let agent = AgentView {
            id: AgentId(3),
            info: AgentInfo { name: "a".into(), resources: resources(), ..AgentInfo::default() },
            connected: true,
            draining: false,
            withdrawal,
            unavailability: Some(WHEN),
            revocable: MilliCpu::new(700),
            used: resources(),
            offered: Resources::default(),
            reserved: vec![ReservationView {
                reserved: reserved(),
                used: resources(),
                offered: Resources::default(),
                kept: resources(),
            }],
            volumes: 3,
            kept: Bytes::from_mib(5),
            tasks: 2,
        };
        assert_eq!(AgentView::try_from(v1::Agent::from(agent.clone())), Ok(agent));
    }
    for withheld in [Withheld::Deactivated, Withheld::Draining, Withheld::Drained] {
        let happened = Announcement::AgentWithdrawn(AgentId(3), withheld);
        assert_eq!(Announcement::try_from(v1::watch_event::Event::from(happened.clone())), Ok(happened));
    }
}

#[test]
fn a_maintenance_window_survives_the_wire() {
    let maintenance =
        Maintenance { agents: [AgentId(3), AgentId(4)].into(), when: WHEN, grace: Duration::from_secs(30) };
    let view =
        MaintenanceView { id: MaintenanceId(2), maintenance, has_begun: true, unanswered: 1, accepted: 2, declined: 3 };

    assert_eq!(MaintenanceView::try_from(v1::Maintenance::from(view.clone())), Ok(view));
}

#[test]
fn a_maintenance_window_begins_at_a_moment_or_so_long_after_it_is_heard_of() {
    use v1::schedule_maintenance_request::Start;
    let start = |start| {
        let wire = v1::ScheduleMaintenanceRequest { agents: vec![1], start, duration_ms: 60_000, ..Default::default() };
        maintenance(&wire, 5_000).map(|window| window.when.start_ms)
    };

    assert_eq!(start(Some(Start::StartMs(7_000))), Ok(7_000));
    assert_eq!(start(Some(Start::StartInMs(7_000))), Ok(12_000));
    assert_eq!(start(None), Err(Malformed::Missing("start of a maintenance window")));
}

#[test]
fn a_role_tells_what_it_has_beside_what_it_should_have() {
    let quota = Quota { guarantee: resources(), limit: ceiling() };
    let role = RoleView {
        name: "eng/batch".into(),
        weight: 2,
        frameworks: 3,
        waiting: 1,
        used: resources(),
        offered: Resources::default(),
        reserved: resources(),
        share: Share::new(1, 4),
        fair_share: Share::new(1, 2),
        quota: Some(quota.clone()),
        placement: Placement::Spread,
        min_allocatable: Some(resources()),
    };

    let wire = v1::Role::from(role);

    assert_eq!((wire.share, wire.fair_share, wire.waiting), (0.25, 0.5, 1));
    assert_eq!(wire.reserved, Some(resources().into()));
    assert_eq!((wire.used, wire.offered), (Some(resources().into()), Some(Resources::default().into())));
    assert_eq!(wire.quota.map(Quota::try_from), Some(Ok(quota)));
    assert_eq!(
        (placement(wire.placement), wire.min_allocatable),
        (Ok(Some(Placement::Spread)), Some(resources().into()))
    );
}
