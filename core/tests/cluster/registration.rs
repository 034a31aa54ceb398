//! Agents that join or come back: who is taken in, and with which tasks.

use haggle_core::cluster::{
    AgentCommand, AgentIdentity, AgentOrder, AgentRecord, Announcement, Change, Command, Config, Effect,
    FrameworkCommand, Refusal, Rejection,
};
use haggle_core::{
    AgentId, AgentKey, Bytes, ClusterId, Epoch, FrameworkId, Member, MilliCpu, Resources, SessionId, TaskId, TaskState,
};

use crate::kit::*;

#[test]
fn a_new_agent_is_remembered_before_it_is_told_its_id() {
    let mut world = World::new();

    let (agent, effects) = world.register(None, size(2, 1024), vec![]);

    let new = AgentRecord { key: world.identity(agent.id).key, ..record(size(2, 1024), 1) };
    assert_eq!(
        effects,
        [
            Effect::Remember(Change::AgentRecorded(AgentId(1), new)),
            Effect::Announce(Announcement::AgentUp(AgentId(1))),
            Effect::ToAgent(agent.session, AgentOrder::Registered { member: member(AgentId(1)), epoch: Epoch(1) }),
        ]
    );
    assert_eq!(world.cluster.session_of_agent(agent.id), Some(agent.session));
}

#[test]
fn an_agent_that_comes_back_unchanged_is_not_written_down_again() {
    let (mut world, agent, ..) = with_running();
    world.disconnect(agent);

    let (again, effects) = world.register(Some(agent.id), size(2, 1024), vec![]);

    assert_eq!(again.id, agent.id);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Remember(_))));
}

#[test]
fn an_agent_that_comes_back_larger_is_offered_what_it_has_more() {
    let (mut world, agent, framework, task) = with_running();
    world.disconnect(agent);

    let runs = vec![held(task, TaskState::Running, size(2, 1024))];
    let (_, effects) = world.register(Some(agent.id), size(3, 2048), runs);

    assert_eq!(offers(&effects, framework)[0].resources, size(1, 1024));
}

#[test]
fn an_agent_that_comes_back_smaller_than_what_it_runs_is_offered_nothing() {
    let (mut world, agent, framework, task) = with_running();
    world.disconnect(agent);

    let runs = vec![held(task, TaskState::Running, size(2, 1024))];
    let (agent, effects) = world.register(Some(agent.id), size(1, 512), runs);
    assert_eq!(offers(&effects, framework), []);

    let effects = world.update(agent, task, 2, TaskState::Finished);
    assert_eq!(offers(&effects, framework)[0].resources, size(1, 512));
}

#[test]
fn a_second_connection_of_an_agent_closes_the_first() {
    let (mut world, first, ..) = with_running();

    let (_, effects) = world.register(Some(first.id), size(2, 1024), vec![]);

    assert!(effects.contains(&Effect::Close(first.session)));
    let late = world.try_apply(Command::Agent(first.session, AgentCommand::Heartbeat));
    assert_eq!(late, Err(Refusal::NotAnAgent(first.session)));
    assert_eq!(world.disconnect(first), [], "the end of the first says nothing about the second");
}

fn register(identity: AgentIdentity, total: Resources) -> AgentCommand {
    AgentCommand::Register { identity, info: agent_info(total), tasks: vec![], complete: true }
}

/// Nobody who was here before.
fn stranger() -> AgentIdentity {
    AgentIdentity { member: None, key: AgentKey(99), run: 1 }
}

/// The last word to an agent that cannot join like this.
fn rejected(world: &mut World, session: SessionId, register: AgentCommand) -> Rejection {
    let effects = world.apply(Command::Agent(session, register));
    match &effects[..] {
        [Effect::ToAgent(to, AgentOrder::Refused(rejection)), Effect::Close(closed)] => {
            assert_eq!((to, closed), (&session, &session));
            rejection.clone()
        }
        _ => panic!("it is not turned away: {effects:?}"),
    }
}

pub(crate) fn rejected_as(world: &mut World, identity: AgentIdentity) -> Rejection {
    let session = world.session();
    rejected(world, session, register(identity, size(2, 1024)))
}

/// Breach: such an id was taken as it came, and the next newcomer overflowed.
#[test]
fn an_id_that_was_never_given_is_refused() {
    let mut world = World::new();

    for id in [0, 7, u64::MAX] {
        let claim = AgentIdentity { member: Some(member(AgentId(id))), ..stranger() };
        let Rejection::Final(why) = rejected_as(&mut world, claim) else { panic!("it must not try again") };
        assert!(why.contains(&format!("never gave the id agent-{id}")), "{why}");
    }
    assert_eq!(world.agent(1, 512).id, AgentId(1));
}

/// Breach: after a lost registry, an agent of the old cluster cut off the one that had its id in the new.
#[test]
fn an_agent_of_another_cluster_is_told_so_and_takes_nobodys_place() {
    let (mut world, agent, ..) = with_running();
    let claim = AgentIdentity { member: Some(Member { cluster: ClusterId(8), id: agent.id }), ..stranger() };

    let Rejection::OtherCluster(why) = rejected_as(&mut world, claim) else { panic!("it must not try again") };

    assert!(why.starts_with("agent-1 belongs to cluster-00000000000000000000000000000008, and this is"), "{why}");
    assert_eq!(world.cluster.session_of_agent(agent.id), Some(agent.session));
}

/// Breach: an agent that named another's id took its place.
#[test]
fn an_id_with_another_key_is_refused() {
    let (mut world, agent, ..) = with_running();
    let claim = AgentIdentity { member: Some(member(agent.id)), ..stranger() };

    let Rejection::Final(why) = rejected_as(&mut world, claim) else { panic!("it must not try again") };

    assert_eq!(why, "agent-1 is another agent: the key does not fit");
    assert_eq!(world.cluster.session_of_agent(agent.id), Some(agent.session));
}

#[test]
fn a_copy_of_a_connected_agent_has_to_wait() {
    let (mut world, agent, ..) = with_running();
    let copy = AgentIdentity { run: 2, ..world.identity(agent.id) };

    assert!(matches!(rejected_as(&mut world, copy), Rejection::Later(_)));

    world.disconnect(agent);
    let session = world.session();
    world.apply(Command::Agent(session, register(copy, size(2, 1024))));
    assert_eq!(world.cluster.session_of_agent(agent.id), Some(session));
}

#[test]
fn an_agent_that_never_heard_its_id_gets_the_same_again() {
    let mut world = World::new();
    let (first, _) = world.register(None, size(2, 1024), vec![]);
    world.disconnect(first);
    let again = AgentIdentity { member: None, ..world.identity(first.id) };

    let session = world.session();
    world.apply(Command::Agent(session, register(again, size(2, 1024))));

    assert_eq!(world.cluster.session_of_agent(first.id), Some(session));
    assert_eq!(world.cluster.agents(world.now).len(), 1);
}

/// Breach: an agent with many tasks could never register, since its registration was one message.
#[test]
fn a_registration_comes_in_pieces_and_nothing_is_missed_before_the_last() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(3, 1024);
    let offer = world.open_offer(framework);
    world.accept(framework, &[offer], &[task(framework, 1, 1, 256), task(framework, 2, 1, 256)]);
    let [first, second] = [1, 2].map(|number| TaskId { framework: framework.id, number });
    world.disconnect(agent);
    world.framework_says(framework, FrameworkCommand::Revive { role: None });

    let session = world.session();
    let part = |id| vec![held(id, TaskState::Running, size(1, 256))];
    let identity = world.identity(agent.id);
    let begin =
        AgentCommand::Register { identity, info: agent_info(size(3, 1024)), tasks: part(first), complete: false };
    let effects = world.apply(Command::Agent(session, begin));
    assert_eq!(briefs(&effects, framework), []);
    assert_eq!(offers(&effects, framework), []);
    let early = AgentCommand::Updates(vec![]);
    assert_eq!(world.try_apply(Command::Agent(session, early)), Err(Refusal::StillRegistering(session)));

    let effects = world.apply(Command::Agent(session, AgentCommand::Holds { tasks: part(second), complete: true }));

    assert_eq!(briefs(&effects, framework), []);
    assert_eq!(offers(&effects, framework)[0].resources, size(1, 512));
    let late = AgentCommand::Holds { tasks: vec![], complete: true };
    assert_eq!(world.try_apply(Command::Agent(session, late)), Err(Refusal::RegisteredAlready(session)));
}

#[test]
fn an_agent_with_nothing_to_offer_is_told_so() {
    let mut world = World::new();
    let session = world.session();
    let before = world.cluster.clone();

    let rejection = rejected(&mut world, session, register(stranger(), Resources::default()));

    let why = "an agent needs something to offer, and has nothing".to_string();
    assert_eq!(rejection, Rejection::Final(why));
    assert_eq!(world.cluster, before);
}

#[test]
fn a_session_that_never_registered_is_refused() {
    let mut world = World::new();

    let verdict = world.try_apply(Command::Agent(SessionId(9), AgentCommand::Heartbeat));

    assert_eq!(verdict, Err(Refusal::NotAnAgent(SessionId(9))));
}

#[test]
fn a_session_introduces_itself_once() {
    let (mut world, agent, ..) = with_running();

    let verdict = world.try_apply(Command::Agent(agent.session, register(stranger(), size(1, 512))));

    assert_eq!(verdict, Err(Refusal::IntroducedTwice(agent.session)));
}

/// Breach: an agent that claimed everything left a wrong total behind, and so wrong shares.
#[test]
fn an_agent_that_claims_everything_leaves_no_trace() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    world.launch(framework, 1);
    world.framework_says(framework, FrameworkCommand::Suppress { role: None });
    let share = world.cluster.roles()[0].share;
    let most = Resources::new(MilliCpu::new(u64::MAX), Bytes::new(u64::MAX), Bytes::new(u64::MAX));
    let (boaster, _) = world.register(None, most, vec![]);
    assert_ne!(world.cluster.roles()[0].share, share);

    world.agent_says(boaster, AgentCommand::Leave);

    assert_eq!(world.cluster.roles()[0].share, share);
    assert_eq!(world.used_on(agent), size(2, 1024));
}

#[test]
fn an_end_may_be_acknowledged_while_its_agent_registers() {
    let mut world = World::new();
    let framework = world.framework("default");
    let agent = world.agent(2, 1024);
    let task = world.launch_and_run(agent, framework, 1);
    world.update(agent, task, 3, TaskState::Finished);
    world.disconnect(agent);
    let session = world.session();
    let identity = world.identity(agent.id);
    let first = AgentCommand::Register { identity, info: agent_info(size(2, 1024)), tasks: vec![], complete: false };
    world.apply(Command::Agent(session, first));

    world.acknowledge_kept(framework);
    let rest = AgentCommand::Holds { tasks: vec![], complete: true };
    let effects = world.apply(Command::Agent(session, rest));

    assert_eq!(updates(&effects, framework), []);
    assert_eq!(world.state_of(task), Some(TaskState::Finished));
}

/// The registration was cut into pieces before the acknowledgement came: the agent does not hold the end any more.
#[test]
fn an_end_that_was_acknowledged_while_its_agent_registers_is_not_taken_in_again() {
    let mut world = World::with(Config { history: 0, ..Config::default() }, remembered());
    let framework = world.framework("default");
    let agent = world.agent(2, 1024);
    let task = world.launch_and_run(agent, framework, 1);
    world.update(agent, task, 2, TaskState::Finished);
    world.disconnect(agent);
    let session = world.session();
    let identity = world.identity(agent.id);
    let first = AgentCommand::Register { identity, info: agent_info(size(2, 1024)), tasks: vec![], complete: false };
    world.apply(Command::Agent(session, first));
    world.acknowledge(framework, task, 2);

    let tasks = vec![held(task, TaskState::Finished, size(2, 1024))];
    world.apply(Command::Agent(session, AgentCommand::Holds { tasks, complete: true }));

    assert_eq!(world.cluster.counts().tasks, 0);
}

#[test]
fn an_agent_that_makes_up_tasks_is_heard_to_a_bound() {
    let mut world = World::with(Config { tasks_per_agent: 2, ..Config::default() }, remembered());
    let made_up = |number| held(TaskId { framework: FrameworkId(9), number }, TaskState::Running, size(1, 1));
    let session = world.session();
    let identity = AgentIdentity { member: None, key: AgentKey(7), run: 1 };
    let tasks = vec![made_up(1), made_up(2)];
    let first = AgentCommand::Register { identity, info: agent_info(size(2, 1024)), tasks, complete: false };
    world.apply(Command::Agent(session, first));

    let more = AgentCommand::Holds { tasks: vec![made_up(3)], complete: true };
    let outcome = world.try_apply(Command::Agent(session, more));

    assert_eq!(outcome, Err(Refusal::TooManyHeld(AgentId(1), 2)));
    assert_eq!(world.cluster.counts().orphans, 2);
}

#[test]
fn an_orphan_that_is_named_twice_is_counted_once() {
    let mut world = World::new();
    let orphan = TaskId { framework: FrameworkId(9), number: 1 };
    let named = || held(orphan, TaskState::Running, size(1, 512));

    let (agent, _) = world.register(None, size(2, 1024), vec![named(), named()]);

    assert_eq!(world.used_on(agent), size(1, 512));
    world.update(agent, orphan, 3, TaskState::Killed);
    assert_eq!(world.used_on(agent), size(0, 0));
}
