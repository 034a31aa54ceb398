//! How much of the cluster one principal may have.

use std::time::Duration;

use haggle_core::access::{Principal, Roles, TokenKind};
use haggle_core::cluster::{Config, Effect, FrameworkCommand, FrameworkEvent};
use haggle_core::{Reason, TaskState};

use super::{operator, tenant};
use crate::kit::*;

fn world_of_one_framework_each() -> World {
    World::with(Config { frameworks_per_principal: 1, ..Config::default() }, remembered())
}

#[test]
fn a_principal_has_so_many_frameworks_and_hears_which_limit_it_is() {
    let mut world = world_of_one_framework_each();
    let ci = tenant("ci", "*");
    world.subscribes(&ci, None, "role").unwrap();

    let why = world.subscribes(&ci, None, "role").unwrap_err();

    assert!(why.starts_with("\"ci\" (framework) is at its limit frameworks=1: it has 1, and needs another"), "{why}");
    assert_eq!(world.cluster.frameworks().len(), 1);
}

/// Scenario 44. Mesos: `RateLimitingTest.SamePrincipalFrameworks`.
#[test]
fn two_tokens_of_one_name_share_its_limit() {
    let mut world = world_of_one_framework_each();
    let [one, other] = [1, 2].map(|id| world.token(id, "ci", TokenKind::Framework(Roles::every())));
    world.subscribes(&one, None, "role").unwrap();

    assert!(world.subscribes(&other, None, "role").is_err());
}

#[test]
fn neither_other_principals_nor_the_owner_notice_that_one_has_all_its_frameworks() {
    let mut world = world_of_one_framework_each();
    world.subscribes(&tenant("ci", "*"), None, "role").unwrap();

    assert!(world.subscribes(&tenant("other", "*"), None, "role").is_ok());
    assert!(world.subscribes(&operator("ada"), None, "role").is_ok());
    for _ in 0..3 {
        assert!(world.subscribes(&Principal::owner(), None, "role").is_ok());
    }
}

#[test]
fn a_framework_that_comes_back_is_not_another_one() {
    let mut world = world_of_one_framework_each();
    let ci = tenant("ci", "*");
    let framework = world.subscribes(&ci, None, "role").unwrap();

    assert!(world.subscribes(&ci, Some(framework.id), "role").is_ok());
}

#[test]
fn a_framework_that_ends_makes_room_for_the_next() {
    let mut world = world_of_one_framework_each();
    let ci = tenant("ci", "*");
    let framework = world.subscribes(&ci, None, "role").unwrap();

    world.framework_says(framework, FrameworkCommand::Teardown);

    assert!(world.subscribes(&ci, None, "role").is_ok());
}

#[test]
fn the_frameworks_that_are_remembered_count() {
    let mut recovered = remembered();
    let mut world = World::new();
    let ci = tenant("ci", "*");
    let framework = world.subscribes(&ci, None, "role").unwrap();
    let record = haggle_core::cluster::FrameworkRecord { info: framework_info("role"), principal: ci.id() };
    recovered.frameworks = vec![(framework.id, record)];
    let mut world = World::with(Config { frameworks_per_principal: 1, ..Config::default() }, recovered);

    assert!(world.subscribes(&ci, None, "role").is_err());
    assert!(world.subscribes(&tenant("other", "*"), None, "role").is_ok());
}

#[test]
fn a_principal_is_in_so_many_roles_and_hears_which_limit_it_is() {
    let mut world = World::with(Config { roles_per_principal: 2, ..Config::default() }, remembered());
    let ci = tenant("ci", "*");
    for role in ["a", "b", "a", "b"] {
        world.subscribes(&ci, None, role).unwrap();
    }

    let why = world.subscribes(&ci, None, "c").unwrap_err();

    assert!(why.starts_with("\"ci\" (framework) is at its limit roles=2: it has 2, and for \"c\" needs"), "{why}");
    assert!(world.subscribes(&tenant("other", "*"), None, "c").is_ok());
    for role in ["d", "e", "f"] {
        assert!(world.subscribes(&Principal::owner(), None, role).is_ok());
    }
}

#[test]
fn a_framework_moves_to_another_role_when_its_principal_leaves_one_by_that() {
    let mut world = World::with(Config { roles_per_principal: 2, ..Config::default() }, remembered());
    let ci = tenant("ci", "*");
    let a = world.subscribes(&ci, None, "a").unwrap();
    let b = world.subscribes(&ci, None, "b").unwrap();
    world.subscribes(&ci, None, "b").unwrap();

    assert!(world.subscribes(&ci, Some(b.id), "c").unwrap_err().contains("roles=2"));
    assert!(world.subscribes(&ci, Some(a.id), "c").is_ok());
}

#[test]
fn what_a_principal_has_can_be_listed() {
    let mut world = World::with(Config { tasks_per_principal: 1, ..Config::default() }, remembered());
    let ci = tenant("ci", "*");
    let framework = world.subscribes(&ci, None, "a").unwrap();
    for (who, role) in [(&ci, "b"), (&tenant("other", "*"), "a")] {
        let quiet = world.subscribes(who, None, role).unwrap();
        world.framework_says(quiet, FrameworkCommand::Suppress { role: None });
    }
    world.agent(2, 1024);
    let offer = world.open_offer(framework);
    world.accept(framework, &[offer], &[task(framework, 1, 1, 512), task(framework, 2, 1, 512)]);

    let (first, next) = world.cluster.principals_page(None, 1);
    let (rest, none) = world.cluster.principals_page(next.as_ref(), 10);

    let listed: Vec<_> = first.into_iter().chain(rest).collect();
    let ci = &listed[0];
    assert_eq!((&*ci.id.name, ci.frameworks, ci.roles, ci.tasks, ci.dropped), ("ci", 2, 2, 1, 1));
    assert_eq!((listed.len(), &*listed[1].id.name, listed[1].frameworks, none), (2, "other", 1, None));
}

#[test]
fn a_principals_tasks_are_counted_over_all_its_frameworks() {
    let mut world = World::with(Config { tasks_per_principal: 1, ..Config::default() }, remembered());
    let ci = tenant("ci", "*");
    let first = world.subscribes(&ci, None, "role").unwrap();
    world.agent(2, 1024);
    world.launch(first, 1);
    let second = world.subscribes(&ci, None, "role").unwrap();
    world.framework_says(first, FrameworkCommand::Suppress { role: None });
    world.agent(2, 1024);
    let offer = world.open_offer(second);

    let effects = world.accept(second, &[offer], &[task(second, 1, 1, 512)]);

    let told = effects.iter().find_map(|effect| match effect {
        Effect::ToFramework(_, FrameworkEvent::Update(status)) => Some(status),
        _ => None,
    });
    let told = told.expect("it is told");
    assert_eq!((told.state, told.reason), (TaskState::Dropped, Some(Reason::FrameworkLimit)));
    assert!(told.message.contains("\"ci\" is at its limit tasks=1: it has 1 that run"), "{}", told.message);
}

#[test]
fn of_a_message_that_launches_too_many_the_first_are_launched() {
    let mut world = World::with(Config { tasks_per_principal: 2, ..Config::default() }, remembered());
    let framework = world.subscribes(&tenant("ci", "*"), None, "role").unwrap();
    world.agent(4, 4096);
    let offer = world.open_offer(framework);
    let tasks: Vec<_> = (1..=3).map(|number| task(framework, number, 1, 512)).collect();

    world.accept(framework, &[offer], &tasks);

    let states: Vec<_> = tasks.iter().map(|task| world.state_of(task.id)).collect();
    assert_eq!(states, [Some(TaskState::Staging), Some(TaskState::Staging), None]);
}

#[test]
fn whoever_has_as_many_tasks_as_it_may_is_passed_over_for_a_while_with_all_its_frameworks() {
    let mut world = World::with(Config { tasks_per_principal: 1, ..Config::default() }, remembered());
    let ci = tenant("ci", "*");
    let first = world.subscribes(&ci, None, "a").unwrap();
    world.agent(4, 4096);
    let offer = world.open_offer(first);
    let second = world.subscribes(&ci, None, "b").unwrap();

    world.accept(first, &[offer], &[task(first, 1, 1, 512), task(first, 2, 1, 512)]);

    assert!(world.open_offers(first).is_empty() && world.open_offers(second).is_empty());
    let other = world.subscribes(&tenant("other", "*"), None, "c").unwrap();
    assert_eq!(world.open_offers(other).len(), 1);
    world.framework_says(other, FrameworkCommand::Suppress { role: None });
    let theirs = world.open_offers(other);
    world.decline(other, &theirs, Duration::ZERO);
    assert!(world.open_offers(first).is_empty() && world.open_offers(second).is_empty());
    world.wait(Duration::from_secs(5));
    assert_eq!(world.open_offers(first).len() + world.open_offers(second).len(), 1);
}
