//! Several masters, of which one leads.

use std::time::Duration;

use haggle_core::cluster::FrameworkEvent;
use haggle_sdk::{Client, Event, Framework, FrameworkCommand, FrameworkId, FrameworkInfo, UpdateId};
use tokio::net::TcpListener;
use tonic::Status;

use crate::played::{Played, Session, agent};

/// An address where nobody listens.
async fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

/// A master that stands by while this one leads.
async fn standby(leader: &Played) -> Played {
    let standby = Played::start().await;
    *standby.stage.leader.lock().unwrap() = Some(format!("http://{}", leader.url()));
    standby
}

fn info() -> FrameworkInfo {
    FrameworkInfo { name: "f".to_owned(), roles: vec!["default".to_owned()], failover_timeout: Duration::from_secs(20) }
}

async fn subscribed(client: Client, leader: &mut Played) -> (Framework, haggle_sdk::Events, Session) {
    let joining = tokio::spawn(async move { Framework::connect(&client, info()).await });
    let mut session = leader.session().await;
    session.welcome().await;
    let (framework, events) = joining.await.unwrap().unwrap();
    (framework, events, session)
}

#[tokio::test]
async fn each_master_of_a_list_is_tried() {
    let played = Played::start().await;
    let list = format!("{},{}", nobody().await, played.url());

    let client = Client::connect(&list).await.unwrap();

    assert_eq!(client.url(), format!("http://{}", played.url()));
    assert_eq!(client.master().await.unwrap().version, "played");
}

#[tokio::test]
async fn where_no_master_of_a_list_answers_all_are_named() {
    let list = [nobody().await, nobody().await];

    let error = Client::connect_within(&list.join(","), Duration::from_millis(30)).await.unwrap_err();

    let said = error.to_string();
    assert!(said.starts_with(&format!("no master answers at http://{} or http://{}", list[0], list[1])), "{said}");
}

#[tokio::test]
async fn calls_go_where_a_standby_points_to() {
    let leader = Played::start().await;
    leader.stage.agents.lock().unwrap().push(agent(1000));
    let standby = standby(&leader).await;

    // The leader is not even in the list.
    let client = Client::connect(&standby.url()).await.unwrap();

    assert_eq!(client.agents().await.unwrap().len(), 1);
    assert_eq!(client.url(), format!("http://{}", leader.url()));
    client.upload_bytes("artifact").await.unwrap();
    assert_eq!((*standby.stage.uploads.lock().unwrap(), *leader.stage.uploads.lock().unwrap()), (0, 1));
}

#[tokio::test]
async fn a_call_finds_the_next_leader_when_the_old_one_is_gone() {
    let old = Played::start().await;
    let new = Played::start().await;
    new.stage.agents.lock().unwrap().push(agent(1000));
    let client = Client::connect(&format!("{},{}", old.url(), new.url())).await.unwrap();
    assert_eq!(client.agents().await.unwrap().len(), 0);

    old.stop().await;

    assert_eq!(client.agents().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_session_follows_the_leader_and_takes_along_what_means_something_there() {
    let mut old = Played::start().await;
    let mut new = Played::start().await;
    let client = Client::connect(&format!("{},{}", old.url(), new.url())).await.unwrap();
    let (framework, mut events, mut session) = subscribed(client, &mut old).await;
    let task = haggle_sdk::TaskId { framework: FrameworkId(1), number: 1 };
    framework.kill(task).await.unwrap();
    assert_eq!(session.hear_call().await.number, 1);

    session.fail(Status::unavailable("this master stands by")).await;
    old.stop().await;
    assert!(matches!(events.next().await, Some(Event::Disconnected(_))));
    let reading = tokio::spawn(async move { (events.next().await, events) });
    let mut session = new.session().await;
    assert_eq!(session.welcome_by(2, 0).await, Some(FrameworkId(1)));

    assert_eq!(session.hear().await, FrameworkCommand::Reconcile(Vec::new()));
    let again = session.hear_call().await;
    assert_eq!((again.number, again.command), (2, FrameworkCommand::Kill(task)));
    assert_eq!(reading.await.unwrap().0, Some(Event::Subscribed(FrameworkId(1))));
}

#[tokio::test]
async fn a_stale_master_is_left_for_the_one_that_leads() {
    let mut stale = Played::start().await;
    let mut leader = Played::start().await;
    let client = Client::connect(&format!("{},{}", leader.url(), stale.url())).await.unwrap();
    let joining = tokio::spawn(async move { Framework::connect(&client, info()).await });
    let mut session = leader.session().await;
    session.welcome_by(3, 0).await;
    let (_framework, mut events) = joining.await.unwrap().unwrap();

    session.fail(Status::unavailable("the master is stopping")).await;
    let (address, stage) = leader.stop().await;
    assert!(matches!(events.next().await, Some(Event::Disconnected(_))));
    let reading = tokio::spawn(async move { (events.next().await, events) });
    let mut session = stale.session().await;
    session.welcome_by(2, 0).await;
    session.until_left().await;
    let mut leader = Played::start_at(address, stage).await;
    let mut session = loop {
        tokio::select! {
            session = leader.session() => break session,
            mut session = stale.session() => {
                session.welcome_by(2, 0).await;
            }
        }
    };
    session.welcome_by(3, 0).await;

    assert_eq!(reading.await.unwrap().0, Some(Event::Subscribed(FrameworkId(1))));
}

#[tokio::test]
async fn an_answer_to_what_is_not_ours_ends_no_session() {
    let mut played = Played::start().await;
    let client = Client::connect(&played.url()).await.unwrap();
    let (framework, mut events, mut session) = subscribed(client, &mut played).await;
    let foreign = haggle_sdk::TaskId { framework: FrameworkId(99), number: 1 };
    framework.kill(foreign).await.unwrap();
    assert_eq!(session.hear().await, FrameworkCommand::Kill(foreign));

    let source = haggle_sdk::Source::Master;
    let status = haggle_sdk::TaskStatus::new(foreign, UpdateId(0), haggle_sdk::TaskState::Error, source);
    session.tell([FrameworkEvent::Update(status.clone())]).await;
    session.offer(1, 1000).await;

    assert_eq!(events.next().await, Some(Event::Update(status)));
    assert!(matches!(events.next().await, Some(Event::Offers(_))));
}
