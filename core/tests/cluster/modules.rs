//! Which module a task runs, as whoever looks is told.

use haggle_core::cluster::{Config, HeldTask};
use haggle_core::{AgentId, Digest, FrameworkId, TaskId, TaskSpec, TaskState};

use crate::kit::*;
use crate::queues::{id, news, say, with_three};

const OTHER: Digest = Digest([9; 32]);

fn module(world: &World, id: TaskId) -> Option<Digest> {
    world.cluster.task(id).and_then(|task| task.module)
}

#[test]
fn the_module_of_a_task_is_known_for_as_long_as_the_task_is() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let offer = world.open_offer(framework);
    let (one, two) = (task(framework, 1, 1, 1), TaskSpec { module: OTHER, ..task(framework, 2, 1, 1) });
    let (first, second) = (one.id, two.id);
    world.accept(framework, &[offer], &[one.clone(), two]);

    assert_eq!((module(&world, first), module(&world, second)), (Some(one.module), Some(OTHER)));
    world.update(agent, first, 1, TaskState::Finished);
    world.acknowledge(framework, first, 1);
    assert_eq!((module(&world, first), module(&world, second)), (Some(one.module), Some(OTHER)));
}

#[test]
fn a_task_in_a_queue_has_its_module_and_its_allocation_has_none() {
    let (mut world, agent, framework) = with_three();
    let of = task(framework, 1, 1, 1).module;

    assert_eq!(module(&world, id(framework, 1)), None);
    assert_eq!(module(&world, id(framework, 10)), Some(of));
    say(&mut world, agent, news(framework, 2, vec![], &[10]));
    world.acknowledge(framework, id(framework, 1), 2);
    assert_eq!(
        (world.state_of(id(framework, 10)), module(&world, id(framework, 10))),
        (Some(TaskState::Finished), Some(of))
    );
}

#[test]
fn the_next_master_hears_of_modules_from_agents() {
    let mut world = World::new();
    let recovered = one_of_each_remembered();
    world.fail_over(Config::default(), recovered);
    let [told, of_an_old_agent] = [1, 2].map(|number| TaskId { framework: FrameworkId(1), number });

    let held = vec![
        HeldTask { module: Some(OTHER), ..held(told, TaskState::Running, size(1, 128)) },
        held(of_an_old_agent, TaskState::Running, size(0, 128)),
    ];
    world.register(Some(AgentId(1)), size(2, 1024), held);

    assert_eq!((module(&world, told), module(&world, of_an_old_agent)), (Some(OTHER), None));
}

#[test]
fn what_the_history_forgets_is_kept_nowhere() {
    let mut world = World::with(Config { history: 1, ..Config::default() }, remembered());
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let run = |world: &mut World, number: u64| {
        let spec = TaskSpec { module: Digest([u8::try_from(number).unwrap(); 32]), ..task(framework, number, 2, 1024) };
        let offer = world.open_offer(framework);
        world.accept(framework, &[offer], std::slice::from_ref(&spec));
        world.update(agent, spec.id, 1, TaskState::Finished);
        world.acknowledge(framework, spec.id, 1);
        module(world, spec.id)
    };

    for number in 1..=9 {
        assert_eq!(run(&mut world, number), Some(Digest([u8::try_from(number).unwrap(); 32])));
    }
    assert_eq!(module(&world, TaskId { framework: framework.id, number: 8 }), None);
}
