//! Maintenance windows: what they bring about, and which there cannot be.

use std::time::Duration;

use haggle_core::access::Principal;
use haggle_core::cluster::{AgentOrder, Change, Command, Effect, FrameworkEvent, OperatorCommand, PhaseView, Refusal};
use haggle_core::{AgentId, Cause, Maintenance, MaintenanceId, RequestId, TaskState, Unavailability};

use super::{HOUR_MS, MINUTE_MS, SECOND, TODAY_MS};
use crate::kit::*;

#[test]
fn offers_tell_when_their_agent_will_not_be_there() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let before = world.open_offer(framework);

    let (_, effects) = world.schedule(&[agent.id], 10).unwrap();

    assert_eq!(events(&effects, framework)[0], FrameworkEvent::Rescinded(vec![before]));
    let when = Unavailability { start_ms: TODAY_MS + 10 * MINUTE_MS, duration_ms: HOUR_MS };
    assert_eq!(offers(&effects, framework)[0].unavailability, Some(when));
    assert_eq!(world.cluster.agents(world.now)[0].unavailability, Some(when));
}

#[test]
fn an_agent_is_drained_at_the_start_of_its_window_and_takes_tasks_again_at_its_end() {
    let (mut world, agent, framework, task) = with_running();
    let (id, _) = world.schedule(&[agent.id], 10).unwrap();
    assert!(!world.cluster.wall_clock_is_due(TODAY_MS + 10 * MINUTE_MS - 1));
    assert!(world.cluster.wall_clock_is_due(TODAY_MS + 10 * MINUTE_MS));

    let effects = world.wall_clock(10);
    assert_eq!(orders(&effects, agent), [AgentOrder::StopAll]);
    world.update(agent, task, 2, TaskState::Killed);
    world.acknowledge(framework, task, 2);
    assert_eq!(world.phase(agent), Some(PhaseView::Drained));
    assert_eq!(world.cluster.agents(world.now)[0].withdrawal.unwrap().cause, Cause::Maintenance(id));
    assert_eq!(world.reactivate(agent), Err(Refusal::InMaintenance(agent.id, id)));

    let effects = world.wall_clock(70);
    assert!(effects.contains(&Effect::Remember(Change::MaintenanceEnded(id))));
    assert_eq!(world.phase(agent), None);
    assert_eq!(offers(&effects, framework)[0].unavailability, None);
    assert_eq!(world.cluster.maintenance_page(None, 10).0, []);
}

#[test]
fn a_window_that_is_cancelled_while_it_is_under_way_gives_its_agents_back() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let (id, _) = world.schedule(&[agent.id], 0).unwrap();
    assert_eq!(world.phase(agent), Some(PhaseView::Drained));

    world.operator_says(OperatorCommand::CancelMaintenance(id)).unwrap();

    assert_eq!(world.phase(agent), None);
    assert_eq!(world.open_offers(framework).len(), 1);
    let again = world.operator_says(OperatorCommand::CancelMaintenance(id));
    assert_eq!(again, Err(Refusal::MaintenanceUnknown(id)));
}

#[test]
fn an_agent_that_still_drains_when_its_window_ends_takes_tasks_once_it_has() {
    let (mut world, agent, framework, task) = with_running();
    world.schedule(&[agent.id], 10).unwrap();
    world.wall_clock(10);

    world.wall_clock(70);
    assert!(matches!(world.phase(agent), Some(PhaseView::Draining { .. })));

    world.update(agent, task, 2, TaskState::Killed);
    world.acknowledge(framework, task, 2);
    assert_eq!(world.phase(agent), None);
}

#[test]
fn an_agent_that_was_away_for_all_of_its_window_keeps_its_tasks() {
    let (mut world, agent, _, task) = with_running();
    world.schedule(&[agent.id], 10).unwrap();
    world.disconnect(agent);
    world.wait(80 * SECOND);
    world.wall_clock(10);
    world.wall_clock(70);

    let runs = vec![held(task, TaskState::Running, size(2, 1024))];
    let (agent, effects) = world.register(Some(agent.id), size(2, 1024), runs);

    assert!(!orders(&effects, agent).contains(&AgentOrder::StopAll));
    assert_eq!((world.phase(agent), world.state_of(task)), (None, Some(TaskState::Running)));
}

#[test]
fn what_an_operator_drained_stays_so_beyond_the_end_of_a_window() {
    let mut world = World::new();
    let [by_hand, before, during] = [(); 3].map(|()| world.agent(2, 1024));
    world.drain(by_hand, Duration::ZERO);
    world.operator_says(OperatorCommand::Deactivate(before.id)).unwrap();
    world.schedule(&[by_hand.id, before.id, during.id], 10).unwrap();

    world.wall_clock(10);
    world.drain(during, Duration::ZERO);
    world.wall_clock(70);

    assert_eq!([by_hand, before, during].map(|agent| world.phase(agent)), [Some(PhaseView::Drained); 3]);
}

#[test]
fn a_window_follows_upon_another() {
    let mut world = World::new();
    let agent = world.agent(2, 1024);
    // The later one has the lower number.
    let (second, _) = world.schedule(&[agent.id], 70).unwrap();
    world.schedule(&[agent.id], 10).unwrap();

    world.wall_clock(10);
    world.wall_clock(70);

    assert_eq!(world.phase(agent), Some(PhaseView::Drained));
    assert_eq!(world.reactivate(agent), Err(Refusal::InMaintenance(agent.id, second)));
    world.wall_clock(130);
    assert_eq!(world.phase(agent), None);
}

#[test]
fn an_agent_that_still_drains_for_one_window_is_in_the_next() {
    let (mut world, agent, framework, task) = with_running();
    world.schedule(&[agent.id], 10).unwrap();
    let (second, _) = world.schedule(&[agent.id], 70).unwrap();
    world.wall_clock(10);
    world.wall_clock(70);

    world.update(agent, task, 2, TaskState::Killed);
    world.acknowledge(framework, task, 2);

    let withdrawal = world.cluster.agents(world.now)[0].withdrawal.unwrap();
    assert_eq!((withdrawal.phase, withdrawal.cause), (PhaseView::Drained, Cause::Maintenance(second)));
    world.wall_clock(130);
    assert_eq!(world.phase(agent), None);
}

#[test]
fn a_wall_clock_that_jumps_or_is_set_back_confuses_nobody() {
    let mut world = World::new();
    let agent = world.agent(2, 1024);
    world.schedule(&[agent.id], 10).unwrap();

    world.wall_clock(10);
    world.wall_clock(5);
    assert_eq!(world.phase(agent), Some(PhaseView::Drained), "what has begun goes on");

    world.wall_clock(1_000_000);
    assert_eq!(world.phase(agent), None);
}

#[test]
fn nobody_is_drained_for_a_window_that_was_slept_through() {
    let (mut world, agent, _, task) = with_running();
    let (id, _) = world.schedule(&[agent.id], 10).unwrap();

    let effects = world.wall_clock(2_000_000);

    assert!(effects.contains(&Effect::Remember(Change::MaintenanceEnded(id))));
    assert_eq!((orders(&effects, agent), world.phase(agent)), (vec![], None));
    assert_eq!(world.state_of(task), Some(TaskState::Running));
}

#[test]
fn tasks_may_be_given_time_within_the_window() {
    let (mut world, agent, ..) = with_running();
    let when = Unavailability { start_ms: TODAY_MS, duration_ms: HOUR_MS };
    let maintenance = Maintenance { agents: [agent.id].into(), when, grace: 30 * SECOND };

    let effects = world.operator_says(OperatorCommand::Schedule { maintenance, wall_ms: TODAY_MS }).unwrap();

    assert_eq!(orders(&effects, agent), []);
    assert_eq!(orders(&world.wait(30 * SECOND), agent), [AgentOrder::StopAll]);
}

#[test]
fn windows_that_cannot_be_are_refused_with_the_reason() {
    let mut world = World::new();
    let agent = world.agent(2, 1024).id;
    let (first, _) = world.schedule(&[agent], 10).unwrap();
    let window = |agents: &[AgentId], start_ms, duration_ms, grace| {
        let when = Unavailability { start_ms, duration_ms };
        let maintenance = Maintenance { agents: agents.iter().copied().collect(), when, grace };
        OperatorCommand::Schedule { maintenance, wall_ms: TODAY_MS }
    };
    let later = TODAY_MS + 2 * HOUR_MS;
    let no_grace = Duration::ZERO;
    let mut refusal = |command| world.operator_says(command).unwrap_err().to_string();

    let none = "a maintenance window is of at least one agent, and none is named";
    assert_eq!(refusal(window(&[], later, HOUR_MS, no_grace)), none);
    let unknown = "agent-9 is not known: it never joined, left, or was declared gone before";
    assert_eq!(refusal(window(&[agent, AgentId(9)], later, HOUR_MS, no_grace)), unknown);
    let past = "a maintenance window cannot begin in the past: this one should have begun 1s ago";
    assert_eq!(refusal(window(&[agent], TODAY_MS - 1_000, HOUR_MS, no_grace)), past);
    assert!(refusal(window(&[agent], later, 999, no_grace)).starts_with("a maintenance window lasts from 1 s"));
    assert!(refusal(window(&[agent], u64::MAX, HOUR_MS, no_grace)).starts_with("a maintenance window begins within"));
    let grace = "the grace of 3601s is longer than the maintenance window, which lasts 3600s";
    assert_eq!(refusal(window(&[agent], later, HOUR_MS, 3_601 * SECOND)), grace);
    let overlaps =
        format!("agent-1 is in the window {first} for some of that time: windows of one agent do not overlap");
    assert_eq!(refusal(window(&[agent], TODAY_MS + 69 * MINUTE_MS, HOUR_MS, no_grace)), overlaps);
    let many: Vec<_> = (1..=4_097).map(AgentId).collect();
    assert!(refusal(window(&many, later, HOUR_MS, no_grace)).contains("at most 4096 agents, and 4097 are named"));
    assert_eq!(world.cluster.counts().maintenance, 1);
}

#[test]
fn there_are_so_many_windows_and_no_more() {
    let mut world = World::new();
    let agent = world.agent(2, 1024).id;
    for number in 0..1_000 {
        world.schedule(&[agent], number * 60).unwrap();
    }

    let refused = world.schedule(&[agent], 1_000 * 60).unwrap_err();

    assert_eq!(refused, Refusal::TooManyMaintenances(1_000));
}

/// An answer that was lost on its way is asked for again.
#[test]
fn a_request_that_is_made_again_makes_no_second_window() {
    let mut world = World::new();
    let agent = world.agent(2, 1024).id;
    let when = Unavailability { start_ms: TODAY_MS + HOUR_MS, duration_ms: HOUR_MS };
    let maintenance = Maintenance { agents: [agent].into(), when, grace: Duration::ZERO };
    let mut ask = |wall_ms| {
        let schedule = OperatorCommand::Schedule { maintenance: maintenance.clone(), wall_ms };
        world.apply(Command::Operator(Principal::owner(), Some(RequestId(7)), schedule))
    };

    assert!(ask(TODAY_MS).contains(&Effect::Scheduled(MaintenanceId(1))));

    assert_eq!(ask(TODAY_MS + 1), [Effect::Scheduled(MaintenanceId(1))]);
}

#[test]
fn an_agent_that_is_removed_is_in_no_window_any_more() {
    let mut world = World::new();
    let [first, second] = [(); 2].map(|()| world.agent(2, 1024).id);
    let (id, _) = world.schedule(&[first, second], 10).unwrap();

    world.operator_says(OperatorCommand::RemoveAgent(first)).unwrap();
    let windows = world.cluster.maintenance_page(None, 10).0;
    assert_eq!(windows[0].maintenance.agents, [second].into());

    let effects = world.operator_says(OperatorCommand::RemoveAgent(second)).unwrap();
    assert!(effects.contains(&Effect::Remember(Change::MaintenanceEnded(id))));
    assert_eq!(world.cluster.counts().maintenance, 0);
}
