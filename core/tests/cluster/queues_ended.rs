//! Tasks of queues after their end: what is remembered of them, and of their allocations.

use std::time::Duration;

use haggle_core::access::{Principal, Verb};
use haggle_core::cluster::{
    Announcement, Command, Config, Effect, FrameworkCommand, OperatorCommand, Question, Refusal, TaskGlance, TaskView,
};
use haggle_core::{Ending, QueueEnd, QueueUpdate, Reason, Source, TaskState, Usage};

use crate::kit::*;
use crate::queues::{ended, enqueue, id, news, queued, say, with_three};

/// All of them as a list that is read in pages of so many.
fn listed(world: &World, page: usize) -> Vec<TaskView> {
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let (tasks, next) = world.cluster.tasks_page(&Principal::owner(), after, true, page);
        listed.extend(tasks);
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(selected(world, page, |_| true), listed, "everything is what is selected by nothing");
    listed
}

/// Those of all that are wanted, looked at in pages of so many.
fn selected(world: &World, page: usize, wanted: impl Fn(&TaskGlance<'_>) -> bool) -> Vec<TaskView> {
    let (mut selected, mut after) = (Vec::new(), None);
    loop {
        let (tasks, next) = world.cluster.tasks_page_where(&Principal::owner(), after, page, &wanted);
        selected.extend(tasks);
        match next {
            Some(next) => after = Some(next),
            None => return selected,
        }
    }
}

#[test]
fn what_is_looked_at_of_a_task_before_it_is_selected_is_what_is_shown_of_it() {
    let (mut world, agent, framework) = with_three();
    say(&mut world, agent, news(framework, 2, vec![], &[10, 11]));
    world.acknowledge(framework, id(framework, 1), 2);

    for task in listed(&world, 2) {
        let same = |glance: &TaskGlance<'_>| {
            (glance.id, glance.name, glance.role, glance.agent) == (task.id, &*task.name, &*task.role, Some(task.agent))
                && (glance.state, glance.reason) == (task.status.state, task.status.reason)
        };
        assert_eq!(selected(&world, 2, same), std::slice::from_ref(&task));
    }
}

type Brief = (u64, TaskState, Option<Reason>);

fn brief(tasks: &[TaskView]) -> Vec<Brief> {
    tasks.iter().map(|task| (task.id.number, task.status.state, task.status.reason)).collect()
}

fn of_queue(world: &World) -> Vec<Brief> {
    brief(&listed(world, 2).into_iter().filter(|task| !task.is_allocation).collect::<Vec<_>>())
}

const FINISHED: (TaskState, Option<Reason>) = (TaskState::Finished, None);

fn finished(numbers: &[u64]) -> Vec<Brief> {
    numbers.iter().map(|&number| (number, FINISHED.0, FINISHED.1)).collect()
}

/// Closes an allocation whose queue is empty, as its agent does.
fn close(world: &mut World, agent: Agent, framework: Framework, update: u64) {
    world.update(agent, id(framework, 1), update, TaskState::Finished);
    world.acknowledge(framework, id(framework, 1), update);
}

#[test]
fn tasks_of_a_queue_that_have_ended_are_listed_as_others_are() {
    let (mut world, agent, framework) = with_three();
    let took = Usage { cpu: Duration::from_millis(7), ..Usage::default() };
    let failed = Ending {
        state: TaskState::Failed,
        reason: Some(Reason::Trap),
        message: "unreachable".into(),
        exit_code: None,
        exceeded: None,
        usage: took,
    };
    let ends = vec![ended(11), QueueEnd { first: 10, count: 1, source: Source::Executor, ending: failed }];
    say(&mut world, agent, QueueUpdate { ended: ends, ..news(framework, 2, vec![], &[]) });
    world.acknowledge(framework, id(framework, 1), 2);

    for page in [1, 2, 100] {
        let listed = listed(&world, page);
        let expected = [
            (1, TaskState::Running, None),
            (12, TaskState::Staging, None),
            (11, TaskState::Finished, None),
            (10, TaskState::Failed, Some(Reason::Trap)),
        ];
        assert_eq!(brief(&listed), expected, "in pages of {page}");
        let trapped = &listed[3];
        assert_eq!((trapped.name.as_str(), trapped.role.as_str(), trapped.agent), ("task 10", "role", agent.id));
        assert_eq!((trapped.status.usage, trapped.status.message.as_str()), (Some(took), "unreachable"));
        assert_eq!(trapped.resources, queued(framework, 10, 1).spec.resources);
    }
    assert_eq!(world.cluster.counts().ended, 2);
}

#[test]
fn an_allocation_is_told_from_the_tasks_in_it() {
    let (mut world, agent, framework) = with_three();
    let allocations = |world: &World| {
        let allocations = listed(world, 10).into_iter().filter(|task| task.is_allocation);
        allocations.map(|task| (task.id.number, task.status.state)).collect::<Vec<_>>()
    };

    assert_eq!(allocations(&world), [(1, TaskState::Running)]);
    say(&mut world, agent, news(framework, 2, vec![], &[10, 11, 12]));
    world.acknowledge(framework, id(framework, 1), 2);
    close(&mut world, agent, framework, 3);
    assert_eq!(allocations(&world), [(1, TaskState::Finished)]);
    assert_eq!(of_queue(&world), finished(&[10, 11, 12]));
}

#[test]
fn only_whoever_may_list_tasks_sees_those_that_were_in_queues() {
    let (mut world, agent, framework) = with_three();
    say(&mut world, agent, news(framework, 2, vec![], &[10, 11, 12]));
    world.acknowledge(framework, id(framework, 1), 2);
    let other = crate::access::viewer("elsewhere");

    let (seen, next) = world.cluster.tasks_page(&other, None, true, 100);

    assert_eq!((seen, next), (vec![], None));
    assert_eq!(world.cluster.task_for(&other, Verb::ListTasks, id(framework, 10)), None);
}

#[test]
fn the_history_keeps_the_last_that_ended_in_queues_or_by_themselves() {
    let config = Config { history: 4, ..Config::default() };
    let (mut world, agent, framework) = crate::queues::with_three_and(config);
    say(&mut world, agent, news(framework, 2, vec![], &[10, 11, 12]));
    world.acknowledge(framework, id(framework, 1), 2);
    close(&mut world, agent, framework, 3);
    assert_eq!(world.cluster.counts().ended, 4);

    let task = world.launch(framework, 50);
    world.update(agent, task, 1, TaskState::Finished);
    world.acknowledge(framework, task, 1);

    assert_eq!(brief(&listed(&world, 3)), finished(&[11, 12, 1, 50]));
    assert_eq!(world.cluster.counts().ended, 4);
    assert_eq!(world.state_of(id(framework, 10)), None, "what is not listed is not known");
}

#[test]
fn a_list_that_is_read_while_the_oldest_are_forgotten_goes_on_behind_them() {
    let config = Config { history: 4, ..Config::default() };
    let (mut world, agent, framework) = crate::queues::with_three_and(config);
    enqueue(&mut world, framework, vec![queued(framework, 20, 3)], false);
    say(&mut world, agent, news(framework, 2, vec![], &[10, 11, 12]));
    world.acknowledge(framework, id(framework, 1), 2);
    let who = Principal::owner();
    let (_, next) = world.cluster.tasks_page(&who, None, true, 6);

    say(&mut world, agent, news(framework, 3, vec![], &[20, 21, 22]));
    world.acknowledge(framework, id(framework, 1), 3);

    let (rest, end) = world.cluster.tasks_page(&who, next, true, 100);
    assert_eq!((brief(&rest), end), (finished(&[12, 20, 21, 22]), None));
}

#[test]
fn an_end_that_is_said_twice_is_remembered_once() {
    let (mut world, agent, framework) = with_three();
    let twice = QueueUpdate { ended: vec![ended(10), ended(10), ended(11)], ..news(framework, 2, vec![], &[]) };
    say(&mut world, agent, twice.clone());
    world.acknowledge(framework, id(framework, 1), 2);
    assert_eq!(of_queue(&world)[1..], finished(&[10, 11]));

    say(&mut world, agent, twice);
    world.acknowledge(framework, id(framework, 1), 2);

    assert_eq!(of_queue(&world)[1..], finished(&[10, 11]));
    let known = world.cluster.task(id(framework, 10)).expect("it is remembered");
    assert_eq!(known.name, "task 10");
}

#[test]
fn what_an_agent_makes_up_takes_no_place_in_the_history() {
    let config = Config { history: 10, ..Config::default() };
    let (mut world, agent, framework) = crate::queues::with_three_and(config);
    let made_up = QueueEnd { count: 1_000, ..ended(11) };
    say(&mut world, agent, QueueUpdate { ended: vec![ended(10)], ..news(framework, 2, vec![], &[]) });
    world.acknowledge(framework, id(framework, 1), 2);
    world.framework_says(framework, FrameworkCommand::Teardown);

    say(&mut world, agent, QueueUpdate { ended: vec![made_up], ..news(framework, 3, vec![], &[]) });

    assert_eq!(of_queue(&world), finished(&[10, 11, 12]));
}

/// A runner acknowledges the last ends and leaves.
#[test]
fn what_ended_in_queues_outlives_its_framework() {
    let (mut world, agent, framework) = with_three();
    say(&mut world, agent, news(framework, 2, vec![], &[10]));
    world.acknowledge(framework, id(framework, 1), 2);
    say(&mut world, agent, news(framework, 3, vec![], &[11, 12]));

    let effects = world.framework_says(framework, FrameworkCommand::Teardown);
    let of_allocation = |effect: &&Effect| matches!(effect, Effect::Announce(Announcement::Task(_)));
    assert_eq!(effects.iter().find(of_allocation), None, "nothing is killed: nothing is left in the queue");
    say(&mut world, agent, news(framework, 3, vec![], &[11, 12]));
    world.update(agent, id(framework, 1), 4, TaskState::Finished);

    assert_eq!(brief(&listed(&world, 100)), finished(&[10, 11, 12, 1]));
}

#[test]
fn what_is_left_in_queues_ends_as_its_agent_says() {
    let (mut world, agent, framework) = with_three();
    world.framework_says(framework, FrameworkCommand::Teardown);
    let killed = QueueEnd::never_ran(11, 2, Source::Executor, TaskState::Killed, Reason::FrameworkRemoved, "");

    let update = QueueUpdate { ended: vec![ended(10), killed], ..news(framework, 2, vec![], &[]) };
    say(&mut world, agent, update.clone());
    say(&mut world, agent, update);
    world.update(agent, id(framework, 1), 3, TaskState::Killed);

    let killed = |number| (number, TaskState::Killed, Some(Reason::FrameworkRemoved));
    assert_eq!(of_queue(&world), [finished(&[10])[0], killed(11), killed(12)]);
    let ends = world.cluster.tally().ended().filter(|&(state, ..)| state == TaskState::Killed);
    assert_eq!(ends.map(|(.., count)| count).sum::<u64>(), 3, "each is counted once, and the allocation");
}

#[test]
fn what_is_left_on_an_agent_that_is_gone_ends_with_it() {
    let (mut world, agent, framework) = with_three();
    say(&mut world, agent, news(framework, 2, vec![], &[10]));
    world.disconnect(agent);
    world.framework_says(framework, FrameworkCommand::Teardown);

    world.apply(Command::Operator(Principal::owner(), None, OperatorCommand::AgentGone(agent.id)));

    let ended: Vec<_> = of_queue(&world).into_iter().map(|(number, state, _)| (number, state)).collect();
    let gone = TaskState::GoneByOperator;
    assert_eq!(ended, [(10, TaskState::Finished), (11, gone), (12, gone)], "an end that was told stays");
    let counts = world.cluster.counts();
    assert_eq!((counts.tasks, counts.queued), (0, 0));
}

#[test]
fn many_that_ended_together_are_one_entry_and_are_listed_one_by_one() {
    let (mut world, agent, framework) = with_three();
    enqueue(&mut world, framework, vec![queued(framework, 1_000, 60_000)], false);
    let dropped = QueueEnd::never_ran(1_000, 60_000, Source::Agent, TaskState::Failed, Reason::ModuleInvalid, "no");
    say(&mut world, agent, QueueUpdate { ended: vec![dropped], ..news(framework, 2, vec![], &[]) });

    world.acknowledge(framework, id(framework, 1), 2);

    let listed = listed(&world, 1_000);
    let ended: Vec<u64> = listed.iter().map(|task| task.id.number).filter(|&number| number >= 1_000).collect();
    assert_eq!(ended, (51_000..61_000).collect::<Vec<_>>(), "the last 10,000");
}

#[test]
fn a_list_of_those_that_have_not_ended_shows_none_whose_end_waits_to_be_acknowledged() {
    let (mut world, agent, framework) = with_three();
    say(&mut world, agent, news(framework, 2, vec![], &[11, 10]));

    let (listed, _) = world.cluster.tasks_page(&Principal::owner(), None, false, 100);

    assert_eq!(listed.iter().map(|task| task.id.number).collect::<Vec<_>>(), [1, 12]);
}

#[test]
fn one_that_ended_in_a_queue_is_killed_and_asked_after_as_any_other() {
    let (mut world, agent, framework) = with_three();
    say(&mut world, agent, news(framework, 2, vec![], &[11, 10]));
    world.acknowledge(framework, id(framework, 1), 2);
    let finished = [(id(framework, 10), TaskState::Finished, Some(Reason::Reconciliation))];

    let kill = OperatorCommand::KillTask(id(framework, 10));
    assert_eq!(
        world.try_apply(Command::Operator(Principal::owner(), None, kill)),
        Err(Refusal::TaskEnded(id(framework, 10), TaskState::Finished))
    );
    let effects = world.framework_says(framework, FrameworkCommand::Kill(id(framework, 10)));
    assert_eq!(briefs(&effects, framework), finished);
    let ask = |number| Question { task: id(framework, number), agent: None };
    let effects = world.framework_says(framework, FrameworkCommand::Reconcile(vec![ask(10)]));
    assert_eq!(briefs(&effects, framework), finished);
    let effects = world.framework_says(framework, FrameworkCommand::Reconcile(vec![ask(10), ask(99)]));
    assert_eq!(
        briefs(&effects, framework),
        [finished[0], (id(framework, 99), TaskState::Unknown, Some(Reason::Reconciliation))]
    );
}
