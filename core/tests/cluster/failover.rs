//! A new master, and who comes back to it.

use std::time::Duration;

use haggle_core::cluster::{AgentOrder, Change, Config, Effect, FrameworkEvent, Recovered};
use haggle_core::{AgentId, FrameworkId, TaskId, TaskState, UpdateId};

use crate::kit::*;

const T: TaskId = TaskId { framework: FrameworkId(1), number: 1 };

/// A master whose predecessor knew an agent of (2, 1024) and a framework.
fn new_master() -> World {
    let recovered = Recovered {
        agents: vec![(AgentId(1), agent_info(size(2, 1024)))],
        frameworks: vec![(FrameworkId(1), framework_info("role"))],
        last_agent: 4,
        last_framework: 4,
    };
    World::with(Config::default(), recovered)
}

fn agent_returns(world: &mut World) -> (Agent, Vec<Effect>) {
    let runs = vec![held(T, TaskState::Running, size(1, 512))];
    world.register(Some(AgentId(1)), size(2, 1024), runs)
}

/// Mesos: `MasterAllocatorTest.FrameworkReregistersFirst`.
#[test]
fn a_framework_that_is_back_first_is_offered_what_its_tasks_leave() {
    let mut world = new_master();
    let (framework, _) = world.subscribe(Some(FrameworkId(1)), framework_info("role"));

    let (_, effects) = agent_returns(&mut world);

    assert_eq!(offers(&effects, framework)[0].resources, size(1, 512));
    assert_eq!(world.cluster.frameworks()[0].used, size(1, 512));
    assert_eq!(world.cluster.task(T).expect("it is known").role, "role");
}

/// Mesos: `MasterAllocatorTest.SlaveReregistersFirst`.
#[test]
fn an_agent_that_is_back_first_keeps_its_tasks() {
    let mut world = new_master();
    let (agent, effects) = agent_returns(&mut world);
    assert!(!orders(&effects, agent).contains(&AgentOrder::RemoveFramework(FrameworkId(1))));

    let (framework, effects) = world.subscribe(Some(FrameworkId(1)), framework_info("role"));

    assert_eq!(offers(&effects, framework)[0].resources, size(1, 512));
    assert_eq!(orders(&effects, agent), [AgentOrder::Resend(FrameworkId(1))]);
    assert_eq!(world.cluster.frameworks()[0].used, size(1, 512));
}

#[test]
fn ids_go_on_where_the_last_master_stopped() {
    let mut world = new_master();

    assert_eq!(world.agent(1, 512).id, AgentId(5));
    assert_eq!(world.framework("role").id, FrameworkId(5));
}

/// Mesos: `MasterTest.RecoveredSlaveCanReregister` and `UnreachableTaskAfterFailover`.
#[test]
fn an_agent_that_is_not_back_in_time_is_lost_and_may_still_return() {
    let mut world = new_master();
    let (framework, _) = world.subscribe(Some(FrameworkId(1)), framework_info("role"));

    let effects = world.wait(Duration::from_secs(75));
    assert_eq!(events(&effects, framework), [FrameworkEvent::AgentLost(AgentId(1))]);
    assert!(effects.contains(&Effect::Remember(Change::AgentRemoved(AgentId(1)))));

    let (agent, effects) = agent_returns(&mut world);
    assert_eq!(agent.id, AgentId(1));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Remember(Change::AgentAdmitted(..)))));
    assert_eq!(world.state_of(T), Some(TaskState::Running));
}

#[test]
fn a_framework_has_its_failover_timeout_from_the_start_of_the_new_master() {
    let mut world = new_master();
    let (agent, _) = agent_returns(&mut world);

    let effects = world.wait(Duration::from_secs(60));

    assert!(effects.contains(&Effect::Remember(Change::FrameworkRemoved(FrameworkId(1)))));
    assert_eq!(orders(&effects, agent), [AgentOrder::RemoveFramework(FrameworkId(1))]);
}

#[test]
fn an_end_that_the_last_master_did_not_deliver_is_delivered_and_acknowledged() {
    let mut world = new_master();
    let (framework, _) = world.subscribe(Some(FrameworkId(1)), framework_info("role"));
    let (agent, _) = world.register(Some(AgentId(1)), size(2, 1024), vec![held(T, TaskState::Failed, size(1, 512))]);
    assert_eq!(world.used_on(agent), size(0, 0));

    let effects = world.update(agent, T, 2, TaskState::Failed);
    assert_eq!(briefs(&effects, framework), [(T, TaskState::Failed, None)]);

    let effects = world.acknowledge(framework, T, 2);
    assert_eq!(orders(&effects, agent), [AgentOrder::Acknowledge(T, UpdateId(2))]);
    assert_eq!(world.cluster.frameworks()[0].tasks, 0);
}
