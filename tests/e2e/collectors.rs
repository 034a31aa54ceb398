//! Collectors of traces that are not our own, are away, or are believed by a certificate.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use haggle_kit::{Cluster, Collector, Daemon, free_port, guests, until};
use haggle_sdk::{Client, Session, TaskState};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::run::{assert_success, text};
use crate::said::said;
use crate::traces::{
    ALL, CALLER, CALLERS_TRACE, alone, assert_whole, by_name, module, new_noop, output, run, session, task, traced,
    traced_at,
};

/// The collector that others wrote, gone with its value.
struct Rotel {
    url: String,
    daemon: Daemon,
    _folder: TempDir,
}

/// `None`, and says so, where there is none.
fn program() -> Option<PathBuf> {
    let folder = env::var_os("HAGGLE_TEST_COLLECTOR").map(PathBuf::from);
    let program = folder.map(|folder| folder.join("rotel/rotel-agent")).filter(|program| program.is_file());
    if program.is_none() {
        eprintln!("left out: HAGGLE_TEST_COLLECTOR names no folder with a collector; `cargo xtask test` fetches one");
    }
    program
}

impl Rotel {
    /// Starts one that hands everything on to `to`, in protobuf over HTTP, packed.
    async fn start(program: &Path, to: &Collector) -> Self {
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let named = |name: &str| folder.path().join(name).display().to_string();
        let (http, grpc) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", free_port()));
        let (pid, log, to) = (named("pid"), named("log"), to.url());
        let flags = [
            ["--otlp-http-endpoint", &http],
            ["--otlp-grpc-endpoint", &grpc],
            ["--exporter", "otlp"],
            ["--otlp-exporter-endpoint", &to],
            ["--otlp-exporter-protocol", "http"],
            ["--pid-file", &pid],
            ["--log-file", &log],
        ];
        let args: Vec<String> = ["start"].into_iter().chain(flags.into_iter().flatten()).map(str::to_owned).collect();
        let daemon = Daemon::spawn(program, &args, folder.path().join("rotel.log"));
        until("the collector listens", async || TcpStream::connect(&*http).await.ok()).await;
        Self { url: format!("http://{http}"), daemon, _folder: folder }
    }
}

#[tokio::test]
async fn a_collector_that_others_wrote_takes_every_span_whole_and_hands_it_on() {
    let Some(program) = program() else { return };
    let behind = Collector::start();
    let between = Rotel::start(&program, &behind).await;
    let cluster = traced_at(&between.url).await;
    let client = cluster.client().await;
    let session = session(&client).await;
    let noop = client.upload_bytes(new_noop()).await.unwrap();
    let trap = r#"(module (memory (export "memory") 1) (func (export "_start") unreachable))"#;
    let trap = client.upload_bytes(guests::compile(trap)).await.unwrap();

    let (first, _) = run(&session, task(noop).env("TRACEPARENT", CALLER)).await;
    let (trapped, _) = run(&session, task(trap)).await;

    let root = behind.task(&first.to_string()).await;
    assert_eq!((root.trace.as_str(), root.parent.as_str()), (CALLERS_TRACE, "00f067aa0ba902b7"));
    let spans = behind.trace(&root.trace, &ALL).await;
    assert_whole(&spans);
    let named = by_name(&spans);
    assert_eq!(named["run"].resource["haggle.agent.name"], "agent0");
    assert_eq!((named["accept"].service.as_str(), named["run"].service.as_str()), ("haggle-master", "haggle-agent"));
    assert!(!root.said("haggle.usage.cpu_seconds").is_empty() && root.said("haggle.task.state") == "FINISHED");
    let root = behind.task(&trapped.to_string()).await;
    assert!(root.error.as_ref().unwrap().starts_with("TRAP: "), "{root:?}\n{}", between.daemon.log());
    assert_whole(&behind.trace(&root.trace, &ALL).await);
    session.close().await;
}

/// A run of a task that does nothing, told to this collector.
fn told_to(collector: &Collector, folder: &TempDir) -> Command {
    let guest = module(folder, guests::NOOP);
    alone(folder, &["run", &guest, "--otlp", &collector.url()])
}

#[tokio::test]
async fn a_collector_over_https_is_believed_by_the_file_that_the_standards_variable_names() {
    let (certificates, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let collector = Collector::secure(certificates.path());
    let mut command = told_to(&collector, &folder);
    command.env("OTEL_EXPORTER_OTLP_CERTIFICATE", collector.certificate());

    assert_success(&output(command).await);

    let spans = until("the command has told all", async || {
        let spans = collector.spans();
        spans.iter().any(|span| span.name == "end").then_some(spans)
    })
    .await;
    assert_whole(&spans);
}

#[tokio::test]
async fn one_that_the_file_does_not_vouch_for_is_told_nothing_and_the_task_runs_all_the_same() {
    let (certificates, others, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let collector = Collector::secure(certificates.path());
    let another = Collector::secure(others.path());
    let told = |certificate: Option<&Path>| {
        let mut command = told_to(&collector, &folder);
        command.env("RUST_LOG", "warn");
        certificate.map(|path| command.env("OTEL_EXPORTER_OTLP_CERTIFICATE", path));
        command
    };
    let broken = folder.path().join("broken.pem");
    fs::write(&broken, "no certificate").unwrap();

    let by_another = output(told(Some(another.certificate()))).await;
    let by_the_web = output(told(None)).await;
    let refused = output(told(Some(&broken))).await;

    for output in [&by_another, &by_the_web] {
        assert_success(output);
        assert!(text(&output.stderr).contains("the collector takes no spans now"), "{}", text(&output.stderr));
    }
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("broken.pem cannot be read"), "{}", text(&refused.stderr));
    assert_eq!(collector.spans().len(), 0);
}

/// So many tasks that do nothing. As many at once as an offer has room for: of tasks in queues it is the agent that tells.
async fn run_many(session: &Session, client: &Client, count: usize) {
    const AT_ONCE: usize = 50;
    let noop = client.upload_bytes(new_noop()).await.unwrap();
    for _ in 0..count / AT_ONCE {
        let mut handles = Vec::new();
        for _ in 0..AT_ONCE {
            handles.push(session.submit(task(noop).cpus("0.01").mem("1MiB")).await.unwrap());
        }
        for handle in handles {
            assert_eq!(handle.ended().await.unwrap().state, TaskState::Finished);
        }
    }
}

/// What the master says of its spans: sent and dropped.
async fn fates(cluster: &Cluster) -> [f64; 2] {
    let token = said(cluster, &["token", "create", "--kind", "viewer", "--role", "*", "--ttl", "1h"]).await;
    let mut stream = TcpStream::connect(cluster.url.strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!("GET /metrics HTTP/1.0\r\nauthorization: Bearer {}\r\n\r\n", token.trim());
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    ["sent", "dropped"].map(|fate| {
        let line = format!("haggle_trace_spans_total{{fate=\"{fate}\"}} ");
        page.lines().find_map(|said| said.strip_prefix(&line)).unwrap().parse().unwrap()
    })
}

#[tokio::test]
async fn spans_beyond_the_bound_are_dropped_while_the_collector_is_away_and_a_metric_says_how_many() {
    /// Three spans of each are the master's, and a fourth of those that waited for an offer. So many of them may wait, beside those
    /// that are on their way.
    const TASKS: usize = 2_000;
    const WAITING: f64 = 4_096.0;
    const UNDER_WAY: f64 = 512.0;
    let collector = Collector::start();
    collector.answers(503);
    let cluster = traced(&collector).await;
    let client = cluster.client().await;
    let session = session(&client).await;

    run_many(&session, &client, TASKS).await;

    let [sent, dropped] = fates(&cluster).await;
    assert_eq!(sent, 0.0);
    let (least, most) = (3.0 * TASKS as f64 - WAITING - UNDER_WAY, 4.0 * TASKS as f64 - WAITING);
    assert!((least..=most).contains(&dropped), "{dropped}");
    assert_eq!(cluster.master.log().matches("some are dropped, and counted").count(), 1);
    collector.answers(200);
    let [sent, still] = until("what waited is told", async || {
        let fates = fates(&cluster).await;
        (fates[0] >= WAITING).then_some(fates)
    })
    .await;
    assert!(sent <= WAITING + UNDER_WAY && still == dropped, "{sent} were sent, {dropped} and then {still} dropped");
    session.close().await;
}

#[tokio::test]
async fn spans_are_counted_among_the_masters_metrics() {
    let collector = Collector::start();
    let cluster = traced(&collector).await;
    let client = cluster.client().await;
    let session = session(&client).await;
    let module = client.upload_bytes(new_noop()).await.unwrap();
    let (id, _) = run(&session, task(module)).await;
    collector.task(&id.to_string()).await;

    let [sent, dropped] = fates(&cluster).await;

    assert!(sent >= 4.0 && dropped == 0.0, "{sent} {dropped}");
    session.close().await;
}

#[tokio::test]
async fn a_collector_that_takes_nothing_holds_nothing_up_and_is_told_later() {
    let collector = Collector::start();
    collector.answers(503);
    let cluster = traced(&collector).await;
    let client = cluster.client().await;
    let session = session(&client).await;
    let module = client.upload_bytes(new_noop()).await.unwrap();

    let (id, state) = run(&session, task(module)).await;
    assert_eq!((state, collector.spans().len()), (TaskState::Finished, 0));
    until("the master has complained", async || cluster.master.log().contains("takes no spans now").then_some(()))
        .await;
    collector.answers(200);

    let root = collector.task(&id.to_string()).await;
    assert_whole(&collector.trace(&root.trace, &ALL).await);
    assert_eq!(cluster.master.log().matches("takes no spans now").count(), 1);
    session.close().await;
}

#[tokio::test]
async fn what_names_no_collector_is_refused_before_anything_starts() {
    let folder = TempDir::new().unwrap();
    let guest = module(&folder, guests::NOOP);
    let bad = |args: &[&str]| alone(&folder, args);
    let mut of_env = bad(&["run", &guest]);
    of_env.env("OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere");

    for (command, why) in [
        (bad(&["master", "--otlp", "localhost:4318"]), "no URL of an OTLP collector"),
        (bad(&["agent", "--otlp", "http://user:hunter2@a:4318"]), "names no user or password"),
        (bad(&["up", "--otlp", "http://a:4318", "--otlp-sample", "2"]), "no number from 0 to 1"),
        (bad(&["--master", "http://127.0.0.1:1", "run", &guest, "--otlp", "http://a:4318"]), "--master"),
        (of_env, "OTEL_EXPORTER_OTLP_ENDPOINT: "),
    ] {
        let output = output(command).await;

        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{said}");
        // Clap shows what was typed, as the shell's own history does.
    }
}
