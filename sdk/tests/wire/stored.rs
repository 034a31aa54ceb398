//! A framework with a store, and the instance that comes after it.

use std::path::Path;
use std::time::Duration;

use haggle_core::cluster::Question;
use haggle_sdk::{
    AgentId, Client, Digest, Event, Events, FileStore, Framework, FrameworkCommand, FrameworkId, FrameworkInfo, Memory,
    Offer, OfferId, Operation, PlacedOperation, Store, StoredFramework, Task, TaskId, TaskState, TaskStatus,
};

use crate::played::{Played, Session, resources};

fn info() -> FrameworkInfo {
    FrameworkInfo { name: "f".to_owned(), roles: vec!["default".to_owned()], failover_timeout: Duration::from_secs(20) }
}

fn task() -> Task {
    Task::new(Digest([1; 32])).name("item")
}

fn offer() -> Offer {
    Offer {
        id: OfferId(1),
        agent: AgentId(4),
        agent_name: "a4".to_owned(),
        attributes: Default::default(),
        role: "role".to_owned(),
        reserved: Vec::new(),
        volumes: Vec::new(),
        resources: resources(1000),
        unavailability: None,
    }
}

fn id(number: u64) -> TaskId {
    TaskId { framework: FrameworkId(1), number }
}

/// An instance with the store in this folder; as whom it comes.
async fn instance(
    played: &mut Played,
    folder: &Path,
) -> (StoredFramework<FileStore>, Events, Session, Option<FrameworkId>) {
    let client = Client::connect(&played.url()).await.unwrap();
    let store = FileStore::wait(folder).await.unwrap();
    let joining = tokio::spawn(async move { Framework::connect_stored(&client, info(), store).await });
    let mut session = played.session().await;
    let who = session.welcome().await;
    let (framework, events) = joining.await.unwrap().unwrap();
    (framework, events, session, who)
}

/// What is in the store of an instance that has died.
async fn left_behind(folder: &Path) -> Memory {
    FileStore::wait(folder).await.unwrap().load().await.unwrap()
}

/// The terminal update of a task.
async fn ended(session: &Session, events: &mut Events) -> TaskStatus {
    session.update(id(1), TaskState::Finished).await;
    match events.next().await {
        Some(Event::Update(status)) => status,
        other => panic!("wanted an update, got {other:?}"),
    }
}

#[tokio::test]
async fn the_next_instance_is_the_same_framework_and_asks_after_its_tasks() {
    let mut played = Played::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (mut first, events, mut session, who) = instance(&mut played, folder.path()).await;
    assert_eq!(who, None);
    assert_eq!(first.accept(&[offer()], &[task(), task()], Duration::ZERO).await.unwrap(), [id(1), id(2)]);
    assert_eq!(session.launched().await, [id(1), id(2)]);
    drop((first, events, session));

    let (mut second, _events, mut session, who) = instance(&mut played, folder.path()).await;

    assert_eq!((who, second.is_successor()), (Some(FrameworkId(1)), true));
    assert_eq!(session.hear().await, FrameworkCommand::Reconcile(Vec::new()));
    let question = |number| Question { task: id(number), agent: Some(AgentId(4)) };
    assert_eq!(session.hear().await, FrameworkCommand::Reconcile(vec![question(1), question(2)]));
    assert_eq!(second.accept(&[offer()], &[task()], Duration::ZERO).await.unwrap(), [id(3)]);
}

#[tokio::test]
async fn a_launch_is_in_the_store_even_if_the_master_never_hears_of_it() {
    let mut played = Played::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (mut first, events, session, _) = instance(&mut played, folder.path()).await;
    drop(session);

    first.accept(&[offer()], &[task()], Duration::ZERO).await.unwrap();
    drop((first, events));

    let memory = left_behind(folder.path()).await;
    assert_eq!((memory.last_number, memory.launched[&1].agent), (1, AgentId(4)));
}

#[tokio::test]
async fn each_task_of_a_group_is_in_the_store_with_its_own_agent() {
    let mut played = Played::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (mut first, events, mut session, _) = instance(&mut played, folder.path()).await;
    let tasks = [(AgentId(4), task()), (AgentId(5), task())];

    let launched = first.launch_group(&[offer()], &tasks, Duration::ZERO).await.unwrap();

    assert_eq!(launched, [id(1), id(2)]);
    let FrameworkCommand::LaunchGroup { tasks, .. } = session.hear_deed().await else { panic!("wanted a group") };
    assert_eq!(tasks.iter().map(|placed| placed.agent.0).collect::<Vec<_>>(), [4, 5]);
    drop((first, events, session));
    let memory = left_behind(folder.path()).await;
    assert_eq!((memory.launched[&1].agent, memory.launched[&2].agent), (AgentId(4), AgentId(5)));
}

#[tokio::test]
async fn what_is_reserved_with_a_launch_or_with_a_group_is_said_with_it_and_its_tasks_are_in_the_store() {
    let mut played = Played::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (mut first, events, mut session, _) = instance(&mut played, folder.path()).await;
    let reserve = Operation::Reserve { role: "role".to_owned(), within: None, resources: resources(500) };
    let placed = PlacedOperation { agent: AgentId(4), operation: reserve.clone().into() };

    first.accept_with(&[offer()], [reserve.clone()], &[task()], Duration::ZERO).await.unwrap();
    let tasks = [(AgentId(4), task())];
    first.launch_group_with(&[offer()], [placed.clone()], &tasks, Duration::ZERO).await.unwrap();

    let FrameworkCommand::Accept { operations, tasks, .. } = session.hear_deed().await else { panic!("no accept") };
    assert_eq!((operations, tasks[0].id), (vec![reserve.into()], id(1)));
    let FrameworkCommand::LaunchGroup { operations, tasks, .. } = session.hear_deed().await else { panic!("no group") };
    assert_eq!((operations, tasks[0].task.id), (vec![placed], id(2)));
    drop((first, events, session));
    assert_eq!(left_behind(folder.path()).await.launched.len(), 2);
}

#[tokio::test]
async fn an_end_is_in_the_store_with_its_note_before_it_is_acknowledged() {
    let mut played = Played::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (mut first, mut events, mut session, _) = instance(&mut played, folder.path()).await;
    first.accept(&[offer()], &[task()], Duration::ZERO).await.unwrap();
    session.launched().await;
    let status = ended(&session, &mut events).await;
    assert!(first.is_launched(status.task));

    first.acknowledge(std::slice::from_ref(&status), Some("one done".to_owned())).await.unwrap();

    assert!(matches!(session.hear().await, FrameworkCommand::Acknowledge(_)));
    assert!(!first.is_launched(status.task));
    drop((first, events));
    let memory = left_behind(folder.path()).await;
    assert_eq!((memory.launched.len(), memory.note.as_str()), (0, "one done"));
}

#[tokio::test]
async fn a_framework_that_leaves_for_good_leaves_nothing_behind() {
    let mut played = Played::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (framework, events, mut session, _) = instance(&mut played, folder.path()).await;

    let leaving = tokio::spawn(framework.teardown(events));
    assert_eq!(session.hear().await, FrameworkCommand::Teardown);
    drop(session);
    leaving.await.unwrap().unwrap();

    assert_eq!(left_behind(folder.path()).await, Memory::default());
}
