//! What agents measure to be unused: offered once more, and taken back first.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::access::Principal;
use haggle_core::cluster::{
    AgentCommand, AgentOrder, Command, Effect, FrameworkCommand, FrameworkEvent, OperatorCommand, Refusal,
};
use haggle_core::{
    AllocationSpec, MilliCpu, OfferId, Operation, Quota, Reason, Resources, TaskId, TaskSpec, TaskState, Want,
};

use crate::kit::*;

/// What a task holds that runs on what is idle.
fn idle(cpus: u64) -> Resources {
    size(0, 64).with_revocable(MilliCpu::from_cores(cpus))
}

fn preempt(task: TaskId) -> AgentOrder {
    let why = "the idle processor time that it ran on is wanted back".into();
    AgentOrder::End { task, reason: Reason::Preempted, why }
}

fn measures(world: &mut World, agent: Agent, cpus: u64) -> Vec<Effect> {
    world.agent_says(agent, AgentCommand::Unused(MilliCpu::from_cores(cpus)))
}

fn wants(world: &mut World, framework: Framework, cpus: u64, waiting: u32) -> Vec<Effect> {
    let want = Want { resources: idle(cpus), constraints: vec![], volumes: vec![], waiting, spare: 0, gang: 0 };
    world.framework_says(framework, FrameworkCommand::Demand { role: None, wants: vec![want] })
}

fn rescinded(effects: &[Effect], framework: Framework) -> Vec<OfferId> {
    let rescinded = events(effects, framework).into_iter().filter_map(|event| match event {
        FrameworkEvent::Rescinded(offers) => Some(offers),
        _ => None,
    });
    rescinded.flatten().collect()
}

/// An agent of 4 cpus, all of which a task of the first framework holds, and a second framework that waits for what is idle.
fn with_unused() -> (World, Agent, Framework) {
    let mut world = World::new();
    let firm = world.framework("firm");
    let agent = world.agent(4, 4096);
    let offer = world.open_offer(firm);
    world.accept(firm, &[offer], &[task(firm, 1, 4, 1024)]);
    let asks = world.framework("asks");
    (world, agent, asks)
}

/// The framework launches one task of so many revocable cpus, which runs.
fn runs(world: &mut World, agent: Agent, framework: Framework, number: u64, cpus: u64) -> TaskId {
    wants(world, framework, cpus, 1);
    let offer = world.open_offer(framework);
    world.accept(framework, &[offer], &[TaskSpec { resources: idle(cpus), ..task(framework, number, 0, 0) }]);
    let task = TaskId { framework: framework.id, number };
    world.update(agent, task, 1, TaskState::Running);
    world.acknowledge(framework, task, 1);
    task
}

/// S24, `OversubscribedNotAllocated`.
#[test]
fn what_is_unused_is_offered_as_revocable_to_who_asks_for_it() {
    let (mut world, agent, asks) = with_unused();

    let effects = measures(&mut world, agent, 3);
    assert_eq!(offers(&effects, asks), [], "it takes whatever there is, and has not asked for this");
    let effects = wants(&mut world, asks, 1, 2);

    let [offer] = &offers(&effects, asks)[..] else { panic!("one offer") };
    assert_eq!((offer.resources.cpus, offer.resources.revocable), (MilliCpu::ZERO, MilliCpu::from_cores(2)));
}

/// S45, `Oversubscription.RescindRevocableOffer`.
#[test]
fn a_lower_measurement_rescinds_the_offers_that_stand_no_longer_the_newest_first() {
    let (mut world, agent, asks) = with_unused();
    measures(&mut world, agent, 3);
    wants(&mut world, asks, 1, 1);
    let older = world.open_offer(asks);
    wants(&mut world, asks, 1, 3);
    let newer = *world.open_offers(asks).last().expect("there are two");
    assert_ne!(older, newer);

    assert_eq!(rescinded(&measures(&mut world, agent, 3), asks), [], "nothing has changed");
    let effects = measures(&mut world, agent, 1);

    assert_eq!(rescinded(&effects, asks), [newer]);
    assert_eq!(world.open_offers(asks), [older]);
    assert_eq!(rescinded(&measures(&mut world, agent, 0), asks), [older]);
}

/// S45, `Oversubscription.RescindRevocableOfferWithIncreasedRevocable`.
#[test]
fn a_higher_measurement_leaves_offers_as_they_are_and_adds_to_them() {
    let (mut world, agent, asks) = with_unused();
    measures(&mut world, agent, 1);
    wants(&mut world, asks, 1, 3);
    let first = world.open_offer(asks);

    let effects = measures(&mut world, agent, 3);

    assert_eq!(rescinded(&effects, asks), []);
    let [more] = &offers(&effects, asks)[..] else { panic!("one more") };
    assert_eq!(more.resources.revocable, MilliCpu::from_cores(2));
    assert!(world.open_offers(asks).contains(&first));
}

#[test]
fn offers_go_before_tasks_and_of_these_the_newest_goes_first() {
    let (mut world, agent, asks) = with_unused();
    measures(&mut world, agent, 4);
    let older = runs(&mut world, agent, asks, 1, 1);
    let newer = runs(&mut world, agent, asks, 2, 1);
    wants(&mut world, asks, 1, 2);
    let open = world.open_offer(asks);

    let effects = measures(&mut world, agent, 2);
    assert_eq!((rescinded(&effects, asks), orders(&effects, agent)), (vec![open], vec![]));

    let effects = measures(&mut world, agent, 1);
    assert_eq!(orders(&effects, agent), [preempt(newer)]);
    assert_eq!(world.state_of(newer), Some(TaskState::Killing));
    assert_eq!(world.state_of(older), Some(TaskState::Running));
}

#[test]
fn a_task_that_is_about_to_end_is_not_preempted_twice_and_is_enough_for_what_it_holds() {
    let (mut world, agent, asks) = with_unused();
    measures(&mut world, agent, 4);
    let older = runs(&mut world, agent, asks, 1, 2);
    let newer = runs(&mut world, agent, asks, 2, 2);
    world.framework_says(asks, FrameworkCommand::Kill(older));

    assert_eq!(orders(&measures(&mut world, agent, 2), agent), []);
    assert_eq!(orders(&measures(&mut world, agent, 1), agent), [preempt(newer)]);
    assert_eq!(orders(&measures(&mut world, agent, 0), agent), []);
}

#[test]
fn what_a_preempted_task_holds_is_free_when_it_has_ended() {
    let (mut world, agent, asks) = with_unused();
    measures(&mut world, agent, 2);
    let preempted = runs(&mut world, agent, asks, 1, 2);
    measures(&mut world, agent, 1);
    wants(&mut world, asks, 1, 1);
    assert_eq!(world.open_offers(asks), []);

    let ended = haggle_core::TaskStatus {
        reason: Some(Reason::Preempted),
        ..haggle_core::TaskStatus::new(
            preempted,
            haggle_core::UpdateId(2),
            TaskState::Gone,
            haggle_core::Source::Executor,
        )
    };
    let effects = world.agent_says(agent, AgentCommand::Updates(vec![ended]));

    assert_eq!(briefs(&effects, asks), [(preempted, TaskState::Gone, Some(Reason::Preempted))]);
    let [offer] = &offers(&effects, asks)[..] else { panic!("one offer") };
    assert_eq!(offer.resources, idle(1));
}

#[test]
fn a_task_with_cpus_of_its_own_is_never_preempted() {
    let (mut world, agent, _) = with_unused();
    measures(&mut world, agent, 4);

    assert_eq!(orders(&measures(&mut world, agent, 0), agent), []);
}

#[test]
fn what_is_promised_is_launched_at_once_whatever_runs_on_what_is_idle() {
    let mut world = World::new();
    let agent = world.agent(4, 4096);
    measures(&mut world, agent, 4);
    let asks = world.framework("asks");
    let whole = world.open_offer(asks);
    world.decline(asks, &[whole], AN_HOUR);
    runs(&mut world, agent, asks, 1, 4);

    let firm = world.framework("firm");
    let offer = world.open_offer(firm);
    let effects = world.accept(firm, &[offer], &[task(firm, 1, 4, 1024)]);

    assert!(matches!(orders(&effects, agent)[..], [AgentOrder::Launch(_)]), "{effects:?}");
    assert_eq!(world.used_on(agent), size(4, 1088).with_revocable(MilliCpu::from_cores(4)));
}

#[test]
fn nobody_is_promised_more_than_the_agent_has_whatever_it_says() {
    let (mut world, agent, asks) = with_unused();

    measures(&mut world, agent, 1_000);
    wants(&mut world, asks, 1, 100);

    let offer = world.cluster.offers(world.now).remove(0);
    assert_eq!(offer.resources.revocable, MilliCpu::from_cores(4));
}

#[test]
fn an_agent_that_comes_back_measures_anew_before_anything_is_offered_or_preempted() {
    let (mut world, agent, asks) = with_unused();
    measures(&mut world, agent, 2);
    let running = runs(&mut world, agent, asks, 1, 1);
    wants(&mut world, asks, 1, 1);
    let kept = world.cluster.tasks().into_iter().filter(|task| task.agent == agent.id);
    let kept = kept.map(|view| held(view.id, TaskState::Running, view.resources)).collect();

    let (agent, effects) = world.register(Some(agent.id), size(4, 4096), kept);

    assert!(
        !orders(&effects, agent).iter().any(|order| matches!(order, AgentOrder::End { reason: Reason::Preempted, .. })),
        "{effects:?}"
    );
    assert_eq!(world.open_offers(asks), []);
    assert_eq!(orders(&measures(&mut world, agent, 0), agent), [preempt(running)]);
}

#[test]
fn a_task_is_told_again_that_it_is_preempted_when_its_agent_was_away() {
    let (mut world, agent, asks) = with_unused();
    measures(&mut world, agent, 1);
    let preempted = runs(&mut world, agent, asks, 1, 1);
    measures(&mut world, agent, 0);
    let (used, firm) = (idle(1), world.cluster.tasks().into_iter().find(|task| task.id != preempted).unwrap());
    let kept = vec![held(firm.id, TaskState::Running, firm.resources), held(preempted, TaskState::Running, used)];

    let (agent, effects) = world.register(Some(agent.id), size(4, 4096), kept);

    assert!(orders(&effects, agent).contains(&preempt(preempted)), "{effects:?}");
}

#[test]
fn an_allocation_on_what_is_idle_is_preempted_as_a_whole() {
    let (mut world, agent, asks) = with_unused();
    measures(&mut world, agent, 2);
    wants(&mut world, asks, 2, 1);
    let id = TaskId { framework: asks.id, number: 1 };
    let (name, role, idle_timeout) = ("queue".to_owned(), String::new(), Duration::from_secs(1));
    let allocation = Arc::new(AllocationSpec { id, name, role, resources: idle(2), volumes: Vec::new(), idle_timeout });
    let offers = vec![world.open_offer(asks)];
    world.framework_says(asks, FrameworkCommand::Open { offers, allocation, refuse: NO_REFUSAL });

    assert_eq!(orders(&measures(&mut world, agent, 1), agent), [preempt(id)]);
}

#[test]
fn nothing_that_is_revocable_is_reserved_or_promised() {
    let (mut world, agent, _) = with_unused();
    let says = |world: &mut World, command| world.try_apply(Command::Operator(Principal::owner(), None, command));

    let operation = Operation::Reserve { role: "asks".into(), within: None, resources: idle(1) };
    let refused = says(&mut world, OperatorCommand::Reserve(agent.id, operation));
    assert!(matches!(refused, Err(Refusal::ReservationInvalid(_))), "{refused:?}");
    let quota = Some(Quota { guarantee: idle(1), ..Quota::default() });
    let refused = says(&mut world, OperatorCommand::SetQuota { role: "asks".into(), quota, force: true });
    assert!(matches!(refused, Err(Refusal::QuotaInvalid(_))), "{refused:?}");
}

#[test]
fn a_task_has_cpus_of_one_kind() {
    let (mut world, agent, asks) = with_unused();
    measures(&mut world, agent, 2);
    wants(&mut world, asks, 1, 1);
    let offer = world.open_offer(asks);
    let both = TaskSpec { resources: size(1, 64).with_revocable(MilliCpu::new(1)), ..task(asks, 1, 0, 0) };

    let effects = world.accept(asks, &[offer], &[both]);

    let id = TaskId { framework: asks.id, number: 1 };
    assert_eq!(briefs(&effects, asks), [(id, TaskState::Error, Some(Reason::TaskInvalid))]);
}
