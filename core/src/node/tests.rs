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
use crate::stop::Stop;
use crate::task::{Ending, Limits, Reason, Sharing, Source, TaskSpec, TaskState, TaskStatus, TaskSummary, Usage};
use crate::time::Now;

mod drain;
mod life;
mod queues;
mod updates;

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
        waited: None,
        trace: None,
    })
}

fn ending(state: TaskState) -> Ending {
    let reason = (state == TaskState::Killed).then_some(Reason::KillRequested);
    Ending { state, reason, message: String::new(), exit_code: None, exceeded: None, usage: Usage::default() }
}

fn wanted_back() -> Stop {
    Stop::because(Reason::Preempted, "it is wanted back".to_string())
}

fn preempt(task: TaskId) -> Command {
    Command::End { task, reason: Reason::Preempted, why: "it is wanted back".to_string() }
}

/// Room for ten thousand of these tasks.
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

    assert_eq!(world.batch([Command::Kill(T), Command::Kill(T)]), [Effect::Stop(T, Stop::REQUESTED)]);
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

    assert_eq!(world.batch([Command::RemoveFramework(FRAMEWORK)]), [Effect::Stop(T, Reason::FrameworkRemoved.into())]);
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

    let held: Vec<_> = world.node.held(world.now).into_iter().map(|task| (task.id, task.state)).collect();

    assert_eq!(held, [(T, TaskState::Running), (number(2), TaskState::Failed)]);
}

#[test]
fn a_preempted_task_is_gone_whoever_wanted_it() {
    let mut world = World::with_running(T);

    assert_eq!(world.batch([preempt(T)]), [Effect::Stop(T, wanted_back())]);
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

/// A node that finds this task of an earlier agent, and then its master.
fn recovered(started: bool, stopped: Option<Stop>, ending: Option<Ending>) -> (World, (u64, TaskState)) {
    let mut world = World { node: Node::new(Config::default(), roomy()), now: Now::ZERO };
    world.batch([Command::Recover { task: TaskSummary::from(&*spec(T)), started, stopped, ending, incarnation: 3 }]);
    let said = world.sent([Command::Registered(AgentId(1))]);
    assert_eq!((said.len(), said[0].0), (1, T));
    (world, (said[0].1, said[0].2))
}

#[test]
fn a_task_of_an_earlier_agent_is_held_and_told_anew() {
    let (mut world, said) = recovered(true, None, None);

    assert_eq!(said, ((3 << 32) + 1, TaskState::Running));
    assert_eq!(world.node.held(world.now)[0].state, TaskState::Running);
    assert_eq!(recovered(false, None, None).1.1, TaskState::Starting);
}

#[test]
fn the_end_that_an_earlier_agent_could_not_tell_is_told_once_it_can_be() {
    let (mut world, said) = recovered(true, None, Some(ending(TaskState::Finished)));
    assert_eq!(said, ((3 << 32) + 1, TaskState::Finished));

    let effects = world.batch([Command::Acknowledge(T, UpdateId((3 << 32) + 1))]);

    assert_eq!(effects, [Effect::Forget(T)]);
}

#[test]
fn a_task_that_ended_for_a_reason_is_told_with_it_by_the_next_agent_too() {
    let mut before = World::with_running(T);
    before.batch([preempt(T)]);
    let told = statuses(&before.batch([Command::Ended(T, ending(TaskState::Killed))]));

    let (mut world, said) = recovered(true, Some(wanted_back()), Some(ending(TaskState::Killed)));

    assert_eq!(said, ((3 << 32) + 1, TaskState::Gone));
    let again = statuses(&world.batch([Command::Resend(FRAMEWORK)]));
    let what = |status: &TaskStatus| (status.state, status.reason, status.message.clone());
    assert_eq!(what(&again[0]), what(&told[0]));
}

#[test]
fn a_task_that_an_earlier_agent_told_to_end_ends_for_that_reason() {
    let (mut world, said) = recovered(true, Some(Reason::AgentDraining.into()), None);
    assert_eq!(said.1, TaskState::Running, "the framework may not have heard that it runs");
    assert_eq!(world.node.held(world.now)[0].state, TaskState::Killing);

    assert_eq!(world.batch([preempt(T)]), [], "its executor keeps the first");
    let sent = world.sent([Command::Ended(T, ending(TaskState::Killed))]);
    assert_eq!(sent, [(T, (3 << 32) + 2, TaskState::Killed, Some(Reason::AgentDraining))]);
}

#[test]
fn an_acknowledgement_meant_for_an_earlier_agent_settles_nothing() {
    let (mut world, _) = recovered(true, None, Some(ending(TaskState::Finished)));

    let effects = world.batch([Command::Acknowledge(T, UpdateId(2))]);

    assert_eq!(effects, []);
    assert_eq!(world.node.held(world.now).len(), 1);
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

    let held: Vec<_> =
        world.node.held(world.now).into_iter().map(|task| (task.id, task.state, task.update.0)).collect();

    assert_eq!(held, [(T, TaskState::Finished, 2), (number(2), TaskState::Starting, 1)]);
}

#[test]
fn an_end_that_it_registers_with_is_not_followed_by_earlier_news() {
    let mut world = World::new();
    world.batch([Command::Launch(spec(T)), Command::Started(T)]);
    world.batch([Command::Disconnected, Command::Ended(T, ending(TaskState::Finished))]);

    world.node.held(world.now);

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
    world.batch([Command::Recover { task, started: true, stopped: None, ending: None, incarnation: 1 }]);
    world.batch([Command::Registered(AgentId(1))]);

    let effects = world.batch([Command::Launch(spec(TaskId { framework: FRAMEWORK, number: 2 }))]);

    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Run(_))), "{effects:?}");
}
