//! The life of a framework, over one session and several.

use std::time::Duration;

use haggle_core::cluster::FrameworkEvent;
use haggle_sdk::{
    Acknowledgement, CallError, Client, Constraint, Event, Events, Framework, FrameworkCommand, FrameworkId,
    FrameworkInfo, OfferId, Source, TaskId, TaskState, TaskStatus, Test, UpdateId, Want,
};
use tonic::Status;

use crate::played::{Played, Session, member, resources};

const TASK: TaskId = TaskId { framework: FrameworkId(1), number: 1 };

fn info() -> FrameworkInfo {
    FrameworkInfo { name: "f".to_owned(), roles: vec!["default".to_owned()], failover_timeout: Duration::from_secs(20) }
}

fn ack(update: u64) -> Acknowledgement {
    Acknowledgement { task: TASK, update: UpdateId(update), agent: None }
}

fn want() -> Want {
    let constraints = vec![Constraint { attribute: "os".to_owned(), test: Test::Equals("linux".to_owned()) }];
    Want { resources: resources(500), constraints, volumes: Vec::new(), waiting: 2, spare: 1, gang: 0 }
}

async fn subscribed(played: &mut Played) -> (Framework, Events, Session) {
    let client = Client::connect(&played.url()).await.unwrap();
    let joining = tokio::spawn(async move { Framework::connect(&client, info()).await });
    let mut session = played.session().await;
    assert_eq!(session.welcome().await, None);
    let (framework, events) = joining.await.unwrap().unwrap();
    (framework, events, session)
}

#[tokio::test]
async fn a_framework_hears_offers_and_updates_in_order() {
    let mut played = Played::start().await;
    let (framework, mut events, session) = subscribed(&mut played).await;

    session.offer(5, 1000).await;
    session.update(TASK, TaskState::Running).await;

    assert_eq!(framework.id(), FrameworkId(1));
    assert!(matches!(events.next().await, Some(Event::Offers(offers)) if offers[0].id == OfferId(5)));
    assert!(matches!(events.next().await, Some(Event::Update(status)) if status.task == TASK));
}

#[tokio::test]
async fn what_a_framework_says_arrives_in_order_and_updates_without_id_are_not_acknowledged() {
    let mut played = Played::start().await;
    let (framework, _events, mut session) = subscribed(&mut played).await;

    framework.acknowledge([ack(0)]).await.unwrap();
    framework.acknowledge([ack(2), ack(0)]).await.unwrap();
    framework.decline([OfferId(5)], Duration::from_secs(1)).await.unwrap();
    framework.kill(TASK).await.unwrap();
    framework.demand([want()]).await.unwrap();

    assert_eq!(session.hear().await, FrameworkCommand::Acknowledge(vec![ack(2)]));
    let decline = FrameworkCommand::Decline { offers: vec![OfferId(5)], refuse: Duration::from_secs(1) };
    assert_eq!(session.hear().await, decline);
    assert_eq!(session.hear().await, FrameworkCommand::Kill(TASK));
    assert_eq!(session.hear().await, FrameworkCommand::Demand { role: None, wants: vec![want()] });
}

#[tokio::test]
async fn a_framework_that_leaves_is_seen_off() {
    let mut played = Played::start().await;
    let (framework, events, mut session) = subscribed(&mut played).await;
    let left_behind = framework.clone();

    let leaving = tokio::spawn(framework.teardown(events));
    assert_eq!(session.hear().await, FrameworkCommand::Teardown);
    session.until_left().await;
    drop(session);

    leaving.await.unwrap().unwrap();
    assert!(left_behind.revive().await.is_err());
}

#[tokio::test]
async fn a_framework_whose_last_handle_is_dropped_disconnects() {
    let mut played = Played::start().await;
    let (framework, mut events, mut session) = subscribed(&mut played).await;

    drop(framework);
    session.until_left().await;
    drop(session);

    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_refused_subscription_is_an_error_in_the_masters_words() {
    let mut played = Played::start().await;
    let client = Client::connect(&played.url()).await.unwrap();

    let joining = tokio::spawn(async move { Framework::reconnect(&client, member(9), info()).await });
    let mut session = played.session().await;
    assert!(matches!(session.hear().await, FrameworkCommand::Subscribe { member: Some(who), .. } if who == member(9)));
    session.tell([FrameworkEvent::Error("framework has been removed".to_owned())]).await;

    let error = joining.await.unwrap().unwrap_err();
    assert!(matches!(&error, CallError::Refused(why) if why == "framework has been removed"), "{error}");
}

#[tokio::test]
async fn the_last_word_of_a_master_ends_events_and_commands() {
    let mut played = Played::start().await;
    let (framework, mut events, session) = subscribed(&mut played).await;

    session.tell([FrameworkEvent::Error("framework failed over to another connection".to_owned())]).await;

    assert!(matches!(events.next().await, Some(Event::Error(why)) if why.contains("failed over")));
    assert_eq!(events.next().await, None);
    assert!(framework.suppress().await.is_err());
}

#[tokio::test]
async fn a_broken_contract_is_the_last_word_too() {
    let mut played = Played::start().await;
    let (_framework, mut events, session) = subscribed(&mut played).await;

    session.fail(Status::failed_precondition("task-2.1 is not a task of framework-1")).await;

    assert_eq!(events.next().await, Some(Event::Error("task-2.1 is not a task of framework-1".to_owned())));
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn after_a_master_failed_over_the_framework_is_back_under_its_id_and_reconciles() {
    let mut played = Played::start().await;
    let (framework, mut events, session) = subscribed(&mut played).await;

    session.fail(Status::unavailable("the master is stopping")).await;
    let (address, stage) = played.stop().await;
    assert!(matches!(events.next().await, Some(Event::Disconnected(_))));
    framework.acknowledge([ack(3)]).await.unwrap();

    let mut played = Played::start_at(address, stage).await;
    let reading = tokio::spawn(async move {
        let back = events.next().await;
        (back, events.next().await)
    });
    let mut session = played.session().await;
    assert_eq!(session.welcome().await, Some(FrameworkId(1)));
    assert_eq!(session.hear().await, FrameworkCommand::Reconcile(Vec::new()));
    // Said while the master was away.
    assert_eq!(session.hear().await, FrameworkCommand::Acknowledge(vec![ack(3)]));
    let status = TaskStatus::new(TASK, UpdateId::UNACKNOWLEDGED, TaskState::Running, Source::Master);
    session.tell([FrameworkEvent::Update(status.clone())]).await;

    let (back, then) = reading.await.unwrap();
    assert_eq!(back, Some(Event::Subscribed(FrameworkId(1))));
    assert_eq!(then, Some(Event::Update(status)));
}

#[tokio::test]
async fn a_stream_that_just_ends_is_a_lost_master() {
    let mut played = Played::start().await;
    let (_framework, mut events, session) = subscribed(&mut played).await;

    drop(session);

    assert!(matches!(events.next().await, Some(Event::Disconnected(_))));
    let reading = tokio::spawn(async move { events.next().await });
    assert_eq!(played.session().await.welcome().await, Some(FrameworkId(1)));
    assert_eq!(reading.await.unwrap(), Some(Event::Subscribed(FrameworkId(1))));
}

#[tokio::test]
async fn a_master_that_stays_away_ends_the_framework_after_its_failover_timeout() {
    let mut played = Played::start().await;
    let client = Client::connect(&played.url()).await.unwrap();
    let short = FrameworkInfo { failover_timeout: Duration::from_millis(50), ..info() };
    let joining = tokio::spawn(async move { Framework::connect(&client, short).await });
    let mut session = played.session().await;
    session.welcome().await;
    let (framework, mut events) = joining.await.unwrap().unwrap();

    session.fail(Status::unavailable("the master is stopping")).await;
    played.stop().await;

    assert!(matches!(events.next().await, Some(Event::Disconnected(_))));
    assert!(matches!(events.next().await, Some(Event::Error(why)) if why.starts_with("lost the master at http://")));
    assert_eq!(events.next().await, None);
    assert!(framework.revive().await.is_err());
}
