//! What frameworks do with volumes that they are offered, and who is offered them.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::access::Principal;
use haggle_core::allocator::Obstacle;
use haggle_core::cluster::{
    AgentCommand, AgentOrder, FrameworkCommand, FrameworkEvent, OperatorCommand, Refusal, VolumeStanding,
};
use haggle_core::{Bytes, OfferId, OfferOperation, Placed, Reason, TaskId, TaskState, VolumeId, VolumeOperation, Want};

use super::*;

fn operate(world: &mut World, framework: Framework, offer: OfferId, operation: VolumeOperation) -> Vec<Effect> {
    let operations = vec![OfferOperation::from(operation)];
    let accept = FrameworkCommand::Accept { offers: vec![offer], operations, tasks: vec![], refuse: NO_REFUSAL };
    world.framework_says(framework, accept)
}

fn dropped(effects: &[Effect], framework: Framework) -> Option<String> {
    events(effects, framework).into_iter().find_map(|event| match event {
        FrameworkEvent::OperationDropped { why, .. } => Some(why),
        _ => None,
    })
}

/// `PersistentVolumeTest.CreateAndDestroyPersistentVolumes`, by a framework.
#[test]
fn a_framework_makes_and_destroys_volumes_of_what_it_is_offered() {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);
    let framework = world.framework("eng");
    let offer = world.open_offer(framework);
    let (role, name, size) = ("eng".to_owned(), "data".to_owned(), mib(512));

    let effects = operate(&mut world, framework, offer, VolumeOperation::Create { role, name: name.clone(), size });

    assert_eq!(dropped(&effects, framework), None);
    let volume = VolumeId { agent: agent.id, number: 1 };
    world.agent_says(agent, AgentCommand::Volumes(vec![volume]));
    assert_eq!(offered(&world, framework), [volume]);
    let known = views(&world).remove(0).known.expect("it is known");
    assert_eq!((known.role(), known.size), ("eng", size));
    assert_eq!(known.name, name);

    let offer = world.open_offer(framework);
    let effects = operate(&mut world, framework, offer, VolumeOperation::Destroy(volume));

    assert_eq!(dropped(&effects, framework), None);
    assert_eq!(orders(&effects, agent), [AgentOrder::DestroyVolume(volume)]);
    assert_eq!((views(&world), offered(&world, framework)), (vec![], vec![]));
    let free = world
        .cluster
        .offers(world.now)
        .into_iter()
        .fold(Bytes::ZERO, |sum, offer| sum.saturating_add(offer.resources.disk));
    assert_eq!(free, mib(4096), "all of the disk is to be had again");
}

/// `PersistentVolumeTest.BadACLNoPrincipal` and its like.
#[test]
fn nobody_makes_or_destroys_volumes_of_another_role() {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);
    let volume = create(&mut world, agent, "eng", "data", mib(512));
    let batch = world.framework("eng/batch");
    let mut tries = |operation| {
        let offer = world.open_offer(batch);
        let effects = operate(&mut world, batch, offer, operation);
        dropped(&effects, batch).expect("it is not done")
    };

    let create = |role: &str| VolumeOperation::Create { role: role.to_owned(), name: "x".to_owned(), size: mib(1) };
    assert!(tries(create("eng")).contains("\"eng\" is not a matter of what was offered for \"eng/batch\""));
    assert!(tries(create("eng/batch")).contains("and there is 0 B"));
    assert!(tries(VolumeOperation::Destroy(volume)).contains("\"eng\" is not a matter"));
    let unknown = VolumeId { number: 9, ..volume };
    assert_eq!(tries(VolumeOperation::Destroy(unknown)), "volume-1.9 is not in the offers that were accepted");
    assert_eq!(standing(&world, volume), Some(VolumeStanding::Ready));
}

/// `PersistentVolumeTest.SharedPersistentVolumeMultipleTasks`, `SharedPersistentVolumeRescindOnDestroy`.
#[test]
fn a_shared_volume_is_read_by_many_at_once_and_written_by_nobody() {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);
    let volume = create(&mut world, agent, "eng", "data", mib(512));
    operator(&mut world, OperatorCommand::ShareVolume { volume, shared: true }).unwrap();
    let framework = world.framework("eng");
    let offer = world.open_offer(framework);

    let readers = [1, 2].map(|number| mounts(framework, number, volume, false));
    let effects = world.framework_says(
        framework,
        FrameworkCommand::Accept {
            offers: vec![offer],
            operations: vec![],
            tasks: readers.into_iter().chain([mounts(framework, 3, volume, true)]).map(Arc::new).collect(),
            refuse: NO_REFUSAL,
        },
    );

    assert_eq!(orders(&effects, agent).len(), 2);
    let status = updates(&effects, framework).remove(0);
    assert_eq!((status.state, status.reason), (TaskState::Error, Some(Reason::TaskInvalid)));
    let why =
        format!("task-1.3 is to write {volume}, which is shared: any number of tasks read it, and none writes it");
    assert_eq!(status.message, why);
    let view = views(&world).remove(0);
    assert_eq!((view.users, offered(&world, framework)), (2, vec![volume]));

    // Somebody else may read it as well, and nobody may have it for itself.
    world.accept(framework, &world.open_offers(framework), &[]);
    let other = world.framework("eng/batch");
    assert_eq!(offered(&world, other), [volume]);
    let first = TaskId { framework: framework.id, number: 1 };
    let alone = OperatorCommand::ShareVolume { volume, shared: false };
    assert_eq!(operator(&mut world, alone.clone()), Err(Refusal::VolumeInUse(volume, first)));
    world.update(agent, first, 1, TaskState::Finished);
    world.update(agent, TaskId { number: 2, ..first }, 1, TaskState::Finished);

    operator(&mut world, alone).unwrap();

    let holders: Vec<_> = [framework, other].into_iter().filter(|one| !offered(&world, *one).is_empty()).collect();
    assert_eq!(holders.len(), 1, "one has it now");
}

#[test]
fn a_framework_fills_a_volume_and_shares_it_then() {
    let (mut world, agent, framework, volume, task) = with_user();
    world.update(agent, task, 2, TaskState::Finished);
    let offer = world.open_offer(framework);

    let effects = operate(&mut world, framework, offer, VolumeOperation::Share { volume, shared: true });

    assert_eq!(dropped(&effects, framework), None);
    let others = ["eng/a", "eng/b"].map(|role| world.framework(role));
    let offer = world.open_offer(framework);
    world.accept(framework, &[offer], &[mounts(framework, 2, volume, false)]);
    for other in others {
        assert_eq!(offered(&world, other).len(), world.open_offers(other).len());
    }
    assert_eq!(views(&world)[0].users, 1);
}

#[test]
fn who_wants_a_volume_is_offered_the_agent_that_holds_it_and_one_task_at_a_time() {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);
    world.register(None, with_disk(8, 8192, 8192), vec![]);
    let volume = create(&mut world, agent, "eng", "data", mib(512));
    let framework = world.framework("eng");
    let want =
        Want { resources: size(1, 256), constraints: vec![], volumes: vec![volume], waiting: 2, spare: 0, gang: 0 };

    world.framework_says(framework, FrameworkCommand::Demand { role: None, wants: vec![want] });
    world.decline(framework, &world.open_offers(framework), NO_REFUSAL);

    let [offer] = &world.cluster.offers(world.now)[..] else { panic!("one offer") };
    assert_eq!((offer.agent, offer.resources.clone()), (agent.id, size(1, 256)));
    assert_eq!(offered(&world, framework), [volume]);
    let offer = offer.id;
    world.accept(framework, &[offer], &[mounts(framework, 1, volume, true)]);
    assert_eq!(offered(&world, framework), []);
    let why = world.cluster.why(world.now, &Principal::owner(), framework.id, None).expect("it is known");
    let hindrances: Vec<_> = why.hindrances.into_iter().map(|hindrance| hindrance.obstacle).collect();
    assert_eq!(hindrances, [Obstacle::VolumeInUse(volume), Obstacle::NoVolume(volume)]);

    world.update(agent, TaskId { framework: framework.id, number: 1 }, 1, TaskState::Finished);

    assert_eq!(offered(&world, framework), [volume]);
}

#[test]
fn an_offer_that_only_holds_a_volume_gives_way_to_who_waits_for_it() {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);
    let volume = create(&mut world, agent, "eng", "data", mib(512));
    let holder = world.framework("eng");
    assert_eq!(offered(&world, holder), [volume]);
    let waits = world.framework("eng");
    let want =
        Want { resources: size(1, 256), constraints: vec![], volumes: vec![volume], waiting: 1, spare: 0, gang: 0 };
    world.framework_says(waits, FrameworkCommand::Demand { role: None, wants: vec![want] });

    world.wait(Duration::from_secs(1));

    assert_eq!(offered(&world, waits), [volume]);
}

/// Two agents with a volume each, and a framework that wants two tasks at once which mount these.
fn gang_on(volumes: impl Fn([VolumeId; 2]) -> [VolumeId; 2]) -> (World, [Agent; 2], Framework, [VolumeId; 2]) {
    let mut world = World::new();
    let agents = [0; 2].map(|_| agent_of_eng(&mut world));
    let held = agents.map(|agent| create(&mut world, agent, "eng", "data", mib(512)));
    let framework = world.framework("eng");
    let want = |volume| Want {
        resources: size(1, 256),
        constraints: vec![],
        volumes: vec![volume],
        waiting: 1,
        spare: 0,
        gang: 1,
    };
    let wants = match volumes(held) {
        [one, other] if one == other => vec![Want { waiting: 2, ..want(one) }],
        [one, other] => vec![want(one), want(other)],
    };
    world.framework_says(framework, FrameworkCommand::Demand { role: None, wants });
    world.decline(framework, &world.open_offers(framework), NO_REFUSAL);
    (world, agents, framework, held)
}

#[test]
fn a_gang_is_offered_the_agents_that_hold_its_volumes_all_at_once() {
    let (mut world, agents, framework, held) = gang_on(|held| held);
    let offers = world.open_offers(framework);
    assert_eq!((offers.len(), offered(&world, framework)), (2, held.to_vec()));
    let placed =
        |at: usize| Placed { agent: agents[at].id, task: Arc::new(mounts(framework, at as u64 + 1, held[at], true)) };
    let tasks = vec![placed(0), placed(1)];

    world.framework_says(
        framework,
        FrameworkCommand::LaunchGroup { offers, operations: Vec::new(), tasks, refuse: NO_REFUSAL },
    );

    assert_eq!(views(&world).iter().map(|view| view.users).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(offered(&world, framework), [], "nothing of it is wanted any more");
}

#[test]
fn a_gang_is_not_offered_one_volume_for_two_tasks_at_once_unless_it_is_shared() {
    let (mut world, agents, framework, held) = gang_on(|[one, _]| [one, one]);
    assert_eq!(world.open_offers(framework), []);

    operator(&mut world, OperatorCommand::ShareVolume { volume: held[0], shared: true }).unwrap();

    let offers = world.open_offers(framework);
    assert_eq!(offered(&world, framework), [held[0]]);
    let reader = |number| Placed { agent: agents[0].id, task: Arc::new(mounts(framework, number, held[0], false)) };
    let tasks = vec![reader(1), reader(2)];
    world.framework_says(
        framework,
        FrameworkCommand::LaunchGroup { offers, operations: Vec::new(), tasks, refuse: NO_REFUSAL },
    );
    assert_eq!(views(&world)[0].users, 2);
}

#[test]
fn a_group_that_mounts_what_it_was_not_offered_is_not_launched_at_all() {
    let (mut world, agents, framework, held) = gang_on(|held| held);
    let offers = world.open_offers(framework);
    let both = [0, 1].map(|at| Placed {
        agent: agents[at].id,
        // The second is to mount what the other agent holds.
        task: Arc::new(mounts(framework, at as u64 + 1, held[0], true)),
    });

    let launch =
        FrameworkCommand::LaunchGroup { offers, operations: Vec::new(), tasks: both.to_vec(), refuse: NO_REFUSAL };
    let effects = world.framework_says(framework, launch);

    let ends: Vec<_> = updates(&effects, framework).into_iter().map(|status| status.reason).collect();
    assert_eq!(ends, [Some(Reason::TaskGroup), Some(Reason::InvalidOffers)]);
    assert_eq!(views(&world).iter().map(|view| view.users).collect::<Vec<_>>(), [0, 0]);
}
