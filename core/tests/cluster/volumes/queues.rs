//! Volumes that an allocation holds for the tasks in its queue.

use std::time::Duration;

use haggle_core::{AllocationSpec, QueueVolume, QueuedTasks, UpdateId};

use super::*;

/// Opens task 1 as an allocation of a core on these offers.
fn open(
    world: &mut World,
    framework: Framework,
    offer: haggle_core::OfferId,
    volumes: Vec<QueueVolume>,
) -> Vec<Effect> {
    let allocation = AllocationSpec {
        id: TaskId { framework: framework.id, number: 1 },
        name: "queue".to_owned(),
        role: String::new(),
        resources: with_disk(1, 512, 0),
        volumes,
        idle_timeout: Duration::from_secs(60),
    };
    let (offers, allocation) = (vec![offer], Arc::new(allocation));
    world.framework_says(framework, FrameworkCommand::Open { offers, allocation, refuse: AN_HOUR })
}

/// Puts a task of this number into its queue. How it ended, if it did at once.
fn enqueue(world: &mut World, framework: Framework, spec: TaskSpec) -> Option<(TaskState, Option<Reason>, String)> {
    let allocation = TaskId { framework: framework.id, number: 1 };
    let tasks = vec![QueuedTasks { spec: Arc::new(spec), count: 1, index: None }];
    let effects = world.framework_says(framework, FrameworkCommand::Enqueue { allocation, tasks, last: false });
    events(&effects, framework).into_iter().find_map(|event| match event {
        FrameworkEvent::Queue(update) => {
            let ending = update.ended[0].ending.clone();
            Some((ending.state, ending.reason, ending.message))
        }
        _ => None,
    })
}

/// An allocation of `eng` that holds a volume, which is shared or not.
fn with_queue(shared: bool) -> (World, Agent, Framework, VolumeId) {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);
    let volume = create(&mut world, agent, "eng", "data", mib(512));
    if shared {
        operator(&mut world, OperatorCommand::ShareVolume { volume, shared }).unwrap();
    }
    let framework = world.framework("eng");
    let offer = world.open_offer(framework);
    let effects = open(&mut world, framework, offer, vec![volume.into()]);
    let [AgentOrder::Open(spec)] = &orders(&effects, agent)[..] else { panic!("{effects:?}") };
    assert_eq!(spec.volumes, [QueueVolume { id: volume, writable: !shared }], "its agent is told who may write it");
    let allocation = TaskId { framework: framework.id, number: 1 };
    world.update(agent, allocation, 1, TaskState::Running);
    world.acknowledge(framework, allocation, 1);
    (world, agent, framework, volume)
}

#[test]
fn an_allocation_has_a_volume_as_a_task_has_it_until_it_ends() {
    let (mut world, agent, framework, volume) = with_queue(false);
    let allocation = TaskId { framework: framework.id, number: 1 };
    let view = views(&world).remove(0);
    assert_eq!((view.user, view.users, offered(&world, framework)), (Some(allocation), 1, vec![]));
    assert!(operator(&mut world, OperatorCommand::DestroyVolume(volume)).is_err(), "it is in use");

    world.update(agent, allocation, 2, TaskState::Finished);
    world.framework_says(framework, FrameworkCommand::Revive { role: None });

    assert_eq!((views(&world)[0].users, offered(&world, framework)), (0, vec![volume]));
}

#[test]
fn tasks_in_its_queue_mount_the_volumes_of_an_allocation_and_no_others() {
    let (mut world, agent, framework, volume) = with_queue(false);
    let other = create(&mut world, agent, "eng", "other", mib(64));

    assert_eq!(enqueue(&mut world, framework, mounts(framework, 10, volume, true)), None);
    assert_eq!(enqueue(&mut world, framework, mounts(framework, 11, volume, false)), None);
    let refused = enqueue(&mut world, framework, mounts(framework, 12, other, false));

    let why = format!(
        "task-1.12 mounts {other}, which is not in task-1.1: it is another role's, in use, or on another agent"
    );
    assert_eq!(refused, Some((TaskState::Dropped, Some(Reason::InvalidOffers), why)));
}

#[test]
fn tasks_in_queues_write_no_volume_that_is_shared() {
    let (mut world, _, framework, volume) = with_queue(true);

    assert_eq!(enqueue(&mut world, framework, mounts(framework, 10, volume, false)), None);
    let refused = enqueue(&mut world, framework, mounts(framework, 11, volume, true));

    let why =
        format!("task-1.11 is to write {volume}, which is shared: any number of tasks read it, and none writes it");
    assert_eq!(refused, Some((TaskState::Error, Some(Reason::TaskInvalid), why)));
}

#[test]
fn an_allocation_is_not_opened_with_a_volume_that_was_not_offered() {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);
    let framework = world.framework("eng");
    let offer = world.open_offer(framework);

    let effects = open(&mut world, framework, offer, vec![VolumeId { agent: agent.id, number: 9 }.into()]);

    let id = TaskId { framework: framework.id, number: 1 };
    assert_eq!(briefs(&effects, framework), [(id, TaskState::Dropped, Some(Reason::InvalidOffers))]);
    assert_eq!(orders(&effects, agent), []);
}

#[test]
fn the_next_master_hears_of_the_volumes_of_an_allocation_from_its_agent() {
    let (mut world, agent, framework, volume) = with_queue(false);
    let allocation = TaskId { framework: framework.id, number: 1 };
    world.disconnect(agent);

    let task = haggle_core::cluster::HeldTask {
        volumes: vec![volume],
        ..held(allocation, TaskState::Running, with_disk(1, 512, 0))
    };
    let (again, _) = world.register(Some(agent.id), with_disk(4, 4096, 4096), vec![task]);
    world.agent_says(again, AgentCommand::Volumes(vec![volume]));

    assert_eq!(views(&world)[0].user, Some(allocation));
    assert_eq!(world.cluster.task(allocation).map(|task| task.status.update), Some(UpdateId(1)));
}
