//! Frameworks that join, fail over and leave.

use std::time::Duration;

use haggle_core::cluster::{
    AgentOrder, Announcement, Change, Command, Config, Effect, FrameworkCall, FrameworkCommand, FrameworkEvent,
    FrameworkInfo, Refusal,
};
use haggle_core::{ClusterId, Epoch, FrameworkId, Member, TaskState, UpdateId};

use crate::kit::*;

/// The last word to a framework that cannot subscribe like this.
fn turned_away(world: &mut World, id: Option<FrameworkId>, info: FrameworkInfo) -> String {
    let session = world.session();
    let before = world.cluster.clone();
    let subscribe = FrameworkCommand::Subscribe { member: id.map(member), info };
    let effects = world.apply(Command::Framework(session, subscribe.into()));
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
            Effect::Remember(Change::FrameworkSubscribed(FrameworkId(1), framework_record("role"))),
            Effect::ToFramework(
                framework.session,
                FrameworkEvent::Subscribed { member: member(FrameworkId(1)), epoch: Epoch(1), last_call: 0 }
            ),
            Effect::Announce(Announcement::FrameworkUp(FrameworkId(1))),
        ]
    );
}

/// Scenario 30. Mesos: `MasterTest.RejectFrameworkWithInvalidRole`.
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

/// Scenario 38. Mesos: `FaultToleranceTest.SchedulerFailover`.
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
    let late = world.try_apply(Command::Framework(first.session, FrameworkCommand::Revive { role: None }.into()));
    assert_eq!(late, Err(Refusal::NotAFramework(first.session)));
}

/// Scenario 38. Mesos: `FaultToleranceTest.SchedulerFailoverStatusUpdate`.
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

/// Scenario 38. Mesos: `FaultToleranceTest.SchedulerReregisterAfterFailoverTimeout`.
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

    let change = Change::FrameworkSubscribed(framework.id, framework_record("new"));
    assert!(effects.contains(&Effect::Remember(change)));
    let roles: Vec<_> = world.cluster.roles().into_iter().map(|role| role.name).collect();
    assert_eq!(roles, ["new"]);
}

/// Breach: such an id was taken as it came, and the next newcomer overflowed.
#[test]
fn an_id_that_was_never_given_is_refused() {
    let mut world = World::new();

    for id in [0, 7, u64::MAX] {
        let why = turned_away(&mut world, Some(FrameworkId(id)), framework_info("role"));
        assert!(why.contains(&format!("never gave the id framework-{id}")), "{why}");
    }
    assert_eq!(world.framework("role").id, FrameworkId(1));
}

/// Breach: after a lost registry, frameworks of the old cluster took the places of those of the new.
#[test]
fn a_framework_of_another_cluster_is_told_so() {
    let mut world = World::new();
    let first = world.framework("role");
    let session = world.session();
    let stranger = Member { cluster: ClusterId(8), id: first.id };

    let subscribe = FrameworkCommand::Subscribe { member: Some(stranger), info: framework_info("role") };
    let effects = world.apply(Command::Framework(session, subscribe.into()));

    let [Effect::ToFramework(_, FrameworkEvent::Error(why)), Effect::Close(_)] = &effects[..] else {
        panic!("it is not turned away: {effects:?}");
    };
    assert!(why.starts_with("framework-1 belongs to cluster-00000000000000000000000000000008, and this is"), "{why}");
    assert!(world.cluster.frameworks()[0].connected);
}

#[test]
fn a_call_that_was_heard_before_is_passed_over() {
    let (mut world, agent, framework, task) = with_running();
    let call = |number| FrameworkCall { number, command: FrameworkCommand::Kill(task) };

    let first = world.apply(Command::Framework(framework.session, call(3)));
    let again = world.apply(Command::Framework(framework.session, call(3)));

    assert_eq!(orders(&first, agent), [AgentOrder::Kill(task)]);
    assert_eq!(again, []);
    let (_, effects) = world.subscribe(Some(framework.id), framework_info("role"));
    let welcome = effects.iter().find_map(|effect| match effect {
        Effect::ToFramework(_, FrameworkEvent::Subscribed { last_call, .. }) => Some(*last_call),
        _ => None,
    });
    assert_eq!(welcome, Some(3));
}

#[test]
fn of_too_many_frameworks_the_next_is_turned_away() {
    let config = Config { frameworks: 1, ..Config::default() };
    let mut world = World::with(config, remembered());
    world.framework("role");

    let why = turned_away(&mut world, None, framework_info("role"));

    assert_eq!(why, "1 frameworks are known, more are not taken");
}

/// Scenario 33. Where Mesos has the id of a stream, the stream itself says who calls. Mesos:
/// `SchedulerHttpApiTest.TeardownWithoutStreamId` and `TeardownWrongStreamId`.
#[test]
fn a_framework_is_torn_down_on_its_own_session_and_on_no_other() {
    let (mut world, _, framework, task) = with_running();
    let teardown = |session| Command::Framework(session, FrameworkCommand::Teardown.into());
    let strange = world.session();
    assert_eq!(world.try_apply(teardown(strange)), Err(Refusal::NotAFramework(strange)));

    world.subscribe(Some(framework.id), framework_info("role"));
    let former = framework.session;

    assert_eq!(world.try_apply(teardown(former)), Err(Refusal::NotAFramework(former)));
    assert_eq!(world.state_of(task), Some(TaskState::Running));
}

/// Scenario 30. No length is refused, for none overflows. Mesos: `MasterTest.InvalidFailoverTimeout`.
#[test]
fn the_longest_failover_timeout_is_never_over() {
    let mut world = World::new();
    let info = FrameworkInfo { failover_timeout: Duration::MAX, ..framework_info("role") };
    let (framework, _) = world.subscribe(None, info.clone());
    world.disconnect(framework);

    world.wait(Duration::from_secs(100 * 365 * 24 * 60 * 60));

    assert_eq!(world.subscribe(Some(framework.id), info).0.id, framework.id);
}

#[test]
fn a_session_introduces_itself_once() {
    let (mut world, _, framework, _) = with_running();

    let again = FrameworkCommand::Subscribe { member: None, info: framework_info("role") };
    let verdict = world.try_apply(Command::Framework(framework.session, again.into()));

    assert_eq!(verdict, Err(Refusal::IntroducedTwice(framework.session)));
}
