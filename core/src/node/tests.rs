use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Command, Config, Effect, Node, Refusal};
use crate::grants::Grants;
use crate::id::{AgentId, Digest, FrameworkId, TaskId, UpdateId};
use crate::quantity::{Bytes, MilliCpu};
use crate::resources::Resources;
use crate::task::{Ending, Limits, Reason, Sharing, Source, TaskSpec, TaskState, TaskStatus, TaskSummary, Usage};
use crate::time::Now;

mod queues;

const FRAMEWORK: FrameworkId = FrameworkId(1);
const T: TaskId = TaskId { framework: FRAMEWORK, number: 1 };

fn spec(id: TaskId) -> Arc<TaskSpec> {
    Arc::new(TaskSpec {
        id,
        name: "noop".to_string(),
        role: String::new(),
        module: Digest([7; 32]),
        args: vec![],
        env: vec![],
        stdin: vec![],
        resources: Resources::new(MilliCpu::new(100), Bytes::from_mib(16), Bytes::ZERO),
        sharing: Sharing::default(),
        limits: Limits::default(),
        inputs: vec![],
        grants: Grants::default(),
        group: None,
    })
}

fn ending(state: TaskState) -> Ending {
    let reason = (state == TaskState::Killed).then_some(Reason::KillRequested);
    Ending { state, reason, message: String::new(), exit_code: None, exceeded: None, usage: Usage::default() }
}

/// Room for ten thousand of these tasks.
fn preempt(task: TaskId) -> Command {
    Command::End { task, reason: Reason::Preempted, why: "it is wanted back".to_string() }
}

fn roomy() -> Resources {
    Resources::new(MilliCpu::from_cores(1000), Bytes::from_mib(160_000), Bytes::ZERO)
}

/// A node with a master, and what it does.
struct World {
    node: Node,
    now: Now,
}

impl World {
    fn new() -> Self {
        let mut world = Self { node: Node::new(Config::default(), roomy()), now: Now::ZERO };
        world.batch([Command::Registered(AgentId(1))]);
        world
    }

    /// With a task that runs, of which the master knows.
    fn with_running(task: TaskId) -> Self {
        let mut world = Self::new();
        world.batch([Command::Launch(spec(task)), Command::Started(task)]);
        world.batch([Command::Acknowledge(task, UpdateId(1))]);
        world
    }

    /// Applies all and flushes once.
    fn batch(&mut self, commands: impl IntoIterator<Item = Command>) -> Vec<Effect> {
        let mut effects = Vec::new();
        for command in commands {
            self.node.apply(self.now, command, &mut effects).expect("the test means it well");
        }
        self.node.flush(self.now, &mut effects);
        effects
    }

    /// The updates sent by a batch: task, update, state, reason.
    fn sent(&mut self, commands: impl IntoIterator<Item = Command>) -> Vec<(TaskId, u64, TaskState, Option<Reason>)> {
        said(&self.batch(commands))
    }

    fn wait(&mut self, seconds: u64) -> Vec<Effect> {
        self.now = self.now + Duration::from_secs(seconds);
        self.batch([Command::Tick])
    }
}

fn statuses(effects: &[Effect]) -> Vec<TaskStatus> {
    let mut sends = effects.iter().filter_map(|effect| match effect {
        Effect::Send(updates) => Some(updates.clone()),
        _ => None,
    });
    let first = sends.next().unwrap_or_default();
    assert_eq!(sends.next(), None, "a batch is sent in one piece");
    first
}

fn said(effects: &[Effect]) -> Vec<(TaskId, u64, TaskState, Option<Reason>)> {
    let brief = |status: TaskStatus| (status.task, status.update.0, status.state, status.reason);
    statuses(effects).into_iter().map(brief).collect()
}

fn number(number: u64) -> TaskId {
    TaskId { framework: FRAMEWORK, number }
}

#[test]
fn a_task_that_starts_and_ends_within_a_batch_sends_its_end_only() {
    let mut world = World::new();

    let effects =
        world.batch([Command::Launch(spec(T)), Command::Started(T), Command::Ended(T, ending(TaskState::Finished))]);

    assert_eq!(effects[0], Effect::Run(spec(T)));
    assert_eq!(said(&effects), [(T, 1, TaskState::Finished, None)]);
}

#[test]
fn a_task_that_starts_within_the_batch_was_never_starting() {
    let mut world = World::new();

    let sent = world.sent([Command::Launch(spec(T)), Command::Started(T)]);

    assert_eq!(sent, [(T, 1, TaskState::Running, None)]);
}

#[test]
fn a_task_that_has_to_be_fetched_says_so() {
    let mut world = World::new();

    world.batch([Command::Launch(spec(T))]);

    assert_eq!(world.sent([Command::Preparing(T)]), [(T, 1, TaskState::Starting, None)]);
    assert_eq!(world.sent([Command::Started(T)]), [(T, 2, TaskState::Running, None)]);
    assert_eq!(world.sent([Command::Ended(T, ending(TaskState::Failed))]), [(T, 3, TaskState::Failed, None)]);
}

#[test]
fn a_task_that_needs_nothing_is_first_told_of_when_it_runs() {
    let mut world = World::new();

    assert_eq!(world.sent([Command::Launch(spec(T))]), []);
    assert_eq!(world.sent([Command::Started(T)]), [(T, 1, TaskState::Running, None)]);
}

#[test]
fn that_something_is_fetched_is_no_news_of_a_task_that_has_gone_on() {
    let mut world = World::with_running(T);

    assert_eq!(world.sent([Command::Preparing(T)]), []);
    world.batch([Command::Kill(T)]);
    assert_eq!(world.sent([Command::Preparing(T)]), []);
    assert_eq!(world.node.held()[0].state, TaskState::Killing);
}

#[test]
fn an_update_says_which_agent_and_who_saw_it() {
    let mut world = World::with_running(T);

    let effects = world.batch([Command::Ended(T, ending(TaskState::Finished))]);

    let status = &statuses(&effects)[0];
    assert_eq!((status.agent, status.source), (Some(AgentId(1)), Source::Executor));
}

/// Scenario 41. Mesos: `TaskStatusUpdateManagerTest.RetryStatusUpdate`.
#[test]
fn an_unacknowledged_update_is_sent_again_after_a_second_and_then_ever_later() {
    let mut world = World::with_running(T);
    world.batch([Command::Ended(T, ending(TaskState::Finished))]);

    let mut tries = Vec::new();
    for _ in 0..8 {
        let due = world.node.next_deadline().expect("something is unacknowledged");
        tries.push((due - world.now).as_secs());
        world.now = due;
        assert_eq!(world.sent([Command::Tick]), [(T, 2, TaskState::Finished, None)]);
    }

    assert_eq!(tries, [1, 2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn an_acknowledged_end_is_forgotten() {
    let mut world = World::with_running(T);
    world.batch([Command::Ended(T, ending(TaskState::Finished))]);

    let effects = world.batch([Command::Acknowledge(T, UpdateId(2))]);

    assert_eq!(effects, [Effect::Forget(T)]);
    assert_eq!(world.node.held(), []);
    assert_eq!(world.node.next_deadline(), None);
}

#[test]
fn an_acknowledgement_covers_all_earlier_updates() {
    let mut world = World::new();
    world.batch([Command::Launch(spec(T)), Command::Preparing(T)]);
    world.batch([Command::Started(T)]);

    world.batch([Command::Acknowledge(T, UpdateId(2))]);

    assert_eq!(world.node.next_deadline(), None);
    assert_eq!(world.node.running(), 1);
}

#[test]
fn an_acknowledgement_of_an_earlier_update_leaves_the_later_one() {
    let mut world = World::new();
    world.batch([Command::Launch(spec(T)), Command::Started(T)]);
    world.batch([Command::Ended(T, ending(TaskState::Finished))]);

    world.batch([Command::Acknowledge(T, UpdateId(1))]);

    assert_eq!(said(&world.wait(10)), [(T, 2, TaskState::Finished, None)]);
}

/// Scenario 41. Mesos: `TaskStatusUpdateManagerTest.IgnoreDuplicateStatusUpdateAck` and `IgnoreUnexpectedStatusUpdateAck`.
#[test]
fn repeated_and_unexpected_acknowledgements_are_ignored() {
    let mut world = World::with_running(T);
    world.batch([Command::Ended(T, ending(TaskState::Finished))]);
    let before = world.node.clone();

    let effects = world.batch([
        Command::Acknowledge(T, UpdateId(1)),
        Command::Acknowledge(T, UpdateId(9)),
        Command::Acknowledge(number(99), UpdateId(1)),
    ]);

    assert_eq!(effects, []);
    assert_eq!(world.node, before);
}

/// Scenario 40. Mesos: `SlaveRecoveryTest.RecoverTaskStatusUpdateManager`, over a lost connection.
#[test]
fn updates_made_without_a_master_wait_for_one() {
    let mut world = World::with_running(T);
    world.batch([Command::Disconnected]);
    assert_eq!(world.sent([Command::Ended(T, ending(TaskState::Finished))]), []);
    assert_eq!(said(&world.wait(3600)), []);

    let sent = world.sent([Command::Registered(AgentId(1))]);

    assert_eq!(sent, [(T, 2, TaskState::Finished, None)]);
    let due = world.node.next_deadline().expect("it is unacknowledged");
    assert_eq!(due - world.now, Duration::from_secs(1));
}

#[test]
fn a_task_keeps_no_more_than_two_updates() {
    let mut world = World::new();
    world.batch([Command::Launch(spec(T)), Command::Preparing(T)]);
    world.batch([Command::Started(T)]);
    world.batch([Command::Ended(T, ending(TaskState::Finished))]);

    let sent = world.sent([Command::Registered(AgentId(1))]);

    assert_eq!(sent, [(T, 2, TaskState::Running, None), (T, 3, TaskState::Finished, None)]);
}

#[test]
fn a_framework_that_is_back_hears_everything_unacknowledged_again() {
    let mut world = World::new();
    let other = TaskId { framework: FrameworkId(2), number: 1 };
    world.batch([Command::Launch(spec(T)), Command::Started(T), Command::Launch(spec(other)), Command::Started(other)]);

    assert_eq!(world.sent([Command::Resend(FRAMEWORK)]), [(T, 1, TaskState::Running, None)]);
}

#[test]
fn a_task_that_cannot_be_fetched_fails_with_the_reason() {
    let mut world = World::new();
    world.batch([Command::Launch(spec(T)), Command::Preparing(T)]);

    let sent = world.sent([Command::GivenUp {
        task: T,
        reason: Reason::ArtifactUnavailable,
        message: "no such artifact".to_string(),
    }]);

    assert_eq!(sent, [(T, 2, TaskState::Failed, Some(Reason::ArtifactUnavailable))]);
}

#[test]
fn a_kill_stops_the_task_and_its_end_is_told_when_it_comes() {
    let mut world = World::with_running(T);

    assert_eq!(world.batch([Command::Kill(T), Command::Kill(T)]), [Effect::Stop(T)]);
    assert_eq!(
        world.sent([Command::Ended(T, ending(TaskState::Killed))]),
        [(T, 2, TaskState::Killed, Some(Reason::KillRequested))]
    );
}

#[test]
fn a_task_may_win_the_race_against_its_kill() {
    let mut world = World::with_running(T);
    world.batch([Command::Kill(T)]);

    assert_eq!(world.sent([Command::Ended(T, ending(TaskState::Finished))]), [(T, 2, TaskState::Finished, None)]);
}

#[test]
fn a_task_that_ended_before_anybody_saw_it_start_may_win_that_race_too() {
    let mut world = World::new();
    world.batch([Command::Launch(spec(T)), Command::Kill(T)]);

    assert_eq!(world.sent([Command::Ended(T, ending(TaskState::Finished))]), [(T, 1, TaskState::Finished, None)]);
}

#[test]
fn a_task_killed_before_it_started_says_so() {
    let mut world = World::new();
    world.batch([Command::Launch(spec(T)), Command::Kill(T)]);

    let sent = world.sent([Command::GivenUp {
        task: T,
        reason: Reason::ArtifactUnavailable,
        message: "given up".to_string(),
    }]);

    assert_eq!(sent, [(T, 1, TaskState::Killed, Some(Reason::KilledDuringLaunch))]);
}

#[test]
fn a_kill_of_what_is_not_held_is_answered() {
    let mut world = World::new();

    assert_eq!(world.sent([Command::Kill(T)]), [(T, 0, TaskState::Lost, Some(Reason::AgentRestarted))]);
    assert_eq!(world.node.next_deadline(), None);
}

#[test]
fn a_kill_of_what_has_ended_repeats_its_end() {
    let mut world = World::with_running(T);
    world.batch([Command::Ended(T, ending(TaskState::Finished))]);

    assert_eq!(world.sent([Command::Kill(T)]), [(T, 2, TaskState::Finished, None)]);
}

#[test]
fn a_task_is_launched_once() {
    let mut world = World::with_running(T);
    let before = world.node.clone();
    let mut effects = Vec::new();

    let verdict = world.node.apply(world.now, Command::Launch(spec(T)), &mut effects);

    assert_eq!(verdict, Err(Refusal::AlreadyHeld(T, TaskState::Running)));
    assert_eq!((effects, world.node), (vec![], before));
}

#[test]
fn news_of_a_task_that_is_not_held_is_refused() {
    let mut node = Node::new(Config::default(), roomy());

    for news in [Command::Started(T), Command::Ended(T, ending(TaskState::Finished))] {
        assert_eq!(node.apply(Now::ZERO, news, &mut Vec::new()), Err(Refusal::NotHeld(T)));
    }
}

#[test]
fn the_tasks_of_a_removed_framework_end_for_that_reason() {
    let mut world = World::with_running(T);

    assert_eq!(world.batch([Command::RemoveFramework(FRAMEWORK)]), [Effect::Stop(T)]);
    assert_eq!(
        world.sent([Command::Ended(T, ending(TaskState::Killed))]),
        [(T, 2, TaskState::Killed, Some(Reason::FrameworkRemoved))]
    );
}

#[test]
fn the_updates_of_a_removed_framework_are_sent_again_for_the_master_to_acknowledge() {
    let mut world = World::with_running(T);
    world.batch([Command::Ended(T, ending(TaskState::Finished))]);

    assert_eq!(world.sent([Command::RemoveFramework(FRAMEWORK)]), [(T, 2, TaskState::Finished, None)]);
}

#[test]
fn it_registers_with_what_runs_and_what_is_unacknowledged() {
    let mut world = World::with_running(T);
    world.batch([Command::Launch(spec(number(2))), Command::Started(number(2))]);
    world.batch([Command::Ended(number(2), ending(TaskState::Failed))]);

    let held: Vec<_> = world.node.held().into_iter().map(|task| (task.id, task.state)).collect();

    assert_eq!(held, [(T, TaskState::Running), (number(2), TaskState::Failed)]);
}

#[test]
fn a_preempted_task_is_gone_whoever_wanted_it() {
    let mut world = World::with_running(T);

    assert_eq!(world.batch([preempt(T)]), [Effect::Stop(T)]);
    assert_eq!(world.batch([preempt(T)]), [], "said once");
    let sent = world.sent([Command::Ended(T, ending(TaskState::Killed))]);
    assert_eq!(sent, [(T, 2, TaskState::Gone, Some(Reason::Preempted))]);
    assert_eq!(*world.node.used(), Resources::default());
}

#[test]
fn a_task_that_ended_before_it_was_preempted_ended_as_it_did() {
    let mut world = World::with_running(T);
    world.batch([preempt(T)]);

    let sent = world.sent([Command::Ended(T, ending(TaskState::Finished))]);

    assert_eq!(sent, [(T, 2, TaskState::Finished, None)]);
}

#[test]
fn what_runs_on_what_is_idle_is_in_the_way_of_nothing_that_is_promised() {
    let mut world = World::new();
    let all = roomy().cpus;
    let launch = |number, resources: Resources| {
        let id = TaskId { number, ..T };
        Command::Launch(Arc::new(TaskSpec { resources, ..(*spec(id)).clone() }))
    };
    let mem = Resources::new(MilliCpu::ZERO, Bytes::from_mib(16), Bytes::ZERO);
    world.batch([launch(1, mem.clone().with_revocable(all))]);

    let effects = world.batch([launch(2, Resources::new(all, Bytes::from_mib(16), Bytes::ZERO))]);
    assert!(matches!(effects[0], Effect::Run(_)), "{effects:?}");
    let sent = world.sent([launch(3, mem.with_revocable(MilliCpu::new(1)))]);
    assert_eq!(sent[0].3, Some(Reason::InvalidOffers), "no more is revocable than there is");
    assert_eq!((world.node.used().cpus, world.node.used().revocable), (all, all));
}

#[test]
fn a_drain_without_tasks_is_over_at_once() {
    let mut world = World::new();

    assert_eq!(world.batch([Command::Drain]), [Effect::Drained]);
    assert_eq!(world.node.next_deadline(), None);
}

#[test]
fn a_drain_stops_every_task_and_waits_for_every_acknowledgement() {
    let mut world = World::with_running(T);

    assert_eq!(world.batch([Command::Drain]), [Effect::Stop(T)]);
    let sent = world.sent([Command::Ended(T, ending(TaskState::Killed))]);
    assert_eq!(sent, [(T, 2, TaskState::Killed, Some(Reason::AgentDraining))]);
    assert_eq!(world.batch([Command::Acknowledge(T, UpdateId(2))]), [Effect::Forget(T), Effect::Drained]);
}

#[test]
fn a_drain_does_not_wait_for_a_framework_that_is_away() {
    let mut world = World::with_running(T);
    world.batch([Command::Drain]);
    world.batch([Command::Ended(T, ending(TaskState::Killed))]);

    assert!(!world.wait(4).contains(&Effect::Drained));
    assert_eq!(world.wait(1), [Effect::Drained]);
    assert!(!world.wait(60).contains(&Effect::Drained));
}

#[test]
fn a_drain_with_grace_lets_a_task_end_by_itself_and_stops_the_rest() {
    const LONGER: TaskId = TaskId { framework: FRAMEWORK, number: 2 };
    let mut world = World::with_running(T);
    world.node.config.kill_grace = Duration::from_secs(5);
    world.batch([Command::Launch(spec(LONGER)), Command::Started(LONGER)]);
    world.batch([Command::Acknowledge(LONGER, UpdateId(1))]);

    assert_eq!(world.batch([Command::Drain]), []);
    assert_eq!(world.node.next_deadline(), Some(world.now + Duration::from_secs(5)));
    let sent = world.sent([Command::Ended(T, ending(TaskState::Finished))]);
    assert_eq!(sent, [(T, 2, TaskState::Finished, None)]);
    assert!(!world.wait(4).contains(&Effect::Stop(LONGER)));
    assert!(world.wait(1).contains(&Effect::Stop(LONGER)));

    world.batch([Command::Ended(LONGER, ending(TaskState::Killed))]);
    let acknowledged = [Command::Acknowledge(T, UpdateId(2)), Command::Acknowledge(LONGER, UpdateId(2))];
    assert_eq!(world.batch(acknowledged), [Effect::Forget(T), Effect::Forget(LONGER), Effect::Drained]);
}

/// The agent goes on: it is the master that gives it no more.
#[test]
fn an_agent_that_its_master_drains_ends_every_task_and_stays() {
    let mut world = World::with_running(T);

    assert_eq!(world.batch([Command::StopAll]), [Effect::Stop(T)]);
    assert_eq!(world.batch([Command::StopAll]), [], "the executor does not forget");
    let sent = world.sent([Command::Ended(T, ending(TaskState::Killed))]);
    assert_eq!(sent, [(T, 2, TaskState::Killed, Some(Reason::AgentDraining))]);
    assert_eq!(world.batch([Command::Acknowledge(T, UpdateId(2))]), [Effect::Forget(T)]);
}

#[test]
fn a_draining_agent_drops_what_it_is_given() {
    let mut world = World::new();
    world.batch([Command::Drain]);

    let sent = world.sent([Command::Launch(spec(T))]);

    assert_eq!(sent, [(T, 0, TaskState::Dropped, Some(Reason::AgentDraining))]);
}

/// A node that finds this task of an earlier agent, and then its master.
fn recovered(started: bool, ending: Option<Ending>) -> (World, (u64, TaskState)) {
    let mut world = World { node: Node::new(Config::default(), roomy()), now: Now::ZERO };
    world.batch([Command::Recover { task: TaskSummary::from(&*spec(T)), started, ending, incarnation: 3 }]);
    let said = world.sent([Command::Registered(AgentId(1))]);
    assert_eq!((said.len(), said[0].0), (1, T));
    (world, (said[0].1, said[0].2))
}

#[test]
fn a_task_of_an_earlier_agent_is_held_and_told_anew() {
    let (mut world, said) = recovered(true, None);

    assert_eq!(said, ((3 << 32) + 1, TaskState::Running));
    assert_eq!(world.node.held()[0].state, TaskState::Running);
    assert_eq!(recovered(false, None).1.1, TaskState::Starting);
}

#[test]
fn the_end_that_an_earlier_agent_could_not_tell_is_told_once_it_can_be() {
    let (mut world, said) = recovered(true, Some(ending(TaskState::Finished)));
    assert_eq!(said, ((3 << 32) + 1, TaskState::Finished));

    let effects = world.batch([Command::Acknowledge(T, UpdateId((3 << 32) + 1))]);

    assert_eq!(effects, [Effect::Forget(T)]);
}

#[test]
fn an_acknowledgement_meant_for_an_earlier_agent_settles_nothing() {
    let (mut world, _) = recovered(true, Some(ending(TaskState::Finished)));

    let effects = world.batch([Command::Acknowledge(T, UpdateId(2))]);

    assert_eq!(effects, []);
    assert_eq!(world.node.held().len(), 1);
}

/// Breach: a framework that never acknowledged filled its agents.
#[test]
fn who_does_not_acknowledge_is_given_no_more() {
    let mut world = World::new();
    world.node.config.unacknowledged_per_framework = 2;
    for task in [number(1), number(2)] {
        world.batch([Command::Launch(spec(task)), Command::Ended(task, ending(TaskState::Finished))]);
    }

    let sent = world.sent([Command::Launch(spec(number(3)))]);
    assert_eq!(sent, [(number(3), 0, TaskState::Dropped, Some(Reason::FrameworkLimit))]);

    world.batch([Command::Acknowledge(number(1), UpdateId(1))]);
    assert!(matches!(world.batch([Command::Launch(spec(number(4)))])[..], [Effect::Run(_)]));
}

#[test]
fn what_it_registers_with_names_the_update_that_tells_where_a_task_stands() {
    let mut world = World::with_running(T);
    world.batch([Command::Launch(spec(number(2)))]);
    world.batch([Command::Disconnected]);
    world.batch([Command::Ended(T, ending(TaskState::Finished))]);

    let held: Vec<_> = world.node.held().into_iter().map(|task| (task.id, task.state, task.update.0)).collect();

    assert_eq!(held, [(T, TaskState::Finished, 2), (number(2), TaskState::Starting, 1)]);
}

#[test]
fn an_end_that_it_registers_with_is_not_followed_by_earlier_news() {
    let mut world = World::new();
    world.batch([Command::Launch(spec(T)), Command::Started(T)]);
    world.batch([Command::Disconnected, Command::Ended(T, ending(TaskState::Finished))]);

    world.node.held();

    assert_eq!(world.sent([Command::Registered(AgentId(1))]), [(T, 2, TaskState::Finished, None)]);
}

#[test]
fn what_there_is_no_room_for_is_dropped_whatever_the_master_believes() {
    let [first, second, third] = [1, 2, 3].map(|number| TaskId { framework: FRAMEWORK, number });
    let room_for_two = Resources::new(MilliCpu::new(200), Bytes::from_mib(32), Bytes::ZERO);
    let mut world = World { node: Node::new(Config::default(), room_for_two), now: Now::ZERO };
    world.batch([Command::Registered(AgentId(1)), Command::Launch(spec(first)), Command::Launch(spec(second))]);

    let effects = world.batch([Command::Launch(spec(third))]);

    let [Effect::Send(sent)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((sent[0].state, sent[0].reason), (TaskState::Dropped, Some(Reason::InvalidOffers)));
    assert!(sent[0].message.starts_with("its agent has no room for it: "), "{}", sent[0].message);

    let effects = world.batch([Command::Ended(first, ending(TaskState::Finished)), Command::Launch(spec(third))]);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Run(run) if run.id == third)), "{effects:?}");
}

#[test]
fn what_an_earlier_agent_launched_takes_its_room() {
    let room_for_one = Resources::new(MilliCpu::new(100), Bytes::from_mib(16), Bytes::ZERO);
    let mut world = World { node: Node::new(Config::default(), room_for_one), now: Now::ZERO };
    let task = TaskSummary::from(&*spec(T));
    world.batch([Command::Recover { task, started: true, ending: None, incarnation: 1 }]);
    world.batch([Command::Registered(AgentId(1))]);

    let effects = world.batch([Command::Launch(spec(TaskId { framework: FRAMEWORK, number: 2 }))]);

    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Run(_))), "{effects:?}");
}
