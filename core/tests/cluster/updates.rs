//! Status updates on their way to frameworks, and acknowledgements on their way back.

use std::time::Duration;

use haggle_core::cluster::{AgentCommand, AgentOrder, Announcement, Config, Effect, HeldTask};
use haggle_core::{Source, TaskId, TaskState, TaskStatus, UpdateId};

use crate::kit::*;

#[test]
fn an_update_reaches_its_framework_and_whoever_watches() {
    let (mut world, agent, framework, task) = with_running();

    let effects = world.update(agent, task, 2, TaskState::Failed);

    assert_eq!(briefs(&effects, framework), [(task, TaskState::Failed, None)]);
    let status = &updates(&effects, framework)[0];
    assert_eq!((status.agent, status.update), (Some(agent.id), UpdateId(2)));
    assert!(effects.contains(&Effect::Announce(Announcement::Task(status.clone()))));
}

#[test]
fn an_acknowledgement_reaches_the_agent_of_the_task() {
    let (mut world, agent, framework, task) = with_running();
    world.update(agent, task, 2, TaskState::Finished);

    let effects = world.acknowledge(framework, task, 2);

    assert_eq!(orders(&effects, agent), [AgentOrder::Acknowledge(task, UpdateId(2))]);
}

/// Scenario 29. Mesos: `MasterTest.UnacknowledgedTerminalTask`.
#[test]
fn an_end_frees_its_resources_before_it_is_acknowledged() {
    let (mut world, agent, framework, task) = with_running();

    let effects = world.update(agent, task, 2, TaskState::Finished);

    assert_eq!(offers(&effects, framework)[0].resources, size(2, 1024));
}

#[test]
fn a_repeated_end_is_forwarded_and_frees_nothing_twice() {
    let (mut world, agent, framework, task) = with_running();
    world.update(agent, task, 2, TaskState::Finished);
    let before = world.cluster.clone();

    let effects = world.update(agent, task, 2, TaskState::Finished);

    assert_eq!(briefs(&effects, framework), [(task, TaskState::Finished, None)]);
    assert_eq!(world.cluster, before);
}

#[test]
fn a_terminal_state_never_changes() {
    let (mut world, agent, framework, task) = with_running();
    world.update(agent, task, 2, TaskState::Finished);

    let effects = world.update(agent, task, 3, TaskState::Failed);

    assert_eq!(world.state_of(task), Some(TaskState::Finished));
    assert_eq!(briefs(&effects, framework).len(), 1, "it is forwarded, to be acknowledged");
}

#[test]
fn an_end_that_was_acknowledged_is_acknowledged_again_by_the_master() {
    let (mut world, agent, framework, task) = with_running();
    world.update(agent, task, 2, TaskState::Finished);
    world.acknowledge(framework, task, 2);

    let effects = world.update(agent, task, 2, TaskState::Finished);

    assert_eq!(orders(&effects, agent), [AgentOrder::Acknowledge(task, UpdateId(2))]);
    assert_eq!(briefs(&effects, framework), []);
}

/// Scenario 41. Mesos: `TaskStatusUpdateManagerTest.IgnoreUnexpectedStatusUpdateAck`, at the master.
#[test]
fn acknowledgements_of_nothing_go_nowhere() {
    let (mut world, agent, framework, task) = with_running();
    let other = world.framework("role");
    let before = world.cluster.clone();

    let mut effects = world.acknowledge(framework, task, 0);
    effects.extend(world.acknowledge(framework, task, 9));
    effects.extend(world.acknowledge(framework, TaskId { number: 9, ..task }, 1));
    effects.extend(world.acknowledge(other, task, 1));

    assert_eq!(orders(&effects, agent), []);
    assert_eq!(world.cluster, before);
}

#[test]
fn a_framework_that_is_away_is_told_when_it_is_back() {
    let (mut world, agent, framework, task) = with_running();
    world.disconnect(framework);
    let effects = world.update(agent, task, 2, TaskState::Finished);
    assert_eq!(orders(&effects, agent), [], "nobody has taken note of it");

    let (framework, effects) = world.subscribe(Some(framework.id), framework_info("role"));
    assert_eq!(orders(&effects, agent), [AgentOrder::Resend(framework.id)]);

    let effects = world.update(agent, task, 2, TaskState::Finished);
    assert_eq!(briefs(&effects, framework), [(task, TaskState::Finished, None)]);
}

#[test]
fn the_history_keeps_the_last_that_ended() {
    let mut world = World::with(Config { history: 2, ..Config::default() }, remembered());
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);

    for number in 1..=3 {
        let task = world.launch(framework, number);
        world.update(agent, task, 1, TaskState::Finished);
        world.acknowledge(framework, task, 1);
    }

    let known: Vec<_> = world.cluster.tasks().iter().map(|task| task.id.number).collect();
    assert_eq!(known, [2, 3]);
}

fn with_master_declared_end() -> (World, Agent, Framework, TaskId) {
    let (mut world, agent, framework, task) = with_running();
    world.disconnect(framework);
    world.disconnect(agent);
    let (agent, _) = world.register(Some(agent.id), size(2, 1024), vec![]);
    (world, agent, framework, task)
}

/// Breach: what the master declared was told to a connected framework only.
#[test]
fn what_the_master_declares_while_a_framework_is_away_is_told_when_it_is_back() {
    let (mut world, _, framework, task) = with_master_declared_end();

    let (framework, effects) = world.subscribe(Some(framework.id), framework_info("role"));

    let told = updates(&effects, framework);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].task, told[0].state), (task, TaskState::Gone));
    assert!(told[0].update.is_by_master());
}

/// Breach: an end that the master declared was closed as soon as it was sent.
#[test]
fn what_the_master_declares_is_told_again_until_it_is_acknowledged() {
    let (mut world, agent, framework, task) = with_running();
    world.disconnect(agent);
    let (_, effects) = world.register(Some(agent.id), size(2, 1024), vec![]);
    let first = updates(&effects, framework)[0].update;

    let told = |effects: &[Effect]| updates(effects, framework).iter().map(|status| status.update).collect::<Vec<_>>();
    assert_eq!(told(&world.wait(Duration::from_secs(1))), [first]);
    assert_eq!(told(&world.wait(Duration::from_secs(2))), [first]);
    assert_eq!(told(&world.wait(Duration::from_secs(1))), []);
    world.acknowledge_all(framework, &[(task, first)]);

    assert_eq!(told(&world.wait(Duration::from_secs(60))), []);
    assert_eq!(world.cluster.counts().kept_updates, 0);
    assert_eq!(world.state_of(task), Some(TaskState::Gone));
}

/// Breach: an end that was told and not acknowledged was dropped when its agent came back without it, or left.
#[test]
fn an_end_that_its_agent_has_forgotten_is_repeated_by_the_master() {
    for leaves in [false, true] {
        let (mut world, agent, framework, task) = with_running();
        world.update(agent, task, 2, TaskState::Finished);
        world.disconnect(framework);
        if leaves {
            world.agent_says(agent, AgentCommand::Leave);
        } else {
            world.disconnect(agent);
            world.register(Some(agent.id), size(2, 1024), vec![]);
        }

        let (framework, effects) = world.subscribe(Some(framework.id), framework_info("role"));

        assert_eq!(briefs(&effects, framework), [(task, TaskState::Finished, None)]);
        assert_eq!(updates(&effects, framework)[0].update, UpdateId(2));
        world.acknowledge(framework, task, 2);
        assert_eq!(world.cluster.frameworks()[0].tasks, 0);
        assert_eq!(world.cluster.counts().tasks, 0);
    }
}

#[test]
fn news_of_an_agent_that_is_back_takes_the_place_of_what_the_master_declared() {
    let (mut world, agent, framework, task) = with_running();
    world.wait(Duration::from_secs(75));
    assert_eq!(world.cluster.counts().kept_updates, 1);
    let (agent, _) =
        world.register(Some(agent.id), size(2, 1024), vec![held(task, TaskState::Finished, size(2, 1024))]);

    world.update(agent, task, 2, TaskState::Finished);

    assert_eq!(world.cluster.counts().kept_updates, 0);
    let effects = world.acknowledge(framework, task, 2);
    assert_eq!(orders(&effects, agent), [AgentOrder::Acknowledge(task, UpdateId(2))]);
}

/// A task whose end was acknowledged never comes back.
#[test]
fn a_task_whose_end_was_acknowledged_is_ended_where_it_turns_up() {
    let (mut world, agent, framework, task) = with_running();
    world.disconnect(agent);
    let (agent, effects) = world.register(Some(agent.id), size(2, 1024), vec![]);
    world.acknowledge_all(framework, &[(task, updates(&effects, framework)[0].update)]);
    world.disconnect(agent);

    let runs = vec![held(task, TaskState::Running, size(2, 1024))];
    let (agent, effects) = world.register(Some(agent.id), size(2, 1024), runs);
    assert!(orders(&effects, agent).contains(&AgentOrder::Kill(task)));
    assert_eq!(world.used_on(agent), size(2, 1024));

    let effects = world.update(agent, task, 3, TaskState::Killed);
    assert_eq!(orders(&effects, agent), [AgentOrder::Acknowledge(task, UpdateId(3))]);
    assert_eq!(briefs(&effects, framework), []);
    assert_eq!(world.used_on(agent), size(0, 0));
}

#[test]
fn an_end_without_a_number_is_told_and_can_be_acknowledged_all_the_same() {
    let mut world = World::new();
    let framework = world.framework("role");
    let task = TaskId { framework: framework.id, number: 1 };
    let nameless = HeldTask { update: UpdateId::UNACKNOWLEDGED, ..held(task, TaskState::Failed, size(1, 512)) };
    let (agent, _) = world.register(None, size(2, 1024), vec![nameless]);

    world.agent_says(agent, AgentCommand::Leave);
    let told = updates(&world.wait(Duration::from_secs(1)), framework);

    assert_eq!((told[0].task, told[0].state), (task, TaskState::Failed));
    world.acknowledge_all(framework, &[(task, told[0].update)]);
    assert_eq!(world.cluster.counts().tasks, 0);
}

/// Seed 2067061: the master took a forgotten task in again when its agent repeated what it had not seen acknowledged, and left
/// the end to the agent, which never told it again.
#[test]
fn an_end_that_was_acknowledged_and_forgotten_is_not_told_again() {
    let mut world = World::with(Config { history: 0, ..Config::default() }, remembered());
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let task = world.launch_and_run(agent, framework, 1);
    world.update(agent, task, 2, TaskState::Finished);
    world.acknowledge(framework, task, 2);

    // Both were on the way before the acknowledgement came to the agent.
    let again = [(1, TaskState::Running), (2, TaskState::Finished)];
    let again = again.map(|(update, state)| TaskStatus::new(task, UpdateId(update), state, Source::Executor));
    let effects = world.agent_says(agent, AgentCommand::Updates(again.to_vec()));

    assert_eq!(briefs(&effects, framework), []);
    assert_eq!(orders(&effects, agent), [1, 2].map(|update| AgentOrder::Acknowledge(task, UpdateId(update))));
    assert_eq!(world.cluster.counts().tasks, 0);
}

/// An agent says once that it does not take a task, and keeps nothing of it.
#[test]
fn a_launch_that_its_agent_refuses_is_told_until_it_is_acknowledged() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let task = world.launch(framework, 1);
    world.disconnect(framework);
    world.update(agent, task, 0, TaskState::Dropped);

    let (framework, effects) = world.subscribe(Some(framework.id), framework_info("role"));

    assert_eq!(briefs(&effects, framework), [(task, TaskState::Dropped, None)]);
    world.acknowledge_all(framework, &[(task, updates(&effects, framework)[0].update)]);
    assert_eq!(world.cluster.counts().tasks, 0);
}

#[test]
fn an_end_that_a_restarted_agent_tells_again_is_settled_by_its_new_number() {
    let (mut world, agent, framework, task) = with_running();
    world.update(agent, task, 2, TaskState::Finished);
    world.update(agent, task, 1 << 32 | 1, TaskState::Finished);

    world.acknowledge(framework, task, 1 << 32 | 1);

    assert_eq!(world.cluster.counts().tasks, 0);
}
