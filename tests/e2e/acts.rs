//! What can be done on the master's pages, done by the commands that they show for it.

use std::env;
use std::process::Command;

use haggle_core::TaskState;
use haggle_kit::{AgentFlags, Cluster, Ran, binary, until, wasm};
use haggle_sdk::{Runner, Task};

/// What a page shows to be typed for each of its buttons, by the button's name and with where the button sends.
async fn acts(cluster: &Cluster, page: &str, token: &str) -> Vec<(String, String, String)> {
    let html = cluster.get(page, token).await.unwrap();
    let between = |text: &str, from: &str, to: &str| {
        let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("{page} has an action without {from}: {text}"));
        rest.split_once(to).unwrap().0.to_owned()
    };
    let blocks: Vec<_> = html.split("<details class=\"action\">").skip(1).collect();
    // Whatever else sends something is to log out.
    let forms = html.matches("<form method=\"post\"").count() - html.matches("action=\"/logout\"").count();
    assert_eq!(blocks.len(), forms, "{page}: what does something shows no command: {html}");
    let act = |block: &&str| {
        let label = between(block, "<summary class=\"button", "…");
        let label = label.rsplit_once('>').unwrap().1.to_owned();
        let command = between(block, "<code class=\"command\">", "</code>");
        (label, command, between(block, "<form method=\"post\" action=\"", "\""))
    };
    blocks.iter().map(act).collect()
}

/// Types a line in a shell of the cluster's user.
async fn typed(cluster: &Cluster, line: &str) -> Ran {
    let mut shell = Command::new("sh");
    cluster.home().take_in(&mut shell);
    let (path, haggle) = (env::var("PATH").unwrap(), binary("haggle"));
    let path = format!("{}:{path}", haggle.parent().unwrap().display());
    shell.args(["-c", line]).env("PATH", path).env("HAGGLE_MASTER", &cluster.url);
    tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap().into()
}

/// Types what a page shows for one of its buttons.
async fn does(cluster: &Cluster, page: &str, label: &str, token: &str) -> String {
    let acts = acts(cluster, page, token).await;
    let (_, command, url) = acts.iter().find(|(of, ..)| of == label).unwrap_or_else(|| panic!("{page}: {acts:?}"));
    assert!(url.starts_with(page), "{url}");
    typed(cluster, command).await.well()
}

#[tokio::test]
async fn each_command_that_a_page_shows_for_a_button_does_the_same() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let token = typed(&cluster, "haggle token create --kind operator").await.well();
    let session = Runner::new(&client).start().await.unwrap();
    let spinner = client.upload(wasm("spinner")).await.unwrap();
    let handle = session.submit(Task::new(spinner).cpus("0.1").mem("32MiB")).await.unwrap();
    let task = until("the task runs", async || {
        let tasks = client.tasks(false).await.ok()?;
        tasks.into_iter().find(|task| task.status.state == TaskState::Running).map(|task| task.id)
    })
    .await;
    let (page, agent) = (format!("/tasks/{task}"), "/agents/agent-1");
    let labels = async || acts(&cluster, agent, &token).await.into_iter().map(|(label, ..)| label).collect::<Vec<_>>();

    let again = does(&cluster, &page, "Run again", &token).await;
    does(&cluster, &page, "Kill", &token).await;
    assert_eq!(handle.ended().await.unwrap().state, TaskState::Killed);
    assert!(client.task(again.trim().parse().unwrap()).await.unwrap().is_some(), "{again}");
    client.kill(again.trim().parse().unwrap()).await.unwrap();

    assert_eq!(labels().await, ["Deactivate", "Drain"]);
    for label in ["Deactivate", "Drain"] {
        does(&cluster, agent, label, &token).await;
        assert_eq!(labels().await, ["Reactivate"], "after {label}");
        does(&cluster, agent, "Reactivate", &token).await;
        assert_eq!(labels().await, ["Deactivate", "Drain"]);
    }

    let other = typed(&cluster, "haggle token create --kind viewer --name other").await.well();
    assert!(cluster.page("/tasks.json", &other).await.is_some());
    let rows = acts(&cluster, "/tokens", &token).await;
    let ids = typed(&cluster, "haggle token ls --json").await.json();
    let id = ids.iter().find(|token| token["name"] == "other").unwrap()["id"].as_str().unwrap().to_owned();
    let (_, command, _) = rows.iter().find(|(_, _, url)| url.contains(&id)).unwrap();
    typed(&cluster, command).await.well();
    assert!(cluster.page("/tasks.json", &other).await.is_none());
    session.close().await;
}

#[tokio::test]
async fn each_page_of_one_thing_is_an_object_at_its_address() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let token = typed(&cluster, "haggle token create --kind operator").await.well();
    let client = cluster.client().await;
    let session = Runner::new(&client).start().await.unwrap();
    let hello = client.upload(wasm("hello")).await.unwrap();
    session.submit(Task::new(hello)).await.unwrap().ended().await.unwrap();
    let task = client.tasks(true).await.unwrap().remove(0).id;

    let (task, framework) = (task.to_string(), task.framework.to_string());
    for (page, key, id) in
        [("tasks", "task", &*task), ("frameworks", "framework", &framework), ("agents", "agent", "agent-1")]
    {
        let told = cluster.page(&format!("/{page}/{id}.json"), &token).await.unwrap();
        assert_eq!(told[key]["id"], id, "{told}");
    }
    session.close().await;
}
