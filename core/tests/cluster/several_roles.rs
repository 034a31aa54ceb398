//! Frameworks in several roles at once, and roles that change.

use haggle_core::access::{Kind, Principal, Roles};
use haggle_core::cluster::{
    Announcement, Change, Command, Config, Effect, FrameworkCommand, FrameworkEvent, FrameworkInfo, FrameworkRecord,
    Recovered, Refusal,
};
use haggle_core::{OfferId, Reason, Resources, TaskState, Want};

use crate::kit::*;

fn in_roles(roles: &[&str]) -> FrameworkInfo {
    FrameworkInfo { roles: roles.iter().map(|role| (*role).to_owned()).collect(), ..framework_info("role") }
}

/// The open offers, as for which role and how much.
fn open(world: &World) -> Vec<(String, Resources)> {
    world.cluster.offers(world.now).into_iter().map(|offer| (offer.role, offer.resources)).collect()
}

fn used(world: &World, role: &str) -> Resources {
    world.cluster.roles().into_iter().find(|view| view.name == role).map(|view| view.used).unwrap_or_default()
}

fn updates_to(world: &mut World, framework: Framework, info: FrameworkInfo) -> Result<Vec<Effect>, Refusal> {
    world.try_apply(Command::Framework(framework.session, FrameworkCommand::Update(info).into()))
}

fn denied(refused: &Result<Vec<Effect>, Refusal>) -> bool {
    matches!(refused, Err(Refusal::RoleDenied(_, role)) if role == "b")
}

#[test]
fn an_offer_names_the_role_that_it_is_for_and_tasks_count_there() {
    let mut world = World::new();
    let (framework, _) = world.subscribe(None, in_roles(&["a", "b/c"]));
    world.agent(2, 1024);
    world.agent(2, 1024);
    assert_eq!(open(&world), [("a".to_owned(), size(2, 1024)), ("b/c".to_owned(), size(2, 1024))]);

    let [_, second] = world.open_offers(framework)[..] else { panic!("there are two") };
    world.accept(framework, &[second], &[task(framework, 1, 2, 1024)]);

    assert_eq!((used(&world, "a"), used(&world, "b")), (Resources::default(), size(2, 1024)));
    assert_eq!(world.cluster.tasks()[0].role, "b/c");
    assert_eq!(world.cluster.frameworks()[0].used, size(2, 1024));
}

/// S27, `MasterTest.LaunchDifferentRole`.
#[test]
fn offers_for_different_roles_launch_nothing_together_and_are_given_back() {
    let mut world = World::new();
    let (framework, _) = world.subscribe(None, in_roles(&["a", "b"]));
    let want = |cpus| {
        vec![Want { resources: size(cpus, 512), constraints: vec![], volumes: vec![], waiting: 1, spare: 0, gang: 0 }]
    };
    for (role, cpus) in [("a", 1), ("b", 2)] {
        let demand = FrameworkCommand::Demand { role: Some(role.to_owned()), wants: want(cpus) };
        world.framework_says(framework, demand);
    }
    let agent = world.agent(3, 1024);
    let both = world.open_offers(framework);
    assert_eq!(open(&world), [("a".to_owned(), size(1, 512)), ("b".to_owned(), size(2, 512))]);

    let effects = world.accept(framework, &both, &[task(framework, 1, 3, 1024)]);

    let told = updates(&effects, framework).remove(0);
    assert_eq!((told.state, told.reason), (TaskState::Dropped, Some(Reason::InvalidOffers)));
    let why = "offer-1 is for \"a\" and offer-2 for \"b\": offers can be combined when they are for one role";
    assert_eq!(told.message, why);
    assert_eq!(world.used_on(agent), Resources::default());
    assert_eq!(offers(&effects, framework).len(), 2, "they are offered anew");
}

#[test]
fn a_call_without_a_role_means_all_and_with_a_role_that_one() {
    let mut world = World::new();
    let (framework, _) = world.subscribe(None, in_roles(&["a", "b"]));
    world.framework_says(framework, FrameworkCommand::Suppress { role: None });
    world.agent(2, 1024);
    assert_eq!(open(&world), []);
    assert!(world.cluster.frameworks()[0].suppressed);

    world.framework_says(framework, FrameworkCommand::Revive { role: Some("b".to_owned()) });

    assert_eq!(open(&world), [("b".to_owned(), size(2, 1024))]);
    let refused = FrameworkCommand::Suppress { role: Some("c".to_owned()) };
    let refused = world.try_apply(Command::Framework(framework.session, refused.into())).unwrap_err();
    assert_eq!(refused.to_string(), "framework-1 is not in the role \"c\": it is in a, b");
}

#[test]
fn a_role_that_is_left_takes_its_offers_along_and_its_tasks_stay() {
    let mut world = World::new();
    let (framework, _) = world.subscribe(None, in_roles(&["a", "b"]));
    let agent = world.agent(2, 1024);
    let offer = world.open_offer(framework);
    world.accept(framework, &[offer], &[task(framework, 1, 1, 512)]);
    world.framework_says(framework, FrameworkCommand::Revive { role: None });
    world.agent(4, 1024);
    assert_eq!(open(&world), [("b".to_owned(), size(1, 512)), ("a".to_owned(), size(4, 1024))]);
    let of_a = world.open_offers(framework)[1];

    let effects = updates_to(&mut world, framework, in_roles(&["b", "c"])).unwrap();

    assert!(effects.contains(&Effect::ToFramework(framework.session, FrameworkEvent::Rescinded(vec![of_a]))));
    let record = FrameworkRecord { info: in_roles(&["b", "c"]), ..framework_record("a") };
    assert!(effects.contains(&Effect::Remember(Change::FrameworkSubscribed(framework.id, record))));
    assert!(effects.contains(&Effect::Announce(Announcement::FrameworkUpdated(framework.id))));
    assert_eq!(open(&world)[1], ("c".to_owned(), size(4, 1024)), "what was free for a is free for c");
    assert_eq!(used(&world, "a"), size(1, 512));
    let running = world.cluster.tasks()[0].id;
    world.update(agent, running, 1, TaskState::Finished);
    assert_eq!(world.cluster.roles().len(), 2, "nothing is left of a");
}

#[test]
fn a_task_counts_in_its_role_again_after_the_master_failed_over() {
    let info = in_roles(&["a", "b"]);
    let frameworks = vec![(haggle_core::FrameworkId(1), FrameworkRecord { info, ..framework_record("a") })];
    let agents = vec![(haggle_core::AgentId(1), record(size(4, 1024), 1))];
    let recovered = Recovered { frameworks, agents, last_framework: 1, last_agent: 1, ..remembered() };
    let mut world = World::with(Config::default(), recovered);
    let id = |number| haggle_core::TaskId { framework: haggle_core::FrameworkId(1), number };
    let in_role = |number, role: &str| haggle_core::cluster::HeldTask {
        role: role.to_owned(),
        ..held(id(number), TaskState::Running, size(1, 256))
    };

    let tasks = vec![in_role(1, "b"), in_role(2, "left"), in_role(3, "no role")];
    world.register(Some(haggle_core::AgentId(1)), size(4, 1024), tasks);

    for role in ["b", "left", "a"] {
        assert_eq!(used(&world, role), size(1, 256), "{role}");
    }
}

#[test]
fn a_framework_is_in_roles_that_its_principal_may_use_and_in_each_once() {
    let mut world = World::new();
    let kind = Kind::Framework(Roles::parse(&["a", "a/*"]).unwrap());
    let who = Principal { name: "ci".into(), kind, token: None };
    let session = world.session_of(who);
    let subscribe = FrameworkCommand::Subscribe { member: None, info: in_roles(&["a", "b"]) };
    assert!(denied(&world.try_apply(Command::Framework(session, subscribe.into()))));
    let subscribe = FrameworkCommand::Subscribe { member: None, info: in_roles(&["a", "a/x"]) };
    world.apply(Command::Framework(session, subscribe.into()));
    let framework = Framework { id: world.cluster.frameworks()[0].id, session };

    assert!(denied(&updates_to(&mut world, framework, in_roles(&["a", "b"]))));
    for wrong in [in_roles(&[]), in_roles(&["a", "a"]), in_roles(&["a//b"])] {
        let refused = updates_to(&mut world, framework, wrong);
        assert!(matches!(refused, Err(Refusal::FrameworkInvalid(_))), "{refused:?}");
    }
    assert_eq!(world.cluster.frameworks()[0].info.roles, ["a", "a/x"]);
}

#[test]
fn a_viewer_sees_what_is_of_its_roles() {
    let mut world = World::new();
    let (framework, _) = world.subscribe(None, in_roles(&["a", "b"]));
    world.agent(2, 1024);
    world.agent(2, 1024);
    let kind = Kind::Viewer(Roles::parse(&["b"]).unwrap());
    let viewer = Principal { name: "eva".into(), kind, token: None };

    assert_eq!(world.cluster.frameworks_page(&viewer, None, 10).0.len(), 1);
    let (seen, _) = world.cluster.offers_page(world.now, &viewer, None, 10);
    assert_eq!(seen.iter().map(|offer| offer.id).collect::<Vec<_>>(), [OfferId(2)]);
    let why = world.cluster.why(world.now, &viewer, framework.id, None).unwrap();
    assert_eq!((why.role.as_str(), why.roles.as_slice()), ("b", ["b".to_owned()].as_slice()));
    assert_eq!(world.cluster.why(world.now, &viewer, framework.id, Some("a")), None);
    world.launch_on(framework, OfferId(1), 1);
    world.launch_on(framework, OfferId(2), 2);
    let (tasks, _) = world.cluster.tasks_page(&viewer, None, false, 10);
    assert_eq!(tasks.iter().map(|task| task.id.number).collect::<Vec<_>>(), [2]);
}
