//! Volumes: made of reserved disk, mounted by one task after the other, read by many at once. After Mesos's
//! `persistent_volume_tests`.

mod kept;
mod offered;
mod queues;

use std::sync::Arc;

use haggle_core::access::Principal;
use haggle_core::cluster::{
    AgentCommand, AgentOrder, AgentRecord, Change, Command, Effect, FrameworkCommand, FrameworkEvent, OperatorCommand,
    Refusal, VolumeStanding, VolumeView,
};
use haggle_core::{
    AgentId, Bytes, Ceiling, Folder, FolderSource, Offer, Operation, Quota, Reason, RequestId, Resources, TaskId,
    TaskSpec, TaskState, VolumeId,
};

use crate::kit::*;

fn mib(mib: u64) -> Bytes {
    Bytes::from_mib(mib)
}

fn disk(mib: u64) -> Resources {
    with_disk(0, 0, mib)
}

fn operator(world: &mut World, command: OperatorCommand) -> Result<Vec<Effect>, Refusal> {
    world.try_apply(Command::Operator(Principal::owner(), None, command))
}

fn reserve(world: &mut World, agent: Agent, role: &str, resources: Resources) {
    let operation = Operation::Reserve { role: role.to_owned(), within: None, resources };
    operator(world, OperatorCommand::Reserve(agent.id, operation)).unwrap();
}

/// An agent of four cores and 4 GiB of disk, half of which is reserved for `eng`.
fn agent_of_eng(world: &mut World) -> Agent {
    let agent = world.register(None, with_disk(4, 4096, 4096), vec![]).0;
    reserve(world, agent, "eng", disk(2048));
    agent
}

fn try_create(world: &mut World, agent: Agent, role: &str, name: &str, size: Bytes) -> Result<Vec<Effect>, Refusal> {
    let (role, name) = (role.to_owned(), name.to_owned());
    operator(world, OperatorCommand::CreateVolume { agent: agent.id, role, name, size })
}

fn created(effects: &[Effect]) -> VolumeId {
    let created = effects.iter().find_map(|effect| match effect {
        Effect::VolumeCreated(volume) => Some(*volume),
        _ => None,
    });
    created.expect("the answer says which")
}

/// A volume that its agent has made.
fn create(world: &mut World, agent: Agent, role: &str, name: &str, size: Bytes) -> VolumeId {
    let effects = try_create(world, agent, role, name, size).unwrap();
    let volume = created(&effects);
    let mut held: Vec<_> = views(world).iter().filter(|view| view.agent == agent.id).map(|view| view.id).collect();
    held.sort();
    world.agent_says(agent, AgentCommand::Volumes(held));
    volume
}

fn views(world: &World) -> Vec<VolumeView> {
    world.cluster.volumes_page(&Principal::owner(), None, 1_000).0
}

fn standing(world: &World, volume: VolumeId) -> Option<VolumeStanding> {
    views(world).into_iter().find(|view| view.id == volume).map(|view| view.standing)
}

/// The volumes in the open offers to a framework.
fn offered(world: &World, framework: Framework) -> Vec<VolumeId> {
    let offers = world.cluster.offers(world.now).into_iter().filter(|offer| offer.framework == framework.id);
    offers.flat_map(|offer| offer.volumes).map(|volume| volume.id).collect()
}

fn mounts(framework: Framework, number: u64, volume: VolumeId, writable: bool) -> TaskSpec {
    let mut spec = task(framework, number, 1, 256);
    spec.grants.folders =
        vec![Folder { guest_path: "/data".to_owned(), source: FolderSource::Volume { volume, writable } }];
    spec
}

fn remembered_of(effects: &[Effect]) -> Option<AgentRecord> {
    effects.iter().rev().find_map(|effect| match effect {
        Effect::Remember(Change::AgentRecorded(_, record)) => Some(record.clone()),
        _ => None,
    })
}

fn free_disk(world: &World, agent: Agent) -> Bytes {
    let view = world.cluster.agents(world.now).into_iter().find(|view| view.id == agent.id).expect("it is there");
    let taken = view.used.disk.saturating_add(view.offered.disk).saturating_add(view.kept);
    view.info.resources.disk.saturating_sub(taken)
}

/// A task of `eng` that runs, and mounts a volume. Nobody wants the rest of the agent for an hour.
fn with_user() -> (World, Agent, Framework, VolumeId, TaskId) {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);
    let volume = create(&mut world, agent, "eng", "data", mib(512));
    let framework = world.framework("eng");
    let offer = world.open_offer(framework);
    world.accept(framework, &[offer], &[mounts(framework, 1, volume, true)]);
    let task = TaskId { framework: framework.id, number: 1 };
    world.update(agent, task, 1, TaskState::Running);
    world.acknowledge(framework, task, 1);
    (world, agent, framework, volume, task)
}

/// `PersistentVolumeTest.CreateAndDestroyPersistentVolumes`, by an operator.
#[test]
fn a_volume_is_made_of_reserved_disk_and_goes_back_to_it() {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);

    let effects = try_create(&mut world, agent, "eng", "data", mib(512)).unwrap();

    let volume = created(&effects);
    assert_eq!(volume, VolumeId { agent: agent.id, number: 1 });
    let order = AgentOrder::CreateVolume { volume, role: "eng".to_owned(), size: mib(512) };
    assert_eq!(orders(&effects, agent), [order]);
    let record = remembered_of(&effects).expect("it is remembered");
    assert_eq!((record.volumes.len(), record.last_volume, record.volumes[0].made), (1, 1, false));
    assert_eq!(standing(&world, volume), Some(VolumeStanding::Away), "its agent has not said anything yet");
    world.agent_says(agent, AgentCommand::Volumes(vec![]));
    assert_eq!(standing(&world, volume), Some(VolumeStanding::Making));
    assert_eq!(free_disk(&world, agent), mib(4096 - 512));

    let effects = world.agent_says(agent, AgentCommand::Volumes(vec![volume]));
    assert!(remembered_of(&effects).expect("it is there for good").volumes[0].made);
    assert_eq!(standing(&world, volume), Some(VolumeStanding::Ready));

    let effects = operator(&mut world, OperatorCommand::DestroyVolume(volume)).unwrap();
    assert_eq!(orders(&effects, agent), [AgentOrder::DestroyVolume(volume)]);
    assert_eq!(remembered_of(&effects).map(|record| record.volumes), Some(vec![]));
    assert_eq!((views(&world), free_disk(&world, agent)), (vec![], mib(4096)));

    // Its number is not given again.
    let next = created(&try_create(&mut world, agent, "eng", "data", mib(512)).unwrap());
    assert_eq!(next.number, 2);
}

#[test]
fn a_volume_is_offered_to_its_role_and_to_those_below_it_alone() {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);
    let volume = create(&mut world, agent, "eng", "data", mib(512));

    for (role, sees) in [("eng", true), ("eng/batch", true), ("web", false)] {
        let framework = world.framework(role);
        assert_eq!(offered(&world, framework), if sees { vec![volume] } else { vec![] }, "{role}");
        world.framework_says(framework, FrameworkCommand::Teardown);
    }
}

#[test]
fn a_volume_is_not_offered_before_its_agent_has_made_it() {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);
    world.agent_says(agent, AgentCommand::Volumes(vec![]));
    let framework = world.framework("eng");
    let volume = created(&try_create(&mut world, agent, "eng", "data", mib(512)).unwrap());
    assert_eq!(offered(&world, framework), []);
    let before = world.open_offer(framework);

    let effects = world.agent_says(agent, AgentCommand::Volumes(vec![volume]));

    // Who holds the rest of the agent is offered both together.
    let rescinded = FrameworkEvent::Rescinded(vec![before]);
    assert!(events(&effects, framework).contains(&rescinded));
    assert_eq!(offered(&world, framework), [volume]);
    let [Offer { resources, .. }] = &offers(&effects, framework)[..] else { panic!("{effects:?}") };
    assert_eq!(resources.disk, mib(4096 - 512), "its room is its own");
}

/// `PersistentVolumeTest.AccessPersistentVolume`, `SharedPersistentVolumeMultipleTasks` without the sharing.
#[test]
fn one_task_at_a_time_has_a_volume_and_the_next_one_finds_it() {
    let (mut world, agent, framework, volume, first) = with_user();
    let other = world.framework("eng");
    assert_eq!(offered(&world, other), []);
    let offer = world.open_offer(other);
    let effects = world.accept(other, &[offer], &[mounts(other, 1, volume, false)]);
    let status = updates(&effects, other).remove(0);
    assert_eq!((status.state, status.reason), (TaskState::Dropped, Some(Reason::InvalidOffers)));
    let why =
        format!("task-2.1 mounts {volume}, which is not in {offer}: it is another role's, in use, or on another agent");
    assert_eq!(status.message, why);

    // Both have refused the agent for an hour, without the volume.
    let effects = world.update(agent, first, 2, TaskState::Finished);

    let again: Vec<_> = [framework, other].into_iter().filter(|one| !offers(&effects, *one).is_empty()).collect();
    let [next] = again[..] else { panic!("{effects:?}") };
    assert_eq!(offered(&world, next), [volume]);
    let offer = world.open_offer(next);
    let effects = world.accept(next, &[offer], &[mounts(next, 2, volume, true)]);
    assert_eq!(orders(&effects, agent).len(), 1);
}

/// `PersistentVolumeTest.DestroyPersistentVolumeInUse`.
#[test]
fn a_volume_in_use_is_not_destroyed_nor_shared() {
    let (mut world, agent, _, volume, task) = with_user();

    let destroyed = operator(&mut world, OperatorCommand::DestroyVolume(volume));
    assert_eq!(destroyed, Err(Refusal::VolumeInUse(volume, task)));
    let shared = operator(&mut world, OperatorCommand::ShareVolume { volume, shared: true });
    assert_eq!(shared, Err(Refusal::VolumeInUse(volume, task)));

    world.update(agent, task, 2, TaskState::Finished);
    // It is in an offer now, which gives way.
    let effects = operator(&mut world, OperatorCommand::DestroyVolume(volume)).unwrap();
    assert_eq!(orders(&effects, agent), [AgentOrder::DestroyVolume(volume)]);
    assert!(world.cluster.offers(world.now).iter().all(|offer| offer.volumes.is_empty()));
}

#[test]
fn the_disk_of_a_volume_is_not_unreserved_and_the_refusal_names_it() {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);
    let volume = create(&mut world, agent, "eng", "data", mib(512));
    let mut unreserve = |mib| {
        let operation = Operation::Unreserve { role: "eng".to_owned(), resources: disk(mib) };
        operator(&mut world, OperatorCommand::Reserve(agent.id, operation)).map(drop)
    };

    let refusal = unreserve(2048).unwrap_err().to_string();

    assert_eq!(
        refusal,
        "of what can be had on agent-1, there is 0.000 cpu, 0 B mem, 1.5 GiB disk, and 0.000 cpu, 0 B mem, 2 GiB disk is \
         wanted: of the disk, volumes hold more: volume-1.1 (\"data\", 512 MiB)"
    );
    unreserve(1536).unwrap();
    operator(&mut world, OperatorCommand::DestroyVolume(volume)).unwrap();
    let operation = Operation::Unreserve { role: "eng".to_owned(), resources: disk(512) };
    operator(&mut world, OperatorCommand::Reserve(agent.id, operation)).unwrap();
}

#[test]
fn what_cannot_be_a_volume_is_refused_with_the_reason() {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);
    create(&mut world, agent, "eng", "data", mib(512));
    let mut refused = |role, name, size| try_create(&mut world, agent, role, name, size).unwrap_err().to_string();

    let too_large = refused("eng", "more", mib(1537));
    assert!(too_large.contains("needs 1.5 GiB of the disk that is reserved for it on agent-1"), "{too_large}");
    assert!(refused("web", "more", mib(1)).contains("and there is 0 B: reserve more disk for that role first"));
    let twice = "volume-1.1 of the role \"eng\" is called \"data\" already: give this one another name";
    assert_eq!(refused("eng", "data", mib(1)), twice);
    assert!(refused("eng", "", mib(1)).contains("is empty"));
    assert!(refused("eng", "a\nb", mib(1)).contains("not printable"));
    assert_eq!(refused("eng", "more", Bytes::ZERO), "a volume of no size holds nothing: give it some bytes");
    assert!(refused("no role", "more", mib(1)).contains("is no role"));

    for number in 2..=64 {
        create(&mut world, agent, "eng", &format!("v{number}"), mib(1));
    }
    let too_many = try_create(&mut world, agent, "eng", "v65", mib(1)).unwrap_err();
    assert_eq!(too_many, Refusal::TooManyVolumes(agent.id, 64));
    world.disconnect(agent);
    assert_eq!(try_create(&mut world, agent, "eng", "v65", mib(1)), Err(Refusal::VolumesAway(agent.id)));
    let volume = VolumeId { agent: agent.id, number: 1 };
    let destroyed = operator(&mut world, OperatorCommand::DestroyVolume(volume));
    assert_eq!(destroyed, Err(Refusal::VolumesAway(agent.id)));
    let unknown = VolumeId { number: 99, ..volume };
    let destroyed = operator(&mut world, OperatorCommand::DestroyVolume(unknown));
    assert_eq!(destroyed, Err(Refusal::VolumeUnknown(unknown)));
}

#[test]
fn a_volume_is_mounted_once_by_a_task() {
    let volume = VolumeId { agent: AgentId(1), number: 1 };
    let mut world = World::new();
    let framework = world.framework("eng");
    let mut twice = mounts(framework, 1, volume, true);
    let again = Folder { guest_path: "/again".to_owned(), ..twice.grants.folders[0].clone() };
    twice.grants.folders.push(again);
    assert_eq!(twice.check().unwrap_err().to_string(), "volume-1.1 is mounted twice");
}

#[test]
fn the_room_of_a_volume_counts_for_its_role_as_what_is_reserved_does() {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);
    let quota = Quota { guarantee: disk(2048), limit: Ceiling { disk: Some(mib(2048)), ..Ceiling::default() } };
    let set = OperatorCommand::SetQuota { role: "eng".to_owned(), quota: Some(quota), force: false };
    operator(&mut world, set).unwrap();
    create(&mut world, agent, "eng", "data", mib(2048));

    // What is promised to the role is in its volume: nothing more is kept for it.
    let web = world.framework("web");
    assert_eq!(world.cluster.offers(world.now)[0].resources, with_disk(4, 4096, 2048));
    let offer = world.open_offer(web);
    world.decline(web, &[offer], AN_HOUR);
    // And it may have no more.
    let more = Operation::Reserve { role: "eng".to_owned(), within: None, resources: disk(1) };
    let refusal = operator(&mut world, OperatorCommand::Reserve(agent.id, more)).unwrap_err();
    assert!(matches!(refusal, Refusal::ReservedAboveLimit(..)), "{refusal}");
    let reserved = world.cluster.roles().into_iter().find(|role| role.name == "eng").map(|role| role.reserved);
    assert_eq!(reserved, Some(disk(2048)));
}

#[test]
fn a_volume_that_is_asked_for_twice_in_one_request_is_made_once() {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);
    let (role, name, size) = ("eng".to_owned(), "data".to_owned(), mib(1));
    let create = OperatorCommand::CreateVolume { agent: agent.id, role, name, size };
    let request = Command::Operator(Principal::owner(), Some(RequestId(5)), create);

    let first = created(&world.apply(request.clone()));
    let again = world.apply(request);

    assert_eq!((created(&again), orders(&again, agent)), (first, vec![]));
}
