//! Masters that restart, change, refuse or stay away.

use std::collections::HashSet;
use std::time::Duration;

use haggle_agent::{Agent, Config, Drained, Stopped};
use haggle_core::{AgentId, Digest, Resources, TaskSpec};
use haggle_proto::v1;
use haggle_proto::v1::agent_order::Order;
use haggle_proto::v1::agent_refused::Then;
use haggle_proto::v1::agent_report::Report;

use crate::played::{HELLO, Master, SPINNER, id, member, soon, task};

/// An agent whose tasks outlive it.
fn lasting(master: &Master, dir: &std::path::Path) -> Config {
    Config { recovery_timeout: Duration::from_secs(600), ..master.agent(dir) }
}

/// Waits until the master has turned agents away so often.
async fn turned_away(master: &Master, times: usize) {
    soon(async {
        while master.turned_away() < times {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn executors(dir: &std::path::Path) -> usize {
    std::fs::read_dir(dir.join("work/executors")).unwrap().count()
}

#[tokio::test]
async fn a_superseded_master_is_hung_up_on_before_its_orders_are_carried_out() {
    let (mut master, dir) = (Master::start().await, tempfile::tempdir().unwrap());
    let agent = Agent::start(master.agent(dir.path())).await.unwrap();
    let (_, mut session) = master.knock().await;
    session.epoch = 5;
    session.take_in(1).await;
    soon(agent.registered()).await.unwrap();
    drop(session);

    let (_, mut stale) = master.knock().await;
    stale.epoch = 4;
    stale.order_all(vec![stale.registered(1), Order::Launch(task(1, master.module(SPINNER)).into())]).await;

    stale.closed().await;
    let (register, mut session) = master.knock().await;
    assert_eq!(register.tasks, []);
    session.epoch = 5;
    session.take_in(1).await;
    session.launch(task(2, master.module(HELLO))).await;
    session.hear_of(id(2), v1::TaskState::Finished).await;
    session.epoch = 4;
    session.kill(id(2)).await;
    session.closed().await;
}

#[tokio::test]
async fn the_highest_epoch_is_remembered_over_a_restart() {
    let (mut master, dir) = (Master::start().await, tempfile::tempdir().unwrap());
    let agent = Agent::start(master.agent(dir.path())).await.unwrap();
    let (_, mut session) = master.knock().await;
    session.epoch = 5;
    session.take_in(1).await;
    soon(agent.registered()).await.unwrap();
    soon(agent.stop()).await;

    let agent = Agent::start(master.agent(dir.path())).await.unwrap();

    let (_, mut stale) = master.knock().await;
    stale.epoch = 4;
    stale.take_in(1).await;
    stale.closed().await;
    let (_, mut session) = master.knock().await;
    session.epoch = 6;
    session.take_in(1).await;
    assert_eq!(soon(agent.registered()).await, Ok(AgentId(1)));
}

#[tokio::test]
async fn an_agent_proves_its_id_with_its_key_and_names_each_start() {
    let (mut master, dir) = (Master::start().await, tempfile::tempdir().unwrap());
    let agent = Agent::start(master.agent(dir.path())).await.unwrap();
    let (first, session) = master.knock().await;
    drop(session);
    let (again, session) = master.knock().await;
    assert_eq!((&again.key, again.run), (&first.key, first.run), "another connection, the same start");
    session.take_in(1).await;
    soon(agent.registered()).await.unwrap();
    soon(agent.stop()).await;

    let _agent = Agent::start(master.agent(dir.path())).await.unwrap();

    let (next, _session) = master.knock().await;
    assert_eq!((&next.key, next.member), (&first.key, Some(member(1))));
    assert_ne!(next.run, first.run);
}

#[tokio::test]
async fn the_leader_is_found_among_several_and_followed_when_it_changes() {
    let (mut first, mut second) = (Master::start().await, Master::start().await);
    let dir = tempfile::tempdir().unwrap();
    first.stand_by(Some(&second));
    let config =
        Config { master: Some(format!("{},{}", first.address(), second.address())), ..first.agent(dir.path()) };
    let _agent = Agent::start(config).await.unwrap();

    let mut session = second.welcome().await;

    assert_eq!(first.turned_away(), 1);
    // Each has a module that the other does not have: artifacts come from the leader.
    session.launch(task(1, second.module(HELLO))).await;
    session.hear_of(id(1), v1::TaskState::Finished).await;
    second.stand_by(Some(&first));
    first.lead();
    drop(session);
    let (register, mut session) = first.knock().await;
    assert_eq!(register.member, Some(member(1)));
    session.epoch = 2;
    session.take_in(1).await;
    let end = session.hear_of(id(1), v1::TaskState::Finished).await;
    session.acknowledge(&end).await;
    session.launch(task(2, first.module(SPINNER))).await;
    session.hear_of(id(2), v1::TaskState::Running).await;
}

#[tokio::test]
async fn masters_without_a_leader_are_asked_until_there_is_one() {
    let (mut first, second) = (Master::start().await, Master::start().await);
    let dir = tempfile::tempdir().unwrap();
    first.stand_by(None);
    second.stand_by(None);
    let config =
        Config { master: Some(format!("{},{}", first.address(), second.address())), ..first.agent(dir.path()) };
    let agent = Agent::start(config).await.unwrap();
    turned_away(&first, 2).await;
    turned_away(&second, 2).await;

    first.lead();

    first.welcome().await;
    assert_eq!(soon(agent.registered()).await, Ok(AgentId(1)));
}

#[tokio::test]
async fn an_agent_that_is_to_come_later_does() {
    let (mut master, dir) = (Master::start().await, tempfile::tempdir().unwrap());
    let agent = Agent::start(master.agent(dir.path())).await.unwrap();
    let (_, mut session) = master.knock().await;

    session.refuse("its id is connected", Then::Later).await;

    session.closed().await;
    master.welcome().await;
    assert_eq!(soon(agent.registered()).await, Ok(AgentId(1)));
}

#[tokio::test]
async fn an_agent_that_is_gone_ends_its_tasks_and_comes_back_as_somebody_new() {
    let (mut master, dir) = (Master::start().await, tempfile::tempdir().unwrap());
    let mut agent = Agent::start(lasting(&master, dir.path())).await.unwrap();
    let (first, mut session) = master.knock().await;
    session.take_in(1).await;
    session.launch(task(1, master.module(SPINNER))).await;
    session.hear_of(id(1), v1::TaskState::Running).await;
    drop(session);

    let (_, session) = master.knock().await;
    session.refuse("agent-1 was away for 24 h", Then::Gone).await;

    let why = soon(agent.stopped()).await;
    assert_eq!(why, Stopped::Gone("agent-1 was away for 24 h".to_owned()));
    assert!(why.to_string().contains("it joins as a new agent when it is started again"), "{why}");
    assert_eq!(executors(dir.path()), 0, "its tasks have ended");
    let _agent = Agent::start(lasting(&master, dir.path())).await.unwrap();
    let (register, _session) = master.knock().await;
    assert_eq!((register.member, register.tasks.len()), (None, 0));
    assert_ne!(register.key, first.key);
}

#[tokio::test]
async fn an_agent_that_is_refused_leaves_its_tasks_to_the_next() {
    let (mut master, dir) = (Master::start().await, tempfile::tempdir().unwrap());
    let mut agent = Agent::start(lasting(&master, dir.path())).await.unwrap();
    let mut session = master.welcome().await;
    session.launch(task(1, master.module(SPINNER))).await;
    session.hear_of(id(1), v1::TaskState::Running).await;
    drop(session);

    let (_, session) = master.knock().await;
    session.refuse("a wrong key", Then::Unspecified).await;

    assert_eq!(soon(agent.stopped()).await, Stopped::Refused("a wrong key".to_owned()));
    let agent = Agent::start(lasting(&master, dir.path())).await.unwrap();
    let (register, session) = master.knock().await;
    assert_eq!(register.member, Some(member(1)));
    let held: Vec<_> = register.tasks.iter().map(|task| (task.id, task.state())).collect();
    assert_eq!(held, [(Some(id(1).into()), v1::TaskState::Running)]);
    session.take_in(1).await;
    soon(agent.stop()).await;
}

#[tokio::test]
async fn a_drain_without_a_master_keeps_the_id() {
    let (mut master, dir) = (Master::start().await, tempfile::tempdir().unwrap());
    let config = Config { drain_margin: Duration::from_millis(300), ..master.agent(dir.path()) };
    let agent = Agent::start(config.clone()).await.unwrap();
    let session = master.welcome().await;
    soon(agent.registered()).await.unwrap();
    master.stand_by(None);
    drop(session);
    turned_away(&master, 1).await;

    assert_eq!(soon(agent.drain()).await, Drained::Unheard);

    master.lead();
    let _again = Agent::start(config).await.unwrap();
    assert_eq!(master.knock().await.0.member, Some(member(1)));
}

#[tokio::test]
async fn a_drain_waits_for_its_master_to_say_farewell() {
    let (mut master, dir) = (Master::start().await, tempfile::tempdir().unwrap());
    let agent = Agent::start(master.agent(dir.path())).await.unwrap();
    let mut session = master.welcome().await;
    session.launch(task(1, master.module(SPINNER))).await;
    session.hear_of(id(1), v1::TaskState::Running).await;
    master.stand_by(None);
    drop(session);
    turned_away(&master, 1).await;
    let draining = tokio::spawn(agent.drain());
    turned_away(&master, master.turned_away() + 1).await;

    master.lead();

    let (register, mut session) = master.knock().await;
    assert_eq!(register.member, Some(member(1)));
    session.take_in(1).await;
    assert_eq!(session.hear().await, Report::Drain(v1::Drain {}));
    let end = session.hear_of(id(1), v1::TaskState::Killed).await;
    session.acknowledge(&end).await;
    assert_eq!(session.hear().await, Report::Leave(v1::Leave {}));
    drop(session);
    assert_eq!(soon(draining).await.unwrap(), Drained::Left);
    let _again = Agent::start(master.agent(dir.path())).await.unwrap();
    assert_eq!(master.knock().await.0.member, None);
}

#[tokio::test]
#[cfg_attr(windows, ignore = "25 MiB take Wine longer than anybody waits for a silent peer")]
async fn more_tasks_than_a_message_holds_are_registered_in_pieces_and_nothing_is_said_before_the_last() {
    // Some 25 MiB. Not a million, which take minutes without optimisation: that the pieces of so many are small is shown
    // where they are made.
    const TASKS: u64 = 30_000;
    const AT_ONCE: u64 = 10_000;
    let (mut master, dir) = (Master::start().await, tempfile::tempdir().unwrap());
    let _agent = Agent::start(master.agent(dir.path())).await.unwrap();
    let mut session = master.welcome().await;
    // Nobody has their module: they end, and their ends are never acknowledged.
    let launch = |number| {
        let name = "x".repeat(800);
        // There is room for any number of them.
        let resources = Resources::default();
        Order::Launch(TaskSpec { name, resources, ..task(number, Digest([7; 32])) }.into())
    };
    for first in (0..TASKS).step_by(AT_ONCE as usize) {
        session.order_all((first..first + AT_ONCE).map(launch).collect()).await;
        // Answered once these were launched.
        session.read(id(first + AT_ONCE - 1), 0, false).await;
    }
    drop(session);

    let (register, mut session) = master.knock().await;

    let (mut tasks, mut more, mut pieces) = (HashSet::new(), register.more, 1);
    tasks.extend(register.tasks.iter().map(|task| task.id.unwrap().number));
    assert!(more);
    while more {
        let Report::Holds(held) = session.hear_even_heartbeats().await else { panic!("not all is told") };
        pieces += 1;
        tasks.extend(held.tasks.iter().map(|task| task.id.unwrap().number));
        more = held.more;
    }
    assert_eq!(tasks.len() as u64, TASKS);
    assert!(pieces > 16, "{pieces}");
    session.take_in(1).await;
    assert!(matches!(session.hear().await, Report::Updates(_)));
}
