//! Allocations and what is in their queues.

use super::*;
use crate::node::RecoveredQueue;
use crate::queue::{AllocationSpec, HeldRun, QueueEnd, QueueUpdate, QueuedTasks, Shape};

const A: TaskId = TaskId { framework: FRAMEWORK, number: 100 };

fn allocation() -> AllocationSpec {
    AllocationSpec {
        id: A,
        name: "queue".to_string(),
        role: "role".to_string(),
        resources: Resources::new(MilliCpu::from_cores(1), Bytes::from_mib(64), Bytes::ZERO),
        volumes: Vec::new(),
        idle_timeout: Duration::from_secs(1),
    }
}

fn tasks(first: u64, count: u32) -> QueuedTasks {
    QueuedTasks { spec: spec(number(first)), count, index: None }
}

fn enqueue(first: u64, count: u32, last: bool) -> Command {
    Command::Enqueue { allocation: A, tasks: vec![tasks(first, count)], last }
}

fn end(first: u64) -> QueueEnd {
    QueueEnd { first, count: 1, source: Source::Executor, ending: ending(TaskState::Finished) }
}

fn killed(first: u64, count: u64) -> QueueEnd {
    QueueEnd { first, count, source: Source::Executor, ending: ending(TaskState::Killed) }
}

fn news(started: Vec<u64>, ended: Vec<QueueEnd>) -> Command {
    Command::QueueNews { allocation: A, started, ended }
}

/// What is sent of a queue: update, started, and the numbers that have ended.
type Told = (u64, Vec<u64>, Vec<(u64, u64)>);

fn told(effects: &[Effect]) -> Vec<Told> {
    let sends = effects.iter().filter_map(|effect| match effect {
        Effect::SendQueue(updates) => Some(updates),
        _ => None,
    });
    let brief = |update: &Arc<QueueUpdate>| (update.update.0, update.started.clone(), update.ended_runs());
    sends.flatten().map(brief).collect()
}

/// How tasks of queues are said to have ended.
fn endings(effects: &[Effect]) -> Vec<(TaskState, Option<Reason>)> {
    let sends = effects.iter().filter_map(|effect| match effect {
        Effect::SendQueue(updates) => Some(updates),
        _ => None,
    });
    let ended = sends.flatten().flat_map(|update| &update.ended);
    ended.map(|end| (end.ending.state, end.ending.reason)).collect()
}

/// With an allocation of which the framework knows, and three tasks in it.
fn with_three() -> World {
    let mut world = World::new();
    world.batch([Command::Open(Arc::new(allocation())), Command::Acknowledge(A, UpdateId(1))]);
    world.batch([Command::Acknowledge(A, UpdateId(1)), enqueue(1, 3, false)]);
    world
}

#[test]
fn an_allocation_runs_as_soon_as_it_is_there_and_holds_what_it_was_opened_with() {
    let mut world = World::new();

    let effects = world.batch([Command::Open(Arc::new(allocation()))]);

    assert_eq!(effects[0], Effect::Open(Arc::new(allocation())));
    assert_eq!(said(&effects), [(A, 1, TaskState::Running, None)]);
    let mut small = World { node: Node::new(Config::default(), Resources::default()), now: Now::ZERO };
    let effects = small.batch([Command::Registered(AgentId(1)), Command::Open(Arc::new(allocation()))]);
    assert_eq!(said(&effects), [(A, 0, TaskState::Dropped, Some(Reason::InvalidOffers))]);
}

#[test]
fn ends_of_a_batch_are_one_update_and_one_acknowledgement_settles_them() {
    let mut world = with_three();

    let effects = world.batch([news(vec![3], vec![end(1), end(2)])]);
    assert_eq!(told(&effects), [(2, vec![3], vec![(1, 2)])]);

    let effects = world.batch([Command::Acknowledge(A, UpdateId(2))]);
    assert_eq!(effects, [Effect::Settled { allocation: A, ends: 2 }]);
    assert_eq!(world.node.next_deadline(), None);
}

#[test]
fn a_start_without_an_end_is_told_once_and_needs_no_acknowledgement() {
    let mut world = with_three();

    assert_eq!(told(&world.batch([news(vec![1], vec![])])), [(0, vec![1], vec![])]);

    assert_eq!(told(&world.batch([news(vec![1], vec![])])), []);
    assert_eq!(world.node.next_deadline(), None);
}

#[test]
fn ends_are_sent_again_until_they_are_acknowledged() {
    let mut world = with_three();
    world.batch([news(vec![], vec![end(1)])]);

    assert_eq!(told(&world.wait(1)), [(2, vec![], vec![(1, 1)])]);
    world.batch([news(vec![], vec![end(2)])]);
    let again = world.batch([Command::Resend(FRAMEWORK)]);
    assert_eq!(told(&again), [(2, vec![], vec![(1, 1)]), (3, vec![], vec![(2, 1)])]);

    world.batch([Command::Acknowledge(A, UpdateId(3))]);
    assert_eq!(told(&world.wait(60)), []);
}

#[test]
fn ends_behind_an_acknowledgement_are_not_late() {
    let mut world = with_three();
    world.batch([news(vec![], vec![end(1)])]);
    world.now = Now::from_millis(900);
    world.batch([news(vec![], vec![end(2)])]);

    world.batch([Command::Acknowledge(A, UpdateId(2))]);

    assert_eq!(world.node.next_deadline(), Some(Now::from_millis(1_900)));
}

#[test]
fn an_end_is_told_once_however_often_the_executor_says_it() {
    let mut world = with_three();
    world.batch([news(vec![], vec![end(1)])]);

    assert_eq!(told(&world.batch([news(vec![1], vec![end(1), end(9)])])), []);
}

#[test]
fn an_allocation_ends_after_its_last_task_and_not_before_every_end_is_acknowledged() {
    let mut world = with_three();
    world.batch([enqueue(4, 1, true)]);

    let effects = world.batch([news(vec![], vec![end(1), end(2), end(3), end(4)])]);
    assert_eq!((told(&effects).len(), said(&effects)), (1, vec![]));

    let effects = world.batch([Command::Acknowledge(A, UpdateId(2))]);
    assert_eq!(said(&effects), [(A, 3, TaskState::Finished, None)]);
    assert_eq!(world.batch([Command::Acknowledge(A, UpdateId(3))]), [Effect::Forget(A)]);
    assert!(world.node.held(world.now).is_empty());
}

#[test]
fn an_allocation_that_nobody_uses_closes_by_itself() {
    let mut world = World::new();
    world.batch([Command::Open(Arc::new(allocation()))]);
    world.batch([Command::Acknowledge(A, UpdateId(1))]);
    world.now = Now::from_millis(600);
    world.batch([enqueue(1, 1, false)]);
    world.batch([news(vec![], vec![end(1)])]);
    world.batch([Command::Acknowledge(A, UpdateId(2))]);

    assert_eq!(world.node.next_deadline(), Some(Now::from_millis(1_600)));
    let effects = world.wait(1);
    let closed = Effect::Enqueue { allocation: A, tasks: vec![], last: true };
    assert_eq!((&effects[0], said(&effects)), (&closed, vec![(A, 3, TaskState::Finished, None)]));
    let mut effects = Vec::new();
    let late = world.node.apply(world.now, enqueue(2, 1, false), &mut effects);
    assert_eq!((late, effects), (Err(Refusal::NotHeld(A)), vec![]));
}

#[test]
fn one_task_in_a_queue_can_be_killed() {
    let mut world = with_three();

    assert_eq!(world.batch([Command::Kill(number(2))]), [Effect::StopQueued { allocation: A, task: number(2) }]);
    assert_eq!(world.batch([Command::Kill(number(2))]), [], "said once");

    let effects = world.batch([news(vec![], vec![killed(2, 1)])]);
    assert_eq!(told(&effects), [(2, vec![], vec![(2, 1)])]);
    assert_eq!(told(&world.batch([Command::Kill(number(2))])), [(2, vec![], vec![(2, 1)])], "its end is told again");
    assert_eq!(world.node.running(), 1);
}

#[test]
fn killing_an_allocation_ends_all_that_is_in_it() {
    let mut world = with_three();

    assert_eq!(world.batch([Command::Kill(A)]), [Effect::StopQueue(A, Stop::REQUESTED)]);
    let effects = world.batch([news(vec![], vec![end(1), killed(2, 2)])]);

    assert_eq!(told(&effects), [(2, vec![], vec![(1, 3)])]);
    let effects = world.batch([Command::Acknowledge(A, UpdateId(2))]);
    assert_eq!(effects[0], Effect::Settled { allocation: A, ends: 3 });
    assert_eq!(said(&effects), [(A, 3, TaskState::Killed, Some(Reason::KillRequested))]);
}

/// The master settles what it acknowledges for a framework that is gone.
#[test]
fn an_allocation_with_nothing_in_its_queue_has_finished_when_its_framework_is_gone() {
    let mut world = with_three();
    world.batch([news(vec![], vec![end(1), end(2), end(3)])]);

    let effects = world.batch([Command::RemoveFramework(FRAMEWORK)]);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::StopQueue(..))), "{effects:?}");
    let effects = world.batch([Command::Acknowledge(A, UpdateId(2))]);

    assert_eq!(said(&effects), [(A, 3, TaskState::Finished, None)]);
}

#[test]
fn an_allocation_that_is_cut_short_with_its_framework_says_so() {
    let mut world = with_three();

    assert_eq!(
        world.batch([Command::RemoveFramework(FRAMEWORK)]),
        [Effect::StopQueue(A, Reason::FrameworkRemoved.into())]
    );
    world.batch([news(vec![], vec![killed(1, 3)])]);
    let effects = world.batch([Command::Acknowledge(A, UpdateId(2))]);

    assert_eq!(said(&effects), [(A, 3, TaskState::Killed, Some(Reason::FrameworkRemoved))]);
}

#[test]
fn a_drain_says_why_tasks_in_queues_end() {
    let mut world = with_three();

    world.batch([Command::Drain]);
    let never_came = QueueEnd { source: Source::Agent, ..killed(1, 3) };
    let effects = world.batch([news(vec![], vec![never_came])]);

    assert_eq!(endings(&effects), [(TaskState::Killed, Some(Reason::AgentDraining))]);
    let effects = world.batch([Command::Acknowledge(A, UpdateId(2))]);
    assert_eq!(said(&effects), [(A, 3, TaskState::Killed, Some(Reason::AgentDraining))]);
    assert!(world.batch([Command::Acknowledge(A, UpdateId(3))]).contains(&Effect::Drained));
}

#[test]
fn a_drain_does_not_wait_for_ever_for_a_framework_that_acknowledges_nothing() {
    let mut world = with_three();
    world.batch([Command::Drain]);
    world.batch([news(vec![], vec![killed(1, 3)])]);

    assert!(world.wait(5).contains(&Effect::Drained));
}

#[test]
fn with_its_executor_all_that_is_in_a_queue_has_failed() {
    let mut world = with_three();
    world.batch([news(vec![1], vec![end(1)])]);
    let gone = Command::GivenUp { task: A, reason: Reason::ExecutorTerminated, message: "gone".to_string() };

    let effects = world.batch([gone]);

    assert_eq!(told(&effects), [(3, vec![], vec![(2, 2)])]);
    let effects = world.batch([Command::Acknowledge(A, UpdateId(3))]);
    assert_eq!(effects[0], Effect::Settled { allocation: A, ends: 1 }, "the agent's own are none of the executor's");
    assert_eq!(said(&effects), [(A, 4, TaskState::Failed, Some(Reason::ExecutorTerminated))]);
}

#[test]
fn very_many_ends_are_several_updates() {
    let mut world = World::new();
    world.batch([Command::Open(Arc::new(allocation())), enqueue(1_001, 5_000, false)]);

    let effects = world.batch([news(vec![], (1_001..=6_000).map(end).collect())]);

    let runs: Vec<_> = told(&effects).into_iter().flat_map(|told| told.2).collect();
    assert_eq!(runs, [(1_001, 2_048), (3_049, 2_048), (5_097, 904)]);
}

#[test]
fn a_registration_names_what_is_in_queues_and_tells_its_ends_after_it() {
    let mut world = with_three();
    world.batch([news(vec![2], vec![end(1)])]);
    world.batch([Command::Disconnected]);
    world.batch([news(vec![], vec![end(2)])]);

    let held = world.node.held(world.now);
    let queues = world.node.held_queues();
    assert_eq!((held.len(), held[0].id, held[0].update), (1, A, UpdateId(3)));
    let brief = |run: &HeldRun| (run.first, run.count, run.state, run.update.0);
    assert_eq!(
        queues[0].runs.iter().map(brief).collect::<Vec<_>>(),
        [(3, 1, TaskState::Staging, 0), (1, 1, TaskState::Finished, 2), (2, 1, TaskState::Finished, 3)]
    );

    let effects = world.batch([Command::Registered(AgentId(1))]);
    assert_eq!(told(&effects), [(2, vec![2], vec![(1, 1)]), (3, vec![], vec![(2, 1)])]);
}

/// Another agent finds an allocation that was told to end for this.
fn recover_allocation(stopped: Option<Stop>) -> Command {
    let task = TaskSummary {
        id: A,
        name: "queue".to_string(),
        role: "role".to_string(),
        resources: allocation().resources,
        volumes: Vec::new(),
        module: None,
        group: None,
        trace: None,
    };
    Command::Recover { task, started: true, stopped, ending: None, incarnation: 1 }
}

#[test]
fn what_ended_before_all_of_its_allocation_was_to_end_ends_alike_for_two_agents() {
    let mut world = with_three();
    world.batch([Command::Kill(number(1)), preempt(A)]);
    let told = endings(&world.batch([news(vec![], vec![killed(1, 1)])]));

    let mut world = World { node: Node::new(Config::default(), roomy()), now: Now::ZERO };
    let queue = RecoveredQueue { spec: allocation(), last: false, runs: vec![], ended: vec![killed(1, 1)] };
    world.batch([recover_allocation(Some(wanted_back())), Command::RecoverQueue(queue)]);

    assert_eq!(endings(&world.batch([Command::Registered(AgentId(1))])), told);
}

#[test]
fn an_allocation_whose_end_may_have_been_told_registers_as_ended() {
    for (last, stopped, ends) in [
        (true, None, (TaskState::Finished, None)),
        (false, Some(wanted_back()), (TaskState::Gone, Some(Reason::Preempted))),
    ] {
        let mut world = World { node: Node::new(Config::default(), roomy()), now: Now::ZERO };
        let queue = RecoveredQueue { spec: allocation(), last, runs: vec![], ended: vec![] };
        for command in [recover_allocation(stopped), Command::RecoverQueue(queue)] {
            world.node.apply(world.now, command, &mut Vec::new()).unwrap();
        }

        assert_eq!(world.node.held(world.now)[0].state, ends.0);
        let sent = world.sent([Command::Registered(AgentId(1))]);
        assert_eq!((sent[0].2, sent[0].3), ends);
    }
}

#[test]
fn an_agent_that_restarts_takes_its_queues_over() {
    let mut world = World { node: Node::new(Config::default(), roomy()), now: Now::ZERO };
    let shape = Arc::new(Shape::from(&*spec(T)));
    let run = |first, count, state| HeldRun {
        first,
        count,
        state,
        update: UpdateId::UNACKNOWLEDGED,
        shape: Arc::clone(&shape),
    };
    let queue = RecoveredQueue {
        spec: allocation(),
        last: true,
        runs: vec![run(2, 1, TaskState::Running), run(3, 2, TaskState::Staging)],
        ended: vec![end(1)],
    };

    world.batch([recover_allocation(None), Command::RecoverQueue(queue)]);
    let effects = world.batch([Command::Registered(AgentId(1))]);

    let later = 1 << 32;
    assert_eq!(told(&effects), [(later + 2, vec![], vec![(1, 1)])]);
    assert_eq!(world.batch([Command::Acknowledge(A, UpdateId(9))]), [], "of the earlier agent's");
    world.batch([news(vec![], vec![end(2), end(3), end(4)])]);
    let effects = world.batch([Command::Acknowledge(A, UpdateId(later + 3))]);
    assert_eq!(said(&effects), [(A, later + 4, TaskState::Finished, None)]);
}

#[test]
fn a_preempted_allocation_is_gone_with_all_that_is_in_it() {
    let mut world = with_three();
    assert_eq!(world.batch([preempt(A)]), [Effect::StopQueue(A, wanted_back())]);

    let by_executor = QueueEnd { ending: wanted_back().explain(ending(TaskState::Killed)), ..killed(1, 2) };
    let never_came = QueueEnd { source: Source::Agent, ..killed(3, 1) };
    let effects = world.batch([news(vec![], vec![by_executor, never_came])]);
    assert_eq!(endings(&effects), [(TaskState::Gone, Some(Reason::Preempted)); 2]);

    let sent = world.sent([Command::Acknowledge(A, UpdateId(2))]);
    assert_eq!(sent, [(A, 3, TaskState::Gone, Some(Reason::Preempted))]);
}
