//! The master's pages in a real browser: `tests/pages/pages.mjs` in Chromium, against a real cluster.
//!
//! Node, Chromium, playwright-core and axe-core are brought by `cargo xtask test`; where they are not, the test is left out
//! and says so.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use haggle_kit::{AgentFlags, Cluster, binary, until, wasm};
use haggle_sdk::{Client, Runner, Task, TaskState};

/// Where npm has put what drives the browser.
fn tools() -> Option<PathBuf> {
    let tools = PathBuf::from(env::var_os("HAGGLE_TEST_BROWSER")?);
    tools.join("node_modules/playwright-core").exists().then_some(tools)
}

async fn one_in(client: &Client, state: TaskState) -> String {
    until("a task is there", async || {
        let tasks = client.tasks(true).await.ok()?;
        tasks.iter().find(|task| task.status.state == state).map(|task| task.id.to_string())
    })
    .await
}

#[tokio::test]
async fn every_page_is_whole_in_a_browser() {
    let Some(tools) = tools() else {
        eprintln!("left out: HAGGLE_TEST_BROWSER names no folder with playwright-core");
        return;
    };
    let cluster = Cluster::start(&[AgentFlags::default(), AgentFlags::default()]).await;
    let client = cluster.client().await;
    let token = cluster.haggle(&["token", "create", "--kind", "operator", "--name", "ada", "--json"]).await;
    let token: serde_json::Value = serde_json::from_slice(&token.stdout).unwrap();
    let [hello, hungry] = ["hello", "hungry"].map(|name| wasm(name).display().to_string());
    assert!(cluster.haggle(&["run", "--role", "eng/batch", "--name", "hello", &hello]).await.status.success());
    cluster.haggle(&["run", "--role", "eng/batch", "--mem", "16MiB", "--name", "hungry", &hungry]).await;
    let session =
        Runner::new(&client).name("<script>alert(1)</script>\u{202e}night").role("eng/live").start().await.unwrap();
    let spinner = client.upload(wasm("spinner")).await.unwrap();
    let handle =
        session.submit(Task::new(spinner).name("<img src=x onerror=alert(1)>").cpus("0.1").mem("32MiB")).await.unwrap();
    let (running, ended) = (one_in(&client, TaskState::Running).await, one_in(&client, TaskState::Finished).await);

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("pages/pages.mjs");
    let mut browser = Command::new("node");
    cluster.home().take_in(&mut browser);
    browser.arg(script).env("PAGES_URL", &cluster.url).env("PAGES_TOKEN", token["token"].as_str().unwrap());
    browser.env("PAGES_TASK", running).env("PAGES_ENDED", ended).env("PAGES_TOOLS", tools);
    browser.env("PAGES_HAGGLE", binary("haggle")).env("PAGES_WASM", &hello);
    let told = tokio::task::spawn_blocking(move || browser.output().unwrap()).await.unwrap();

    let (said, wrong) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(told.status.success(), "{said}\n{wrong}");
    handle.ended().await.unwrap();
    session.close().await;
}
