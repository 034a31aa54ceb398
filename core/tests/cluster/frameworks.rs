//! Frameworks that join, fail over and leave.

use std::time::Duration;

use haggle_core::cluster::{
    AgentOrder, Announcement, Change, Command, Effect, FrameworkCommand, FrameworkEvent, FrameworkInfo, Refusal,
};
use haggle_core::{FrameworkId, TaskId, TaskState, UpdateId};

use crate::kit::*;

fn with_running() -> (World, Agent, Framework, TaskId) {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let task = world.launch_and_run(agent, framework, 1);
    (world, agent, framework, task)
}

/// The last word to a framework that cannot subscribe like this.
fn turned_away(world: &mut World, id: Option<FrameworkId>, info: FrameworkInfo) -> String {
    let session = world.session();
    let before = world.cluster.clone();
    let effects = world.apply(Command::Framework(session, FrameworkCommand::Subscribe { id, info }));
    assert_eq!(world.cluster, before);
    match &effects[..] {
        [Effect::ToFramework(to, FrameworkEvent::Error(why)), Effect::Close(closed)] => {
            assert_eq!((to, closed), (&session, &session));
            why.clone()
        }
        _ => panic!("it is not turned away: {effects:?}"),
    }
}

#[test]
fn a_new_framework_is_remembered_before_it_is_told_its_id() {
    let mut world = World::new();

    let (framework, effects) = world.subscribe(None, framework_info("role"));

    assert_eq!(
        effects,
        [
            Effect::Remember(Change::FrameworkSubscribed(FrameworkId(1), framework_info("role"))),
            Effect::ToFramework(framework.session, FrameworkEvent::Subscribed(FrameworkId(1))),
            Effect::Announce(Announcement::FrameworkUp(FrameworkId(1))),
        ]
    );
}

/// Mesos: `MasterTest.RejectFrameworkWithInvalidRole`.
#[test]
fn a_framework_with_an_invalid_role_or_name_is_told_so() {
    let mut world = World::new();
    for role in ["", "/a", "a/", "a//b", "a b", "..", "a/./b"] {
        let why = turned_away(&mut world, None, framework_info(role));
        assert!(why.starts_with(&format!("role {role:?} is no role")), "{why}");
    }

    let nameless = FrameworkInfo { name: String::new(), ..framework_info("role") };
    let why = turned_away(&mut world, None, nameless);
    assert_eq!(why, "framework name \"\" is empty, longer than 128 bytes, or not printable");
}

/// Mesos: `FaultToleranceTest.SchedulerFailover`.
#[test]
fn a_second_instance_takes_the_place_of_the_first() {
    let (mut world, agent, first, task) = with_running();
    world.update(agent, task, 2, TaskState::Finished);

    let (second, effects) = world.subscribe(Some(first.id), framework_info("role"));

    assert_eq!(second.id, first.id);
    let why = "framework failed over to another connection".to_string();
    assert_eq!(events(&effects, first), [FrameworkEvent::Error(why)]);
    assert!(effects.contains(&Effect::Close(first.session)));
    assert_eq!(orders(&effects, agent), [AgentOrder::Resend(first.id)]);
    let late = world.try_apply(Command::Framework(first.session, FrameworkCommand::Revive));
    assert_eq!(late, Err(Refusal::NotAFramework(first.session)));
}

/// Mesos: `FaultToleranceTest.SchedulerFailoverStatusUpdate`.
#[test]
fn the_second_instance_hears_what_the_first_did_not_acknowledge() {
    let (mut world, agent, first, task) = with_running();
    world.update(agent, task, 2, TaskState::Finished);
    let (second, _) = world.subscribe(Some(first.id), framework_info("role"));

    let effects = world.update(agent, task, 2, TaskState::Finished);

    assert_eq!(briefs(&effects, second), [(task, TaskState::Finished, None)]);
}

#[test]
fn offers_do_not_outlive_the_connection_they_were_sent_on() {
    let mut world = World::new();
    let first = world.framework("role");
    world.agent(2, 1024);
    let old = world.open_offer(first);

    let (second, effects) = world.subscribe(Some(first.id), framework_info("role"));

    assert_eq!(offers(&effects, second).len(), 1);
    assert_ne!(world.open_offer(second), old);
}

#[test]
fn a_framework_may_come_back_within_its_failover_timeout() {
    let (mut world, agent, framework, task) = with_running();
    world.disconnect(framework);
    world.agent_says(agent, haggle_core::cluster::AgentCommand::Heartbeat);

    world.wait(Duration::from_millis(59_999));
    let (framework, _) = world.subscribe(Some(framework.id), framework_info("role"));
    world.wait(Duration::from_secs(1));

    assert_eq!(world.state_of(task), Some(TaskState::Running));
    assert!(world.cluster.frameworks()[0].connected);
    assert_eq!(world.cluster.frameworks()[0].id, framework.id);
}

/// Mesos: `FaultToleranceTest.SchedulerReregisterAfterFailoverTimeout`.
#[test]
fn a_framework_that_comes_back_too_late_is_told_that_it_was_removed() {
    let (mut world, agent, framework, task) = with_running();
    world.disconnect(framework);

    let effects = world.wait(Duration::from_secs(60));
    assert_eq!(orders(&effects, agent), [AgentOrder::RemoveFramework(framework.id)]);
    assert!(effects.contains(&Effect::Remember(Change::FrameworkRemoved(framework.id))));
    assert_eq!(world.state_of(task), Some(TaskState::Killing));

    let why = turned_away(&mut world, Some(framework.id), framework_info("role"));
    assert_eq!(why, "framework has been removed");
}

#[test]
fn a_framework_without_a_failover_timeout_is_removed_at_once() {
    let mut world = World::new();
    let info = FrameworkInfo { failover_timeout: Duration::ZERO, ..framework_info("role") };
    let (framework, _) = world.subscribe(None, info);

    let effects = world.disconnect(framework);

    assert!(effects.contains(&Effect::Announce(Announcement::FrameworkRemoved(framework.id))));
    assert_eq!(world.cluster.frameworks(), []);
}

#[test]
fn what_a_removed_framework_holds_is_offered_when_its_tasks_have_ended_and_not_before() {
    let (mut world, agent, framework, task) = with_running();
    let other = world.framework("role");

    let effects = world.framework_says(framework, FrameworkCommand::Teardown);
    assert!(effects.contains(&Effect::Close(framework.session)));
    assert_eq!(orders(&effects, agent), [AgentOrder::RemoveFramework(framework.id)]);
    assert_eq!(offers(&effects, other), []);

    let effects = world.update(agent, task, 2, TaskState::Killed);
    assert_eq!(orders(&effects, agent), [AgentOrder::Acknowledge(task, UpdateId(2))]);
    assert_eq!(offers(&effects, other)[0].resources, size(2, 1024));
    assert_eq!(world.state_of(task), Some(TaskState::Killed));
}

#[test]
fn a_framework_that_changes_its_mind_about_itself_is_written_down_again() {
    let mut world = World::new();
    let framework = world.framework("old");
    world.disconnect(framework);

    let (framework, effects) = world.subscribe(Some(framework.id), framework_info("new"));

    let change = Change::FrameworkSubscribed(framework.id, framework_info("new"));
    assert!(effects.contains(&Effect::Remember(change)));
    let roles: Vec<_> = world.cluster.roles().into_iter().map(|role| role.name).collect();
    assert_eq!(roles, ["new"]);
}

#[test]
fn an_id_of_a_lost_registry_is_kept_and_not_given_again() {
    let mut world = World::new();

    let (old, _) = world.subscribe(Some(FrameworkId(7)), framework_info("role"));
    let new = world.framework("role");

    assert_eq!((old.id, new.id), (FrameworkId(7), FrameworkId(8)));
}

#[test]
fn a_session_introduces_itself_once() {
    let (mut world, _, framework, _) = with_running();

    let again = FrameworkCommand::Subscribe { id: None, info: framework_info("role") };
    let verdict = world.try_apply(Command::Framework(framework.session, again));

    assert_eq!(verdict, Err(Refusal::IntroducedTwice(framework.session)));
}
