//! What frameworks want, what roles are promised, and who hears of it.

use std::time::Duration;

use haggle_core::access::{Kind, Principal, Roles};
use haggle_core::allocator::Obstacle;
use haggle_core::cluster::{
    Change, Command, Config, Effect, FrameworkCommand, FrameworkEvent, OperatorCommand, Recovered, Refusal,
};
use haggle_core::resources::{PortRange, Ports};
use haggle_core::{Ceiling, MilliCpu, OfferId, Placement, Quota, Resources, RoleRecord, Want};

use crate::kit::*;

fn want(cpus: u64, mib: u64, waiting: u32) -> Want {
    Want { resources: size(cpus, mib), constraints: vec![], volumes: vec![], waiting, spare: 0, gang: 0 }
}

fn limit(cpus: u64) -> Quota {
    let limit = Ceiling { cpus: Some(MilliCpu::from_cores(cpus)), ..Ceiling::default() };
    Quota { guarantee: Resources::default(), limit }
}

fn decides(world: &mut World, command: OperatorCommand) -> Result<Vec<Effect>, Refusal> {
    world.try_apply(Command::Operator(Principal::owner(), None, command))
}

fn set_quota(role: &str, quota: Option<Quota>, force: bool) -> OperatorCommand {
    OperatorCommand::SetQuota { role: role.to_owned(), quota, force }
}

fn rescinded(effects: &[Effect], framework: Framework) -> Vec<OfferId> {
    let rescinded = effects.iter().filter_map(|effect| match effect {
        Effect::ToFramework(session, FrameworkEvent::Rescinded(offers)) if *session == framework.session => {
            Some(offers)
        }
        _ => None,
    });
    rescinded.flatten().copied().collect()
}

#[test]
fn a_framework_that_says_what_it_wants_hears_of_nothing_else() {
    let mut world = World::new();
    let framework = world.framework("role");
    world.framework_says(framework, FrameworkCommand::Demand { role: None, wants: vec![want(1, 128, 2)] });
    world.agent(8, 8192);

    let offer = world.open_offer(framework);
    let view = world.cluster.offers(world.now).remove(0);
    assert_eq!(view.resources, size(2, 256));

    world.accept(framework, &[offer], &[task(framework, 1, 1, 128), task(framework, 2, 1, 128)]);
    assert_eq!(world.open_offers(framework), [], "both are launched");
}

#[test]
fn a_demand_that_is_wrong_is_refused_and_the_one_before_stands() {
    let mut world = World::new();
    let framework = world.framework("role");
    world.framework_says(framework, FrameworkCommand::Demand { role: None, wants: vec![want(1, 128, 1)] });
    let wrong = FrameworkCommand::Demand { role: None, wants: vec![want(0, 0, 1)] };

    let refused = world.try_apply(Command::Framework(framework.session, wrong.into()));

    assert!(matches!(refused, Err(Refusal::DemandInvalid(_))), "{refused:?}");
    world.agent(8, 8192);
    assert_eq!(world.cluster.offers(world.now)[0].resources, size(1, 128));
}

#[test]
fn a_framework_that_comes_back_has_said_nothing_yet() {
    let mut world = World::new();
    let framework = world.framework("role");
    world.framework_says(framework, FrameworkCommand::Demand { role: None, wants: vec![want(1, 128, 1)] });
    world.agent(8, 8192);

    let (framework, _) = world.subscribe(Some(framework.id), framework_info("role"));

    assert_eq!(world.open_offers(framework).len(), 1);
    assert_eq!(world.cluster.offers(world.now)[0].resources, size(8, 8192));
}

/// Nobody waits for five seconds behind somebody who does not answer.
#[test]
fn an_offer_that_somebody_waits_for_is_rescinded_long_before_it_expires() {
    let mut world = World::new();
    let slow = world.framework("slow");
    world.agent(4, 4096);
    let held = world.open_offer(slow);
    let waits = world.framework("waits");
    world.framework_says(waits, FrameworkCommand::Demand { role: None, wants: vec![want(1, 128, 1)] });

    let effects = world.wait(Duration::from_millis(100));

    assert_eq!(rescinded(&effects, slow), [held]);
    assert_eq!(offers(&effects, waits).len(), 1);
    let late = world.accept(slow, &[held], &[task(slow, 1, 1, 128)]);
    assert!(!updates(&late, slow).is_empty(), "what it launches on it is dropped, and it is told");
}

#[test]
fn no_timer_is_left_of_offers_that_gave_way() {
    let mut world = World::new();
    let slow = world.framework("slow");
    world.agent(4, 4096);
    let waits = world.framework("waits");
    world.framework_says(waits, FrameworkCommand::Demand { role: None, wants: vec![want(1, 128, 1)] });
    world.wait(Duration::from_millis(100));
    world.framework_says(waits, FrameworkCommand::Demand { role: None, wants: vec![] });
    let open = world.open_offers(waits);
    world.decline(waits, &open, NO_REFUSAL);
    world.wait(Duration::from_millis(200));
    let open = world.open_offers(slow);
    world.decline(slow, &open, NO_REFUSAL);
    world.framework_says(slow, FrameworkCommand::Suppress { role: None });
    let open = world.open_offers(slow);
    world.decline(slow, &open, NO_REFUSAL);

    // What is left are the agent's and the frameworks' own.
    assert_eq!(world.cluster.counts().offers, 0);
    assert_eq!(world.cluster.counts().timers, 1);
}

/// Scenario 31. Mesos: `MasterQuotaTest.RescindOffersEnforcingLimits`.
#[test]
fn a_lowered_limit_takes_back_the_offers_above_it() {
    let mut world = World::new();
    let framework = world.framework("eng/batch");
    world.agent(1, 512);
    world.agent(1, 512);
    let open = world.open_offers(framework);

    let effects = decides(&mut world, set_quota("eng", Some(limit(1)), false)).unwrap();

    assert_eq!(rescinded(&effects, framework), open[1..]);
    assert_eq!(world.open_offers(framework), open[..1]);
}

/// Scenario 31. Mesos: `MasterQuotaTest.ValidateLimitAgainstConsumed`.
#[test]
fn a_limit_below_what_runs_is_refused_unless_it_is_forced() {
    let mut world = World::new();
    let framework = world.framework("eng");
    let agent = world.agent(2, 1024);
    world.launch_and_run(agent, framework, 1);

    let refused = decides(&mut world, set_quota("eng", Some(limit(1)), false));
    assert!(matches!(refused, Err(Refusal::QuotaRefused(_))), "{refused:?}");
    assert_eq!(world.cluster.roles()[0].quota, None);

    decides(&mut world, set_quota("eng", Some(limit(1)), true)).unwrap();
    assert_eq!(world.cluster.roles()[0].quota, Some(limit(1)));
    assert_eq!(world.used_on(agent), size(2, 1024), "what runs runs on");
}

#[test]
fn quotas_and_weights_are_remembered_until_they_say_nothing() {
    let mut world = World::new();
    let weight = OperatorCommand::SetWeight { role: "eng".to_owned(), weight: 3.try_into().ok() };
    let first = decides(&mut world, weight).unwrap();
    let record = RoleRecord { weight: 3.try_into().ok(), ..RoleRecord::default() };
    assert_eq!(first, [Effect::Remember(Change::RoleRecorded("eng".to_owned(), record.clone()))]);
    decides(&mut world, set_quota("eng", Some(limit(1)), false)).unwrap();
    let both = RoleRecord { quota: Some(limit(1)), ..record };

    let recovered = Recovered { roles: vec![("eng".to_owned(), both)], ..remembered() };
    let mut next = World::with(Config::default(), recovered);
    let role = next.cluster.roles().remove(0);
    assert_eq!((role.name.as_str(), role.weight, role.quota), ("eng", 3, Some(limit(1))));

    decides(&mut next, OperatorCommand::SetWeight { role: "eng".to_owned(), weight: None }).unwrap();
    let last = decides(&mut next, set_quota("eng", None, false)).unwrap();
    assert_eq!(last, [Effect::Remember(Change::RoleRecorded("eng".to_owned(), RoleRecord::default()))]);
    assert_eq!(next.cluster.roles(), []);
}

#[test]
fn a_weight_of_the_configuration_stands_until_an_operator_says_otherwise() {
    let weights = [("eng".to_owned(), 2.try_into().unwrap())].into();
    let mut world = World::with(Config { weights, ..Config::default() }, remembered());
    let weight = |world: &World| world.cluster.roles()[0].weight;
    assert_eq!(weight(&world), 2);
    let set = |weight: Option<u32>| OperatorCommand::SetWeight {
        role: "eng".to_owned(),
        weight: weight.and_then(|weight| weight.try_into().ok()),
    };
    decides(&mut world, set(Some(5))).unwrap();
    assert_eq!(weight(&world), 5);
    decides(&mut world, set(None)).unwrap();
    assert_eq!(weight(&world), 2);
}

#[test]
fn what_is_no_role_and_no_quota_is_refused() {
    let mut world = World::new();
    for role in ["", "a//b", "../b", "a b"] {
        let refused = decides(&mut world, set_quota(role, Some(limit(1)), true));
        assert!(matches!(refused, Err(Refusal::QuotaInvalid(_))), "{role:?}: {refused:?}");
        let weight = OperatorCommand::SetWeight { role: role.to_owned(), weight: None };
        assert!(decides(&mut world, weight).is_err(), "{role:?}");
    }
    let above = Quota { guarantee: size(2, 0), ..limit(1) };
    let refused = decides(&mut world, set_quota("eng", Some(above), true));
    assert!(matches!(refused, Err(Refusal::QuotaInvalid(_))), "{refused:?}");
    assert_eq!(world.cluster.roles(), []);
}

#[test]
fn why_is_for_whoever_may_see_the_framework() {
    let mut world = World::new();
    let framework = world.framework("eng/batch");
    world.framework_says(framework, FrameworkCommand::Demand { role: None, wants: vec![want(9, 128, 1)] });
    world.agent(8, 8192);
    let viewer = |roles: &str| Principal {
        name: "eva".into(),
        kind: Kind::Viewer(Roles::parse(&[roles]).unwrap()),
        token: None,
    };
    let why = |who: &Principal| world.cluster.why(world.now, who, framework.id, None);

    let told = why(&viewer("eng/*")).expect("it is in its roles");
    assert_eq!(told.role, "eng/batch");
    assert_eq!(told.hindrances[0].obstacle, Obstacle::TooLarge { largest: size(8, 8192) });
    assert_eq!(told.hindrances[0].want, Some(size(9, 128)));
    assert_eq!(why(&viewer("web")), None);
    assert_eq!(why(&Principal::owner()).map(|why| why.hindrances.len()), Some(1));
}

#[test]
fn why_names_of_others_what_whoever_asks_would_find_in_a_list() {
    let mut world = World::new();
    let web = world.framework("web");
    let agent = world.agent(4, 4096).id;
    let batch = world.framework("eng/batch");
    world.framework_says(batch, FrameworkCommand::Demand { role: None, wants: vec![want(2, 128, 1)] });
    let viewer = |roles: &[&str]| Principal {
        name: "eva".into(),
        kind: Kind::Viewer(Roles::parse(roles).unwrap()),
        token: None,
    };
    let told = |who: &Principal| {
        let why = world.cluster.why(world.now, who, batch.id, None).expect("it is in its roles");
        let [hindrance] = why.hindrances.as_slice() else { panic!("{why:?}") };
        let Obstacle::Offered { to, .. } = hindrance.obstacle else { panic!("{why:?}") };
        assert_eq!(hindrance.agents, 1);
        (to, hindrance.nearest.iter().map(|lacking| (lacking.agent, lacking.lacks.clone())).collect::<Vec<_>>())
    };

    let all = (Some(web.id), vec![(agent, size(2, 128))]);
    assert_eq!(told(&Principal::owner()), all);
    assert_eq!(told(&viewer(&["eng/*", "web"])), all);
    assert_eq!(told(&viewer(&["eng/*"])), (None, vec![]));
}

#[test]
fn whoever_is_ahead_is_named_to_those_who_may_see_it() {
    let mut world = World::new();
    let full = |world: &mut World, role: &str| {
        let framework = world.framework(role);
        world.framework_says(framework, FrameworkCommand::Demand { role: None, wants: vec![want(9, 128, 1)] });
        framework
    };
    let (web, batch) = (full(&mut world, "aweb"), full(&mut world, "eng/batch"));
    world.agent(4, 4096);
    let ahead = |roles: &[&str]| {
        let kind = Kind::Viewer(Roles::parse(roles).unwrap());
        let who = Principal { name: "eva".into(), kind, token: None };
        let why = world.cluster.why(world.now, &who, batch.id, None).expect("it is in its roles");
        assert_eq!((why.rank, why.ranked), (Some(2), 2));
        why.ahead.into_iter().map(|one| (one.ahead.framework, one.ahead.role)).collect::<Vec<_>>()
    };

    assert_eq!(ahead(&["eng/*", "aweb"]), [(web.id, "aweb".to_owned())]);
    assert_eq!(ahead(&["eng/*"]), []);
}

#[test]
fn the_tree_of_roles_tells_shares_and_who_waits() {
    let mut world = World::new();
    let batch = world.framework("eng/batch");
    let web = world.framework("web");
    world.agent(4, 4096);
    world.framework_says(web, FrameworkCommand::Demand { role: None, wants: vec![want(9, 128, 1)] });

    let roles = world.cluster.roles();
    let brief: Vec<_> = roles.iter().map(|role| (role.name.as_str(), role.frameworks, role.waiting)).collect();
    assert_eq!(brief, [("eng", 0, 0), ("eng/batch", 1, 0), ("web", 1, 1)]);
    assert_eq!(roles[0].offered, size(4, 4096));
    assert_eq!(roles[0].share.as_f64(), 1.0);
    assert_eq!(roles[0].fair_share.as_f64(), 0.5);
    let offer = world.open_offer(batch);
    world.accept(batch, &[offer], &[task(batch, 1, 1, 1024)]);
    assert_eq!(world.cluster.roles()[0].used, size(1, 1024));
}

#[test]
fn how_a_role_is_offered_agents_is_remembered_and_shown() {
    let mut world = World::new();
    let placement = |placement| OperatorCommand::SetPlacement { role: "eng".to_owned(), placement };
    let least = |least| OperatorCommand::SetMinAllocatable { role: "eng".to_owned(), least };
    decides(&mut world, placement(Some(Placement::Spread))).unwrap();
    let told = decides(&mut world, least(Some(size(1, 64)))).unwrap();
    let record =
        RoleRecord { placement: Some(Placement::Spread), min_allocatable: Some(size(1, 64)), ..RoleRecord::default() };
    assert_eq!(told, [Effect::Remember(Change::RoleRecorded("eng".to_owned(), record.clone()))]);

    let recovered = Recovered { roles: vec![("eng".to_owned(), record)], ..remembered() };
    let mut next = World::with(Config::default(), recovered);
    next.framework("eng/batch");
    let shown: Vec<_> =
        next.cluster.roles().into_iter().map(|role| (role.name, role.placement, role.min_allocatable)).collect();
    let both = |name: &str| (name.to_owned(), Placement::Spread, Some(size(1, 64)));
    assert_eq!(shown, [both("eng"), both("eng/batch")]);

    decides(&mut next, placement(None)).unwrap();
    let last = decides(&mut next, least(None)).unwrap();
    assert_eq!(last, [Effect::Remember(Change::RoleRecorded("eng".to_owned(), RoleRecord::default()))]);
}

#[test]
fn a_least_offer_of_ports_and_of_what_is_no_role_is_refused() {
    let mut world = World::new();
    let ports = Resources::default().with_ports(Ports::new([PortRange { first: 80, last: 90 }]));
    let ports = OperatorCommand::SetMinAllocatable { role: "eng".to_owned(), least: Some(ports) };
    let refused = decides(&mut world, ports).unwrap_err();
    assert!(refused.to_string().contains("has no ports"), "{refused}");
    let nowhere = OperatorCommand::SetPlacement { role: "a//b".to_owned(), placement: Some(Placement::Spread) };
    assert!(decides(&mut world, nowhere).is_err());
    assert_eq!(world.cluster.roles(), []);
}
