//! What becomes of tasks, as a collector of traces is told.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use haggle_core::{Reason, TaskState, TraceContext};
use haggle_kit::{AgentFlags, Cluster, Collector, Home, Span, binary, first_running, guests, until, wasm};
use haggle_sdk::{Client, Runner, Session, Task, TaskHandle, TaskId};
use tempfile::TempDir;

use crate::run::{assert_success, text};
use crate::said::said;

pub(crate) const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
pub(crate) const CALLERS_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// All parts of a task for which everything is fetched and compiled.
pub(crate) const ALL: [&str; 10] =
    ["task", "queue", "offer", "accept", "send", "fetch", "compile", "start", "run", "end"];
/// The same of one that finds everything there.
const QUICK: [&str; 8] = ["task", "queue", "offer", "accept", "send", "start", "run", "end"];

/// Writes its environment to standard output, with a NUL behind each variable.
const ENVIRON: &str = r#"(module
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (if (call $sizes (i32.const 0) (i32.const 12)) (then (unreachable)))
    (if (call $environ (i32.const 1024) (i32.const 4096)) (then (unreachable)))
    (i32.store (i32.const 8) (i32.const 4096))
    (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))))"#;

/// A module that nobody has seen before, which ends at once.
pub(crate) fn new_noop() -> Vec<u8> {
    guests::compile(&guests::work(1 + now_ns() % 1_000_000))
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

/// A cluster whose master and agent tell this collector.
pub(crate) async fn traced(collector: &Collector) -> Cluster {
    traced_at(&collector.url()).await
}

/// The same of whatever takes spans there.
pub(crate) async fn traced_at(url: &str) -> Cluster {
    let url: &'static str = Box::leak(url.to_owned().into_boxed_str());
    let flags: &'static [&'static str] = Box::leak(Box::new(["--otlp", url]));
    let mut cluster = Cluster::start_with(flags, &[]).await;
    cluster.spawn_agent_with(&AgentFlags::default(), flags);
    cluster.registered(1).await;
    cluster
}

pub(crate) async fn session(client: &Client) -> Session {
    Runner::new(client).name("traced").start().await.unwrap()
}

pub(crate) fn task(module: haggle_core::Digest) -> Task {
    Task::new(module).cpus("0.5").mem("32MiB").name("traced")
}

/// Runs a task to its end, and says which trace it was.
pub(crate) async fn run(session: &Session, task: Task) -> (TaskId, TaskState) {
    let status = session.submit(task).await.unwrap().ended().await.unwrap();
    (status.task, status.state)
}

/// Each span by its name, of which there is one.
pub(crate) fn by_name(spans: &[Span]) -> BTreeMap<&str, &Span> {
    let named: BTreeMap<_, _> = spans.iter().map(|span| (span.name.as_str(), span)).collect();
    assert_eq!(named.len(), spans.len(), "{spans:#?}");
    named
}

/// Every part is one of the task, begins where the one before ended, and ends no earlier than it began.
#[track_caller]
pub(crate) fn assert_whole(spans: &[Span]) {
    let named = by_name(spans);
    let task = named["task"];
    for span in spans {
        assert!(span.start <= span.end, "{span:?} ends before it begins");
        assert!(span.start >= task.start, "{span:?} begins before {task:?}");
        assert!(span.name == "task" || span.parent == task.id, "{span:?} is no part of {task:?}");
    }
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    assert_eq!(ids.len(), spans.len());
    assert_eq!(named["queue"].start, task.start);
    for (before, after) in [("queue", "offer"), ("offer", "accept"), ("accept", "send"), ("run", "end")] {
        assert_eq!(named[before].end, named[after].start, "{before} and {after}");
    }
    assert!(named["send"].end <= named["start"].start && named["start"].end <= named["end"].start);
    assert!(named["run"].start <= task.end && named["end"].start <= task.end);
    if let Some(fetch) = named.get("fetch") {
        assert_eq!(fetch.start, named["send"].end);
    }
    if let Some(compile) = named.get("compile") {
        assert!(compile.start >= named["send"].end && compile.end <= named["start"].start);
    }
}

pub(crate) async fn running(cluster: &Cluster, session: &Session, task: Task) -> (TaskHandle, TaskId) {
    let client = cluster.client().await;
    let handle = session.submit(task).await.unwrap();
    (handle, first_running(&client, session).await)
}

/// The command line without a cluster of anybody's.
pub(crate) fn alone(home: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(binary("haggle"));
    Home::below(home.path()).take_in(&mut command);
    command.args(args);
    command
}

pub(crate) fn module(folder: &TempDir, guest: &str) -> String {
    let path = folder.path().join("guest.wasm");
    std::fs::write(&path, guests::compile(guest)).unwrap();
    path.display().to_string()
}

pub(crate) async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// What a guest was told of its caller.
fn traceparent(stdout: &[u8]) -> Option<TraceContext> {
    let named = text(stdout).split('\0').find_map(|variable| variable.strip_prefix("TRACEPARENT="));
    named.map(|value| value.parse().unwrap())
}

#[tokio::test]
async fn a_task_is_one_trace_from_its_submission_to_the_acknowledgement_of_its_end() {
    let collector = Collector::start();
    let cluster = traced(&collector).await;
    let client = cluster.client().await;
    let session = session(&client).await;
    let module = client.upload_bytes(new_noop()).await.unwrap();

    let secret = |task: Task| task.env("PASSWORD", "hunter2").args(["hunter3"]).stdin("hunter4");
    let (first, state) = run(&session, secret(task(module))).await;
    let (second, _) = run(&session, task(module)).await;

    assert_eq!(state, TaskState::Finished);
    let root = collector.task(&first.to_string()).await;
    let spans = collector.trace(&root.trace, &ALL).await;
    assert_whole(&spans);
    let by_agent: Vec<&str> =
        spans.iter().filter(|span| span.service == "haggle-agent").map(|span| span.name.as_str()).collect();
    assert_eq!(by_agent, ["send", "fetch", "compile", "start", "run", "end"]);
    assert_eq!(
        (root.parent.as_str(), root.said("haggle.task.name"), root.said("haggle.task.state")),
        ("", "traced", "FINISHED")
    );
    assert_eq!(root.error, None);
    assert_eq!(by_name(&spans)["run"].resource["haggle.agent.name"], "agent0");
    assert!(!root.resource["service.instance.id"].is_empty() && !root.resource["service.version"].is_empty());

    let quick = collector.task(&second.to_string()).await;
    assert_ne!(quick.trace, root.trace);
    assert_whole(&collector.trace(&quick.trace, &QUICK).await);
    assert!(!format!("{:?}", collector.spans()).contains("hunter"), "secrets of a guest's are told");
    session.close().await;
}

#[tokio::test]
async fn a_task_joins_the_trace_of_its_caller_and_its_guest_finds_its_own_span() {
    let (collector, folder) = (Collector::start(), TempDir::new().unwrap());
    let guest = module(&folder, ENVIRON);
    let mut command = alone(&folder, &["run", &guest, "--otlp", &collector.url()]);
    command.env("TRACEPARENT", CALLER).env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer hunter2");

    let output = output(command).await;

    assert_success(&output);
    let spans = until("the command has told all", async || {
        let spans = collector.spans();
        spans.iter().any(|span| span.name == "end").then_some(spans)
    })
    .await;
    let named = by_name(&spans);
    assert_whole(&spans);
    assert!(spans.iter().all(|span| span.trace == CALLERS_TRACE), "{spans:#?}");
    assert_eq!(named["task"].parent, "00f067aa0ba902b7");
    let told = traceparent(&output.stdout).unwrap();
    assert_eq!((told.trace.to_string(), told.span.to_string()), (CALLERS_TRACE.to_owned(), named["run"].id.clone()));
    assert_eq!(collector.headers()["authorization"], "Bearer hunter2");
    assert!(!text(&output.stderr).contains("hunter2"));
}

#[tokio::test]
async fn without_a_collector_a_guest_still_finds_its_caller_and_an_anonymous_one_nobody() {
    let folder = TempDir::new().unwrap();
    let guest = module(&folder, ENVIRON);
    let with = |more: &[&str]| {
        let mut command = alone(&folder, &["run", &guest]);
        command.args(more).env("TRACEPARENT", CALLER);
        command
    };

    let told = output(with(&[])).await;
    let anonymous = output(with(&["--anonymous"])).await;

    assert_eq!(traceparent(&told.stdout).unwrap().to_string(), CALLER);
    assert_eq!(text(&anonymous.stdout), "");
}

#[tokio::test]
async fn a_trace_whose_caller_is_not_recorded_is_not_and_none_is_with_a_ratio_of_zero() {
    let (collector, folder) = (Collector::start(), TempDir::new().unwrap());
    let guest = module(&folder, ENVIRON);
    let unsampled = CALLER.replace("-01", "-00");
    let url = collector.url();
    let mut silent = alone(&folder, &["run", &guest, "--otlp", &url]);
    silent.env("TRACEPARENT", &unsampled);
    let none = alone(&folder, &["run", &guest, "--otlp", &url, "--otlp-sample", "0"]);
    let all = alone(&folder, &["run", &guest, "--otlp", &url]);

    let told = output(silent).await;
    assert_success(&output(none).await);
    assert_eq!(collector.spans().len(), 0);
    assert_success(&output(all).await);

    assert_eq!(traceparent(&told.stdout).unwrap().to_string(), unsampled);
    assert!(!collector.spans().is_empty());
}

#[tokio::test]
async fn what_goes_wrong_is_in_the_span_where_it_went_wrong() {
    let collector = Collector::start();
    let cluster = traced(&collector).await;
    let client = cluster.client().await;
    let session = session(&client).await;
    let trap = r#"(module (memory (export "memory") 1) (func (export "_start") unreachable))"#;
    let trap = client.upload_bytes(guests::compile(trap)).await.unwrap();
    let broken = client.upload_bytes(&b"no module at all"[..]).await.unwrap();

    let (trapped, _) = run(&session, task(trap)).await;
    let (invalid, _) = run(&session, task(broken)).await;

    let root = collector.task(&trapped.to_string()).await;
    let spans = collector.trace(&root.trace, &ALL).await;
    assert_whole(&spans);
    assert!(root.error.as_ref().unwrap().starts_with("TRAP: "), "{root:?}");
    let failed: Vec<&str> = spans.iter().filter(|span| span.error.is_some()).map(|span| span.name.as_str()).collect();
    assert_eq!(failed, ["task", "run"]);

    let root = collector.task(&invalid.to_string()).await;
    let parts = ["task", "queue", "offer", "accept", "send", "fetch", "compile", "end"];
    let spans = collector.trace(&root.trace, &parts).await;
    assert!(by_name(&spans)["compile"].error.as_ref().unwrap().starts_with("MODULE_INVALID: "), "{spans:#?}");
    session.close().await;
}

#[tokio::test]
async fn a_task_that_is_killed_or_loses_its_executor_ends_its_spans_once() {
    let collector = Collector::start();
    let cluster = traced(&collector).await;
    let client = cluster.client().await;
    let session = session(&client).await;
    let spinner = client.upload(wasm("spinner")).await.unwrap();
    let (killed, id) = running(&cluster, &session, task(spinner)).await;

    killed.kill().await.unwrap();
    assert_eq!(killed.ended().await.unwrap().state, TaskState::Killed);
    let (lost, lost_id) = running(&cluster, &session, task(spinner)).await;
    cluster.kill_executors(0, None);
    let status = lost.ended().await.unwrap();

    assert_eq!(status.reason, Some(Reason::ExecutorTerminated));
    let root = collector.task(&id.to_string()).await;
    assert_eq!((root.error.as_deref(), root.said("haggle.task.state")), (None, "KILLED"));
    collector.part(&root, "run").await;
    assert_eq!(collector.spans().iter().filter(|span| span.name == "run" && span.parent == root.id).count(), 1);
    let root = collector.task(&lost_id.to_string()).await;
    let spans = collector.trace(&root.trace, &QUICK).await;
    assert_whole(&spans);
    assert!(by_name(&spans)["run"].error.as_ref().unwrap().starts_with("EXECUTOR_TERMINATED: "), "{spans:#?}");
    session.close().await;
}

#[tokio::test]
async fn an_end_is_told_with_the_reason_that_its_framework_hears() {
    let collector = Collector::start();
    let cluster = traced(&collector).await;
    let client = cluster.client().await;
    let session = session(&client).await;
    let spinner = client.upload(wasm("spinner")).await.unwrap();
    let (drained, id) = running(&cluster, &session, task(spinner)).await;

    cluster.agents[0].terminate();
    assert_eq!(drained.ended().await.unwrap().reason, Some(Reason::AgentDraining));

    let root = collector.task(&id.to_string()).await;
    let run = collector.part(&root, "run").await;
    for span in [root, run] {
        assert!(span.error.as_ref().unwrap().starts_with("AGENT_DRAINING"), "{span:?}");
    }
    session.close().await;
}

#[tokio::test]
async fn a_task_whose_agent_never_comes_back_ends_in_its_trace_as_for_its_framework() {
    let collector = Collector::start();
    let mut cluster = traced(&collector).await;
    let client = cluster.client().await;
    let session = session(&client).await;
    let spinner = client.upload(wasm("spinner")).await.unwrap();
    let (gone, id) = running(&cluster, &session, task(spinner)).await;

    cluster.agents[0].kill();
    said(&cluster, &["agents", "gone", "agent-1"]).await;
    assert_eq!(gone.ended().await.unwrap().state, TaskState::GoneByOperator);

    let root = collector.task(&id.to_string()).await;
    assert_eq!(root.said("haggle.task.state"), "GONE_BY_OPERATOR");
    assert!(root.error.is_some());
    assert_eq!(collector.spans().iter().filter(|span| span.name == "task").count(), 1);
    session.close().await;
}

#[tokio::test]
async fn a_trace_goes_on_over_a_restart_of_the_master() {
    let collector = Collector::start();
    let mut cluster = traced(&collector).await;
    let client = cluster.client().await;
    let session = session(&client).await;
    let spinner = client.upload(wasm("spinner")).await.unwrap();
    let (handle, id) = running(&cluster, &session, task(spinner).env("TRACEPARENT", CALLER)).await;
    // The first master is killed, and with it what it has not told yet.
    until("the task's way to its agent is told", async || {
        collector.spans().iter().any(|span| span.name == "accept").then_some(())
    })
    .await;

    cluster.restart_master().await;
    cluster.registered(1).await;
    handle.kill().await.unwrap();
    assert_eq!(handle.ended().await.unwrap().state, TaskState::Killed);

    let root = collector.task(&id.to_string()).await;
    assert_eq!((root.trace.as_str(), root.parent.as_str()), (CALLERS_TRACE, "00f067aa0ba902b7"));
    let told = collector.spans().into_iter().filter(|span| span.name == "task").count();
    assert_eq!(told, 1);
    let accepted = collector.spans().into_iter().find(|span| span.name == "accept").unwrap();
    assert!(accepted.parent == root.id && root.start <= accepted.start);
    session.close().await;
}

#[tokio::test]
async fn a_trace_goes_on_over_a_restart_of_the_agent() {
    let collector = Collector::start();
    let mut cluster = traced(&collector).await;
    let client = cluster.client().await;
    let session = session(&client).await;
    let spinner = client.upload(wasm("spinner")).await.unwrap();
    let (handle, id) = running(&cluster, &session, task(spinner)).await;
    let before_the_restart = now_ns();

    cluster.restart_agent(0, &AgentFlags::default());
    let log = cluster.log("agent0.log");
    until("the agent is back", async || {
        (std::fs::read_to_string(&log).ok()?.matches("registered with the master").count() > 1).then_some(())
    })
    .await;
    handle.kill().await.unwrap();
    assert_eq!(handle.ended().await.unwrap().state, TaskState::Killed);

    let root = collector.task(&id.to_string()).await;
    let run = collector.part(&root, "run").await;
    collector.part(&root, "end").await;
    assert!(root.start <= run.start && run.start < before_the_restart, "{run:?}");
    assert_eq!(collector.spans().iter().filter(|span| span.name == "run").count(), 1);
    session.close().await;
}

#[tokio::test]
async fn each_task_of_an_array_is_a_trace_of_its_own() {
    let collector = Collector::start();
    let cluster = traced(&collector).await;
    let folder = TempDir::new().unwrap();
    let guest = module(&folder, guests::NOOP);

    said(&cluster, &["run", &guest, "--instances", "40", "--cpus", "0.1", "--name", "many"]).await;

    let roots = until("all tasks are told", async || {
        let mut roots = collector.spans();
        roots.retain(|span| {
            span.name == "task"
                && span.said("haggle.task.name") == "many"
                && span.said("haggle.task.state") == "FINISHED"
        });
        let ids: BTreeSet<String> = roots.iter().map(|span| span.said("haggle.task.id").to_owned()).collect();
        (ids.len() >= 40).then_some(roots)
    })
    .await;
    let traces: BTreeSet<&str> = roots.iter().map(|span| span.trace.as_str()).collect();
    assert_eq!(traces.len(), roots.len());
    for root in &roots {
        let run = until("its run is told", async || {
            collector.spans().into_iter().find(|span| span.name == "run" && span.parent == root.id)
        })
        .await;
        assert!(root.start <= run.start && run.end <= root.end, "{root:?} {run:?}");
    }
}

#[tokio::test]
async fn where_only_the_agent_records_it_records_all_of_a_task() {
    let collector = Collector::start();
    let mut cluster = Cluster::start(&[]).await;
    cluster.spawn_agent_with(&AgentFlags::default(), &["--otlp", &collector.url()]);
    cluster.registered(1).await;
    let client = cluster.client().await;
    let session = session(&client).await;
    let module = client.upload_bytes(new_noop()).await.unwrap();

    let (id, _) = run(&session, task(module)).await;

    let root = collector.task(&id.to_string()).await;
    let spans = collector.trace(&root.trace, &["task", "fetch", "compile", "start", "run", "end"]).await;
    assert!(spans.iter().all(|span| span.service == "haggle-agent" && (span.name == "task" || span.parent == root.id)));
    session.close().await;
}
