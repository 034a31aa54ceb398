//! The master's pages in a real browser: the scripts in `tests/pages` in Chromium, against real masters.
//!
//! Node, Chromium, playwright-core and axe-core are brought by `cargo xtask test`; where they are not, the test is left out
//! and says so.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use haggle_kit::{AgentFlags, Cluster, Crowd, binary, until, wasm};
use haggle_sdk::{Client, Runner, Task, TaskState};

/// Where npm has put what drives the browser.
fn tools() -> Option<PathBuf> {
    let tools = env::var_os("HAGGLE_TEST_BROWSER").map(PathBuf::from);
    let tools = tools.filter(|tools| tools.join("node_modules/playwright-core").exists());
    if tools.is_none() {
        eprintln!("left out: HAGGLE_TEST_BROWSER names no folder with playwright-core");
    }
    tools
}

async fn one_in(client: &Client, state: TaskState) -> String {
    until("a task is there", async || {
        let tasks = client.tasks(true).await.ok()?;
        tasks.iter().find(|task| task.status.state == state).map(|task| task.id.to_string())
    })
    .await
}

/// Has a script look at the pages of a cluster in a browser, as an operator of it.
async fn look_at(cluster: &Cluster, script: &str, tools: PathBuf, more: &[(&str, String)]) {
    let token = cluster.haggle(&["token", "create", "--kind", "operator", "--name", "ada", "--json"]).await;
    let token: serde_json::Value = serde_json::from_slice(&token.stdout).unwrap();
    let mut browser = Command::new("node");
    cluster.home().take_in(&mut browser);
    browser.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("pages").join(script));
    browser.env("PAGES_URL", &cluster.url).env("PAGES_TOKEN", token["token"].as_str().unwrap());
    browser.env("PAGES_TOOLS", tools).env("PAGES_HAGGLE", binary("haggle")).envs(more.iter().cloned());
    let told = tokio::task::spawn_blocking(move || browser.output().unwrap()).await.unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(told.status.success(), "{said}\n{wrong}");
    eprintln!("{said}");
}

#[tokio::test]
async fn every_page_is_whole_in_a_browser() {
    let Some(tools) = tools() else { return };
    let cluster = Cluster::start(&[AgentFlags::default(), AgentFlags::default()]).await;
    let client = cluster.client().await;
    let [hello, hungry] = ["hello", "hungry"].map(|name| wasm(name).display().to_string());
    assert!(cluster.haggle(&["run", "--role", "eng/batch", "--name", "hello", &hello]).await.status.success());
    cluster.haggle(&["run", "--role", "eng/batch", "--mem", "16MiB", "--name", "hungry", &hungry]).await;
    let session =
        Runner::new(&client).name("<script>alert(1)</script>\u{202e}night").role("eng/live").start().await.unwrap();
    let spinner = client.upload(wasm("spinner")).await.unwrap();
    let handle =
        session.submit(Task::new(spinner).name("<img src=x onerror=alert(1)>").cpus("0.1").mem("32MiB")).await.unwrap();
    let (running, ended) = (one_in(&client, TaskState::Running).await, one_in(&client, TaskState::Finished).await);

    let seen = [("PAGES_TASK", running), ("PAGES_ENDED", ended), ("PAGES_WASM", hello)];
    look_at(&cluster, "pages.mjs", tools, &seen).await;
    handle.ended().await.unwrap();
    session.close().await;
}

#[tokio::test]
async fn pages_of_a_cluster_with_nothing_in_it_are_whole_too() {
    let Some(tools) = tools() else { return };
    let cluster = Cluster::start(&[]).await;

    look_at(&cluster, "empty.mjs", tools, &[]).await;
}

/// As many as pages are promised to be quick with.
const AGENTS: u64 = 1_000;
const TASKS: u64 = 100_000;

#[tokio::test]
async fn pages_that_have_very_much_to_show_are_as_whole_as_others() {
    let Some(tools) = tools() else { return };
    let crowd = Crowd::start(AGENTS, TASKS).await.unwrap();
    let numbers = [("PAGES_AGENTS", AGENTS), ("PAGES_TASKS", TASKS), ("PAGES_ENDED", Crowd::ended(TASKS))];

    look_at(&crowd.cluster, "crowd.mjs", tools, &numbers.map(|(name, number)| (name, number.to_string()))).await;
}
