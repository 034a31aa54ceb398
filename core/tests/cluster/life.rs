//! When what became of a task.

use std::time::Duration;

use haggle_core::access::Principal;
use haggle_core::cluster::{AgentCommand, Command, Config, HeldTask, Life, OperatorCommand};
use haggle_core::{
    AgentId, FrameworkId, HeldLife, Lapse, Now, Prepared, Source, TaskId, TaskSpec, TaskState, TaskStatus, UpdateId,
    Usage,
};

use crate::kit::*;
use crate::queues::{id, news, say, with_three};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn lapse(millis: u64) -> Option<Lapse> {
    Some(ms(millis).into())
}

/// In milliseconds since the first moment: submitted, offered, sent, fetched, compiled, started, ended.
fn millis(life: Life) -> [Option<u64>; 7] {
    let Life { submitted, offered, sent, fetched, compiled, started, ended } = life;
    let millis = |at: Option<Now>| at.map(|at| at.as_nanos() / 1_000_000);
    [submitted, offered, sent, fetched, compiled, started, ended].map(millis)
}

fn told(task: TaskId, update: u64, state: TaskState, prepared: Prepared) -> AgentCommand {
    let status = TaskStatus::new(task, UpdateId(update), state, Source::Agent);
    AgentCommand::Updates(vec![TaskStatus { prepared, ..status }])
}

#[test]
fn a_task_has_every_moment_of_its_life_also_once_it_is_acknowledged() {
    let mut world = World::new();
    let framework = world.framework("role");
    world.wait(ms(500));
    let agent = world.agent(2, 1024);
    let offer = world.open_offer(framework);
    world.wait(ms(20));
    let asked = TaskSpec { waited: Some(ms(100)), ..task(framework, 1, 1, 1) };
    let task = asked.id;
    world.accept(framework, &[offer], &[asked]);
    world.wait(ms(1_000));
    let prepared = Prepared { fetched: lapse(40), compiled: lapse(900) };
    world.agent_says(agent, told(task, 1, TaskState::Running, prepared));
    world.wait(ms(50));
    // It says the same again with its end.
    world.agent_says(agent, told(task, 2, TaskState::Finished, prepared));

    let expected = [Some(420), Some(500), Some(520), Some(560), Some(1_420), Some(1_520), Some(1_570)];
    assert_eq!(millis(world.cluster.life_of(task)), expected);
    world.acknowledge(framework, task, 2);
    assert_eq!(millis(world.cluster.life_of(task)), expected);
}

#[test]
fn what_did_not_happen_is_left_out_and_an_offer_from_before_counts_from_when_the_task_came() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let offer = world.open_offer(framework);
    world.wait(ms(100));
    let waited = Some(ms(30));
    let (quick, silent) = (task(framework, 1, 1, 1), task(framework, 2, 1, 1));
    let quick = TaskSpec { waited, ..quick };
    world.accept(framework, &[offer], &[quick.clone(), silent.clone()]);
    world.wait(ms(10));
    let usage = Some(Usage { wall: ms(7), ..Usage::default() });
    let status = TaskStatus::new(quick.id, UpdateId(1), TaskState::Finished, Source::Executor);
    world.agent_says(agent, AgentCommand::Updates(vec![TaskStatus { usage, ..status }]));

    let [submitted, offered, sent] = [Some(70), Some(70), Some(100)];
    assert_eq!(millis(world.cluster.life_of(quick.id)), [submitted, offered, sent, None, None, Some(103), Some(110)]);
    let never_asked_for = [None, Some(0), Some(100), None, None, None, None];
    assert_eq!(millis(world.cluster.life_of(silent.id)), never_asked_for);
}

#[test]
fn an_end_that_the_master_declares_is_a_moment_too() {
    let (mut world, agent, _, task) = with_running();
    world.disconnect(agent);
    world.wait(ms(30));

    world.apply(Command::Operator(Principal::owner(), None, OperatorCommand::AgentGone(agent.id)));

    let [.., ended] = millis(world.cluster.life_of(task));
    assert_eq!((world.state_of(task), ended), (Some(TaskState::GoneByOperator), Some(30)));
}

#[test]
fn a_master_that_comes_after_another_knows_what_agents_know() {
    let mut world = World::new();
    let recovered = one_of_each_remembered();
    world.wait(ms(10_000));
    world.fail_over(Config { agent_timeout: Duration::from_secs(75), ..Config::default() }, recovered);
    let [running, starting, of_an_earlier_agent] = [1, 2, 3].map(|number| TaskId { framework: FrameworkId(1), number });
    let life = |started| {
        let prepared = Prepared { fetched: lapse(100), compiled: None };
        Some(HeldLife { age: ms(6_000).into(), prepared, started })
    };
    let held = vec![
        HeldTask { life: life(lapse(150)), ..held(running, TaskState::Running, size(1, 128)) },
        HeldTask { life: life(None), ..held(starting, TaskState::Starting, size(1, 128)) },
        held(of_an_earlier_agent, TaskState::Running, size(0, 128)),
    ];
    let (agent, _) = world.register(Some(AgentId(1)), size(2, 1024), held);
    world.wait(ms(500));
    for task in [running, starting, of_an_earlier_agent] {
        world.update(agent, task, 3, TaskState::Running);
    }

    let [sent, fetched] = [Some(4_000), Some(4_100)];
    assert_eq!(millis(world.cluster.life_of(running)), [None, None, sent, fetched, None, Some(4_150), None]);
    assert_eq!(millis(world.cluster.life_of(starting)), [None, None, sent, fetched, None, Some(10_500), None]);
    assert_eq!(world.cluster.life_of(of_an_earlier_agent), Life::default());
    // Only the start that this master heard of counts for how long starts take.
    assert_eq!(world.cluster.tally().start_latency().count(), 1);
}

#[test]
fn a_task_in_a_queue_has_the_moments_that_are_told_of_it() {
    let (mut world, agent, framework) = with_three();
    world.wait(ms(5));
    say(&mut world, agent, news(framework, 2, vec![10], &[]));
    world.wait(ms(20));
    let mut end = news(framework, 3, vec![], &[10]);
    end.ended[0].ending.usage.wall = ms(18);
    say(&mut world, agent, end.clone());
    let life = |world: &World, number| millis(world.cluster.life_of(id(framework, number)));

    let known = [None, None, Some(0), None, None, Some(7), Some(25)];
    assert_eq!(life(&world, 10), known);
    assert_eq!(life(&world, 11), [None, None, Some(0), None, None, None, None]);
    // Its agent says it again, and its framework takes note.
    world.wait(ms(1_000));
    say(&mut world, agent, end);
    world.acknowledge(framework, id(framework, 1), 3);
    assert_eq!(life(&world, 10), known);
}
