//! An agent between a played master and the real executor.

mod failover;
mod outliving;
mod played;

use std::time::{Duration, Instant};

use haggle_agent::{Agent, BadMaster, Config, Drained, StartError, Stopped, WorkDirError};
use haggle_core::{AgentId, Digest, Input};
use haggle_proto::v1;
use haggle_proto::v1::agent_order::Order;
use haggle_proto::v1::agent_refused::Then;
use haggle_proto::v1::agent_report::Report;

use played::{ENV, HELLO, Master, SPINNER, id, member, soon, task};

/// A master, a folder, and an agent of the one in the other, taken in as agent 1.
async fn cluster() -> (Master, played::Session, Agent, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let agent = Agent::start(master.agent(dir.path())).await.unwrap();
    let session = master.welcome().await;
    (master, session, agent, dir)
}

#[tokio::test]
async fn it_registers_with_what_it_is_and_has() {
    let dir = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let mut config = master.agent(dir.path());
    config.attributes.insert("zone".to_owned(), "north".to_owned());

    let agent = Agent::start(config).await.unwrap();

    let (register, session) = master.knock().await;
    let info = register.info.unwrap();
    assert_eq!((register.member, info.name.as_str(), register.tasks.len()), (None, "tester", 0));
    assert_eq!((register.key.len(), register.more), (16, false));
    assert_eq!(info.resources, Some(agent.resources().clone().into()));
    assert_eq!(info.attributes["zone"], "north");
    session.take_in(5).await;
    assert_eq!(soon(agent.registered()).await, Ok(AgentId(5)));
}

#[tokio::test]
async fn it_comes_back_under_its_id() {
    let (mut master, _session, agent, dir) = cluster().await;
    assert_eq!(soon(agent.registered()).await, Ok(AgentId(1)));
    soon(agent.stop()).await;

    let _again = Agent::start(master.agent(dir.path())).await.unwrap();

    let (register, _session) = master.knock().await;
    assert_eq!(register.member, Some(member(1)));
}

#[tokio::test]
async fn a_task_runs_and_its_output_can_be_read() {
    let (master, mut session, _agent, _dir) = cluster().await;
    session.launch(task(1, master.module(HELLO))).await;

    let end = session.hear_of(id(1), v1::TaskState::Finished).await;

    assert_eq!((end.exit_code, end.agent, end.source()), (Some(0), Some(1), v1::Source::Executor));
    let usage = end.usage.unwrap();
    assert!(usage.wall_ns > 0 && usage.cpu_ns > 0, "{usage:?}");
    assert_eq!(usage.output_bytes, 5);
    let chunk = session.read(id(1), 0, false).await;
    assert_eq!((&chunk.data[..], chunk.offset, chunk.end, chunk.error.as_str()), (&b"hello"[..], 0, true, ""));
    assert_eq!(session.read(id(1), 2, true).await.data, "llo");
}

#[tokio::test]
async fn a_task_is_told_where_it_runs() {
    let (master, mut session, _agent, _dir) = cluster().await;
    let mut spec = task(1, master.module(ENV));
    spec.env = vec![("MINE".to_owned(), "x".to_owned())];
    session.launch(spec).await;
    session.hear_of(id(1), v1::TaskState::Finished).await;

    let chunk = session.read(id(1), 0, false).await;

    let mut env: Vec<_> = chunk.data.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
    env.sort();
    assert_eq!(env, ["", "HAGGLE_AGENT=tester", "HAGGLE_TASK_ID=task-1.1", "MINE=x"]);
}

#[tokio::test]
async fn a_spinning_task_is_killed() {
    let (master, mut session, _agent, _dir) = cluster().await;
    session.launch(task(1, master.module(SPINNER))).await;
    session.hear_of(id(1), v1::TaskState::Running).await;

    session.kill(id(1)).await;

    let end = session.hear_of(id(1), v1::TaskState::Killed).await;
    assert_eq!(end.reason(), v1::Reason::KillRequested);
    let chunk = session.read(id(1), 0, true).await;
    assert!(chunk.end && chunk.data.is_empty(), "{chunk:?}");
}

#[tokio::test]
async fn who_reads_ahead_of_a_task_is_answered_when_it_ends() {
    let (master, mut session, _agent, _dir) = cluster().await;
    session.launch(task(1, master.module(SPINNER))).await;
    let stream = v1::OutputStream::Stderr.into();
    let ask = v1::ReadLogOrder { request: 3, task: Some(id(1).into()), stream, offset: 0, wait: true };
    session.order(Order::ReadLog(ask)).await;
    session.kill(id(1)).await;

    let chunk = loop {
        if let Report::Log(chunk) = session.hear().await {
            break chunk;
        }
    };

    assert_eq!((chunk.request, chunk.end, chunk.error.as_str()), (3, true, ""));
}

#[tokio::test]
async fn output_of_an_unknown_task_is_an_error() {
    let (_master, mut session, _agent, _dir) = cluster().await;

    let chunk = session.read(id(9), 0, true).await;

    assert_eq!(chunk.error, "no output of task-1.9 is kept here");
}

#[tokio::test]
async fn tasks_outlive_the_connection_and_updates_are_sent_again() {
    let (mut master, mut session, _agent, _dir) = cluster().await;
    session.launch(task(1, master.module(SPINNER))).await;
    let told = session.hear_of(id(1), v1::TaskState::Running).await;

    drop(session);

    let (register, mut session) = master.knock().await;
    assert_eq!(register.member, Some(member(1)));
    let held: Vec<_> = register.tasks.iter().map(|task| (task.id, task.state())).collect();
    assert_eq!(held, [(Some(id(1).into()), v1::TaskState::Running)]);
    assert_eq!(register.tasks[0].resources, Some(task(1, Digest([0; 32])).resources.into()));
    session.take_in(1).await;
    assert_eq!(session.hear_of(id(1), v1::TaskState::Running).await, told);
    session.kill(id(1)).await;
    session.hear_of(id(1), v1::TaskState::Killed).await;
}

#[tokio::test]
async fn a_silent_master_is_left_and_sought_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let config = Config { heartbeat: Duration::from_millis(100), ..master.agent(dir.path()) };
    let _agent = Agent::start(config).await.unwrap();
    let mut silent = master.welcome().await;
    while !matches!(silent.hear_even_heartbeats().await, Report::Heartbeat(_)) {}

    let _next = master.welcome().await;

    silent.closed().await;
}

#[tokio::test]
async fn an_agent_says_that_it_lives_as_seldom_as_its_master_wants() {
    const WANTED: Duration = Duration::from_secs(2);
    let dir = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let config = Config { heartbeat: Duration::from_millis(100), ..master.agent(dir.path()) };
    let _agent = Agent::start(config).await.unwrap();
    let mut session = master.welcome().await;
    while !matches!(session.hear_even_heartbeats().await, Report::Heartbeat(_)) {}
    let every_ms = u32::try_from(WANTED.as_millis()).unwrap();
    session.order(Order::Heartbeat(v1::Heartbeat { every_ms, ..v1::Heartbeat::default() })).await;

    // Some may be on their way still.
    let mut last = Instant::now();
    loop {
        if !matches!(session.hear_even_heartbeats().await, Report::Heartbeat(_)) {
            continue;
        }
        if last.elapsed() > WANTED / 2 {
            break;
        }
        last = Instant::now();
    }

    // It does not take the master for dead meanwhile, as it would have before, and comes back to its own rhythm when told.
    session.order(Order::Heartbeat(v1::Heartbeat { every_ms: 1, ..v1::Heartbeat::default() })).await;
    let (began, mut beats) = (Instant::now(), 0);
    while beats < 2 {
        beats += u32::from(matches!(session.hear_even_heartbeats().await, Report::Heartbeat(_)));
    }
    assert!(began.elapsed() < WANTED, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_task_without_its_module_fails() {
    let (_master, mut session, _agent, _dir) = cluster().await;
    session.launch(task(1, Digest([7; 32]))).await;

    let end = session.hear_of(id(1), v1::TaskState::Failed).await;

    assert_eq!((end.reason(), end.source()), (v1::Reason::ArtifactUnavailable, v1::Source::Agent));
    assert!(end.message.starts_with("the master has no artifact sha256:0707"), "{}", end.message);
    assert!(session.read(id(1), 0, true).await.end);
}

#[tokio::test]
async fn other_bytes_than_the_digest_names_are_not_run() {
    let (master, mut session, _agent, dir) = cluster().await;
    master.store(Digest([7; 32]), wat::parse_str(HELLO).unwrap());
    session.launch(task(1, Digest([7; 32]))).await;

    let end = session.hear_of(id(1), v1::TaskState::Failed).await;

    assert_eq!(end.reason(), v1::Reason::ArtifactUnavailable);
    assert!(end.message.contains("other bytes than asked for"), "{}", end.message);
    assert_eq!(std::fs::read_dir(dir.path().join("work/artifacts")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_artifact_is_downloaded_once_for_all_tasks_and_runs() {
    let (mut master, mut session, agent, dir) = cluster().await;
    let module = master.module(HELLO);
    let mut with_input = task(1, module);
    with_input.inputs = vec![Input { guest_path: "/in".to_owned(), content: module }];
    session.launch(with_input).await;
    session.hear_of(id(1), v1::TaskState::Finished).await;
    session.acknowledge(&v1::TaskStatus { task: Some(id(1).into()), update: 9, ..v1::TaskStatus::default() }).await;
    drop(session);
    soon(agent.stop()).await;

    let _again = Agent::start(master.agent(dir.path())).await.unwrap();
    let mut session = master.welcome().await;
    session.launch(task(2, module)).await;
    session.hear_of(id(2), v1::TaskState::Finished).await;

    assert_eq!(master.downloads(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_module_that_is_too_dear_to_compile_ends_its_task_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let mut config = master.agent(dir.path());
    config.compile.cpu = Some(Duration::from_secs(1));
    let _agent = Agent::start(config).await.unwrap();
    let mut session = master.welcome().await;
    let dear = "(func (param i64) (result i64) (i64.mul (local.get 0) (i64.rotl (local.get 0) (i64.const 7))))";
    let dear = format!("(module {} (func (export \"_start\")))", dear.repeat(20_000));

    session.launch(task(1, master.module(&dear))).await;
    session.launch(task(2, master.module(HELLO))).await;

    let (mut ended, mut honest) = (None, None);
    while ended.is_none() || honest.is_none() {
        let Report::Updates(updates) = session.hear().await else { continue };
        for status in updates.statuses {
            session.acknowledge(&status).await;
            match (status.task, status.state()) {
                (of, v1::TaskState::Failed) if of == Some(id(1).into()) => ended = Some(status),
                (of, v1::TaskState::Finished) if of == Some(id(2).into()) => honest = Some(status),
                _ => {}
            }
        }
    }
    let ended = ended.unwrap();
    assert_eq!((ended.reason(), ended.source()), (v1::Reason::ModuleInvalid, v1::Source::Agent));
    assert_eq!(
        ended.message,
        "compile limit: used 1 s of CPU, all that one module is given (`haggle agent --compile-cpu` raises it)"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_task_is_killed_while_its_module_is_compiled() {
    let dir = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let mut config = master.agent(dir.path());
    // A compiler that never ends.
    config.program = std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/played/endless.sh"));
    let _agent = Agent::start(config).await.unwrap();
    let mut session = master.welcome().await;
    session.launch(task(1, master.module(HELLO))).await;
    // It is written to by a child, once there is one.
    let begun = || std::fs::read_dir(dir.path().join("cache")).is_ok_and(|mut files| files.next().is_some());
    while !begun() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }

    session.kill(id(1)).await;

    let end = session.hear_of(id(1), v1::TaskState::Killed).await;
    assert_eq!((end.reason(), end.source()), (v1::Reason::KilledDuringLaunch, v1::Source::Agent));
}

#[tokio::test]
async fn a_drain_ends_tasks_reports_and_leaves() {
    let (mut master, mut session, agent, dir) = cluster().await;
    session.launch(task(1, master.module(SPINNER))).await;
    let running = session.hear_of(id(1), v1::TaskState::Running).await;
    session.acknowledge(&running).await;

    let draining = tokio::spawn(agent.drain());

    assert_eq!(session.hear().await, Report::Drain(v1::Drain {}));
    let end = session.hear_of(id(1), v1::TaskState::Killed).await;
    assert_eq!(end.reason(), v1::Reason::AgentDraining);
    session.acknowledge(&end).await;
    assert_eq!(session.hear().await, Report::Leave(v1::Leave {}));
    drop(session);
    assert_eq!(soon(draining).await.unwrap(), Drained::Left);
    let _again = Agent::start(master.agent(dir.path())).await.unwrap();
    assert_eq!(master.knock().await.0.member, None);
}

#[tokio::test]
async fn an_agent_that_is_refused_gives_up_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let mut agent = Agent::start(master.agent(dir.path())).await.unwrap();
    let (_, session) = master.knock().await;

    session.refuse("no room", Then::Unspecified).await;

    let refused = Stopped::Refused("no room".to_owned());
    assert_eq!(soon(agent.registered()).await, Err(refused.clone()));
    assert_eq!(soon(agent.stopped()).await, refused);
}

#[tokio::test]
async fn it_waits_for_a_master_that_is_not_there_yet() {
    let dir = tempfile::tempdir().unwrap();
    // Bound and deaf: the port is nobody else's for as long as this test runs.
    let deaf = tokio::net::TcpSocket::new_v4().unwrap();
    deaf.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = deaf.local_addr().unwrap().to_string();

    let config = Config { master: Some(nobody), ..Master::start().await.agent(dir.path()) };
    let agent = Agent::start(config).await.unwrap();

    let waited = tokio::time::timeout(Duration::from_millis(200), agent.registered()).await;
    assert!(waited.is_err(), "{waited:?}");
    assert_eq!(soon(agent.drain()).await, Drained::Left, "nobody knows it who could miss it");
}

#[tokio::test]
async fn a_master_beyond_this_machine_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::new("http://192.0.2.1:5050", "a", dir.path().join("work"), dir.path().join("cache"));

    let refused = Agent::start(config).await.unwrap_err();

    assert!(matches!(refused, StartError::Master(BadMaster::NotLoopback { .. })), "{refused}");
    assert!(!dir.path().join("work").exists(), "nothing half done");
}

#[tokio::test]
async fn two_agents_do_not_share_a_work_folder() {
    let (master, _session, agent, dir) = cluster().await;

    let refused = Agent::start(master.agent(dir.path())).await.unwrap_err();
    assert!(matches!(refused, StartError::WorkDir(WorkDirError::InUse { .. })), "{refused}");

    soon(agent.stop()).await;
    Agent::start(master.agent(dir.path())).await.unwrap();
}
