//! Offers that nobody takes, or that are taken back.

use std::time::Duration;

use haggle_core::cluster::{AgentCommand, FrameworkEvent};

use crate::kit::*;

/// Scenario 26. Mesos: `MasterTest.OfferTimeout`.
#[test]
fn an_offer_without_an_answer_is_rescinded_and_made_again() {
    let mut world = World::new();
    let framework = world.framework("role");
    world.agent(2, 1024);
    let offer = world.open_offer(framework);

    assert_eq!(world.wait(Duration::from_millis(4999)), []);
    let effects = world.wait(Duration::from_millis(1));
    assert_eq!(events(&effects, framework), [FrameworkEvent::Rescinded(vec![offer])]);

    let effects = world.wait(Duration::from_millis(100));
    assert_eq!(offers(&effects, framework).len(), 1);
}

#[test]
fn a_silent_framework_does_not_starve_a_lively_one_that_has_more() {
    let mut world = World::new();
    let lively = world.framework("lively");
    world.agent(2, 1024);
    world.launch(lively, 1);
    let silent = world.framework("silent");
    world.agent(2, 1024);
    assert_eq!(world.open_offers(silent).len(), 1);

    let effects = world.wait(Duration::from_secs(5));

    assert_eq!(offers(&effects, lively).len(), 1);
}

/// Scenario 26. Mesos: `MasterTest.OfferNotRescindedOnceUsed` and `OfferNotRescindedOnceDeclined`.
#[test]
fn an_offer_that_was_answered_is_not_rescinded() {
    let mut world = World::new();
    let framework = world.framework("role");
    world.agent(2, 1024);
    world.launch(framework, 1);
    world.agent(1, 512);
    let offer = world.open_offer(framework);
    world.decline(framework, &[offer], AN_HOUR);

    let effects = world.wait(Duration::from_secs(60));

    assert_eq!(events(&effects, framework), []);
}

#[test]
fn a_decline_of_what_is_gone_or_somebody_elses_changes_nothing() {
    let mut world = World::new();
    let framework = world.framework("role");
    let other = world.framework("role");
    world.agent(2, 1024);
    let offer = world.open_offer(framework);
    let before = world.cluster.clone();

    world.decline(other, &[offer, haggle_core::OfferId(99)], AN_HOUR);

    assert_eq!(world.cluster, before);
}

#[test]
fn the_offers_of_an_agent_that_is_lost_are_rescinded() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let offer = world.open_offer(framework);

    let effects = world.disconnect(agent);

    assert_eq!(events(&effects, framework), [FrameworkEvent::Rescinded(vec![offer])]);
    assert_eq!(world.open_offers(framework), []);
}

/// Mesos: `MasterDrainingTest.DrainAgent`.
#[test]
fn a_draining_agent_is_offered_no_more() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let offer = world.open_offer(framework);

    let effects = world.agent_says(agent, AgentCommand::Drain);

    assert_eq!(events(&effects, framework), [FrameworkEvent::Rescinded(vec![offer])]);
    assert!(world.cluster.agents(world.now)[0].draining);
    assert_eq!(world.open_offers(framework), []);
}

#[test]
fn the_offers_of_a_framework_that_is_lost_go_to_others() {
    let mut world = World::new();
    let lost = world.framework("role");
    world.agent(2, 1024);
    let other = world.framework("role");

    let effects = world.disconnect(lost);

    assert_eq!(offers(&effects, other).len(), 1);
}
