//! What whoever watches hears of tasks in queues, and how they are counted.

use std::time::Duration;

use haggle_core::access::Principal;
use haggle_core::cluster::{Command, Effect, FrameworkCommand, OperatorCommand};
use haggle_core::{QueueNews, TaskState};

use crate::kit::*;
use crate::queues::{come_back, enqueue, id, news, queued, run, say, with_three};

/// What whoever watches hears of tasks in queues: which, and where they stand.
fn announced(effects: &[Effect]) -> Vec<(u64, TaskState)> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::AnnounceQueued(news) => Some(news.clone()),
        _ => None,
    });
    told.flat_map(QueueNews::statuses).map(|status| (status.task.number, status.state)).collect()
}

fn all(state: TaskState, numbers: impl IntoIterator<Item = u64>) -> Vec<(u64, TaskState)> {
    numbers.into_iter().map(|number| (number, state)).collect()
}

/// How many tasks are counted in these states.
fn counted(world: &World) -> [usize; 4] {
    let tally = world.cluster.tally();
    [TaskState::Staging, TaskState::Running, TaskState::Killing, TaskState::Unreachable].map(|state| tally.tasks(state))
}

#[test]
fn tasks_that_are_put_in_together_are_told_in_one_word() {
    let (mut world, agent, framework) = with_three();

    let effects =
        enqueue(&mut world, framework, (20..1_020).map(|number| queued(framework, number, 1)).collect(), false);

    let told: Vec<_> = effects.iter().filter(|effect| matches!(effect, Effect::AnnounceQueued(_))).collect();
    let [Effect::AnnounceQueued(QueueNews::Run(run))] = told[..] else { panic!("{told:?}") };
    assert_eq!((run.agent, run.first, run.count, run.state), (agent.id, 20, 1_000, TaskState::Staging));
    assert_eq!(announced(&effects), all(TaskState::Staging, 20..1_020));
}

#[test]
fn whoever_watches_hears_once_of_each_start_and_each_end_in_a_queue() {
    let (mut world, agent, framework) = with_three();
    let running = |number| (number, TaskState::Running);
    let finished = |number| (number, TaskState::Finished);

    assert_eq!(announced(&say(&mut world, agent, news(framework, 0, vec![11], &[]))), [running(11)]);
    let effects = say(&mut world, agent, news(framework, 2, vec![12, 11], &[11, 10]));
    assert_eq!(announced(&effects), [running(12), finished(11), finished(10)]);
    assert_eq!(announced(&say(&mut world, agent, news(framework, 2, vec![], &[11, 10]))), []);
    world.framework_says(framework, FrameworkCommand::Teardown);
    assert_eq!(announced(&say(&mut world, agent, news(framework, 3, vec![12], &[12]))), [finished(12)]);
}

#[test]
fn whoever_watches_hears_of_each_kill_in_a_queue_once() {
    let (mut world, agent, framework) = with_three();
    let kill = FrameworkCommand::Kill(id(framework, 11));

    assert_eq!(announced(&world.framework_says(framework, kill.clone())), [(11, TaskState::Killing)]);
    assert_eq!(announced(&world.framework_says(framework, kill)), []);
    assert_eq!(announced(&say(&mut world, agent, news(framework, 0, vec![11], &[]))), [], "it is to end all the same");
}

#[test]
fn whoever_watches_hears_that_a_queue_cannot_be_reached_and_that_it_is_back() {
    let (mut world, agent, framework) = with_three();
    say(&mut world, agent, news(framework, 0, vec![11], &[]));
    assert_eq!(counted(&world), [2, 2, 0, 0], "with the allocation");

    world.disconnect(agent);
    let effects = world.wait(Duration::from_secs(100));
    assert_eq!(announced(&effects), all(TaskState::Unreachable, 10..=12));
    assert_eq!(counted(&world), [0, 0, 0, 4]);

    let runs =
        vec![run(10, 1, TaskState::Running, 0), run(11, 1, TaskState::Running, 0), run(12, 1, TaskState::Staging, 0)];
    let (_, effects) = come_back(&mut world, agent.id, framework, 1, runs);
    let (staging, running) = (TaskState::Staging, TaskState::Running);
    assert_eq!(announced(&effects), [(10, staging), (11, running), (12, staging), (10, running)]);
    assert_eq!(counted(&world), [1, 3, 0, 0]);
}

#[test]
fn whoever_watches_hears_what_was_lost_with_an_agent() {
    let (mut world, agent, framework) = with_three();
    say(&mut world, agent, news(framework, 2, vec![], &[10]));
    world.disconnect(agent);

    let effects = world.apply(Command::Operator(Principal::owner(), None, OperatorCommand::AgentGone(agent.id)));

    assert_eq!(announced(&effects), all(TaskState::GoneByOperator, [11, 12]));
}

#[test]
fn tasks_in_queues_are_counted_by_where_they_stand_as_others_are() {
    let (mut world, agent, framework) = with_three();
    assert_eq!(counted(&world), [3, 1, 0, 0], "the allocation runs");

    say(&mut world, agent, news(framework, 2, vec![11], &[10]));
    world.framework_says(framework, FrameworkCommand::Kill(id(framework, 12)));
    assert_eq!(counted(&world), [0, 2, 1, 0]);
    let finished = |world: &World| world.cluster.tally().tasks(TaskState::Finished);
    assert_eq!(finished(&world), 1);
    world.acknowledge(framework, id(framework, 1), 2);
    assert_eq!(finished(&world), 0);
    let agents = world.cluster.agents(world.now);
    let frameworks = world.cluster.frameworks();
    assert_eq!((agents[0].tasks, frameworks[0].tasks), (3, 3), "the allocation and what is in its queue");

    world.framework_says(framework, FrameworkCommand::Teardown);
    assert_eq!(counted(&world), [0, 0, 1, 0], "the allocation alone is known by where it stands");
}
