//! What becomes of volumes when agents and masters come and go.

use haggle_core::cluster::{
    AgentCommand, AgentIdentity, AgentOrder, AgentRecord, Command, Config, FrameworkCommand, HeldTask, OperatorCommand,
    Recovered, Refusal, VolumeStanding,
};
use haggle_core::{AgentId, AgentInfo, AgentKey, Reserved, TaskId, TaskState, VolumeId};

use super::*;

fn held_with(id: TaskId, volume: VolumeId) -> HeldTask {
    HeldTask { role: "eng".to_owned(), volumes: vec![volume], ..held(id, TaskState::Running, size(1, 256)) }
}

/// `PersistentVolumeTest.SlaveRecovery`, `MasterFailover`.
#[test]
fn volumes_and_who_uses_them_survive_the_agents_connection_and_the_master() {
    let (mut world, agent, framework, volume, task) = with_user();
    let key = world.identity(agent.id).key;
    let reserved = views(&world).remove(0).known.unwrap();
    let record = AgentRecord {
        key,
        reserved: vec![Reserved { reservation: reserved.reservation.clone(), resources: disk(2048) }],
        volumes: vec![reserved],
        last_volume: 1,
        ..record(with_disk(4, 4096, 4096), 1)
    };
    let recovered = Recovered {
        agents: vec![(agent.id, record)],
        frameworks: vec![(framework.id, framework_record("eng"))],
        ..remembered()
    };

    for fails_over in [false, true] {
        if fails_over {
            world.fail_over(Config::default(), recovered.clone());
        } else {
            world.disconnect(agent);
        }
        let tasks = vec![held_with(task, volume)];
        let (agent, _) = world.register(Some(agent.id), with_disk(4, 4096, 4096), tasks);
        assert_eq!(standing(&world, volume), Some(VolumeStanding::Away));
        world.agent_says(agent, AgentCommand::Volumes(vec![volume]));

        let view = views(&world).remove(0);
        assert_eq!((view.standing, view.user), (VolumeStanding::Ready, Some(task)));
        let destroyed = operator(&mut world, OperatorCommand::DestroyVolume(volume));
        assert_eq!(destroyed, Err(Refusal::VolumeInUse(volume, task)));
        let other = world.framework("eng");
        assert_eq!(offered(&world, other), []);
        world.framework_says(other, FrameworkCommand::Teardown);
    }
    let (agent, _) = world.register(Some(agent.id), with_disk(4, 4096, 4096), vec![held_with(task, volume)]);
    world.agent_says(agent, AgentCommand::Volumes(vec![volume]));
    let (framework, _) = world.subscribe(Some(framework.id), framework_info("eng"));
    world.update(agent, task, 3, TaskState::Finished);
    assert_eq!(offered(&world, framework), [volume]);
    assert_eq!(created(&try_create(&mut world, agent, "eng", "next", mib(1)).unwrap()).number, 2);
}

#[test]
fn a_volume_is_not_destroyed_before_its_agent_has_named_the_tasks_that_use_it() {
    let (mut world, agent, framework, volume, task) = with_user();
    let identity = world.identity(agent.id);
    let known = views(&world).remove(0).known.unwrap();
    let record = AgentRecord {
        key: identity.key,
        reserved: vec![Reserved { reservation: known.reservation.clone(), resources: disk(2048) }],
        volumes: vec![known],
        last_volume: 1,
        ..record(with_disk(4, 4096, 4096), 1)
    };
    let agents = vec![(agent.id, record)];
    let frameworks = vec![(framework.id, framework_record("eng"))];
    world.fail_over(Config::default(), Recovered { agents, frameworks, ..remembered() });
    let session = world.session();
    let info = agent_info(with_disk(4, 4096, 4096));
    let register = AgentCommand::Register { identity, info, tasks: vec![], complete: false };
    world.apply(Command::Agent(session, register));

    let destroyed = operator(&mut world, OperatorCommand::DestroyVolume(volume));

    assert_eq!(destroyed, Err(Refusal::VolumesAway(agent.id)));
    let agent = Agent { session, ..agent };
    let created = try_create(&mut world, agent, "eng", "next", mib(1));
    assert_eq!(created, Err(Refusal::VolumesAway(agent.id)), "what is free is not known");
    world.agent_says(agent, AgentCommand::Holds { tasks: vec![held_with(task, volume)], complete: true });
    let destroyed = operator(&mut world, OperatorCommand::DestroyVolume(volume));
    assert_eq!(destroyed, Err(Refusal::VolumeInUse(volume, task)));
}

#[test]
fn a_volume_has_no_id_of_a_folder_that_its_agent_holds_already() {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);
    let of_a_lost_cluster = VolumeId { agent: agent.id, number: 1 };
    world.agent_says(agent, AgentCommand::Volumes(vec![of_a_lost_cluster]));

    let effects = try_create(&mut world, agent, "eng", "data", mib(1)).unwrap();

    assert_eq!(created(&effects).number, 2);
}

#[test]
fn a_volume_without_which_its_agent_comes_back_is_missing_until_it_has_it_again() {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);
    let volume = create(&mut world, agent, "eng", "data", mib(512));
    world.disconnect(agent);
    let (agent, _) = world.register(Some(agent.id), with_disk(4, 4096, 4096), vec![]);

    let effects = world.agent_says(agent, AgentCommand::Volumes(vec![]));

    assert_eq!(standing(&world, volume), Some(VolumeStanding::Missing));
    assert_eq!(orders(&effects, agent), [], "what was in it does not come back by making it anew");
    let framework = world.framework("eng");
    assert_eq!(offered(&world, framework), []);

    world.agent_says(agent, AgentCommand::Volumes(vec![volume]));
    assert_eq!((standing(&world, volume), offered(&world, framework)), (Some(VolumeStanding::Ready), vec![volume]));
}

#[test]
fn an_order_to_make_a_volume_that_was_lost_is_given_again() {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);
    let volume = created(&try_create(&mut world, agent, "eng", "data", mib(512)).unwrap());
    world.disconnect(agent);
    let (agent, _) = world.register(Some(agent.id), with_disk(4, 4096, 4096), vec![]);

    let effects = world.agent_says(agent, AgentCommand::Volumes(vec![]));

    let order = AgentOrder::CreateVolume { volume, role: "eng".to_owned(), size: mib(512) };
    assert_eq!(orders(&effects, agent), [order]);
}

#[test]
fn a_volume_that_the_registry_does_not_know_is_shown_and_kept_until_an_operator_removes_it() {
    let mut world = World::new();
    let agent = agent_of_eng(&mut world);
    let stray = VolumeId { agent: AgentId(77), number: 3 };

    let effects = world.agent_says(agent, AgentCommand::Volumes(vec![stray]));

    assert_eq!(orders(&effects, agent), []);
    assert_eq!(standing(&world, stray), Some(VolumeStanding::Unknown));
    let framework = world.framework("eng");
    assert_eq!(offered(&world, framework), []);

    let effects = operator(&mut world, OperatorCommand::DestroyVolume(stray)).unwrap();
    assert_eq!(orders(&effects, agent), [AgentOrder::DestroyVolume(stray)]);
    assert_eq!(views(&world), []);
}

#[test]
fn a_volume_stays_reserved_though_its_agents_flags_do_not_say_so_any_more() {
    let mut world = World::new();
    let session = world.session();
    let key = AgentKey(99);
    let identity = AgentIdentity { member: None, key, run: 1 };
    let flags = AgentInfo { reserved: [("eng".to_owned(), disk(1024))].into(), ..agent_info(with_disk(2, 1024, 1024)) };
    let register = |identity, info| AgentCommand::Register { identity, info, tasks: vec![], complete: true };
    world.apply(Command::Agent(session, register(identity, flags)));
    let agent = Agent { id: AgentId(1), session };
    let volume = create(&mut world, agent, "eng", "data", mib(512));
    world.disconnect(agent);

    let session = world.session();
    let identity = AgentIdentity { member: Some(member(agent.id)), ..identity };
    world.apply(Command::Agent(session, register(identity, agent_info(with_disk(2, 1024, 1024)))));
    let agent = Agent { session, ..agent };
    world.agent_says(agent, AgentCommand::Volumes(vec![volume]));

    let web = world.framework("web");
    assert_eq!(offered(&world, web), []);
    assert_eq!(world.cluster.offers(world.now)[0].resources.disk, mib(512));
    world.framework_says(web, FrameworkCommand::Teardown);
    let eng = world.framework("eng");
    assert_eq!(offered(&world, eng), [volume]);
}
