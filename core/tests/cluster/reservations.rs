//! What is reserved on agents, by themselves, by operators and by frameworks.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::access::{Kind, Principal, Roles};
use haggle_core::cluster::{
    AgentCommand, AgentOrder, Change, Command, Config, Effect, FrameworkCommand, FrameworkEvent, OperatorCommand,
    Recovered, Refusal,
};
use haggle_core::{
    AgentInfo, Ceiling, MilliCpu, OfferId, Operation, Quota, Reservation, Reserved, Resources, TaskSpec, TaskState,
};

use crate::kit::*;

fn reserve(role: &str, within: Option<&str>, resources: Resources) -> Operation {
    Operation::Reserve { role: role.to_owned(), within: within.map(str::to_owned), resources }
}

fn unreserve(role: &str, resources: Resources) -> Operation {
    Operation::Unreserve { role: role.to_owned(), resources }
}

fn decides(world: &mut World, agent: Agent, operation: Operation) -> Result<Vec<Effect>, Refusal> {
    world.try_apply(Command::Operator(Principal::owner(), None, OperatorCommand::Reserve(agent.id, operation)))
}

/// Accepts one offer with these operations, and launches these tasks.
fn accepts(
    world: &mut World,
    framework: Framework,
    offer: OfferId,
    operations: Vec<Operation>,
    tasks: &[TaskSpec],
) -> Vec<Effect> {
    let tasks = tasks.iter().cloned().map(Arc::new).collect();
    let accept = FrameworkCommand::Accept {
        offers: vec![offer],
        operations: operations.into_iter().map(Into::into).collect(),
        tasks,
        refuse: NO_REFUSAL,
    };
    world.framework_says(framework, accept)
}

fn remembered_of(effects: &[Effect]) -> Option<Vec<Reserved>> {
    effects.iter().find_map(|effect| match effect {
        Effect::Remember(Change::AgentRecorded(_, record)) => Some(record.reserved.clone()),
        _ => None,
    })
}

fn registers(world: &mut World, reserved: &[(&str, Resources)]) -> Vec<Effect> {
    let session = world.session();
    let identity = haggle_core::cluster::AgentIdentity { member: None, key: haggle_core::AgentKey(99), run: 1 };
    let reserved = reserved.iter().map(|(role, resources)| ((*role).to_owned(), resources.clone())).collect();
    let info = AgentInfo { reserved, ..agent_info(size(2, 1024)) };
    world.apply(Command::Agent(session, AgentCommand::Register { identity, info, tasks: vec![], complete: true }))
}

/// S32, `Reservation.ReserveThenUnreserve`.
#[test]
fn what_a_framework_reserves_is_offered_as_reserved_until_it_unreserves_it() {
    let mut world = World::new();
    let framework = world.framework("eng");
    let agent = world.agent(4, 4096);
    let offer = world.open_offer(framework);

    let effects = accepts(&mut world, framework, offer, vec![reserve("eng", None, size(2, 1024))], &[]);

    assert_eq!(dropped(&effects, framework), [] as [String; 0]);
    assert_eq!(remembered_of(&effects), Some(vec![part("eng", size(2, 1024))]));
    let again = offers(&effects, framework).remove(0);
    assert_eq!((again.resources, again.reserved), (size(4, 4096), vec![part("eng", size(2, 1024))]));

    let effects = accepts(&mut world, framework, again.id, vec![unreserve("eng", size(2, 1024))], &[]);

    let plain = offers(&effects, framework).remove(0);
    assert_eq!((plain.resources, plain.reserved), (size(4, 4096), vec![]));
    assert_eq!(remembered_of(&effects), Some(vec![]));
    assert_eq!(world.reserved_on(agent), []);
}

/// S32, `DropReserveTooLarge`.
#[test]
fn what_is_too_large_to_be_reserved_is_dropped_and_the_task_beside_it_is_launched() {
    let mut world = World::new();
    let framework = world.framework("eng");
    let agent = world.agent(2, 1024);
    let offer = world.open_offer(framework);

    let task = task(framework, 1, 1, 512);
    let effects = accepts(&mut world, framework, offer, vec![reserve("eng", None, size(3, 512))], &[task]);

    let why = dropped(&effects, framework).remove(0);
    assert!(why.starts_with("of what can be had on agent-1, there is 2.000 cpu, 1 GiB mem, and 3.000 cpu"), "{why}");
    assert_eq!(remembered_of(&effects), None);
    assert_eq!((world.reserved_on(agent), world.used_on(agent)), (vec![], size(1, 512)));
}

/// S32, `PreventUnreservingAlienResources`.
#[test]
fn nobody_ends_a_reservation_of_another_role() {
    let mut world = World::new();
    let agent = world.agent(4, 4096);
    decides(&mut world, agent, reserve("eng", None, size(2, 1024))).unwrap();
    let batch = world.framework("eng/batch");
    let offer = world.open_offer(batch);

    let wrong = vec![
        unreserve("eng", size(1, 512)),
        unreserve("web", size(1, 512)),
        unreserve("eng/batch", size(1, 512)),
        reserve("web", None, size(1, 512)),
    ];
    let effects = accepts(&mut world, batch, offer, wrong, &[]);

    let why = dropped(&effects, batch);
    assert_eq!(why.len(), 4);
    assert!(why[0].contains("\"eng\" is not a matter of what was offered for \"eng/batch\""), "{why:?}");
    assert_eq!(world.reserved_on(agent), [part("eng", size(2, 1024))]);
}

#[test]
fn a_part_is_refined_down_the_tree_and_goes_back_up() {
    let mut world = World::new();
    let agent = world.agent(4, 4096);
    decides(&mut world, agent, reserve("eng", None, size(3, 3072))).unwrap();

    decides(&mut world, agent, reserve("eng/batch", Some("eng"), size(1, 1024))).unwrap();

    let batch = Reservation::new("eng").unwrap().refined("eng/batch").unwrap();
    let refined = Reserved { reservation: batch, resources: size(1, 1024) };
    assert_eq!(world.reserved_on(agent), [refined, part("eng", size(2, 2048))]);
    let roles: Vec<_> = world.cluster.roles().into_iter().map(|role| (role.name, role.reserved)).collect();
    assert_eq!(roles, [("eng".to_owned(), size(3, 3072)), ("eng/batch".to_owned(), size(1, 1024))]);
    let eng = world.framework("eng");
    assert_eq!(world.cluster.offers(world.now)[0].resources, size(3, 3072), "what is of eng/batch is not of eng");

    decides(&mut world, agent, unreserve("eng/batch", size(1, 1024))).unwrap();
    assert_eq!(world.reserved_on(agent), [part("eng", size(3, 3072))]);
    assert_eq!(world.open_offers(eng).len(), 2);
}

#[test]
fn a_tasks_part_is_its_until_it_ends_and_others_are_not_offered_it_then() {
    let mut world = World::new();
    let agent = world.agent(2, 1024);
    decides(&mut world, agent, reserve("eng", None, size(2, 1024))).unwrap();
    let eng = world.framework("eng");
    world.framework("web");
    let task = world.launch_and_run(agent, eng, 1);
    let refused = decides(&mut world, agent, unreserve("eng", size(1, 512)));
    assert!(matches!(refused, Err(Refusal::NotToBeHad { .. })), "{refused:?}");

    world.update(agent, task, 2, TaskState::Finished);

    assert_eq!(world.open_offers(eng).len(), 1);
    assert_eq!(world.cluster.offers(world.now).len(), 1, "web has none");
}

#[test]
fn an_operator_takes_offers_back_that_are_in_the_way() {
    let mut world = World::new();
    let web = world.framework("web");
    let agent = world.agent(4, 4096);
    let offer = world.open_offer(web);

    let effects = decides(&mut world, agent, reserve("eng", None, size(3, 1024))).unwrap();

    assert!(events(&effects, web).contains(&FrameworkEvent::Rescinded(vec![offer])));
    assert_eq!(offers(&effects, web)[0].resources, size(1, 3072));
    let refused = decides(&mut world, agent, reserve("eng", None, size(3, 1024))).unwrap_err().to_string();
    assert!(refused.starts_with("of what can be had on agent-1, there is 1.000 cpu"), "{refused}");
    assert_eq!(world.open_offers(web).len(), 1, "what is refused takes nothing back");
}

#[test]
fn an_agent_keeps_what_its_flags_say_and_nobody_else_ends_that() {
    let mut world = World::new();
    let eng = world.framework("eng");
    registers(&mut world, &[("eng", size(1, 512))]);
    let [agent] = &world.cluster.agents(world.now)[..] else { panic!("it is one") };
    let agent = Agent { id: agent.id, session: haggle_core::SessionId(0) };
    let fixed = Reservation::fixed("eng").unwrap();
    assert_eq!(world.reserved_on(agent), [Reserved { reservation: fixed, resources: size(1, 512) }]);

    assert!(decides(&mut world, agent, unreserve("eng", size(1, 512))).is_err());
    decides(&mut world, agent, reserve("eng/x", Some("eng"), size(1, 256))).unwrap();

    let offered: Vec<_> =
        world.cluster.offers(world.now).into_iter().map(|offer| (offer.framework, offer.resources)).collect();
    assert_eq!(offered, [(eng.id, size(1, 768))]);
}

#[test]
fn an_agent_that_keeps_more_than_it_has_is_turned_away() {
    let mut world = World::new();
    let roles: Vec<String> = (0..65).map(|at| format!("role{at}")).collect();
    let many: Vec<_> = roles.iter().map(|role| (role.as_str(), size(0, 1))).collect();
    for (wrong, why) in [
        (
            &[("eng", size(1, 512)), ("web", size(2, 512))][..],
            "3.000 cpu, 1 GiB mem is reserved on an agent that has 2.000 cpu",
        ),
        (&[("a//b", size(1, 512))], "role \"a//b\" is no role"),
        (&many[..], "an agent keeps something for 65 roles, at most 64 are taken"),
        (&[("eng", size(0, 0))], "a reservation needs an amount"),
    ] {
        let effects = registers(&mut world, wrong);
        let refused = effects.iter().find_map(|effect| match effect {
            Effect::ToAgent(_, AgentOrder::Refused(rejection)) => Some(rejection.why().to_owned()),
            _ => None,
        });
        assert!(refused.as_ref().is_some_and(|refused| refused.starts_with(why)), "{refused:?}");
    }
}

#[test]
fn reservations_survive_the_master_and_what_runs_on_them_counts_there_again() {
    let mut kept = record(size(4, 4096), 1);
    kept.reserved = vec![part("eng", size(2, 2048))];
    let frameworks = vec![(haggle_core::FrameworkId(1), framework_record("eng/batch"))];
    let agents = vec![(haggle_core::AgentId(1), kept)];
    let recovered = Recovered { frameworks, agents, last_framework: 1, last_agent: 1, ..remembered() };
    let mut world = World::with(Config::default(), recovered);
    let id = haggle_core::TaskId { framework: haggle_core::FrameworkId(1), number: 1 };
    let running =
        haggle_core::cluster::HeldTask { role: "eng/batch".to_owned(), ..held(id, TaskState::Running, size(3, 1024)) };

    let (agent, _) = world.register(Some(haggle_core::AgentId(1)), size(4, 4096), vec![running]);

    let view = world.cluster.agents(world.now).remove(0).reserved.remove(0);
    assert_eq!((view.reserved, view.used), (part("eng", size(2, 2048)), size(2, 1024)));
    world.update(agent, id, 3, TaskState::Finished);
    assert_eq!(world.cluster.agents(world.now)[0].reserved[0].used, Resources::default());
}

#[test]
fn what_is_reserved_on_an_agent_that_is_away_is_shown_and_stays_as_it_is() {
    let mut world = World::new();
    let agent = world.agent(2, 1024);
    decides(&mut world, agent, reserve("eng", None, size(1, 512))).unwrap();
    world.wait(Duration::from_secs(75));

    let shown = world.cluster.agents_page(world.now, &Principal::owner(), None, 1).0.remove(0);
    assert!(!shown.connected);
    assert_eq!(shown.reserved[0].reserved, part("eng", size(1, 512)));
    let refused = decides(&mut world, agent, unreserve("eng", size(1, 512)));
    assert_eq!(refused, Err(Refusal::AgentAway(agent.id)));

    world.register(Some(agent.id), size(2, 1024), vec![]);
    decides(&mut world, agent, unreserve("eng", size(1, 512))).unwrap();
    assert_eq!(world.reserved_on(agent), []);
}

#[test]
fn what_is_reserved_is_within_the_limit_of_its_role() {
    let mut world = World::new();
    let limit = Ceiling { cpus: Some(MilliCpu::from_cores(2)), ..Ceiling::default() };
    let quota = Some(Quota { guarantee: Resources::default(), limit });
    let set = OperatorCommand::SetQuota { role: "eng".to_owned(), quota, force: false };
    world.try_apply(Command::Operator(Principal::owner(), None, set)).unwrap();
    let agent = world.agent(4, 4096);

    let refused = decides(&mut world, agent, reserve("eng/batch", None, size(3, 512)));
    assert!(matches!(refused, Err(Refusal::ReservedAboveLimit(..))), "{refused:?}");
    decides(&mut world, agent, reserve("eng", None, size(2, 512))).unwrap();
    decides(&mut world, agent, reserve("eng/batch", Some("eng"), size(2, 512))).unwrap();
}

#[test]
fn a_framework_at_its_limit_reserves_what_it_is_offered() {
    let mut world = World::new();
    let limit = Ceiling { cpus: Some(MilliCpu::from_cores(2)), ..Ceiling::default() };
    let quota = Some(Quota { guarantee: Resources::default(), limit });
    let set = OperatorCommand::SetQuota { role: "eng".to_owned(), quota, force: false };
    world.try_apply(Command::Operator(Principal::owner(), None, set)).unwrap();
    let eng = world.framework("eng");
    let agent = world.agent(4, 4096);
    let offer = world.open_offer(eng);

    let effects = accepts(&mut world, eng, offer, vec![reserve("eng", None, size(2, 1024))], &[]);

    assert_eq!(dropped(&effects, eng), [] as [String; 0]);
    assert_eq!(offers(&effects, eng)[0].resources.cpus, MilliCpu::from_cores(2), "it counts once");
    assert_eq!(world.reserved_on(agent), [part("eng", size(2, 1024))]);
    decides(&mut world, agent, unreserve("eng", size(2, 1024))).unwrap();
    decides(&mut world, agent, reserve("eng", None, size(2, 1024))).unwrap();
}

#[test]
fn a_framework_reserves_for_roles_that_its_principal_may_use() {
    let mut world = World::new();
    let who = Principal { name: "ci".into(), kind: Kind::Framework(Roles::parse(&["eng"]).unwrap()), token: None };
    let session = world.session_of(who);
    let subscribe = FrameworkCommand::Subscribe { member: None, info: framework_info("eng") };
    world.apply(Command::Framework(session, subscribe.into()));
    let framework = Framework { id: world.cluster.frameworks()[0].id, session };
    world.agent(2, 1024);
    let offer = world.open_offer(framework);

    let operations = vec![reserve("eng/x", None, size(1, 512)), reserve("eng", None, size(1, 512))];
    let effects = accepts(&mut world, framework, offer, operations, &[]);

    assert_eq!(dropped(&effects, framework).len(), 1);
    assert_eq!(remembered_of(&effects), Some(vec![part("eng", size(1, 512))]));
}

#[test]
fn so_many_parts_of_one_agent_are_reserved_and_no_more() {
    let mut world = World::new();
    let agent = world.agent(100, 65_536);
    for at in 0..64 {
        decides(&mut world, agent, reserve(&format!("role{at}"), None, size(1, 128))).unwrap();
    }

    let refused = decides(&mut world, agent, reserve("one-more", None, size(1, 128)));

    assert_eq!(refused, Err(Refusal::TooManyReservations(agent.id, 64)));
}

#[test]
fn a_task_takes_nothing_that_its_accept_has_reserved_for_a_role_below() {
    let mut world = World::new();
    let framework = world.framework("eng");
    let agent = world.agent(2, 1024);
    let offer = world.open_offer(framework);

    let tasks = [task(framework, 1, 1, 512), task(framework, 2, 1, 256)];
    let operations = vec![reserve("eng/x", None, size(1, 512))];
    let effects = accepts(&mut world, framework, offer, operations, &tasks);

    let told: Vec<_> =
        updates(&effects, framework).into_iter().map(|status| (status.task.number, status.state)).collect();
    assert_eq!(told, [(2, TaskState::Dropped)]);
    let view = world.cluster.agents(world.now).remove(0).reserved.remove(0);
    assert_eq!((view.reserved, view.used), (part("eng/x", size(1, 512)), Resources::default()));
    let below = world.framework("eng/x");
    assert_eq!(world.open_offers(below).len(), 1);
    assert_eq!(world.used_on(agent), size(1, 512));
}

#[test]
fn what_one_accept_reserves_is_remembered_once() {
    let mut world = World::new();
    let framework = world.framework("eng");
    world.agent(4, 4096);
    let offer = world.open_offer(framework);

    let operations = vec![reserve("eng/a", None, size(1, 512)), reserve("eng/b", None, size(1, 512))];
    let effects = accepts(&mut world, framework, offer, operations, &[]);

    let remembered = effects.iter().filter(|effect| matches!(effect, Effect::Remember(_))).count();
    assert_eq!(remembered, 1);
    assert_eq!(remembered_of(&effects), Some(vec![part("eng/a", size(1, 512)), part("eng/b", size(1, 512))]));
}

#[test]
fn an_accept_that_wants_too_much_done_is_refused_and_its_offer_stays_open() {
    let mut world = World::new();
    let framework = world.framework("eng");
    world.agent(4, 4096);
    let offer = world.open_offer(framework);

    let operations = vec![unreserve("eng", size(1, 1)).into(); 65];
    let accept = FrameworkCommand::Accept { offers: vec![offer], operations, tasks: vec![], refuse: NO_REFUSAL };
    let refused = world.try_apply(Command::Framework(framework.session, accept.into()));

    assert_eq!(refused, Err(Refusal::TooManyOperations(65)));
    assert_eq!(world.open_offers(framework), [offer]);
}

#[test]
fn frameworks_leave_operators_parts_of_each_agent_to_reserve() {
    let mut world = World::new();
    let framework = world.framework("eng");
    let agent = world.agent(100, 65_536);
    let offer = world.open_offer(framework);

    let each = (0..33).map(|at| reserve(&format!("eng/x{at}"), None, size(1, 128))).collect();
    let effects = accepts(&mut world, framework, offer, each, &[]);

    let why = dropped(&effects, framework);
    assert_eq!(why, ["agent-1 has 32 reservations, more are not taken: end some that nobody needs"]);
    decides(&mut world, agent, reserve("web", None, size(1, 128))).unwrap();
    let offer = world.open_offer(framework);
    let effects = accepts(&mut world, framework, offer, vec![unreserve("eng/x0", size(1, 128))], &[]);
    assert_eq!(dropped(&effects, framework).len(), 1, "what was offered for eng is none of eng/x0");
    let below = world.framework("eng/x0");
    let offer = world.open_offer(below);
    let effects = accepts(&mut world, below, offer, vec![unreserve("eng/x0", size(1, 128))], &[]);
    assert_eq!(dropped(&effects, below), [] as [String; 0]);
    assert_eq!(world.reserved_on(agent).len(), 32);
}

#[test]
fn the_frameworks_of_a_role_reserve_so_many_parts_over_all_agents_and_operators_more() {
    let mut world = World::with(Config { reservations_per_role: 2, ..Config::default() }, remembered());
    registers(&mut world, &[("eng", size(1, 512))]);
    let agent = world.agent(4, 4096);
    let framework = world.framework("eng");
    let view = world.cluster.offers(world.now).into_iter().find(|offer| offer.agent == agent.id).unwrap();

    let three = ["eng", "eng/a", "eng/b"].map(|role| reserve(role, None, size(1, 512))).into();
    let effects = accepts(&mut world, framework, view.id, three, &[]);

    let [why] = &dropped(&effects, framework)[..] else { panic!("one is too many") };
    assert!(why.starts_with("2 parts of agents are reserved for \"eng\" and the roles below it"), "{why}");
    let kept = vec![part("eng/a", size(1, 512)), part("eng", size(1, 512))];
    assert_eq!(world.reserved_on(agent), kept, "what the other agent keeps by its flags does not count");
    decides(&mut world, agent, reserve("eng/b", None, size(1, 512))).unwrap();
    decides(&mut world, agent, unreserve("eng/a", size(1, 512))).unwrap();
    decides(&mut world, agent, unreserve("eng/b", size(1, 512))).unwrap();
    let offer = world.cluster.offers(world.now).into_iter().find(|offer| offer.agent == agent.id).unwrap();
    let effects = accepts(&mut world, framework, offer.id, vec![reserve("eng/b", None, size(1, 512))], &[]);
    assert_eq!(dropped(&effects, framework), [] as [String; 0], "what has ended makes room");
}

#[test]
fn who_may_see_some_roles_sees_what_is_reserved_for_these() {
    let mut world = World::new();
    let who = Principal { name: "ci".into(), kind: Kind::Framework(Roles::parse(&["eng"]).unwrap()), token: None };
    let session = world.session_of(who.clone());
    let subscribe = FrameworkCommand::Subscribe { member: None, info: framework_info("eng") };
    world.apply(Command::Framework(session, subscribe.into()));
    let agent = world.agent(4, 4096);
    decides(&mut world, agent, reserve("eng", None, size(1, 512))).unwrap();
    decides(&mut world, agent, reserve("web", None, size(1, 512))).unwrap();
    let seen_by = |who: &Principal| {
        let (agents, _) = world.cluster.agents_page(world.now, who, None, 10);
        agents.into_iter().flat_map(|view| view.reserved).map(|view| view.reserved).collect::<Vec<_>>()
    };

    assert_eq!(seen_by(&who), [part("eng", size(1, 512))]);
    assert_eq!(seen_by(&Principal::owner()).len(), 2);
}

#[test]
fn an_allocation_takes_of_what_is_reserved_and_counts_with_its_queue_towards_the_role_of_its_offer() {
    let mut world = World::new();
    let framework = world.framework("eng");
    let agent = world.agent(4, 4096);
    decides(&mut world, agent, reserve("eng", None, size(2, 1024))).unwrap();
    let offer = world.open_offer(framework);
    let number = |number| haggle_core::TaskId { framework: framework.id, number };
    let allocation = Arc::new(haggle_core::AllocationSpec {
        id: number(1),
        name: "queue".to_owned(),
        role: "web".to_owned(),
        resources: size(1, 512),
        volumes: Vec::new(),
        idle_timeout: Duration::from_secs(1),
    });

    let open = FrameworkCommand::Open { offers: vec![offer], allocation, refuse: Duration::ZERO };
    let effects = world.framework_says(framework, open);

    let opened = orders(&effects, agent);
    assert!(matches!(&opened[..], [AgentOrder::Open(spec)] if spec.role == "eng"), "{opened:?}");
    let view = world.cluster.agents(world.now).remove(0).reserved.remove(0);
    assert_eq!((view.used, view.offered), (size(1, 512), size(1, 512)));

    let spec = Arc::new(task(framework, 2, 1, 512));
    let tasks = vec![haggle_core::QueuedTasks { spec, count: 1, index: None }];
    world.framework_says(framework, FrameworkCommand::Enqueue { allocation: number(1), tasks, last: true });
    assert_eq!(world.cluster.task(number(2)).expect("it waits").role, "eng");
    assert_eq!(world.used_on(agent), size(1, 512));
}
