//! Machines that join, and agents that are known by their certificates.

use std::time::Duration;

use haggle_core::access::{Enrolment, Kind, Over, Principal, TokenId, TokenKind, TokenRecord};
use haggle_core::cluster::{
    AgentCommand, AgentIdentity, AgentOrder, Change, Command, Config, Effect, OperatorCommand, Recovered, Refusal,
    Rejection,
};
use haggle_core::{AgentId, AgentKey, Digest, Now, TaskState};

use super::{A_DAY, closed_with, operator, principal, tenant, token, viewer};
use crate::kit::*;

#[test]
fn a_machine_joins_once_for_each_use_of_its_token() {
    let mut world = World::new();
    let joiner = world.token(7, "rack", TokenKind::Agent { uses_left: 2 });

    let effects = world.decides(&joiner, OperatorCommand::Enrol { key: Digest([1; 32]) }).unwrap();

    let used = TokenRecord { made_by: "owner".into(), ..token("rack", TokenKind::Agent { uses_left: 1 }) };
    let enrolment = Enrolment { until: Now::ZERO + A_DAY, by: Some((TokenId(7), Digest([1; 32]))) };
    assert_eq!(
        effects,
        [
            Effect::Remember(Change::TokenRecorded(TokenId(7), used)),
            Effect::Remember(Change::AgentEnrolled(AgentId(1), enrolment)),
            Effect::Enrolled(member(AgentId(1))),
        ]
    );
    assert_eq!(world.enrols(&joiner, 2), Ok(AgentId(2)));
    assert_eq!(world.enrols(&joiner, 3), Err(Refusal::TokenOver(TokenId(7), Over::UsedUp)));
}

#[test]
fn a_machine_that_lost_the_answer_has_the_same_id_and_uses_nothing_up() {
    let mut world = World::new();
    let joiner = world.token(7, "rack", TokenKind::Agent { uses_left: 1 });

    let first = world.enrols(&joiner, 1);

    assert_eq!(world.enrols(&joiner, 1), first);
    assert_eq!(world.enrols(&joiner, 2), Err(Refusal::TokenOver(TokenId(7), Over::UsedUp)));
}

#[test]
fn nobody_joins_without_a_token_of_that_kind() {
    let mut world = World::new();
    let who = world.token(7, "ada", TokenKind::Operator);

    for who in [who, Principal::owner(), principal("join", Kind::Joiner)] {
        assert!(matches!(world.enrols(&who, 1), Err(Refusal::Denied(_))), "{who}");
    }
}

#[test]
fn an_agent_registers_as_what_its_certificate_says() {
    let mut world = World::new();
    let joiner = world.token(7, "rack", TokenKind::Agent { uses_left: 2 });
    let (one, two) = (world.enrols(&joiner, 1).unwrap(), world.enrols(&joiner, 2).unwrap());

    let (second, effects) = world.registers(Principal::agent(two), None).unwrap();

    assert_eq!(second.id, two);
    assert!(effects.contains(&Effect::Remember(Change::EnrolmentEnded(two))));
    let Err(Rejection::Final(why)) = world.registers(Principal::agent(two), Some(one)) else { panic!("it got in") };
    assert!(why.contains("says that it is agent-1, and its certificate is that of agent-2"), "{why}");
    assert_eq!(world.registers(Principal::agent(one), None).unwrap().0.id, one);
}

#[test]
fn an_agent_with_a_certificate_needs_no_key_and_its_key_opens_nothing() {
    let mut world = World::new();
    let joiner = world.token(7, "rack", TokenKind::Agent { uses_left: 1 });
    let id = world.enrols(&joiner, 1).unwrap();
    let (agent, _) = world.registers(Principal::agent(id), None).unwrap();
    world.disconnect(agent);

    // Another key, for its work folder is new.
    let (agent, _) = world.registers(Principal::agent(id), Some(id)).unwrap();
    world.disconnect(agent);

    // Without a certificate, and with the same key: somebody else.
    let session = world.session();
    let identity = AgentIdentity { member: None, key: AgentKey(u128::from(agent.session.0)), run: 1 };
    let register = AgentCommand::Register { identity, info: agent_info(size(1, 64)), tasks: vec![], complete: true };
    let effects = world.apply(Command::Agent(session, register));
    let registered = effects.iter().any(
        |effect| matches!(effect, Effect::ToAgent(_, AgentOrder::Registered { member, .. }) if member.id == AgentId(2)),
    );
    assert!(registered, "{effects:?}");
}

#[test]
fn neither_a_framework_nor_an_operator_registers_as_an_agent() {
    let mut world = World::new();

    for who in [tenant("ci", "*"), operator("ada"), viewer("*"), principal("join", Kind::Joiner)] {
        let session = world.session_of(who);
        let identity = AgentIdentity { member: None, key: AgentKey(1), run: 1 };
        let info = agent_info(size(1, 64));
        let register = AgentCommand::Register { identity, info, tasks: vec![], complete: true };
        let verdict = world.try_apply(Command::Agent(session, register));
        assert!(matches!(verdict, Err(Refusal::Denied(_))), "{verdict:?}");
    }
}

#[test]
fn a_removed_agent_is_cut_off_and_cannot_come_back() {
    let mut world = World::new();
    let joiner = world.token(7, "rack", TokenKind::Agent { uses_left: 1 });
    let id = world.enrols(&joiner, 1).unwrap();
    let (agent, _) = world.registers(Principal::agent(id), None).unwrap();
    let framework = world.framework("role");
    let task = world.launch_and_run(agent, framework, 1);

    let effects = world.decides(&operator("ada"), OperatorCommand::RemoveAgent(id)).unwrap();

    assert_eq!(closed_with(&effects, agent.session).unwrap(), "agent-1 was removed by an operator");
    assert_eq!(briefs(&effects, framework)[0].1, TaskState::GoneByOperator);
    assert!(effects.contains(&Effect::Remember(Change::AgentRemoved(id))));
    assert_eq!(world.state_of(task), Some(TaskState::GoneByOperator));
    assert!(!world.cluster.is_member(id));
    let Err(Rejection::Gone(why)) = world.registers(Principal::agent(id), Some(id)) else { panic!("its tasks run on") };
    assert_eq!(why, "agent-1 was removed, and its certificate is void");
    let Err(Rejection::Final(why)) = world.registers(Principal::agent(id), None) else { panic!("it is back") };
    assert!(why.contains("agent-1 was removed, and its certificate is void"), "{why}");
    let again = world.decides(&operator("ada"), OperatorCommand::RemoveAgent(id));
    assert_eq!(again, Err(Refusal::AgentUnknown(id)));
}

#[test]
fn an_agent_that_never_came_can_be_removed() {
    let mut world = World::new();
    let joiner = world.token(7, "rack", TokenKind::Agent { uses_left: 1 });
    let id = world.enrols(&joiner, 1).unwrap();

    let effects = world.decides(&operator("ada"), OperatorCommand::RemoveAgent(id)).unwrap();

    assert_eq!(effects, [Effect::Remember(Change::EnrolmentEnded(id))]);
    assert!(world.registers(Principal::agent(id), None).is_err());
}

#[test]
fn an_id_whose_agent_never_came_is_forgotten_after_a_day() {
    let mut world = World::new();
    let joiner = world.token(7, "rack", TokenKind::Agent { uses_left: 1 });
    let id = world.enrols(&joiner, 1).unwrap();

    assert_eq!(world.wait(A_DAY - Duration::from_millis(1)), []);
    assert!(world.cluster.is_member(id));

    let effects = world.wait(Duration::from_millis(1));
    assert_eq!(effects, [Effect::Remember(Change::EnrolmentEnded(id))]);
    assert!(!world.cluster.is_member(id));
    assert!(world.registers(Principal::agent(id), None).is_err());
}

#[test]
fn an_agent_that_was_given_up_comes_back_as_itself_and_without_its_tasks() {
    let mut world = World::new();
    let joiner = world.token(7, "rack", TokenKind::Agent { uses_left: 1 });
    let id = world.enrols(&joiner, 1).unwrap();
    let (agent, _) = world.registers(Principal::agent(id), None).unwrap();
    world.disconnect(agent);

    let effects = world.wait(A_DAY + Duration::from_secs(120));

    assert!(effects.contains(&Effect::Remember(Change::AgentRemoved(id))));
    assert!(world.cluster.is_member(id));
    let with_tasks = world.registers(Principal::agent(id), Some(id));
    assert!(matches!(with_tasks, Err(Rejection::Gone(_))), "{with_tasks:?}");
    assert_eq!(world.registers(Principal::agent(id), None).unwrap().0.id, id);
}

#[test]
fn an_agent_that_left_or_was_declared_gone_keeps_its_id_for_a_month() {
    for leaves in [true, false] {
        let mut world = World::new();
        let joiner = world.token(7, "rack", TokenKind::Agent { uses_left: 1 });
        let id = world.enrols(&joiner, 1).unwrap();
        let (agent, _) = world.registers(Principal::agent(id), None).unwrap();
        if leaves {
            world.agent_says(agent, AgentCommand::Leave);
        } else {
            world.disconnect(agent);
            world.decides(&operator("ada"), OperatorCommand::AgentGone(id)).unwrap();
        }

        world.wait(29 * A_DAY);
        assert!(world.cluster.is_member(id));
        world.wait(A_DAY);
        assert!(!world.cluster.is_member(id));
    }
}

#[test]
fn what_was_enrolled_is_remembered_and_its_id_is_not_given_again() {
    let enrolment = Enrolment { until: Now::ZERO + A_DAY, by: Some((TokenId(7), Digest([1; 32]))) };
    let recovered = Recovered {
        enrolled: vec![(AgentId(5), enrolment)],
        tokens: vec![(TokenId(7), token("rack", TokenKind::Agent { uses_left: 0 }))],
        ..remembered()
    };
    let mut world = World::with(Config::default(), recovered);
    let joiner = token("rack", TokenKind::Agent { uses_left: 0 }).principal(TokenId(7));

    assert_eq!(world.agent(1, 64).id, AgentId(6));
    assert_eq!(world.enrols(&joiner, 1), Ok(AgentId(5)));
    assert_eq!(world.registers(Principal::agent(AgentId(5)), None).unwrap().0.id, AgentId(5));
}

#[test]
fn of_too_many_machines_the_next_does_not_join() {
    let mut world = World::with(Config { agents: 2, ..Config::default() }, remembered());
    let joiner = world.token(7, "rack", TokenKind::Agent { uses_left: 9 });
    world.agent(1, 64);
    world.enrols(&joiner, 1).unwrap();

    assert_eq!(world.enrols(&joiner, 2), Err(Refusal::TooManyAgents(2)));
    assert_eq!(world.cluster.counts().enrolled, 1);
}
