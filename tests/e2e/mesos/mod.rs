//! Clients of the Mesos v1 API that nobody here wrote, unchanged, with real tasks.
//!
//! Each runs tasks with arguments and environment, hears of their ends, kills one, and goes on with what runs when the master is another one.
//! `cargo xtask test` fetches them; without, these tests are left out, and in CI they fail.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use haggle_kit::{AgentFlags, Cluster, Machine, until, wasm};
use tokio::task::spawn_blocking;

use crate::etcd::{Etcd, free_port};

/// Where `cargo xtask test` has put them.
fn clients() -> Option<PathBuf> {
    let folder = std::env::var_os("HAGGLE_TEST_MESOS").map(PathBuf::from).filter(|folder| folder.is_dir());
    if folder.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "in CI the clients of Mesos are there: `cargo xtask test` fetches them"
        );
        eprintln!("not run: HAGGLE_TEST_MESOS names no folder with clients; `cargo xtask test` fetches them");
    }
    folder
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/mesos")).join(name)
}

fn python(clients: &Path, script_name: &str, args: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.arg(script(script_name)).args(args).env("PYTHONPATH", clients.join("python"));
    command
}

fn node(clients: &Path, logs: &Path) -> Command {
    let mut command = Command::new("node");
    command.arg(script("framework_tasks.js")).env("NODE_PATH", clients.join("npm/node_modules")).env("LOGS", logs);
    command
}

/// Runs a client to its end, with another master in the middle.
async fn runs(mut client: Command) {
    let mut cluster = Cluster::start(&[AgentFlags::default()]).await;
    let said = async |args: &[&str]| {
        let output = cluster.haggle(args).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let upload = async |name: &str| {
        let file = wasm(name).display().to_string();
        said(&["upload", &file]).await.split_whitespace().next().unwrap().to_owned()
    };
    let (module, sleeper) = (upload("hello").await, upload("sleeper").await);
    let token = said(&["token", "create", "--kind", "framework", "--name", "mesos"]).await;
    let address = cluster.url.trim_start_matches("http://").to_owned();
    client.env("MASTER", address).env("TOKEN", token.trim()).env("MODULE", module).env("SLEEPER", sleeper);
    let client = Client::start(client);

    let client = client.says("RESTART").await;
    greets(&cluster).await;
    cluster.restart_master().await;
    cluster.registered(1).await;
    client.says("DONE").await;
}

/// Of what a client is told where there are two masters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Of the master that stands by: it is led to the one that leads, and in the middle back, to the one that it was told of.
    Standby,
    /// Of a `haggle proxy` on its own machine, which was told of that master.
    Proxy,
}

/// Runs a client to its end that was told of no master but the one that stands by.
async fn follows(mut client: Command, told: Told) {
    let (etcd, machine) = (Etcd::start(1), Machine::new());
    let urls = etcd.urls().join(",");
    let [first, second] = ["m0", "m1"].map(|name| (name, format!("127.0.0.1:{}", free_port())));
    let start = |(name, address): &(&str, String)| {
        let state = machine.path(name).display().to_string();
        machine.spawn(name, &["master", "--listen", address, "--state", &state, "--etcd", &urls])
    };
    let leads = async |(_, address): &(&str, String)| {
        until("it leads", async || {
            let asked = machine.haggle(&["whoami", "--json", "--master", address]);
            let leader = asked.stdout.lines().next().filter(|_| asked.code == Some(0))?;
            let leader: serde_json::Value = serde_json::from_str(leader).ok()?;
            leader["master"].as_str()?.ends_with(address).then_some(())
        })
        .await;
    };
    let has_agent = async |address: &str| {
        until("the agent is connected", async || {
            let asked = machine.haggle(&["agents", "--json", "--master", address]);
            asked.stdout.contains("\"connected\":true").then_some(())
        })
        .await;
    };
    let mut leader = start(&first);
    leads(&first).await;
    let _second = start(&second);
    let masters = format!("{},{}", first.1, second.1);
    let _agent = machine.agent("a", &["--master", &masters]);
    has_agent(&first.1).await;
    let said = |args: &[&str]| machine.haggle(&[args, &["--master", &first.1]].concat()).well();
    let upload = |name: &str| {
        let told = said(&["upload", &wasm(name).display().to_string()]);
        told.split_whitespace().next().unwrap().to_owned()
    };
    client.env("MODULE", upload("hello")).env("SLEEPER", upload("sleeper"));
    let proxy;
    match told {
        Told::Standby => {
            let token = said(&["token", "create", "--kind", "framework", "--name", "mesos"]);
            client.env("MASTER", &second.1).env("TOKEN", token.trim());
        }
        Told::Proxy => {
            let listens = format!("127.0.0.1:{}", free_port());
            proxy = machine.spawn("proxy", &["proxy", "--listen", &listens, "--master", &second.1]);
            let token = until("the proxy listens", async || {
                assert!(!proxy.log().contains("error"), "{}", proxy.log());
                fs::read_to_string(machine.home().owner_tokens().file(listens.parse().unwrap())).ok()
            })
            .await;
            client.env("MASTER", &listens).env("TOKEN", token.trim());
        }
    }

    let client = Client::start(client).says("RESTART").await;
    leader.kill();
    leads(&second).await;
    // It leads those on who were led to it.
    let _first = start(&first);
    has_agent(&second.1).await;
    client.says("DONE").await;
}

/// Makes sure that tasks which greet got their arguments and their environment. Their names may have more before and behind.
async fn greets(cluster: &Cluster) {
    let tasks = cluster.client().await.tasks(true).await.unwrap();
    let greeting = tasks.iter().filter_map(|task| {
        let name = task.name.split('.').find(|part| part.starts_with("hello-"))?;
        Some((task.id, name))
    });
    let greeting: Vec<_> = greeting.collect();
    assert!(!greeting.is_empty(), "{tasks:?}");
    for (id, name) in greeting {
        let said = cluster.haggle(&["logs", &id.to_string()]).await.stdout;
        assert_eq!(String::from_utf8_lossy(&said), format!("hello, Ada {name}, from task 2 of 3\n"));
    }
}

/// Ended with its test.
struct Client {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Client {
    fn start(mut client: Command) -> Self {
        let mut child = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, said }
    }

    /// Waits until it says so, and tells it to go on.
    async fn says(mut self, word: &'static str) -> Self {
        spawn_blocking(move || {
            let found = self.said.find(|line| line.as_ref().is_ok_and(|line| line == word));
            assert!(found.is_some(), "the client ended before it said {word}: see above");
            // One that is done does not listen.
            let _ = self.child.stdin.as_mut().expect("it is piped").write_all(b"\n");
            self
        })
        .await
        .unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn pymesos_runs_tasks_fails_over_and_survives_another_master() {
    let Some(clients) = clients() else { return };
    runs(python(&clients, "pymesos_tasks.py", &[])).await;
}

#[tokio::test]
async fn pymesos_is_led_from_a_master_that_stands_by_to_the_one_that_leads() {
    let Some(clients) = clients() else { return };
    follows(python(&clients, "pymesos_tasks.py", &[]), Told::Standby).await;
}

#[tokio::test]
async fn mesos_framework_is_led_from_a_master_that_stands_by_to_the_one_that_leads() {
    let Some(clients) = clients() else { return };
    let logs = tempfile::TempDir::new().unwrap();
    follows(node(&clients, logs.path()), Told::Standby).await;
}

#[tokio::test]
async fn mesoshttp_is_led_by_a_proxy_from_a_master_that_stands_by_to_the_one_that_leads() {
    let Some(clients) = clients() else { return };
    follows(python(&clients, "http_tasks.py", &["mesoshttp"]), Told::Proxy).await;
}

#[tokio::test]
async fn avmesos_is_led_by_a_proxy_from_a_master_that_stands_by_to_the_one_that_leads() {
    let Some(clients) = clients() else { return };
    follows(python(&clients, "http_tasks.py", &["avmesos"]), Told::Proxy).await;
}

#[tokio::test]
async fn mesoshttp_runs_tasks_fails_over_and_survives_another_master() {
    let Some(clients) = clients() else { return };
    runs(python(&clients, "http_tasks.py", &["mesoshttp"])).await;
}

#[tokio::test]
async fn avmesos_runs_tasks_fails_over_and_survives_another_master() {
    let Some(clients) = clients() else { return };
    runs(python(&clients, "http_tasks.py", &["avmesos"])).await;
}

#[tokio::test]
async fn mesos_framework_runs_tasks_fails_over_and_survives_another_master() {
    let Some(clients) = clients() else { return };
    let logs = tempfile::TempDir::new().unwrap();
    runs(node(&clients, logs.path())).await;
}

#[test]
fn the_document_shows_what_these_tests_run() {
    let document = include_str!("../../../docs/MESOS.md");
    let written = |text: &'static str, end: &str| {
        let (_, rest) = text.split_once("How a task is written:\n").unwrap();
        rest.split_once(end).unwrap().0.trim_end()
    };

    for snippet in [
        written(include_str!("pymesos_tasks.py"), "\nclass"),
        written(include_str!("http_tasks.py"), "\nclass"),
        written(include_str!("framework_tasks.js"), "const logging"),
    ] {
        assert!(document.contains(snippet), "docs/MESOS.md shows another one than:\n{snippet}");
    }
}
