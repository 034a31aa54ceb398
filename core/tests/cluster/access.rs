//! Who may do what, and who is let in.

use std::time::Duration;

use haggle_core::access::{Enrolment, Kind, Over, Principal, Roles, TokenId, TokenKind, TokenRecord};
use haggle_core::cluster::{
    AgentCommand, AgentIdentity, AgentOrder, Change, Command, Config, Effect, FrameworkCommand, FrameworkEvent,
    OperatorCommand, Recovered, Refusal, Rejection,
};
use haggle_core::{AgentId, AgentKey, Digest, FrameworkId, Now, RequestId, SessionId, TaskId, TaskState};

use crate::kit::*;

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
const A_DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn principal(name: &str, kind: Kind) -> Principal {
    Principal { name: name.into(), kind, token: None }
}

fn roles(patterns: &[&str]) -> Roles {
    Roles::parse(patterns).unwrap()
}

fn tenant(name: &str, role: &str) -> Principal {
    principal(name, Kind::Framework(roles(&[role])))
}

fn operator(name: &str) -> Principal {
    principal(name, Kind::Operator)
}

fn viewer(role: &str) -> Principal {
    principal("viewer", Kind::Viewer(roles(&[role])))
}

fn token(name: &str, kind: TokenKind) -> TokenRecord {
    TokenRecord {
        name: name.into(),
        kind,
        hash: Digest([1; 32]),
        made_ms: 0,
        expires_ms: A_DAY_MS,
        made_by: Principal::OWNER.into(),
        revoked: false,
    }
}

fn ask(who: &Principal, command: OperatorCommand) -> Command {
    Command::Operator(who.clone(), None, command)
}

impl World {
    fn decides(&mut self, who: &Principal, command: OperatorCommand) -> Result<Vec<Effect>, Refusal> {
        self.try_apply(ask(who, command))
    }

    /// A token, and who comes with it.
    fn token(&mut self, id: u64, name: &str, kind: TokenKind) -> Principal {
        let record = token(name, kind);
        let who = record.principal(TokenId(id));
        self.apply(ask(&Principal::owner(), OperatorCommand::CreateToken(TokenId(id), record)));
        who
    }

    fn subscribes(&mut self, who: &Principal, id: Option<FrameworkId>, role: &str) -> Result<Framework, String> {
        let session = self.session_of(who.clone());
        let subscribe = FrameworkCommand::Subscribe { member: id.map(member), info: framework_info(role) };
        let effects = self.try_apply(Command::Framework(session, subscribe.into())).map_err(|why| why.to_string())?;
        effects
            .iter()
            .find_map(|effect| match effect {
                Effect::ToFramework(_, FrameworkEvent::Subscribed { member, .. }) => {
                    Some(Ok(Peer { id: member.id, session }))
                }
                Effect::ToFramework(to, FrameworkEvent::Error(why)) if *to == session => Some(Err(why.clone())),
                _ => None,
            })
            .expect("it is answered")
    }

    fn registers(&mut self, who: Principal, id: Option<AgentId>) -> Result<(Agent, Vec<Effect>), Rejection> {
        let session = self.session_of(who);
        let identity = AgentIdentity { member: id.map(member), key: AgentKey(u128::from(session.0)), run: session.0 };
        let info = agent_info(size(2, 1024));
        let register = AgentCommand::Register { identity, info, tasks: vec![], complete: true };
        let effects = self.apply(Command::Agent(session, register));
        let answer = effects.iter().find_map(|effect| match effect {
            Effect::ToAgent(_, AgentOrder::Registered { member, .. }) => Some(Ok(Peer { id: member.id, session })),
            Effect::ToAgent(_, AgentOrder::Refused(why)) => Some(Err(why.clone())),
            _ => None,
        });
        answer.expect("it is answered").map(|agent| (agent, effects))
    }

    fn enrols(&mut self, who: &Principal, key: u8) -> Result<AgentId, Refusal> {
        let effects = self.decides(who, OperatorCommand::Enrol { key: Digest([key; 32]) })?;
        let enrolled = effects.iter().find_map(|effect| match effect {
            Effect::Enrolled(member) => Some(member.id),
            _ => None,
        });
        Ok(enrolled.expect("it is answered"))
    }
}

/// The errors that are the last word on this session, which is closed.
fn closed_with(effects: &[Effect], session: SessionId) -> Option<String> {
    let closed = effects.contains(&Effect::Close(session));
    effects.iter().filter(|_| closed).find_map(|effect| match effect {
        Effect::ToFramework(to, FrameworkEvent::Error(why)) if *to == session => Some(why.clone()),
        Effect::ToAgent(to, AgentOrder::Refused(why)) if *to == session => Some(why.why().to_string()),
        _ => None,
    })
}

#[test]
fn a_connection_that_was_not_announced_may_say_nothing() {
    let mut world = World::new();
    let session = SessionId(999);
    let subscribe = FrameworkCommand::Subscribe { member: None, info: framework_info("role") };
    let identity = AgentIdentity { member: None, key: AgentKey(1), run: 1 };
    let register = AgentCommand::Register { identity, info: agent_info(size(1, 64)), tasks: vec![], complete: true };

    let verdicts = [
        world.try_apply(Command::Framework(session, subscribe.into())),
        world.try_apply(Command::Agent(session, register)),
    ];

    assert_eq!(verdicts, [Err(Refusal::NotConnected(session)), Err(Refusal::NotConnected(session))]);
}

#[test]
fn a_connection_is_announced_once() {
    let mut world = World::new();
    let session = world.session();

    let again = world.try_apply(Command::Connected(session, operator("mallory")));

    assert_eq!(again, Err(Refusal::IntroducedTwice(session)));
}

#[test]
fn a_framework_subscribes_in_its_roles_and_in_no_other() {
    let mut world = World::new();
    let ci = tenant("ci", "eng/*");

    assert!(world.subscribes(&ci, None, "eng/nightly").is_ok());

    let why = world.subscribes(&ci, None, "ops").unwrap_err();
    assert_eq!(why, "\"ci\" (framework) may not subscribe in the role \"ops\": its roles are eng/*");
    assert_eq!(world.cluster.frameworks().len(), 1);
}

#[test]
fn a_framework_that_comes_back_cannot_move_to_a_role_that_is_not_its_own() {
    let mut world = World::new();
    let ci = tenant("ci", "eng/*");
    let framework = world.subscribes(&ci, None, "eng/a").unwrap();

    let moved = world.subscribes(&ci, Some(framework.id), "ops");

    assert!(moved.unwrap_err().contains("may not subscribe in the role \"ops\""));
    assert!(world.cluster.frameworks()[0].connected, "the session that is there goes on");
}

#[test]
fn neither_a_viewer_nor_an_agent_nor_a_join_token_subscribes() {
    let mut world = World::new();
    let agent = Principal::agent(AgentId(1));
    let joiner = principal("join", Kind::Joiner);

    for who in [viewer("*"), agent, joiner, Principal::master()] {
        let why = world.subscribes(&who, None, "role").unwrap_err();
        assert!(why.contains("may not subscribe as a framework: that takes owner, operator or framework"), "{why}");
    }
    assert_eq!(world.cluster.frameworks(), []);
}

#[test]
fn a_framework_is_bound_to_the_principal_that_subscribed_it() {
    let mut world = World::new();
    let framework = world.subscribes(&tenant("ci", "*"), None, "role").unwrap();

    let stolen = world.subscribes(&tenant("mallory", "*"), Some(framework.id), "role");

    assert_eq!(stolen, Err("framework has been removed".to_string()), "as if it were not there");
    assert!(world.cluster.frameworks()[0].connected);
    assert!(world.subscribes(&tenant("ci", "*"), Some(framework.id), "role").is_ok());
    assert!(world.subscribes(&operator("ada"), Some(framework.id), "role").is_ok());
}

#[test]
fn an_operator_that_helps_out_does_not_take_a_framework_from_its_principal() {
    let mut world = World::new();
    let ci = tenant("ci", "*");
    let framework = world.subscribes(&ci, None, "role").unwrap();

    world.subscribes(&operator("ada"), Some(framework.id), "other").unwrap();

    assert!(world.subscribes(&ci, Some(framework.id), "role").is_ok());
}

#[test]
fn the_binding_is_remembered() {
    let mut world = World::new();
    let session = world.session_of(tenant("ci", "*"));
    let subscribe = FrameworkCommand::Subscribe { member: None, info: framework_info("role") };
    let effects = world.apply(Command::Framework(session, subscribe.into()));
    let written = effects.iter().find_map(|effect| match effect {
        Effect::Remember(Change::FrameworkSubscribed(id, record)) => Some((*id, record.clone())),
        _ => None,
    });

    let recovered = Recovered { frameworks: vec![written.unwrap()], ..remembered() };
    let mut world = World::with(Config::default(), recovered);

    assert!(world.subscribes(&tenant("mallory", "*"), Some(FrameworkId(1)), "role").is_err());
    assert!(world.subscribes(&tenant("ci", "*"), Some(FrameworkId(1)), "role").is_ok());
}

/// Two tenants with a task each.
fn two_tenants() -> (World, [Principal; 2], [TaskId; 2]) {
    let mut world = World::new();
    let both = [tenant("a", "eng/*"), tenant("b", "ops")];
    let tasks = [("eng/a", &both[0]), ("ops", &both[1])].map(|(role, who)| {
        let framework = world.subscribes(who, None, role).unwrap();
        let agent = world.agent(2, 1024);
        let task = world.launch_and_run(agent, framework, 1);
        world.framework_says(framework, FrameworkCommand::Suppress);
        task
    });
    (world, both, tasks)
}

#[test]
fn of_another_tenants_task_nobody_hears_that_there_is_one() {
    let (mut world, [a, b], [task_a, task_b]) = two_tenants();
    let nowhere = TaskId { framework: FrameworkId(77), number: 1 };

    for task in [task_b, nowhere] {
        assert_eq!(world.decides(&a, OperatorCommand::KillTask(task)), Err(Refusal::TaskUnknown(task)));
    }
    assert_eq!(world.state_of(task_b), Some(TaskState::Running));
    assert!(world.decides(&b, OperatorCommand::KillTask(task_b)).is_ok());
    assert!(world.decides(&operator("ada"), OperatorCommand::KillTask(task_a)).is_ok());
}

#[test]
fn a_viewer_kills_nothing_and_hears_what_it_lacks() {
    let (mut world, _, [task, _]) = two_tenants();

    let verdict = world.decides(&viewer("*"), OperatorCommand::KillTask(task));

    let Err(denied @ Refusal::Denied(_)) = verdict else { panic!("{verdict:?}") };
    assert_eq!(denied.to_string(), "\"viewer\" (viewer) may not kill tasks: that takes owner, operator or framework");
    assert_eq!(world.state_of(task), Some(TaskState::Running));
}

#[test]
fn agents_tokens_and_the_rest_of_the_cluster_are_for_operators_alone() {
    let mut world = World::new();
    let record = token("x", TokenKind::Operator);
    let commands = || {
        [
            OperatorCommand::AgentGone(AgentId(1)),
            OperatorCommand::RemoveAgent(AgentId(1)),
            OperatorCommand::CreateToken(TokenId(1), record.clone()),
            OperatorCommand::RevokeToken(TokenId(1)),
        ]
    };
    let others = [tenant("a", "*"), viewer("*"), Principal::agent(AgentId(1)), principal("join", Kind::Joiner)];

    for who in others {
        for command in commands() {
            let verdict = world.decides(&who, command.clone());
            assert!(matches!(verdict, Err(Refusal::Denied(_))), "{who} {command:?}: {verdict:?}");
        }
    }
}

/// What each of them sees: frameworks, tasks, agents, offers, roles.
fn seen(world: &World, who: &Principal) -> [usize; 5] {
    let cluster = &world.cluster;
    [
        cluster.frameworks_page(who, None, 100).0.len(),
        cluster.tasks_page(who, None, true, 100).0.len(),
        cluster.agents_page(who, None, 100).0.len(),
        cluster.offers_page(who, None, 100).0.len(),
        cluster.roles_page(who, None, 100).0.len(),
    ]
}

#[test]
fn everybody_sees_what_is_its_own() {
    let (mut world, [a, b], tasks) = two_tenants();
    // What is free now is offered to one of them alone.
    let c = tenant("c", "third");
    world.subscribes(&c, None, "third").unwrap();
    world.agent(1, 64);

    assert_eq!(seen(&world, &Principal::owner()), [3, 2, 3, 1, 3]);
    assert_eq!(seen(&world, &operator("ada")), [3, 2, 3, 1, 3]);
    assert_eq!(seen(&world, &viewer("*")), [3, 2, 3, 1, 3]);
    assert_eq!(seen(&world, &a), [1, 1, 1, 0, 1]);
    assert_eq!(seen(&world, &b), [1, 1, 1, 0, 1]);
    assert_eq!(seen(&world, &c), [1, 0, 1, 1, 1]);
    assert_eq!(seen(&world, &viewer("eng/*")), [1, 1, 1, 0, 1]);
    assert_eq!(seen(&world, &viewer("eng")), [0, 0, 0, 0, 0]);
    assert_eq!(seen(&world, &Principal::agent(AgentId(1))), [0, 0, 0, 0, 0]);
    assert_eq!(seen(&world, &principal("join", Kind::Joiner)), [0, 0, 0, 0, 0]);
    let read = |who: &Principal, task| world.cluster.task_for(who, haggle_core::access::Verb::ReadLog, task).is_some();
    assert_eq!((read(&a, tasks[0]), read(&a, tasks[1])), (true, false));
}

#[test]
fn a_task_stays_its_tenants_when_its_framework_is_gone() {
    let mut world = World::new();
    let (a, b) = (tenant("a", "*"), tenant("b", "*"));
    let framework = world.subscribes(&a, None, "role").unwrap();
    let agent = world.agent(2, 1024);
    let task = world.launch_and_run(agent, framework, 1);

    world.framework_says(framework, FrameworkCommand::Teardown);
    world.update(agent, task, 2, TaskState::Killed);

    assert_eq!(world.cluster.tasks_page(&a, None, true, 100).0.len(), 1);
    assert_eq!(world.cluster.tasks_page(&b, None, true, 100).0.len(), 0);
}

#[test]
fn a_list_of_what_is_mostly_of_others_is_read_to_its_end() {
    let (world, [_, b], [_, task]) = two_tenants();

    let (first, next) = world.cluster.tasks_page(&b, None, true, 1);
    let (second, _) = world.cluster.tasks_page(&b, next, true, 1);

    assert!(first.is_empty() && next.is_some());
    assert_eq!(second[0].id, task);
}

#[test]
fn a_verdict_is_told_again_to_who_asked_and_to_nobody_else() {
    let (mut world, [a, b], [task_a, _]) = two_tenants();
    let kill = |who: &Principal| Command::Operator(who.clone(), Some(RequestId(5)), OperatorCommand::KillTask(task_a));

    assert!(world.try_apply(kill(&a)).is_ok());

    assert_eq!(world.try_apply(kill(&a)), Ok(vec![]), "it was done already");
    assert_eq!(world.try_apply(kill(&b)), Err(Refusal::TaskUnknown(task_a)));
    let ada = world.try_apply(kill(&operator("ada"))).unwrap();
    assert!(!ada.is_empty(), "her request is another one");
}

#[test]
fn a_token_is_remembered_by_its_hash_and_by_who_made_it() {
    let mut world = World::new();
    let record = TokenRecord { made_by: "somebody else".into(), revoked: true, ..token("ci", TokenKind::Operator) };

    let effects = world.decides(&operator("ada"), OperatorCommand::CreateToken(TokenId(7), record.clone())).unwrap();

    let written = TokenRecord { made_by: "ada".into(), revoked: false, ..record };
    assert_eq!(effects, [Effect::Remember(Change::TokenRecorded(TokenId(7), written.clone()))]);
    assert_eq!(world.cluster.tokens_page(None, 10).0, [(TokenId(7), written)]);
}

#[test]
fn a_token_that_is_asked_for_again_takes_the_place_of_the_first_and_of_no_other() {
    let mut world = World::new();
    let create = |hash| {
        OperatorCommand::CreateToken(
            TokenId(7),
            TokenRecord { hash: Digest([hash; 32]), ..token("ci", TokenKind::Operator) },
        )
    };
    world.decides(&operator("ada"), create(1)).unwrap();

    world.decides(&operator("ada"), create(2)).unwrap();
    let other = world.decides(&operator("bob"), create(3));

    assert_eq!(other, Err(Refusal::TokenExists(TokenId(7))));
    let (tokens, _) = world.cluster.tokens_page(None, 10);
    assert_eq!(tokens.iter().map(|(_, token)| token.hash).collect::<Vec<_>>(), [Digest([2; 32])]);
}

#[test]
fn a_revoked_token_ends_its_sessions_at_once_and_opens_no_other() {
    let mut world = World::new();
    let who = world.token(7, "ci", TokenKind::Framework(Roles::every()));
    let other = world.token(8, "ci", TokenKind::Framework(Roles::every()));
    let framework = world.subscribes(&who, None, "role").unwrap();
    let stranger = world.session_of(who.clone());
    let same_name = world.subscribes(&other, None, "role").unwrap();

    let effects = world.decides(&operator("ada"), OperatorCommand::RevokeToken(TokenId(7))).unwrap();

    assert_eq!(closed_with(&effects, framework.session).unwrap(), "token-0000000000000007 was revoked");
    assert!(effects.contains(&Effect::Close(stranger)), "also the one that has said nothing yet");
    assert_eq!(closed_with(&effects, same_name.session), None);
    let late = world.try_apply(Command::Framework(framework.session, FrameworkCommand::Revive.into()));
    assert_eq!(late, Err(Refusal::NotAFramework(framework.session)));
    assert_eq!(
        world.try_apply(Command::Connected(SessionId(777), who.clone())),
        Err(Refusal::TokenOver(TokenId(7), Over::Revoked))
    );
    assert!(!world.cluster.frameworks()[0].connected, "its tasks live on for its failover timeout");
    // With another token of the same name it is the same principal.
    assert!(world.subscribes(&other, Some(framework.id), "role").is_ok());
}

#[test]
fn who_asks_with_a_revoked_token_is_refused_though_the_shell_let_it_in() {
    let mut world = World::new();
    let who = world.token(7, "ada", TokenKind::Operator);
    world.decides(&Principal::owner(), OperatorCommand::RevokeToken(TokenId(7))).unwrap();

    let verdict = world.decides(&who, OperatorCommand::RemoveAgent(AgentId(1)));

    assert_eq!(verdict, Err(Refusal::TokenOver(TokenId(7), Over::Revoked)));
}

#[test]
fn a_token_that_is_revoked_twice_is_revoked() {
    let mut world = World::new();
    world.token(7, "ada", TokenKind::Operator);
    let revoke = || OperatorCommand::RevokeToken(TokenId(7));

    world.decides(&Principal::owner(), revoke()).unwrap();

    assert_eq!(world.decides(&Principal::owner(), revoke()), Ok(vec![]));
    let unknown = OperatorCommand::RevokeToken(TokenId(8));
    assert_eq!(world.decides(&Principal::owner(), unknown), Err(Refusal::TokenUnknown(TokenId(8))));
}

#[test]
fn an_expired_token_ends_its_sessions_and_is_forgotten_a_week_later() {
    let mut world = World::new();
    let who = world.token(7, "ci", TokenKind::Framework(Roles::every()));
    let framework = world.subscribes(&who, None, "role").unwrap();
    assert_eq!(world.cluster.next_expiry(), Some(A_DAY_MS));

    assert_eq!(world.apply(Command::WallClock(A_DAY_MS - 1)), []);
    let effects = world.apply(Command::WallClock(A_DAY_MS));

    assert_eq!(closed_with(&effects, framework.session).unwrap(), "token-0000000000000007 has expired");
    let again = world.try_apply(Command::Connected(SessionId(777), who.clone()));
    assert_eq!(again, Err(Refusal::TokenOver(TokenId(7), Over::Expired)));
    assert_eq!(world.cluster.next_expiry(), Some(8 * A_DAY_MS));
    let forgotten = [Effect::Remember(Change::TokenRemoved(TokenId(7)))];
    assert_eq!(world.apply(Command::WallClock(8 * A_DAY_MS)), forgotten);
    let again = world.try_apply(Command::Connected(SessionId(777), who));
    assert_eq!(again, Err(Refusal::TokenUnknown(TokenId(7))));
    assert_eq!(world.cluster.next_expiry(), None);
}

#[test]
fn of_too_many_tokens_those_that_are_over_make_room_and_no_other() {
    let mut world = World::new();
    for id in 1..=10_000 {
        world.token(id, "ci", TokenKind::Operator);
    }
    let create = |id| OperatorCommand::CreateToken(TokenId(id), token("ci", TokenKind::Operator));

    let refused = world.decides(&Principal::owner(), create(20_000));
    world.decides(&Principal::owner(), OperatorCommand::RevokeToken(TokenId(5_000))).unwrap();
    let effects = world.decides(&Principal::owner(), create(20_000)).unwrap();

    assert_eq!(refused, Err(Refusal::TooManyTokens(10_000)));
    assert_eq!(effects[0], Effect::Remember(Change::TokenRemoved(TokenId(5_000))));
    assert_eq!(world.cluster.counts().tokens, 10_000);
}

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
    for member in [None, Some(id)] {
        let Err(Rejection::Final(why)) = world.registers(Principal::agent(id), member) else { panic!("it is back") };
        assert!(why.contains("agent-1 was removed, and its certificate is void"), "{why}");
    }
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

#[test]
fn who_a_principal_is_does_not_depend_on_which_token_it_comes_with() {
    let mut world = World::new();
    let one = world.token(7, "ada", TokenKind::Operator);
    let two = world.token(8, "ada", TokenKind::Operator);
    let agent = world.agent(1, 64);
    world.disconnect(agent);
    let gone =
        |who: &Principal| Command::Operator(who.clone(), Some(RequestId(5)), OperatorCommand::AgentGone(agent.id));

    assert!(world.try_apply(gone(&one)).is_ok());
    assert_eq!(world.try_apply(gone(&two)), Ok(vec![]));
}
