//! Who is offered what.

use std::time::Duration;

use haggle_core::TaskState;
use haggle_core::cluster::{Config, FrameworkCommand, Recovered};

use crate::kit::*;

#[test]
fn an_agent_that_joins_is_offered_whole() {
    let mut world = World::new();
    let framework = world.framework("role");

    let (agent, effects) = world.register(None, size(2, 1024), vec![]);

    let offers = offers(&effects, framework);
    assert_eq!(offers.len(), 1);
    assert_eq!((offers[0].agent, &offers[0].resources), (agent.id, &size(2, 1024)));
    assert_eq!(offers[0].attributes["zone"], "a");
}

#[test]
fn all_offers_of_one_framework_travel_together() {
    let mut world = World::new();
    world.agent(2, 1024);
    world.agent(1, 512);

    let (framework, effects) = world.subscribe(None, framework_info("role"));

    let events = events(&effects, framework);
    assert_eq!(events.len(), 2, "subscribed, and all offers in one: {events:?}");
    assert_eq!(offers(&effects, framework).len(), 2);
}

/// Mesos: `HierarchicalAllocatorTest.UnreservedDRF`, with real tasks.
#[test]
fn the_role_that_is_furthest_behind_is_next() {
    let mut world = World::new();
    let first = world.framework("role1");
    world.agent(2, 1024);
    world.launch(first, 1);
    let second = world.framework("role2");
    world.agent(1, 512);
    world.launch(second, 1);

    let (_, effects) = world.register(None, size(3, 2048), vec![]);

    assert_eq!(offers(&effects, first), []);
    assert_eq!(offers(&effects, second).len(), 1);
}

#[test]
fn what_tasks_free_goes_to_whoever_has_least() {
    let mut world = World::new();
    let rich = world.framework("rich");
    let agent = world.agent(2, 1024);
    let task = world.launch_and_run(agent, rich, 1);
    let poor = world.framework("poor");

    let effects = world.update(agent, task, 2, TaskState::Finished);

    assert_eq!(offers(&effects, poor).len() + offers(&effects, rich).len(), 1);
    assert_eq!(offers(&effects, poor).len(), 1);
}

/// Mesos: `HierarchicalAllocatorTest.OfferFilter`.
#[test]
fn what_was_declined_is_offered_again_when_the_filter_ends() {
    let mut world = World::new();
    let framework = world.framework("role");
    world.agent(2, 1024);

    let offer = world.open_offer(framework);
    let effects = world.decline(framework, &[offer], Duration::from_secs(2));
    assert_eq!(offers(&effects, framework), []);
    assert_eq!(offers(&world.wait(Duration::from_millis(1999)), framework), []);
    assert_eq!(offers(&world.wait(Duration::from_millis(1)), framework).len(), 1);
}

/// Mesos: `HierarchicalAllocatorTest.SmallOfferFilterTimeout`.
#[test]
fn what_one_declines_another_gets_at_once() {
    let mut world = World::new();
    let first = world.framework("role");
    world.agent(2, 1024);
    let second = world.framework("role");

    let offer = world.open_offer(first);
    let effects = world.decline(first, &[offer], Duration::from_secs(1));

    assert_eq!(offers(&effects, second).len(), 1);
}

/// Mesos: `HierarchicalAllocatorTest.ReviveOffers`.
#[test]
fn a_framework_that_revives_is_offered_at_once_what_it_declined() {
    let mut world = World::new();
    let framework = world.framework("role");
    world.agent(2, 1024);
    let offer = world.open_offer(framework);
    world.decline(framework, &[offer], AN_HOUR);

    let effects = world.framework_says(framework, FrameworkCommand::Revive { role: None });

    assert_eq!(offers(&effects, framework).len(), 1);
}

/// Mesos: `HierarchicalAllocatorTest.SuppressAndReviveOffers`.
#[test]
fn a_framework_that_suppresses_hears_nothing_until_it_revives() {
    let mut world = World::new();
    let framework = world.framework("role");
    world.framework_says(framework, FrameworkCommand::Suppress { role: None });

    world.agent(2, 1024);
    world.agent(2, 1024);
    assert_eq!(world.open_offers(framework), []);

    let effects = world.framework_says(framework, FrameworkCommand::Revive { role: None });
    assert_eq!(offers(&effects, framework).len(), 2);
}

/// Mesos: `HierarchicalAllocatorTest.DeactivateAndReactivateFramework`.
#[test]
fn a_framework_that_comes_back_hears_offers_whatever_it_suppressed_or_declined_before() {
    let mut world = World::new();
    let framework = world.framework("role");
    world.agent(2, 1024);
    let offer = world.open_offer(framework);
    world.decline(framework, &[offer], AN_HOUR);
    world.framework_says(framework, FrameworkCommand::Suppress { role: None });
    world.disconnect(framework);

    let (framework, effects) = world.subscribe(Some(framework.id), framework_info("role"));

    assert_eq!(offers(&effects, framework).len(), 1);
}

#[test]
fn more_than_was_declined_is_offered_in_spite_of_the_filter() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let offer = world.open_offer(framework);
    let id = task(framework, 1, 1, 512).id;
    world.accept(framework, &[offer], &[task(framework, 1, 1, 512)]);
    assert_eq!(world.open_offers(framework), []);

    let effects = world.update(agent, id, 1, TaskState::Finished);

    assert_eq!(offers(&effects, framework)[0].resources, size(2, 1024));
}

#[test]
fn roles_show_their_weight_and_their_share() {
    let weights = [("heavy".to_string(), 3.try_into().expect("three is not zero"))].into();
    let mut world = World::with(Config { weights, ..Config::default() }, Recovered::default());
    let framework = world.framework("heavy");
    world.framework("light");
    world.agent(2, 1024);
    world.launch(framework, 1);
    world.agent(2, 1024);

    let roles = world.cluster.roles();

    let brief: Vec<_> =
        roles.iter().map(|role| (role.name.as_str(), role.weight, role.frameworks, role.share.as_f64())).collect();
    assert_eq!(brief, [("heavy", 3, 1, 0.5), ("light", 1, 1, 0.5)]);
}
