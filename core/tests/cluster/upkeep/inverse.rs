//! Scenario 25: inverse offers.

use std::time::Duration;

use haggle_core::cluster::{Effect, FrameworkCommand, FrameworkEvent};
use haggle_core::{InverseOffer, InverseOfferId, TaskState, Unavailability};

use super::{HOUR_MS, MINUTE_MS, SECOND, TODAY_MS};
use crate::kit::*;

/// The inverse offers that a framework is made.
fn inverse_offers(effects: &[Effect], framework: Framework) -> Vec<InverseOffer> {
    let made = events(effects, framework).into_iter().filter_map(|event| match event {
        FrameworkEvent::InverseOffers(offers) => Some(offers),
        _ => None,
    });
    made.flatten().collect()
}

fn rescinded(effects: &[Effect], framework: Framework) -> Vec<InverseOfferId> {
    let taken_back = events(effects, framework).into_iter().filter_map(|event| match event {
        FrameworkEvent::InverseRescinded(offers) => Some(offers),
        _ => None,
    });
    taken_back.flatten().collect()
}

/// A framework that holds an agent of which a window is scheduled, and the inverse offer of it.
fn asked() -> (World, Agent, Framework, haggle_core::TaskId, InverseOfferId) {
    let (mut world, agent, framework, task) = with_running();
    let (_, effects) = world.schedule(&[agent.id], 10).unwrap();
    let [InverseOffer { id, .. }] = inverse_offers(&effects, framework)[..] else { panic!("it is not asked") };
    (world, agent, framework, task, id)
}

fn decline(world: &mut World, framework: Framework, id: InverseOfferId, refuse: Duration) -> Vec<Effect> {
    world.framework_says(framework, FrameworkCommand::DeclineInverse { offers: vec![id], refuse })
}

/// Mesos: `HierarchicalAllocatorTest.MaintenanceInverseOffers`.
#[test]
fn scenario_25_inverse_offers_go_to_those_who_hold_something_there() {
    let (mut world, agent, holder, _) = with_running();
    let bystander = world.framework("other");
    let offered = world.framework("offered");
    world.framework_says(bystander, FrameworkCommand::Suppress { role: None });
    let second = world.agent(2, 1024);
    assert_eq!(world.open_offers(offered).len(), 1);

    let (_, effects) = world.schedule(&[agent.id, second.id], 10).unwrap();

    let when = Unavailability { start_ms: TODAY_MS + 10 * MINUTE_MS, duration_ms: HOUR_MS };
    let about = |framework| inverse_offers(&effects, framework).into_iter().map(|offer| (offer.agent, offer.when));
    assert_eq!(about(holder).collect::<Vec<_>>(), [(agent.id, when)]);
    assert_eq!(about(offered).collect::<Vec<_>>(), [(second.id, when)]);
    assert_eq!(about(bystander).count(), 0);
}

#[test]
fn scenario_25_whoever_declined_is_not_asked_again_until_its_filter_ends() {
    let (mut world, _, framework, _, id) = asked();

    let effects = decline(&mut world, framework, id, 30 * SECOND);
    assert_eq!(inverse_offers(&effects, framework), []);
    let effects = world.wait(30 * SECOND - Duration::from_nanos(1));
    assert_eq!(inverse_offers(&effects, framework), []);

    let effects = world.wait(Duration::from_nanos(1));
    assert_eq!(inverse_offers(&effects, framework).len(), 1);
}

#[test]
fn whoever_accepted_is_not_asked_again() {
    let (mut world, _, framework, _, id) = asked();

    world.framework_says(framework, FrameworkCommand::AcceptInverse(vec![id]));

    let effects = world.wait(60 * SECOND);
    assert_eq!(inverse_offers(&effects, framework), []);
    let windows = world.cluster.maintenance_page(None, 10).0;
    assert_eq!((windows[0].unanswered, windows[0].accepted, windows[0].declined), (0, 1, 0));
}

#[test]
fn whoever_is_off_the_agent_needs_not_answer() {
    let (mut world, agent, framework, task, id) = asked();

    let effects = world.update(agent, task, 2, TaskState::Finished);
    // What its task leaves is offered to it at once, and that is held as well.
    assert_eq!(rescinded(&effects, framework), []);
    let offer = world.open_offer(framework);
    let effects = world.decline(framework, &[offer], AN_HOUR);

    assert_eq!(rescinded(&effects, framework), [id]);
    assert_eq!(world.cluster.counts().inverse_offers, 0);
}

#[test]
fn whoever_launches_there_later_is_asked_then() {
    let mut world = World::new();
    let agent = world.agent(2, 1024);
    world.schedule(&[agent.id], 10).unwrap();

    let (framework, effects) = world.subscribe(None, framework_info("role"));
    assert_eq!(inverse_offers(&effects, framework).len(), 1, "it is offered the agent");

    world.launch(framework, 1);
    assert_eq!(world.cluster.counts().inverse_offers, 1, "it is asked once");
}

#[test]
fn an_inverse_offer_means_nothing_once_the_window_has_begun_or_is_cancelled() {
    let (mut world, _, framework, _, id) = asked();
    let effects = world.wall_clock(10);
    assert_eq!(rescinded(&effects, framework), [id]);

    let (mut world, _, framework, _, id) = asked();
    let window = world.cluster.maintenance_page(None, 1).0[0].id;
    let effects = world.operator_says(haggle_core::cluster::OperatorCommand::CancelMaintenance(window)).unwrap();
    assert_eq!(rescinded(&effects, framework), [id]);
    assert_eq!(world.cluster.counts().inverse_offers, 0);
}

#[test]
fn a_window_that_comes_first_is_asked_about_anew() {
    let (mut world, agent, framework, _, id) = asked();

    let (_, effects) = world.schedule(&[agent.id], 1_000).unwrap();
    assert_eq!(inverse_offers(&effects, framework), [], "the next one is the same");
    world.framework_says(framework, FrameworkCommand::AcceptInverse(vec![id]));
    world.wall_clock(10);
    let effects = world.wall_clock(70);

    let asked = inverse_offers(&effects, framework);
    assert_eq!(asked.iter().map(|offer| offer.when.start_ms).collect::<Vec<_>>(), [TODAY_MS + 1_000 * MINUTE_MS]);
}

#[test]
fn a_framework_that_is_back_is_asked_again() {
    let (mut world, _, framework, _, id) = asked();
    world.disconnect(framework);
    assert_eq!(world.cluster.counts().inverse_offers, 0);

    let (framework, effects) = world.subscribe(Some(framework.id), framework_info("role"));

    let [again] = &inverse_offers(&effects, framework)[..] else { panic!("it is not asked") };
    assert_ne!(again.id, id);
    decline(&mut world, framework, id, AN_HOUR);
    let windows = world.cluster.maintenance_page(None, 10).0;
    assert_eq!(windows[0].unanswered, 1, "the former one cannot be answered any more");
}

#[test]
fn nobody_answers_for_somebody_else() {
    let (mut world, _, _, _, id) = asked();
    let other = world.framework("other");
    let before = world.cluster.clone();

    world.framework_says(other, FrameworkCommand::AcceptInverse(vec![id, InverseOfferId(99)]));

    assert_eq!(world.cluster, before);
}
