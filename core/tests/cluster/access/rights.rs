//! Who may do what to what, and who sees it.

use haggle_core::access::{Kind, Principal, TokenId, TokenKind, Verb};
use haggle_core::cluster::{
    AgentCommand, AgentIdentity, Change, Command, Config, Effect, FrameworkCommand, OperatorCommand, Recovered, Refusal,
};
use haggle_core::{AgentId, AgentKey, FrameworkId, Now, RequestId, SessionId, TaskId, TaskState};

use super::{operator, principal, tenant, token, viewer};
use crate::kit::*;

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
fn what_is_no_role_is_told_to_be_none_and_not_to_be_somebody_elses() {
    let mut world = World::new();
    let ci = tenant("ci", "eng/*");

    for role in ["eng//a", &"x".repeat(129)] {
        let why = world.subscribes(&ci, None, role).unwrap_err();
        assert!(why.ends_with("no spaces, at most 128 bytes"), "{why}");
    }
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
fn an_operator_and_a_framework_of_one_name_are_two_principals() {
    let config = Config { frameworks_per_principal: 1, ..Config::default() };
    let mut world = World::with(config, remembered());
    let (ci, namesake) = (tenant("ci", "*"), operator("ci"));
    let framework = world.subscribes(&namesake, None, "role").unwrap();

    let stolen = world.subscribes(&ci, Some(framework.id), "role");

    assert_eq!(stolen, Err("framework has been removed".to_string()), "as if it were not there");
    assert!(world.cluster.frameworks_page(&ci, None, 10).0.is_empty());
    assert!(world.subscribes(&ci, None, "role").is_ok(), "each has its own limits");
    let (views, _) = world.cluster.principals_page(None, 10);
    let known: Vec<_> = views.iter().map(|view| (view.id.to_string(), view.frameworks)).collect();
    assert_eq!(known, [("operator:ci".to_string(), 1), ("framework:ci".to_string(), 1)]);
    assert!(views.iter().all(|view| view.id.to_string().parse() == Ok(view.id.clone())));
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
        world.framework_says(framework, FrameworkCommand::Suppress { role: None });
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
        cluster.agents_page(Now::ZERO, who, None, 100).0.len(),
        cluster.offers_page(Now::ZERO, who, None, 100).0.len(),
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

    assert_eq!(seen(&world, &Principal::owner()), [3, 2, 3, 1, 4]);
    assert_eq!(seen(&world, &operator("ada")), [3, 2, 3, 1, 4]);
    assert_eq!(seen(&world, &viewer("*")), [3, 2, 3, 1, 4]);
    assert_eq!(seen(&world, &a), [1, 1, 1, 0, 1]);
    assert_eq!(seen(&world, &b), [1, 1, 1, 0, 1]);
    assert_eq!(seen(&world, &c), [1, 0, 1, 1, 1]);
    assert_eq!(seen(&world, &viewer("eng/*")), [1, 1, 1, 0, 1]);
    assert_eq!(seen(&world, &viewer("eng")), [0, 0, 0, 0, 1], "the role above, and nothing in it");
    assert_eq!(seen(&world, &Principal::agent(AgentId(1))), [0, 0, 0, 0, 0]);
    assert_eq!(seen(&world, &principal("join", Kind::Joiner)), [0, 0, 0, 0, 0]);
    let read = |who: &Principal, task| world.cluster.task_for(who, Verb::ReadLog, task).is_some();
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
