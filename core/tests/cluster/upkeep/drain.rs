//! Scenario 42: agents that are drained, deactivated, and brought back.

use std::time::Duration;

use haggle_core::access::Principal;
use haggle_core::allocator::{Obstacle, Withheld};
use haggle_core::cluster::{
    AgentCommand, AgentOrder, Announcement, Change, Command, Effect, FrameworkCommand, FrameworkEvent, OperatorCommand,
    PhaseView, Refusal, Rejection,
};
use haggle_core::{AgentId, Drain, Phase, Reason, TaskState, Want};

use super::SECOND;
use crate::kit::*;

/// Mesos: `MasterDrainingTest.DrainAgent`.
#[test]
fn scenario_42_an_agent_without_tasks_is_drained_at_once() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let offer = world.open_offer(framework);

    let effects = world.drain(agent, 30 * SECOND);

    assert_eq!(events(&effects, framework), [FrameworkEvent::Rescinded(vec![offer])]);
    assert_eq!(world.phase(agent), Some(PhaseView::Drained));
    assert!(effects.contains(&Effect::Announce(Announcement::AgentWithdrawn(agent.id, Withheld::Drained))));
    assert_eq!(world.open_offers(framework), []);
}

#[test]
fn scenario_42_a_task_may_run_until_its_grace_is_over_and_is_killed_then() {
    let (mut world, agent, framework, task) = with_running();

    let effects = world.drain(agent, 30 * SECOND);
    assert_eq!(briefs(&effects, framework), [(task, TaskState::Killing, Some(Reason::AgentDraining))]);
    assert!(updates(&effects, framework)[0].message.contains("killed in 30s"));
    assert_eq!(orders(&effects, agent), []);
    let effects = world.wait(30 * SECOND - Duration::from_nanos(1));
    assert_eq!(orders(&effects, agent), []);

    let effects = world.wait(Duration::from_nanos(1));
    assert_eq!(orders(&effects, agent), [AgentOrder::StopAll]);
    assert!(matches!(world.phase(agent), Some(PhaseView::Draining { .. })));

    world.update(agent, task, 2, TaskState::Killed);
    assert!(matches!(world.phase(agent), Some(PhaseView::Draining { .. })), "its end is not acknowledged");
    world.acknowledge(framework, task, 2);
    assert_eq!(world.phase(agent), Some(PhaseView::Drained));
}

#[test]
fn a_task_that_ends_within_the_grace_ends_as_it_does() {
    let (mut world, agent, framework, task) = with_running();
    world.drain(agent, 30 * SECOND);

    let effects = world.update(agent, task, 2, TaskState::Finished);

    assert_eq!(briefs(&effects, framework), [(task, TaskState::Finished, None)]);
    world.acknowledge(framework, task, 2);
    assert_eq!(world.phase(agent), Some(PhaseView::Drained));
    assert_eq!(orders(&world.wait(30 * SECOND), agent), [], "nothing is left to be killed");
}

#[test]
fn without_a_grace_tasks_are_killed_at_once() {
    let (mut world, agent, framework, task) = with_running();

    let effects = world.drain(agent, Duration::ZERO);

    assert_eq!(orders(&effects, agent), [AgentOrder::StopAll]);
    assert_eq!(briefs(&effects, framework), [(task, TaskState::Killing, Some(Reason::AgentDraining))]);
}

/// A tenant that does not acknowledge must not keep an operator from a machine.
#[test]
fn ends_that_nobody_acknowledges_are_waited_for_for_a_while() {
    let (mut world, agent, framework, task) = with_running();
    world.drain(agent, Duration::ZERO);
    world.update(agent, task, 2, TaskState::Killed);

    world.wait(5 * SECOND - Duration::from_nanos(1));
    assert!(matches!(world.phase(agent), Some(PhaseView::Draining { .. })));
    world.wait(Duration::from_nanos(1));
    assert_eq!(world.phase(agent), Some(PhaseView::Drained));

    // The master repeats it once the agent is switched off.
    world.disconnect(agent);
    let told = world.wait(60 * SECOND);
    assert!(briefs(&told, framework).contains(&(task, TaskState::Killed, None)));
}

/// Mesos: `MasterDrainingTest.DrainAgentMarkGone`.
#[test]
fn scenario_42_an_agent_that_is_to_be_marked_gone_is_gone_once_it_is_drained() {
    let (mut world, agent, framework, task) = with_running();
    let drain = OperatorCommand::Drain { agent: agent.id, grace: Duration::ZERO, mark_gone: true };
    world.operator_says(drain).unwrap();
    world.update(agent, task, 2, TaskState::Killed);

    let effects = world.acknowledge(framework, task, 2);

    let [AgentOrder::Acknowledge(..), AgentOrder::Refused(Rejection::Final(why))] = &orders(&effects, agent)[..] else {
        panic!("the agent is not sent away: {effects:?}")
    };
    assert!(why.starts_with("agent-1 was drained and marked gone"), "{why}");
    assert!(effects.contains(&Effect::Close(agent.session)));
    assert!(effects.contains(&Effect::Remember(Change::AgentRemoved(agent.id))));
    assert!(effects.contains(&Effect::Remember(Change::AgentReactivated(agent.id))));
    assert_eq!(world.cluster.agents(world.now), []);
    assert_eq!(world.reactivate(agent), Err(Refusal::AgentUnknown(agent.id)));
}

/// Mesos: `MasterDrainingTest.DrainAgentUnreachable`.
#[test]
fn scenario_42_an_unreachable_agent_is_drained_when_it_returns() {
    let (mut world, agent, framework, task) = with_running();
    world.disconnect(agent);
    world.wait(80 * SECOND);
    assert_eq!(world.state_of(task), Some(TaskState::Unreachable));
    world.drain(agent, Duration::ZERO);
    assert_eq!(world.reactivate(agent), Err(Refusal::StillDraining(agent.id)));

    let runs = vec![held(task, TaskState::Running, size(2, 1024))];
    let (agent, effects) = world.register(Some(agent.id), size(2, 1024), runs);

    assert!(orders(&effects, agent).contains(&AgentOrder::StopAll));
    let told = briefs(&effects, framework);
    assert_eq!(told.last(), Some(&(task, TaskState::Killing, Some(Reason::AgentDraining))));
    world.update(agent, task, 3, TaskState::Killed);
    world.acknowledge(framework, task, 3);
    assert_eq!(world.phase(agent), Some(PhaseView::Drained));
    assert_eq!(world.open_offers(framework), []);
}

/// Mesos: `MasterDrainingTest.DrainAgentDisallowReactivationWhileDraining`.
#[test]
fn scenario_42_an_agent_is_not_reactivated_while_it_drains() {
    let (mut world, agent, framework, task) = with_running();
    world.drain(agent, Duration::ZERO);
    assert_eq!(world.reactivate(agent), Err(Refusal::StillDraining(agent.id)));
    world.update(agent, task, 2, TaskState::Killed);
    world.acknowledge(framework, task, 2);

    let effects = world.reactivate(agent).expect("it is drained");

    assert!(effects.contains(&Effect::Remember(Change::AgentReactivated(agent.id))));
    assert_eq!(world.phase(agent), None);
    assert_eq!(world.reactivate(agent), Err(Refusal::NotWithdrawn(agent.id)));
    world.framework_says(framework, FrameworkCommand::Revive { role: None });
    assert_eq!(world.open_offers(framework).len(), 1);
}

#[test]
fn a_deactivated_agent_is_offered_no_more_and_its_tasks_go_on() {
    let (mut world, agent, framework, task) = with_running();

    world.operator_says(OperatorCommand::Deactivate(agent.id)).unwrap();
    assert_eq!(world.state_of(task), Some(TaskState::Running));
    world.update(agent, task, 2, TaskState::Finished);
    world.acknowledge(framework, task, 2);

    assert_eq!(world.open_offers(framework), []);
    assert_eq!(world.phase(agent), Some(PhaseView::Deactivated));
    let again = world.operator_says(OperatorCommand::Deactivate(agent.id));
    assert_eq!(again, Err(Refusal::Withdrawn(agent.id, Phase::Deactivated)));
    world.reactivate(agent).unwrap();
    assert_eq!(world.open_offers(framework).len(), 1);
}

#[test]
fn a_deactivated_agent_can_be_drained() {
    let (mut world, agent, ..) = with_running();
    world.operator_says(OperatorCommand::Deactivate(agent.id)).unwrap();

    let effects = world.drain(agent, Duration::ZERO);

    assert_eq!(orders(&effects, agent), [AgentOrder::StopAll]);
    assert!(matches!(world.phase(agent), Some(PhaseView::Draining { .. })));
}

#[test]
fn whoever_drains_again_changes_how_much_time_is_left() {
    let (mut world, agent, ..) = with_running();
    world.drain(agent, 60 * SECOND);
    world.wait(SECOND);

    let effects = world.drain(agent, 10 * SECOND);
    assert_eq!(orders(&effects, agent), []);

    assert_eq!(orders(&world.wait(10 * SECOND), agent), [AgentOrder::StopAll]);
    assert_eq!(orders(&world.wait(60 * SECOND), agent), [], "the former time means nothing");
}

#[test]
fn an_agent_that_is_drained_can_still_be_marked_gone() {
    let mut world = World::new();
    let agent = world.agent(2, 1024);
    world.drain(agent, Duration::ZERO);

    let drain = OperatorCommand::Drain { agent: agent.id, grace: Duration::ZERO, mark_gone: true };
    world.operator_says(drain).unwrap();

    assert_eq!(world.cluster.agents(world.now), []);
}

#[test]
fn nonsense_is_refused_with_the_reason() {
    let mut world = World::new();
    let agent = world.agent(2, 1024);
    let drain = |agent, grace| OperatorCommand::Drain { agent, grace, mark_gone: false };
    let mut refusal = |command| world.operator_says(command).unwrap_err().to_string();

    let unknown = "agent-9 is not known: it never joined, left, or was declared gone before";
    assert_eq!(refusal(drain(AgentId(9), SECOND)), unknown);
    assert_eq!(refusal(OperatorCommand::Deactivate(AgentId(9))), unknown);
    assert_eq!(refusal(OperatorCommand::Reactivate(AgentId(9))), unknown);
    assert_eq!(
        refusal(drain(agent.id, Drain::GRACE_MAX + SECOND)),
        "a grace of 604801s is too long: tasks are given at most 604800s (deactivate the agent to wait for longer)"
    );
    assert_eq!(
        refusal(OperatorCommand::Reactivate(agent.id)),
        "agent-1 takes tasks already: it is neither deactivated nor drained"
    );
}

#[test]
fn only_operators_decide_what_becomes_of_agents() {
    let mut world = World::new();
    let agent = world.agent(2, 1024);
    let tenant = Principal {
        name: "ci".into(),
        kind: haggle_core::access::Kind::Framework(haggle_core::access::Roles::every()),
        token: None,
    };

    let command = Command::Operator(tenant, None, OperatorCommand::Deactivate(agent.id));

    assert!(matches!(world.try_apply(command), Err(Refusal::Denied(_))));
}

#[test]
fn whoever_asks_why_hears_that_agents_are_taken_out_of_use() {
    let mut world = World::new();
    let framework = world.framework("role");
    let want = Want { resources: size(1, 128), constraints: vec![], volumes: vec![], waiting: 1, spare: 0, gang: 0 };
    let small = world.agent(1, 64);
    let [deactivated, drained] = [(); 2].map(|()| world.agent(2, 1024));
    world.operator_says(OperatorCommand::Deactivate(deactivated.id)).unwrap();
    world.drain(drained, Duration::ZERO);
    world.drain(small, Duration::ZERO);

    world.framework_says(framework, FrameworkCommand::Demand { role: None, wants: vec![want] });

    let why = world.cluster.why(world.now, &Principal::owner(), framework.id, None).unwrap();
    let hindrances: Vec<_> = why.hindrances.iter().map(|hindrance| (&hindrance.obstacle, hindrance.agents)).collect();
    let expected = [(&Obstacle::Withheld(Withheld::Deactivated), 1), (&Obstacle::Withheld(Withheld::Drained), 1)];
    assert_eq!(hindrances, expected, "one that is too small would not help if it were back");
}

/// An agent that leaves by itself, as when its machine is shut down, is not taken for one that may take tasks again.
#[test]
fn an_agent_that_says_itself_that_it_leaves_stays_withdrawn_until_it_is_reactivated() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    world.drain(agent, Duration::ZERO);

    world.disconnect(agent);
    let (agent, _) = world.register(Some(agent.id), size(2, 1024), vec![]);

    assert_eq!(world.phase(agent), Some(PhaseView::Drained));
    assert_eq!(world.open_offers(framework), []);
    world.agent_says(agent, AgentCommand::Drain);
    world.reactivate(agent).unwrap();
    assert_eq!(world.open_offers(framework), [], "it leaves by itself");
}
