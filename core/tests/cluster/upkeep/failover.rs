//! What a new master knows of agents that are out of use.

use std::time::Duration;

use haggle_core::access::{Enrolment, Kind, Principal};
use haggle_core::cluster::{
    AgentCommand, AgentIdentity, AgentOrder, Change, Command, Config, Effect, PhaseView, Recovered,
};
use haggle_core::{
    AgentId, AgentKey, Cause, Drain, FrameworkId, Maintenance, MaintenanceId, Now, Phase, Reason, TaskId, TaskState,
    Unavailability, Withdrawal,
};

use super::{HOUR_MS, SECOND, TODAY_MS};
use crate::kit::*;

const T: TaskId = TaskId { framework: FrameworkId(1), number: 1 };

/// A registry that remembers an agent of (2, 1024) with this decision, and a framework.
fn remembers(phase: Phase, cause: Cause) -> Recovered {
    Recovered {
        agents: vec![(AgentId(1), record(size(2, 1024), 1))],
        frameworks: vec![(FrameworkId(1), framework_record("role"))],
        withdrawn: vec![(AgentId(1), Withdrawal { phase, since: Now::ZERO, cause })],
        last_agent: 1,
        last_framework: 1,
        ..remembered()
    }
}

fn window() -> Maintenance {
    let when = Unavailability { start_ms: TODAY_MS, duration_ms: HOUR_MS };
    Maintenance { agents: [AgentId(1)].into(), when, grace: Duration::ZERO }
}

fn new_master(recovered: Recovered) -> World {
    World::with(Config { agent_timeout: 75 * SECOND, ..Config::default() }, recovered)
}

#[test]
fn a_drain_goes_on_under_a_new_master() {
    let drain = Drain { kill_at: Now::ZERO + 30 * SECOND, mark_gone: false };
    let mut world = new_master(remembers(Phase::Draining(drain), Cause::Operator));
    let (framework, _) = world.subscribe(Some(FrameworkId(1)), framework_info("role"));

    let runs = vec![held(T, TaskState::Running, size(1, 512))];
    let (agent, effects) = world.register(Some(AgentId(1)), size(2, 1024), runs);

    assert_eq!(briefs(&effects, framework).last(), Some(&(T, TaskState::Killing, Some(Reason::AgentDraining))));
    assert_eq!(offers(&effects, framework), []);
    assert_eq!(orders(&world.wait(30 * SECOND), agent), [AgentOrder::StopAll]);
    world.update(agent, T, 3, TaskState::Killed);
    world.acknowledge(framework, T, 3);
    assert_eq!(world.phase(agent), Some(PhaseView::Drained));
}

#[test]
fn whoever_was_drained_is_so_under_a_new_master() {
    let mut world = new_master(remembers(Phase::Drained, Cause::Operator));
    let framework = world.framework("role");

    let (agent, _) = world.register(Some(AgentId(1)), size(2, 1024), vec![]);

    assert_eq!(world.phase(agent), Some(PhaseView::Drained));
    assert_eq!(world.open_offers(framework), []);
}

#[test]
fn a_window_goes_on_under_a_new_master_and_ends() {
    let id = MaintenanceId(4);
    let recovered = remembers(Phase::Drained, Cause::Maintenance(id));
    let mut world = new_master(Recovered { maintenance: vec![(id, window())], last_maintenance: 6, ..recovered });
    let (agent, _) = world.register(Some(AgentId(1)), size(2, 1024), vec![]);
    assert!(world.cluster.wall_clock_is_due(TODAY_MS + 1));

    world.wall_clock(1);
    assert_eq!(world.phase(agent), Some(PhaseView::Drained));
    world.wall_clock(60);

    assert_eq!(world.phase(agent), None);
    assert_eq!(world.schedule(&[agent.id], 100).unwrap().0, MaintenanceId(7), "no number is given twice");
}

#[test]
fn a_window_whose_start_no_master_saw_begins_late() {
    let recovered = Recovered { withdrawn: vec![], ..remembers(Phase::Drained, Cause::Operator) };
    let mut world = new_master(Recovered { maintenance: vec![(MaintenanceId(1), window())], ..recovered });
    let (agent, _) = world.register(Some(AgentId(1)), size(2, 1024), vec![]);

    world.wall_clock(1);

    assert_eq!(world.phase(agent), Some(PhaseView::Drained));
}

/// The rows of a batch may be written in several transactions.
#[test]
fn the_half_written_end_of_a_window_keeps_no_agent_out_of_use() {
    let mut world = new_master(remembers(Phase::Drained, Cause::Maintenance(MaintenanceId(4))));

    let (agent, _) = world.register(Some(AgentId(1)), size(2, 1024), vec![]);

    assert_eq!(world.phase(agent), None);
}

/// A machine that is drained, shut down and started again must not take tasks by itself.
#[test]
fn an_agent_that_left_is_drained_still_when_it_comes_back_with_its_certificate() {
    let enrolment = Enrolment { until: Now::ZERO + AN_HOUR, by: None };
    let mut world = new_master(Recovered { enrolled: vec![(AgentId(3), enrolment)], last_agent: 3, ..remembered() });
    let framework = world.framework("role");
    let agent = comes_certified(&mut world);
    assert_eq!(world.open_offers(framework).len(), 1);
    world.drain(agent, Duration::ZERO);
    world.agent_says(agent, AgentCommand::Leave);

    let agent = comes_certified(&mut world);
    assert_eq!(world.phase(agent), Some(PhaseView::Drained));
    assert_eq!(world.open_offers(framework), []);

    // So it is decided also while it is away.
    world.agent_says(agent, AgentCommand::Leave);
    world.reactivate(agent).unwrap();
    comes_certified(&mut world);
    assert_eq!(world.open_offers(framework).len(), 1);
}

#[test]
fn what_was_decided_of_an_agent_that_nobody_can_come_back_as_is_forgotten() {
    let mut world = World::new();
    let agent = world.agent(2, 1024);
    world.drain(agent, Duration::ZERO);

    let effects = world.agent_says(agent, AgentCommand::Leave);

    assert!(effects.contains(&Effect::Remember(Change::AgentReactivated(agent.id))));
}

fn comes_certified(world: &mut World) -> Agent {
    let who = Principal { name: "agent-3".into(), kind: Kind::Agent(AgentId(3)), token: None };
    let session = world.session_of(who);
    let identity = AgentIdentity { member: None, key: AgentKey(3), run: 1 };
    let info = agent_info(size(2, 1024));
    world.apply(Command::Agent(session, AgentCommand::Register { identity, info, tasks: vec![], complete: true }));
    Peer { id: AgentId(3), session }
}
