//! What a decision costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use haggle_core::cluster::{AgentCommand, Command, FrameworkCommand};
use haggle_core::{Bytes, MilliCpu, Resources, Source, TaskId, TaskSpec, TaskState, TaskStatus, UpdateId};

use crate::kit::*;

const TASKS: u64 = 10_000;

/// One framework with 10,000 tasks that end at once, on one agent, `at_once` of them in each round of accept, end
/// and acknowledgement; each command is a batch of its own, with an allocation after it. `bystanders` idle agents
/// have been declined.
fn short_tasks(at_once: u64, bystanders: usize) -> Duration {
    let mut world = World::new();
    let framework = world.framework("role");
    for _ in 0..bystanders {
        world.agent(2, 1024);
    }
    let all = world.open_offers(framework);
    world.decline(framework, &all, AN_HOUR);
    let agent = world.agent(2, 20 * 1024);
    let mut effects = Vec::new();
    let started = Instant::now();
    for round in 0..TASKS / at_once {
        let numbers = round * at_once..(round + 1) * at_once;
        let offers = world.open_offers(framework);
        let tenth = Resources::new(MilliCpu::new(100), Bytes::from_mib(64), Bytes::ZERO);
        let spec = |number| Arc::new(TaskSpec { resources: tenth.clone(), ..task(framework, number, 1, 1) });
        let accept = FrameworkCommand::Accept { offers, tasks: numbers.clone().map(spec).collect(), refuse: AN_HOUR };
        let id = |number| TaskId { framework: framework.id, number };
        let ended = |number| TaskStatus::new(id(number), UpdateId(1), TaskState::Finished, Source::Executor);
        let updates = AgentCommand::Updates(numbers.clone().map(ended).collect());
        let acknowledge = FrameworkCommand::Acknowledge(numbers.map(|number| (id(number), UpdateId(1))).collect());
        for command in [
            Command::Framework(framework.session, accept),
            Command::Agent(agent.session, updates),
            Command::Framework(framework.session, acknowledge),
        ] {
            world.cluster.apply(world.now, command, &mut effects).expect("the test means it well");
            world.cluster.allocate(world.now, &mut effects);
            effects.clear();
        }
    }
    started.elapsed()
}

#[test]
#[ignore = "prints how long it takes; means something when optimised"]
fn ten_thousand_short_tasks() {
    for (at_once, bystanders) in [(1, 0), (20, 0), (1, 1000), (20, 1000)] {
        let took = short_tasks(at_once, bystanders);
        let rounds = u32::try_from(TASKS / at_once).expect("there are few");
        println!(
            "{at_once:2} at once beside {bystanders:4} idle agents: {:?} a task, {:?} a round of three batches",
            took / 10_000,
            took / rounds
        );
    }
}

/// An agent that everybody has passed over is not looked at again because another one changed.
#[test]
fn an_event_on_one_agent_looks_at_no_other() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let task = world.launch_and_run(agent, framework, 1);
    for _ in 0..100 {
        world.agent(2, 1024);
    }
    let all = world.open_offers(framework);
    world.decline(framework, &all, AN_HOUR);

    let effects = world.update(agent, task, 2, TaskState::Finished);

    let made = offers(&effects, framework);
    assert_eq!(made.iter().map(|offer| offer.agent).collect::<Vec<_>>(), [agent.id]);
}
