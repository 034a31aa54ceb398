//! What operators plug in: the rules and the dashboard of `docs/metrics`, asked of a real Prometheus that reads a real cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use haggle_kit::{AgentFlags, Cluster, Daemon, free_port, until, wasm};
use haggle_sdk::{Client, Event, Framework, FrameworkInfo, OfferId, Runner, Session, Task, TaskHandle, TaskId};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::said::said;

fn documents(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics").join(name)
}

/// `None`, and says so, where there is none.
fn program(name: &str) -> Option<Command> {
    let is_there = Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    if !is_there {
        assert!(env::var_os("CI").is_none(), "there is no {name}");
        eprintln!("left out: there is no {name}; `cargo xtask test` fetches one");
    }
    is_there.then(|| Command::new(name))
}

#[test]
fn the_rules_are_rules_and_each_speaks_when_it_should() {
    for args in [&["check", "rules"], &["test", "rules"]] {
        let Some(mut promtool) = program("promtool") else { return };
        let file = documents(if args[0] == "check" { "alerts.yml" } else { "alerts_test.yml" });

        let output = promtool.args(args).arg(file).output().unwrap();

        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{said}");
    }
}

/// What Prometheus's older text has for the newer one, which its linter does not read.
fn in_older_text(metrics: &str) -> String {
    let kinds: BTreeMap<&str, &str> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let named = |name: &str| match kinds.get(name) {
        Some(&"counter") => format!("{name}_total"),
        Some(&"info") => format!("{name}_info"),
        _ => name.to_owned(),
    };
    let line = |line: &str| {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("TYPE"), Some(name), Some("info")) => format!("# TYPE {} gauge\n", named(name)),
            (Some("#"), Some(what @ ("TYPE" | "HELP")), Some(name), Some(rest)) => {
                format!("# {what} {} {rest}\n", named(name))
            }
            (Some("#"), ..) => String::new(),
            _ => format!("{line}\n"),
        }
    };
    metrics.lines().map(line).collect()
}

#[tokio::test]
async fn names_of_metrics_are_as_prometheus_wants_them() {
    let Some(mut promtool) = program("promtool") else { return };
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let (session, task) = busy(&cluster, &client).await;
    let token = said(&cluster, &["token", "create", "--kind", "viewer", "--role", "*"]).await;
    let metrics = cluster.get("/metrics", token.trim()).await.unwrap();
    let families = metrics.lines().filter(|line| line.starts_with("# TYPE haggle_")).count();
    assert!(families > 50, "{metrics}");

    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut linter = promtool.spawn().unwrap();
    linter.stdin.take().unwrap().write_all(in_older_text(&metrics).as_bytes()).unwrap();
    let output = linter.wait_with_output().unwrap();

    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
    task.kill().await.unwrap();
    task.ended().await.unwrap();
    session.close().await;
}

/// A Prometheus with the rules of `docs/metrics`, gone with its value.
struct Prometheus {
    port: u16,
    _process: Daemon,
}

impl Prometheus {
    /// Starts one that reads this cluster ten times a second, as a viewer of all roles.
    async fn start(cluster: &Cluster) -> Self {
        let token = said(cluster, &["token", "create", "--kind", "viewer", "--role", "*", "--ttl", "1h"]).await;
        let master = cluster.url.strip_prefix("http://").unwrap();
        fs::write(cluster.log("token"), token.trim()).unwrap();
        let config = format!(
            "global: {{ scrape_interval: 100ms, scrape_timeout: 100ms, evaluation_interval: 1s }}\n\
             rule_files: [{:?}]\n\
             scrape_configs:\n\
             - job_name: haggle\n  \
               authorization: {{ credentials_file: token }}\n  \
               static_configs: [{{ targets: [{master:?}] }}]\n",
            documents("alerts.yml").canonicalize().unwrap(),
        );
        fs::write(cluster.log("prometheus.yml"), config).unwrap();
        let port = free_port();
        let args = [
            format!("--config.file={}", cluster.log("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", cluster.log("prometheus").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        let process = Daemon::spawn(Path::new("prometheus"), &args, cluster.log("prometheus.log"));
        Self { port, _process: process }
    }

    /// What it answers at this path; `None` while it does not answer.
    async fn get(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let answer: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        assert!(answer["status"] != "error" || answer["errorType"] == "unavailable", "{path}: {answer}");
        Some(answer)
    }

    /// How many series an expression gives.
    async fn count(&self, expression: &str) -> Option<usize> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        Some(self.get(&format!("/api/v1/query?query={encoded}")).await?["data"]["result"].as_array()?.len())
    }
}

/// Every expression of the dashboard, as Grafana asks it of all roles and the last seconds.
fn dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_slice(&fs::read(documents("dashboard.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets
        .map(|target| target["expr"].as_str().unwrap().replace("$__rate_interval", "5s").replace("$role", ".*"))
        .collect()
}

/// The names of metrics that a text has.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("haggle_")).collect()
}

/// A task that runs, one that was refused, and one that ended, of a role with a quota.
async fn busy(cluster: &Cluster, client: &Client) -> (Session, TaskHandle) {
    said(cluster, &["quota", "set", "default", "--guarantee", "cpus=0.5", "--limit", "cpus=2,mem=1GiB"]).await;
    let roles = vec![FrameworkInfo::DEFAULT_ROLE.to_owned()];
    let info = FrameworkInfo { name: "late".to_owned(), roles, failover_timeout: Duration::ZERO };
    let (framework, mut events) = Framework::connect(client, info).await.unwrap();
    let module = client.upload(wasm("sleeper")).await.unwrap();
    let task = Task::new(module).cpus("0.1").mem("16MiB");
    let id = TaskId { framework: framework.id(), number: 1 };
    framework.accept([OfferId(u64::MAX)], [task.spec(id)], Duration::ZERO).await.unwrap();
    while !matches!(events.next().await.expect("the session lasts"), Event::Update(_)) {}
    framework.teardown(events).await.unwrap();

    let session = Runner::new(client).start().await.unwrap();
    session.submit(task.clone().arg("0")).await.unwrap().ended().await.unwrap();
    let handle = session.submit(task.arg("3600")).await.unwrap();
    (session, handle)
}

#[tokio::test]
async fn no_panel_of_the_dashboard_is_empty_and_no_rule_asks_for_what_there_is_not() {
    let Some(_) = program("prometheus") else { return };
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let prometheus = Prometheus::start(&cluster).await;
    let (session, task) = busy(&cluster, &client).await;

    let expressions = dashboard();
    assert!(expressions.len() > 30, "{expressions:?}");
    for expression in &expressions {
        until(&format!("{expression} gives something"), async || prometheus.count(expression).await.filter(|&n| n > 0))
            .await;
    }
    let rules = fs::read_to_string(documents("alerts.yml")).unwrap();
    for metric in metrics(&rules) {
        assert!(prometheus.count(metric).await.unwrap() > 0, "{metric}");
    }
    // The first of them were looked at before there was anything to see.
    until("all rules are well and none speaks", async || {
        let rules = prometheus.get("/api/v1/rules").await?;
        let rules = rules["data"]["groups"][0]["rules"].as_array()?;
        assert!(rules.iter().all(|rule| rule["health"] != "err"), "{rules:?}");
        rules.iter().all(|rule| rule["health"] == "ok" && rule["state"] == "inactive").then_some(())
    })
    .await;

    task.kill().await.unwrap();
    task.ended().await.unwrap();
    session.close().await;
}
