//! Launching on offers, good and bad.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::{AgentOrder, Config, FrameworkCommand};
use haggle_core::{Input, OfferId, Reason, Source, TaskId, TaskSpec, TaskState, UpdateId};

use crate::kit::*;

/// A framework with one offer of (2, 1024).
fn with_offer() -> (World, Agent, Framework, OfferId) {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let offer = world.open_offer(framework);
    (world, agent, framework, offer)
}

/// The verdicts of an accept, with what is said to the framework.
fn verdicts(
    world: &mut World,
    framework: Framework,
    offers: &[OfferId],
    tasks: &[TaskSpec],
) -> Vec<(TaskState, Reason, String)> {
    let effects = world.accept(framework, offers, tasks);
    let updates = updates(&effects, framework).into_iter();
    updates
        .map(|status| {
            assert_eq!((status.source, status.update), (Source::Master, UpdateId::UNACKNOWLEDGED));
            (status.state, status.reason.expect("a verdict has a reason"), status.message)
        })
        .collect()
}

fn dropped(message: &str) -> (TaskState, Reason, String) {
    (TaskState::Dropped, Reason::InvalidOffers, message.into())
}

fn wrong(message: &str) -> (TaskState, Reason, String) {
    (TaskState::Error, Reason::TaskInvalid, message.into())
}

#[test]
fn one_accept_launches_many_tasks() {
    let (mut world, agent, framework, offer) = with_offer();
    let tasks = [task(framework, 1, 1, 512), task(framework, 2, 1, 512)];

    let effects = world.accept(framework, &[offer], &tasks);

    let in_its_role = |spec: &TaskSpec| TaskSpec { role: "role".to_owned(), ..spec.clone() };
    let launches: Vec<_> = tasks.iter().map(|spec| AgentOrder::Launch(Arc::new(in_its_role(spec)))).collect();
    assert_eq!(orders(&effects, agent), launches);
    assert_eq!(world.state_of(tasks[0].id), Some(TaskState::Staging));
    assert_eq!(world.used_on(agent), size(2, 1024));
}

#[test]
fn what_an_accept_leaves_over_is_declined() {
    let (mut world, agent, framework, offer) = with_offer();

    let effects = world.accept(framework, &[offer], &[task(framework, 1, 1, 512)]);

    assert_eq!(offers(&effects, framework), []);
    assert_eq!(world.free_on(agent), size(1, 512));
    let other = world.framework("role");
    assert_eq!(world.open_offers(other).len(), 1);
}

#[test]
fn an_accept_without_tasks_is_a_decline() {
    let (mut world, agent, framework, offer) = with_offer();

    world.accept(framework, &[offer], &[]);

    assert_eq!(world.free_on(agent), size(2, 1024));
    assert_eq!(world.open_offers(framework), []);
}

/// Scenario 27. Mesos: `MasterTest.LaunchCombinedOfferTest`.
#[test]
fn two_offers_of_one_agent_launch_one_larger_task() {
    let (mut world, agent, framework, first) = with_offer();
    let small = TaskId { framework: framework.id, number: 1 };
    let command = FrameworkCommand::Accept {
        offers: vec![first],
        operations: vec![],
        tasks: vec![Arc::new(task(framework, 1, 1, 512))],
        refuse: NO_REFUSAL,
    };
    world.framework_says(framework, command);
    world.update(agent, small, 1, TaskState::Finished);
    let both = world.open_offers(framework);
    assert_eq!(both.len(), 2);

    let effects = world.accept(framework, &both, &[task(framework, 2, 2, 1024)]);

    assert_eq!(orders(&effects, agent).len(), 1);
    assert_eq!(world.used_on(agent), size(2, 1024));
}

/// Scenario 27. Mesos: `MasterTest.LaunchAcrossSlavesDropped`.
#[test]
fn offers_of_two_agents_launch_nothing_and_are_returned() {
    let mut world = World::new();
    let framework = world.framework("role");
    world.agent(2, 1024);
    world.agent(2, 1024);
    let both = world.open_offers(framework);

    let verdicts = verdicts(&mut world, framework, &both, &[task(framework, 1, 1, 512)]);

    let message = "offer-1 is of agent-1 and offer-2 of agent-2: offers can be combined when they are of one agent";
    assert_eq!(verdicts, [dropped(message)]);
    assert_eq!(world.open_offers(framework), [OfferId(3), OfferId(4)]);
}

/// Scenario 27. Mesos: `MasterTest.LaunchDuplicateOfferDropped`.
#[test]
fn an_offer_named_twice_launches_nothing_and_is_returned() {
    let (mut world, _, framework, offer) = with_offer();

    let verdicts = verdicts(&mut world, framework, &[offer, offer], &[task(framework, 1, 1, 512)]);

    assert_eq!(verdicts, [dropped("offer-1 is named twice")]);
    assert_eq!(world.open_offers(framework), [OfferId(2)]);
}

#[test]
fn an_offer_that_is_gone_launches_nothing_and_the_others_are_returned() {
    let (mut world, agent, framework, offer) = with_offer();

    let verdicts = verdicts(&mut world, framework, &[offer, OfferId(9)], &[task(framework, 1, 1, 512)]);

    assert_eq!(verdicts, [dropped("offer-9 is gone: it was answered, rescinded or expired")]);
    assert_eq!(world.used_on(agent), size(0, 0));
    assert_eq!(world.open_offers(framework), [OfferId(2)]);
}

#[test]
fn an_expired_offer_launches_nothing() {
    let (mut world, _, framework, offer) = with_offer();
    world.now = world.now + Duration::from_secs(5);

    let verdicts = verdicts(&mut world, framework, &[offer], &[task(framework, 1, 1, 512)]);

    assert_eq!(verdicts, [dropped("offer-1 is gone: it was answered, rescinded or expired")]);
}

#[test]
fn an_accept_without_offers_launches_nothing() {
    let (mut world, _, framework, _) = with_offer();

    let verdicts = verdicts(&mut world, framework, &[], &[task(framework, 1, 1, 512)]);

    assert_eq!(verdicts, [dropped("no offer to launch on was named")]);
}

#[test]
fn the_offer_of_another_framework_launches_nothing_and_stays_open() {
    let (mut world, _, owner, offer) = with_offer();
    let thief = world.framework("role");

    let verdicts = verdicts(&mut world, thief, &[offer], &[task(thief, 1, 1, 512)]);

    assert_eq!(verdicts, [dropped("offer-1 was not made to framework-2")]);
    assert_eq!(world.open_offers(owner), [offer]);
}

#[test]
fn a_task_that_does_not_fit_is_dropped_and_the_others_launch() {
    let (mut world, agent, framework, offer) = with_offer();
    let tasks = [task(framework, 1, 1, 512), task(framework, 2, 2, 512), task(framework, 3, 1, 512)];

    let verdicts = verdicts(&mut world, framework, &[offer], &tasks);

    assert_eq!(verdicts, [dropped("task-1.2 does not fit offer-1: wants 2.000 cpu, has 1.000 cpu")]);
    assert_eq!(world.used_on(agent), size(2, 1024));
    assert_eq!(world.state_of(tasks[1].id), None);
}

#[test]
fn a_task_id_is_used_once() {
    let (mut world, _, framework, offer) = with_offer();

    let twice = [task(framework, 1, 1, 512), task(framework, 1, 1, 512)];
    let verdicts = verdicts(&mut world, framework, &[offer], &twice);

    assert_eq!(verdicts, [wrong("task-1.1 was used before, and is STAGING: task ids are used once")]);
}

#[test]
fn the_id_of_a_task_that_has_ended_is_not_free_again() {
    let (mut world, agent, framework, _) = with_offer();
    let old = world.launch(framework, 1);
    world.update(agent, old, 1, TaskState::Finished);
    world.acknowledge(framework, old, 1);
    let offer = world.open_offer(framework);

    let verdicts = verdicts(&mut world, framework, &[offer], &[task(framework, 1, 1, 512)]);

    assert_eq!(verdicts, [wrong("task-1.1 was used before, and is FINISHED: task ids are used once")]);
    assert_eq!(world.state_of(old), Some(TaskState::Finished));
}

#[test]
fn a_framework_launches_its_own_tasks_only() {
    let (mut world, _, framework, offer) = with_offer();
    let other = world.framework("role");

    let verdicts = verdicts(&mut world, framework, &[offer], &[task(other, 1, 1, 512)]);

    assert_eq!(verdicts, [wrong("task-2.1 is not of framework-1")]);
}

#[test]
fn a_wrong_spec_is_an_error() {
    let (mut world, _, framework, offer) = with_offer();
    let mut lost = task(framework, 2, 1, 512);
    lost.inputs = vec![Input { guest_path: "data".into(), content: lost.module }];

    let verdicts = verdicts(&mut world, framework, &[offer], &[task(framework, 1, 0, 512), lost]);

    assert_eq!(verdicts[0], wrong("task-1.1 cannot run anywhere: a task needs some cpus, and wants none"));
    assert_eq!((verdicts[1].0, verdicts[1].1), (TaskState::Error, Reason::TaskInvalid));
}

#[test]
fn a_framework_has_a_bounded_number_of_tasks() {
    let config = Config { tasks_per_framework: 1, ..Config::default() };
    let mut world = World::with(config, remembered());
    let framework = world.framework("role");
    world.agent(2, 1024);
    let offer = world.open_offer(framework);

    let tasks = [task(framework, 1, 1, 512), task(framework, 2, 1, 512)];
    let verdicts = verdicts(&mut world, framework, &[offer], &tasks);

    assert_eq!(verdicts.len(), 1);
    assert_eq!((verdicts[0].0, verdicts[0].1), (TaskState::Dropped, Reason::FrameworkLimit));
}

/// Breach: nothing bounded a framework that never acknowledged.
#[test]
fn who_does_not_acknowledge_launches_no_more() {
    let config = Config { unacknowledged_per_framework: 1, ..Config::default() };
    let mut world = World::with(config, remembered());
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let first = world.launch(framework, 1);
    world.update(agent, first, 1, TaskState::Finished);
    let offer = world.open_offer(framework);

    let verdicts = verdicts(&mut world, framework, &[offer], &[task(framework, 2, 1, 512)]);
    assert_eq!((verdicts[0].0, verdicts[0].1), (TaskState::Dropped, Reason::FrameworkLimit));

    world.acknowledge(framework, first, 1);
    world.framework_says(framework, FrameworkCommand::Revive { role: None });
    let second = world.launch(framework, 3);
    assert_eq!(world.state_of(second), Some(TaskState::Staging));
}
