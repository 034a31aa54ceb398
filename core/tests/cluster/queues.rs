//! Allocations and the tasks in their queues.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use haggle_core::access::{Principal, Verb};
use haggle_core::cluster::{
    AgentCommand, AgentOrder, Command, Config, Effect, FrameworkCommand, FrameworkEvent, OperatorCommand, Question,
    Recovered,
};
use haggle_core::queue::Shape;
use haggle_core::{
    AgentId, AllocationSpec, Bytes, Digest, Ending, HeldQueue, HeldRun, MilliCpu, OfferId, QueueEnd, QueueUpdate,
    QueuedTasks, Reason, Resources, Source, TaskId, TaskSpec, TaskState, UpdateId, Usage,
};

use crate::kit::*;

pub(crate) fn id(framework: Framework, number: u64) -> TaskId {
    TaskId { framework: framework.id, number }
}

fn allocation(framework: Framework, resources: Resources) -> AllocationSpec {
    AllocationSpec {
        id: id(framework, 1),
        name: "queue".into(),
        role: "role".into(),
        resources,
        volumes: Vec::new(),
        idle_timeout: Duration::from_secs(1),
    }
}

pub(crate) fn queued(framework: Framework, first: u64, count: u32) -> QueuedTasks {
    let small = Resources::new(MilliCpu::new(500), Bytes::from_mib(16), Bytes::ZERO);
    QueuedTasks { spec: Arc::new(TaskSpec { resources: small, ..task(framework, first, 1, 1) }), count, index: None }
}

fn open(world: &mut World, framework: Framework, offers: &[OfferId], resources: Resources) -> Vec<Effect> {
    let allocation = Arc::new(allocation(framework, resources));
    world.framework_says(framework, FrameworkCommand::Open { offers: offers.into(), allocation, refuse: AN_HOUR })
}

pub(crate) fn enqueue(world: &mut World, framework: Framework, tasks: Vec<QueuedTasks>, last: bool) -> Vec<Effect> {
    world.framework_says(framework, FrameworkCommand::Enqueue { allocation: id(framework, 1), tasks, last })
}

pub(crate) fn ended(first: u64) -> QueueEnd {
    let ending = Ending {
        state: TaskState::Finished,
        reason: None,
        message: String::new(),
        exit_code: Some(0),
        exceeded: None,
        usage: Usage::default(),
    };
    QueueEnd { first, count: 1, source: Source::Executor, ending }
}

pub(crate) fn news(framework: Framework, update: u64, started: Vec<u64>, ends: &[u64]) -> QueueUpdate {
    QueueUpdate {
        allocation: id(framework, 1),
        update: UpdateId(update),
        agent: None,
        started,
        ended: ends.iter().copied().map(ended).collect(),
    }
}

pub(crate) fn say(world: &mut World, agent: Agent, update: QueueUpdate) -> Vec<Effect> {
    world.agent_says(agent, AgentCommand::QueueUpdates(vec![Arc::new(update)]))
}

/// What a framework is told of queues: which update, and of how each task in it ended.
fn told(effects: &[Effect], framework: Framework) -> Vec<(u64, Vec<(u64, TaskState)>)> {
    let queues = events(effects, framework).into_iter().filter_map(|event| match event {
        FrameworkEvent::Queue(update) => Some(Arc::unwrap_or_clone(update)),
        _ => None,
    });
    let brief = |update: QueueUpdate| {
        (update.update.0, update.ends().map(|status| (status.task.number, status.state)).collect())
    };
    queues.map(brief).collect()
}

/// An agent of two cpus, all of which an allocation holds that runs, with three tasks in its queue.
pub(crate) fn with_three() -> (World, Agent, Framework) {
    with_three_and(Config::default())
}

pub(crate) fn with_three_and(config: Config) -> (World, Agent, Framework) {
    let mut world = World::with(config, remembered());
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let offer = world.open_offer(framework);
    open(&mut world, framework, &[offer], size(2, 1024));
    world.update(agent, id(framework, 1), 1, TaskState::Running);
    world.acknowledge(framework, id(framework, 1), 1);
    enqueue(&mut world, framework, vec![queued(framework, 10, 3)], false);
    (world, agent, framework)
}

fn states(world: &World, framework: Framework, numbers: &[u64]) -> Vec<Option<TaskState>> {
    numbers.iter().map(|&number| world.state_of(id(framework, number))).collect()
}

#[test]
fn an_allocation_holds_its_resources_as_a_task_does() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(4, 1024);
    let offer = world.open_offer(framework);

    let effects = open(&mut world, framework, &[offer], size(2, 512));

    let spec = Arc::new(allocation(framework, size(2, 512)));
    assert_eq!(orders(&effects, agent), [AgentOrder::Open(spec)]);
    assert_eq!(world.used_on(agent), size(2, 512));
    assert_eq!(world.free_on(agent), size(2, 512));
    assert_eq!(world.state_of(id(framework, 1)), Some(TaskState::Staging));
}

#[test]
fn what_cannot_be_opened_is_told_and_holds_nothing() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let offer = world.open_offer(framework);

    let gone = open(&mut world, framework, &[OfferId(999)], size(1, 1));
    let too_big = open(&mut world, framework, &[offer], size(3, 1));

    let dropped = (id(framework, 1), TaskState::Dropped, Some(Reason::InvalidOffers));
    assert_eq!(briefs(&gone, framework), [dropped]);
    assert_eq!(briefs(&too_big, framework), [dropped]);
    assert_eq!(orders(&too_big, agent), []);
    assert!(world.used_on(agent).is_empty());
}

#[test]
fn tasks_are_passed_on_and_are_seen_as_tasks_are() {
    let (mut world, agent, framework) = with_three();

    let tasks = vec![queued(framework, 20, 2)];
    let effects = enqueue(&mut world, framework, tasks.clone(), true);

    let allocation = id(framework, 1);
    assert_eq!(orders(&effects, agent), [AgentOrder::Enqueue { allocation, tasks, last: true }]);
    say(&mut world, agent, news(framework, 0, vec![11], &[]));
    assert_eq!(
        states(&world, framework, &[10, 11, 12, 20, 22]),
        [Some(TaskState::Staging), Some(TaskState::Running), Some(TaskState::Staging), Some(TaskState::Staging), None]
    );
    let owner = Principal::owner();
    let (first, next) = world.cluster.tasks_page(&owner, None, false, 3);
    let (second, end) = world.cluster.tasks_page(&owner, next, false, 10);
    let ids = first.iter().chain(&second).map(|view| view.id.number).collect::<Vec<_>>();
    assert_eq!((ids, end), (vec![1, 10, 11, 12, 20, 21], None));
    assert_eq!((first[1].agent, first[1].name.as_str()), (agent.id, "task 10"));
    assert!(world.cluster.task_for(&owner, Verb::ReadLog, id(framework, 12)).is_some());
    assert_eq!(world.cluster.counts().queued, 5);
}

#[test]
fn tasks_that_cannot_be_in_a_queue_end_at_once() {
    let (mut world, agent, framework) = with_three();
    let reason_of = |world: &mut World, tasks: QueuedTasks| {
        let effects = enqueue(world, framework, vec![tasks], false);
        assert_eq!(orders(&effects, agent), []);
        let [FrameworkEvent::Queue(update)] = &events(&effects, framework)[..] else { panic!("{effects:?}") };
        assert_eq!(update.update, UpdateId::UNACKNOWLEDGED);
        let [end] = &update.ended[..] else { panic!("{update:?}") };
        (end.first, end.count, end.ending.state, end.ending.reason, end.ending.message.clone())
    };

    let (first, count, state, reason, why) = reason_of(&mut world, queued(framework, 12, 2));
    assert_eq!((first, count, state, reason), (12, 2, TaskState::Error, Some(Reason::TaskInvalid)));
    assert_eq!(why, "task-1.12 was used before, and is STAGING: task ids are used once");
    let (.., why) = reason_of(&mut world, queued(framework, 1, 1));
    assert_eq!(why, "task-1.1 was used before, and is RUNNING: task ids are used once");
    let large = QueuedTasks { spec: Arc::new(task(framework, 30, 3, 1)), ..queued(framework, 30, 1) };
    let (.., why) = reason_of(&mut world, large);
    assert_eq!(why, "task-1.30 cannot be in task-1.1: does not fit its allocation: wants 3.000 cpu, has 2.000 cpu");
    enqueue(&mut world, framework, vec![], true);
    let (.., state, reason, why) = reason_of(&mut world, queued(framework, 40, 1));
    assert_eq!((state, reason), (TaskState::Dropped, Some(Reason::InvalidOffers)));
    assert_eq!(why, "task-1.40 cannot be in task-1.1: its framework has said that no more follow");
}

#[test]
fn a_queue_and_a_framework_hold_no_more_than_they_may() {
    let config = Config { queued_per_allocation: 5, tasks_per_framework: 8, ..Config::default() };
    let mut world = World::with(config, remembered());
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let offer = world.open_offer(framework);
    open(&mut world, framework, &[offer], size(2, 1024));

    enqueue(&mut world, framework, vec![queued(framework, 10, 4)], false);
    let effects = enqueue(&mut world, framework, vec![queued(framework, 20, 2), queued(framework, 30, 1)], false);

    assert_eq!(told(&effects, framework), [(0, vec![(20, TaskState::Dropped), (21, TaskState::Dropped)])]);
    assert!(matches!(&orders(&effects, agent)[..], [AgentOrder::Enqueue { tasks, .. }] if tasks.len() == 1));
    say(&mut world, agent, news(framework, 1, vec![], &[10, 11, 12]));
    let effects = enqueue(&mut world, framework, vec![queued(framework, 40, 3)], false);
    assert_eq!(told(&effects, framework)[0].1.len(), 3, "ends that are not acknowledged count, and the allocation");
    assert_eq!(world.cluster.counts().queued, 5);
}

#[test]
fn ends_come_in_one_update_and_one_acknowledgement_settles_them() {
    let (mut world, agent, framework) = with_three();

    let effects = say(&mut world, agent, news(framework, 2, vec![12], &[11, 10]));
    assert_eq!(told(&effects, framework), [(2, vec![(11, TaskState::Finished), (10, TaskState::Finished)])]);
    let [FrameworkEvent::Queue(update)] = &events(&effects, framework)[..] else { panic!() };
    assert_eq!(update.agent, Some(agent.id));
    assert_eq!(states(&world, framework, &[10, 12]), [Some(TaskState::Finished), Some(TaskState::Running)]);

    let effects = world.acknowledge(framework, id(framework, 1), 2);
    assert_eq!(orders(&effects, agent), [AgentOrder::Acknowledge(id(framework, 1), UpdateId(2))]);
    assert_eq!(world.cluster.counts().queued, 1);
    let known =
        world.cluster.task_for(&Principal::owner(), Verb::ReadLog, id(framework, 10)).expect("it is remembered");
    assert_eq!((known.status.state, known.agent, known.name.as_str()), (TaskState::Finished, agent.id, "task 10"));
}

#[test]
fn the_end_of_an_allocation_frees_it_and_drops_what_came_too_late() {
    let (mut world, agent, framework) = with_three();
    say(&mut world, agent, news(framework, 2, vec![], &[10, 11]));
    world.acknowledge(framework, id(framework, 1), 2);

    let effects = world.update(agent, id(framework, 1), 3, TaskState::Finished);

    let briefs = briefs(&effects, framework);
    assert_eq!(briefs[0], (id(framework, 12), TaskState::Dropped, Some(Reason::InvalidOffers)));
    assert_eq!(briefs[1], (id(framework, 1), TaskState::Finished, None));
    assert!(world.used_on(agent).is_empty());
    world.acknowledge(framework, id(framework, 1), 3);
    world.acknowledge_kept(framework);
    let counts = world.cluster.counts();
    assert_eq!((counts.tasks, counts.queued, counts.kept_updates), (0, 0, 0));
}

#[test]
fn a_task_of_a_queue_is_found_from_its_launch_until_after_its_end() {
    let (mut world, agent, framework) = with_three();
    let stands = |world: &World| states(world, framework, &[10])[0];

    assert_eq!(stands(&world), Some(TaskState::Staging));
    say(&mut world, agent, news(framework, 0, vec![10], &[]));
    assert_eq!(stands(&world), Some(TaskState::Running));
    say(&mut world, agent, news(framework, 2, vec![], &[10]));
    assert_eq!(stands(&world), Some(TaskState::Finished));
    world.acknowledge(framework, id(framework, 1), 2);
    assert_eq!(stands(&world), Some(TaskState::Finished));
}

#[test]
fn an_agent_that_makes_up_millions_of_ends_is_not_heard() {
    let (mut world, agent, framework) = with_three();
    let made_up = (0..1_000).map(|run| QueueEnd { count: 65_536, ..ended(1_000 + run * 65_536) }).collect();

    let effects = say(&mut world, agent, QueueUpdate { ended: made_up, ..news(framework, 2, vec![], &[]) });

    assert_eq!(told(&effects, framework), []);
    assert_eq!(world.cluster.counts().queued, 3);
}

#[test]
fn one_task_in_a_queue_is_killed_as_any_other() {
    let (mut world, agent, framework) = with_three();
    let twelve = id(framework, 12);

    let effects = world.framework_says(framework, FrameworkCommand::Kill(twelve));
    assert_eq!(orders(&effects, agent), [AgentOrder::Kill(twelve)]);
    assert_eq!(world.state_of(twelve), Some(TaskState::Killing));

    let kill = |task| Command::Operator(Principal::owner(), None, OperatorCommand::KillTask(task));
    let effects = world.apply(kill(id(framework, 10)));
    assert_eq!(orders(&effects, agent), [AgentOrder::Kill(id(framework, 10))]);
    say(&mut world, agent, news(framework, 2, vec![], &[10]));
    let refused = world.try_apply(kill(id(framework, 10))).unwrap_err();
    assert_eq!(refused.to_string(), "task-1.10 has ended already: it is FINISHED");
}

#[test]
fn a_question_about_a_task_in_a_queue_is_answered() {
    let (mut world, agent, framework) = with_three();
    say(&mut world, agent, news(framework, 2, vec![11], &[10]));

    let ask = |number| Question { task: id(framework, number), agent: Some(agent.id) };
    let effects =
        world.framework_says(framework, FrameworkCommand::Reconcile(vec![ask(10), ask(11), ask(12), ask(13)]));

    let answers: BTreeMap<_, _> =
        briefs(&effects, framework).into_iter().map(|(id, state, _)| (id.number, state)).collect();
    assert_eq!(answers, [(11, TaskState::Running), (12, TaskState::Staging), (13, TaskState::Gone)].into());
    assert_eq!(told(&effects, framework), [(2, vec![(10, TaskState::Finished)])], "its end is told again");
    let all = world.framework_says(framework, FrameworkCommand::Reconcile(vec![]));
    assert_eq!(briefs(&all, framework).len(), 3);
}

#[test]
fn an_agent_that_is_gone_ends_its_allocations_and_all_that_was_in_them() {
    let (mut world, agent, framework) = with_three();
    say(&mut world, agent, news(framework, 2, vec![11], &[10]));
    world.disconnect(agent);
    world.wait(Duration::from_secs(100));
    assert_eq!(states(&world, framework, &[1, 11, 12]), [Some(TaskState::Unreachable); 3]);

    let effects = world.apply(Command::Operator(Principal::owner(), None, OperatorCommand::AgentGone(agent.id)));

    let briefs: BTreeMap<_, _> =
        briefs(&effects, framework).into_iter().map(|(id, state, _)| (id.number, state)).collect();
    let gone = TaskState::GoneByOperator;
    assert_eq!(
        briefs,
        [(1, gone), (10, TaskState::Finished), (11, gone), (12, gone)].into(),
        "an end that was told stays"
    );
    world.acknowledge_kept(framework);
    assert_eq!((world.cluster.counts().tasks, world.cluster.counts().queued), (0, 0));
}

#[test]
fn a_framework_that_is_back_hears_of_ends_whose_agent_is_away() {
    let (mut world, agent, framework) = with_three();
    say(&mut world, agent, news(framework, 2, vec![], &[10]));
    world.disconnect(agent);
    world.disconnect(framework);

    let (again, effects) = world.subscribe(Some(framework.id), framework_info("role"));

    assert_eq!(told(&effects, again), [(2, vec![(10, TaskState::Finished)])]);
}

#[test]
fn a_framework_that_is_gone_leaves_nothing_behind() {
    let (mut world, agent, framework) = with_three();

    let effects = world.framework_says(framework, FrameworkCommand::Teardown);
    assert_eq!(orders(&effects, agent), [AgentOrder::RemoveFramework(framework.id)]);
    let effects = say(&mut world, agent, news(framework, 2, vec![], &[10, 11, 12]));
    assert_eq!(orders(&effects, agent), [AgentOrder::Acknowledge(id(framework, 1), UpdateId(2))]);
    world.update(agent, id(framework, 1), 3, TaskState::Killed);

    let counts = world.cluster.counts();
    assert_eq!((counts.tasks, counts.queued), (0, 0));
    assert!(world.used_on(agent).is_empty());
}

fn shape() -> Arc<Shape> {
    let small = Resources::new(MilliCpu::new(500), Bytes::from_mib(16), Bytes::ZERO);
    Arc::new(Shape { name: "noop".into(), resources: small, module: Some(Digest([7; 32])) })
}

pub(crate) fn run(first: u64, count: u64, state: TaskState, update: u64) -> HeldRun {
    HeldRun { first, count, state, update: UpdateId(update), shape: shape() }
}

/// An agent comes back and names its allocation with these runs in it.
pub(crate) fn come_back(
    world: &mut World,
    agent: AgentId,
    framework: Framework,
    run_number: u64,
    runs: Vec<HeldRun>,
) -> (Agent, Vec<Effect>) {
    let session = world.session();
    let identity = haggle_core::cluster::AgentIdentity { run: run_number, ..world.identity(agent) };
    let tasks = vec![held(id(framework, 1), TaskState::Running, size(2, 1024))];
    let info = agent_info(size(2, 1024));
    let again = Peer { id: agent, session };
    let mut effects = world.agent_says(again, AgentCommand::Register { identity, info, tasks, complete: false });
    let queues = vec![HeldQueue { allocation: id(framework, 1), runs }];
    effects.extend(world.agent_says(again, AgentCommand::HoldsQueues { queues, complete: true }));
    (again, effects)
}

#[test]
fn what_never_reached_its_agent_is_dropped_when_that_comes_back() {
    let (mut world, agent, framework) = with_three();
    world.disconnect(agent);

    let runs = vec![run(10, 1, TaskState::Running, 0), run(11, 1, TaskState::Staging, 0)];
    let (again, effects) = come_back(&mut world, agent.id, framework, 1, runs);

    assert_eq!(briefs(&effects, framework), [(id(framework, 12), TaskState::Dropped, Some(Reason::AgentRestarted))]);
    assert_eq!(states(&world, framework, &[10, 11]), [Some(TaskState::Running), Some(TaskState::Staging)]);
    assert_eq!(world.used_on(again), size(2, 1024));
}

#[test]
fn what_another_process_of_an_agent_comes_without_may_have_run() {
    let (mut world, agent, framework) = with_three();
    world.disconnect(agent);

    let (_, effects) = come_back(&mut world, agent.id, framework, 2, vec![run(10, 2, TaskState::Staging, 0)]);

    assert_eq!(briefs(&effects, framework), [(id(framework, 12), TaskState::Gone, Some(Reason::AgentRestarted))]);
}

#[test]
fn a_kill_is_said_again_to_an_agent_that_was_away() {
    let (mut world, agent, framework) = with_three();
    world.disconnect(agent);
    let effects = world.framework_says(framework, FrameworkCommand::Kill(id(framework, 11)));
    assert_eq!(briefs(&effects, framework)[0].1, TaskState::Killing);

    let (again, effects) = come_back(&mut world, agent.id, framework, 1, vec![run(10, 3, TaskState::Staging, 0)]);

    assert!(orders(&effects, again).contains(&AgentOrder::Kill(id(framework, 11))));
}

#[test]
fn a_new_master_learns_of_queues_from_their_agents() {
    let mut world = World::with(
        Config::default(),
        Recovered {
            agents: vec![(AgentId(1), record(size(2, 1024), 1))],
            frameworks: vec![(haggle_core::FrameworkId(1), framework_record("role"))],
            last_agent: 1,
            last_framework: 1,
            ..remembered()
        },
    );
    let (framework, _) = world.subscribe(Some(haggle_core::FrameworkId(1)), framework_info("role"));
    let ask = |number| Question { task: id(framework, number), agent: Some(AgentId(1)) };
    world.framework_says(framework, FrameworkCommand::Reconcile(vec![ask(10), ask(12)]));

    let runs =
        vec![run(11, 1, TaskState::Running, 0), run(12, 2, TaskState::Staging, 0), run(10, 1, TaskState::Finished, 2)];
    let (agent, effects) = come_back(&mut world, AgentId(1), framework, 1, runs);

    let told_of: Vec<_> =
        updates(&effects, framework).iter().map(|status| (status.task.number, status.state)).collect();
    assert!(told_of.contains(&(11, TaskState::Running)) && told_of.contains(&(13, TaskState::Staging)), "{told_of:?}");
    assert!(!told_of.iter().any(|told| told.0 == 10), "nothing is guessed of what has ended: {told_of:?}");
    let effects = say(&mut world, agent, news(framework, 2, vec![], &[10]));
    assert_eq!(told(&effects, framework), [(2, vec![(10, TaskState::Finished)])]);
    let effects = world.acknowledge(framework, id(framework, 1), 2);
    assert_eq!(orders(&effects, agent), [AgentOrder::Acknowledge(id(framework, 1), UpdateId(2))]);
    let effects = enqueue(&mut world, framework, vec![queued(framework, 20, 1)], false);
    assert!(matches!(orders(&effects, agent)[..], [AgentOrder::Enqueue { .. }]));
}

#[test]
fn tasks_for_an_agent_that_is_away_are_dropped() {
    let (mut world, agent, framework) = with_three();
    world.disconnect(agent);

    let effects = enqueue(&mut world, framework, vec![queued(framework, 20, 1)], false);

    assert_eq!(told(&effects, framework), [(0, vec![(20, TaskState::Dropped)])]);
}

#[test]
fn a_hundred_thousand_tasks_in_a_queue_are_a_few_entries() {
    let (mut world, agent, framework) = with_three();
    enqueue(&mut world, framework, vec![queued(framework, 1_000, 60_000)], false);

    for update in 0..100 {
        let ends: Vec<u64> = (0..256).map(|at| 1_000 + update * 256 + at).collect();
        say(&mut world, agent, news(framework, 2 + update, vec![], &ends));
        world.acknowledge(framework, id(framework, 1), 2 + update);
    }

    assert_eq!(world.cluster.counts().queued, 3 + 60_000 - 25_600);
    assert_eq!(world.state_of(id(framework, 1_000 + 25_600)), Some(TaskState::Staging));
}
