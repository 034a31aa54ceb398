//! Tasks that outlive their agent, and executors that do not start.

use std::time::Duration;

use haggle_agent::{Agent, Config, Starting};
use haggle_core::{AgentId, Bytes, Folder, FolderSource, FrameworkId, MilliCpu, Resources, TaskId, TaskSpec, VolumeId};
use haggle_executor::process;
use haggle_proto::v1;
use haggle_proto::v1::agent_order::Order;

use crate::played::{HELLO, Master, SPINNER, Session, id, member, soon, task};

/// An agent whose tasks outlive it, taken in as agent 1.
async fn lasting(master: &mut Master, dir: &std::path::Path) -> (Agent, Session) {
    let config = Config { recovery_timeout: Duration::from_secs(600), ..master.agent(dir) };
    let agent = Agent::start(config).await.unwrap();
    let session = master.welcome().await;
    soon(agent.registered()).await.unwrap();
    (agent, session)
}

/// The same agent once more: which tasks it comes with, and where they stand.
async fn back(
    master: &mut Master,
    dir: &std::path::Path,
) -> (Agent, Session, Vec<(Option<v1::TaskId>, v1::TaskState)>) {
    let config = Config { recovery_timeout: Duration::from_secs(600), ..master.agent(dir) };
    let agent = Agent::start(config).await.unwrap();
    let (register, session) = master.knock().await;
    assert_eq!(register.member, Some(member(1)));
    let held = register.tasks.iter().map(|task| (task.id, task.state())).collect();
    session.take_in(1).await;
    assert_eq!(soon(agent.registered()).await, Ok(AgentId(1)));
    (agent, session, held)
}

fn executors(dir: &std::path::Path) -> usize {
    std::fs::read_dir(dir.join("work/executors")).unwrap().count()
}

#[tokio::test]
async fn a_task_runs_on_under_the_next_agent() {
    let (mut master, dir) = (Master::start().await, tempfile::tempdir().unwrap());
    let (agent, mut session) = lasting(&mut master, dir.path()).await;
    session.launch(task(1, master.module(SPINNER))).await;
    session.hear_of(id(1), v1::TaskState::Running).await;

    soon(agent.leave()).await;
    let (agent, mut session, held) = back(&mut master, dir.path()).await;

    assert_eq!(held, [(Some(id(1).into()), v1::TaskState::Running)]);
    session.hear_of(id(1), v1::TaskState::Running).await;
    session.kill(id(1)).await;
    let end = session.hear_of(id(1), v1::TaskState::Killed).await;
    assert_eq!(end.reason(), v1::Reason::KillRequested);
    soon(agent.stop()).await;
}

#[tokio::test]
async fn an_end_that_was_not_acknowledged_is_told_by_the_next_agent_and_then_forgotten() {
    let (mut master, dir) = (Master::start().await, tempfile::tempdir().unwrap());
    let (agent, mut session) = lasting(&mut master, dir.path()).await;
    session.launch(task(1, master.module(HELLO))).await;
    let first = session.hear_of(id(1), v1::TaskState::Finished).await;

    soon(agent.leave()).await;
    let (agent, mut session, held) = back(&mut master, dir.path()).await;

    assert_eq!(held, [(Some(id(1).into()), v1::TaskState::Finished)]);
    let again = session.hear_of(id(1), v1::TaskState::Finished).await;
    assert!(again.update > first.update, "{} after {}", again.update, first.update);
    assert_eq!((again.exit_code, again.usage), (first.exit_code, first.usage));
    assert_eq!(session.read(id(1), 0, true).await.data, "hello", "what the first agent had in memory is not lost");
    // The first agent's update is acknowledged late: that settles nothing.
    session.acknowledge(&first).await;
    session.acknowledge(&again).await;
    session.launch(task(2, master.module(HELLO))).await;
    session.hear_of(id(2), v1::TaskState::Finished).await;
    soon(agent.leave()).await;
    let (agent, _session, held) = back(&mut master, dir.path()).await;
    assert_eq!(held, [(Some(id(2).into()), v1::TaskState::Finished)]);
    soon(agent.stop()).await;
}

#[tokio::test]
async fn the_next_agent_tells_for_what_a_task_was_ended() {
    for (order, ends) in [
        (Order::StopAll(v1::StopAll {}), (v1::TaskState::Killed, v1::Reason::AgentDraining)),
        (end_for(v1::Reason::Preempted), (v1::TaskState::Gone, v1::Reason::Preempted)),
        (end_for(v1::Reason::TaskGroup), (v1::TaskState::Killed, v1::Reason::TaskGroup)),
    ] {
        let (mut master, dir) = (Master::start().await, tempfile::tempdir().unwrap());
        let (agent, mut session) = lasting(&mut master, dir.path()).await;
        session.launch(task(1, master.module(SPINNER))).await;
        session.hear_of(id(1), v1::TaskState::Running).await;
        session.order(order).await;
        let first = session.hear_of(id(1), ends.0).await;

        soon(agent.leave()).await;
        let (agent, mut session, held) = back(&mut master, dir.path()).await;

        assert_eq!(held, [(Some(id(1).into()), ends.0)]);
        let again = session.hear_of(id(1), ends.0).await;
        assert_eq!((again.reason(), &again.message), (ends.1, &first.message));
        soon(agent.stop()).await;
    }
}

fn end_for(reason: v1::Reason) -> Order {
    let why = "it is wanted back".to_owned();
    Order::End(v1::EndTask { task: Some(id(1).into()), reason: reason.into(), why })
}

#[tokio::test]
async fn an_agent_that_is_stopped_leaves_no_executor() {
    let (mut master, dir) = (Master::start().await, tempfile::tempdir().unwrap());
    let (agent, mut session) = lasting(&mut master, dir.path()).await;
    session.launch(task(1, master.module(SPINNER))).await;
    session.hear_of(id(1), v1::TaskState::Running).await;
    assert_eq!(executors(dir.path()), 1);

    soon(agent.stop()).await;

    assert_eq!(executors(dir.path()), 0);
    let (agent, _session, held) = back(&mut master, dir.path()).await;
    assert_eq!(held, []);
    soon(agent.stop()).await;
}

#[tokio::test]
async fn a_task_whose_executor_does_not_start_fails_and_says_why() {
    let (mut master, dir) = (Master::start().await, tempfile::tempdir().unwrap());
    // The module is compiled by one that is there.
    let agent = Agent::start(master.agent(dir.path())).await.unwrap();
    let mut session = master.welcome().await;
    session.launch(task(1, master.module(HELLO))).await;
    let end = session.hear_of(id(1), v1::TaskState::Finished).await;
    session.acknowledge(&end).await;
    soon(agent.stop()).await;
    let config = Config { program: dir.path().join("nowhere"), ..master.agent(dir.path()) };
    let _agent = Agent::start(config).await.unwrap();
    let mut session = master.welcome().await;

    session.launch(task(2, master.module(HELLO))).await;

    let end = session.hear_of(id(2), v1::TaskState::Failed).await;
    assert_eq!(end.reason(), v1::Reason::ExecutorTerminated);
    assert!(end.message.starts_with("the executor did not start: cannot start "), "{}", end.message);
}

#[tokio::test]
async fn an_executor_is_ready_for_a_framework_that_is_expected_and_gone_with_a_transient_agent() {
    let dir = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let mut config = master.agent(dir.path());
    config.expected = Some(id(1).framework);
    config.is_transient = true;
    let agent = Agent::start(config).await.unwrap();
    let mut session = master.welcome().await;
    while executors(dir.path()) == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }

    session.launch(task(1, master.module(HELLO))).await;
    session.hear_of(id(1), v1::TaskState::Finished).await;

    assert_eq!(executors(dir.path()), 1, "the task runs in the one that was ready");
    let executor = process::Folder::at(dir.path().join("work/executors/1-1"));
    assert!(executor.is_claimed());
    soon(agent.stop()).await;
    assert!(!executor.is_claimed(), "no process is left; its folder is with that of the agent");
}

#[tokio::test]
async fn an_executor_is_made_of_a_process_that_was_started_before_its_agent() {
    let (mut master, dir) = (Master::start().await, tempfile::tempdir().unwrap());
    let folder = process::Folder::at(dir.path().join("first"));
    let config = master.agent(dir.path());
    let first = Starting::begin(&config.program, folder.path()).unwrap();
    let agent = Agent::start_with(config, Some(first)).await.unwrap();
    let mut session = master.welcome().await;

    session.launch(task(1, master.module(HELLO))).await;
    session.hear_of(id(1), v1::TaskState::Finished).await;

    assert!(folder.is_claimed());
    assert_eq!(executors(dir.path()), 0, "no other one was started");
    soon(agent.stop()).await;
    assert!(!folder.path().exists());
}

#[tokio::test]
async fn a_process_that_nobody_makes_an_executor_of_ends_with_who_started_it() {
    let (master, dir) = (Master::start().await, tempfile::tempdir().unwrap());
    let folder = process::Folder::at(dir.path().join("first"));

    drop(Starting::begin(&master.agent(dir.path()).program, folder.path()).unwrap());

    assert!(!folder.path().exists());
}

/// One executor reaches what one set of volumes is, and a few volumes have more sets than an agent has processes.
#[tokio::test]
async fn a_framework_that_mounts_many_sets_of_volumes_leaves_executors_to_others() {
    const MOST: u64 = 32;
    let (mut master, dir) = (Master::start().await, tempfile::tempdir().unwrap());
    let _agent = Agent::start(master.agent(dir.path())).await.unwrap();
    let mut session = master.welcome().await;
    let small = |number, source: Option<FolderSource>| {
        let mut spec = task(number, master.module(SPINNER));
        spec.resources = Resources::new(MilliCpu::new(10), Bytes::from_mib(1), Bytes::ZERO);
        spec.grants.folders =
            source.map(|source| Folder { guest_path: "/data".to_owned(), source }).into_iter().collect();
        spec
    };
    for number in 1..=MOST + 1 {
        let volume = VolumeId { agent: AgentId(1), number };
        let made = v1::MakeVolume { volume: Some(volume.into()), role: "eng".to_owned(), size_bytes: 1 << 20 };
        session.order(Order::CreateVolume(made)).await;
        session.launch(small(number, Some(FolderSource::Volume { volume, writable: true }))).await;
        if number <= MOST {
            let runs = session.hear_of(id(number), v1::TaskState::Running).await;
            session.acknowledge(&runs).await;
        }
    }

    let refused = session.hear_of(id(MOST + 1), v1::TaskState::Failed).await;
    assert!(refused.message.starts_with("32 executors of framework-1 are at work"), "{}", refused.message);
    let other = TaskId { framework: FrameworkId(2), number: 1 };
    session.launch(TaskSpec { id: other, ..small(1, None) }).await;
    session.hear_of(other, v1::TaskState::Running).await;
}
