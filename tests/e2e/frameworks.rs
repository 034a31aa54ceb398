//! The example frameworks, as a reader of the README runs them.

use std::process::Command;

use haggle_kit::{AgentFlags, Cluster, Daemon, binary, until, wasm};
use tempfile::TempDir;

async fn framework(name: &str, cluster: &Cluster, args: &[String]) -> (bool, String) {
    let mut command = Command::new(binary(name));
    cluster.home().take_in(&mut command);
    command.args(["--master", &cluster.url]).args(args);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn the_first_framework_launches_a_sleeper_and_leaves() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let module = wasm("sleeper").display().to_string();

    let (ended_well, said) = framework("first", &cluster, &["--module".into(), module, "0.1".into()]).await;

    assert!(ended_well, "{said}");
    let client = cluster.client().await;
    assert!(client.frameworks().await.unwrap().is_empty(), "it has unregistered: {said}");
}

#[tokio::test]
async fn mapreduce_counts_the_words_of_a_folder_as_one_would_natively() {
    let cluster = Cluster::start(&[AgentFlags::default(), AgentFlags::default()]).await;
    let texts = TempDir::new().unwrap();
    for file in 0..8 {
        let text = format!("common words and word{file} ").repeat(500);
        std::fs::write(texts.path().join(format!("{file}.txt")), text).unwrap();
    }
    let folder = texts.path().display().to_string();
    let module = wasm("wordcount").display().to_string();

    let (ended_well, said) = framework("mapreduce", &cluster, &["--module".into(), module, folder]).await;

    assert!(ended_well, "{said}");
    assert!(said.contains("matches the native count"), "{said}");
}

#[tokio::test]
async fn the_standby_of_a_framework_does_what_is_left_when_the_first_instance_is_killed() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let dir = TempDir::new().unwrap();
    let instance = |name: &str| {
        let text = |path: std::path::PathBuf| path.display().to_string();
        let args = ["--master", &cluster.url, "--items", "12", "--seconds", "0.5"].map(str::to_owned);
        let files =
            ["--store".to_owned(), text(dir.path().join("store")), "--module".to_owned(), text(wasm("sleeper"))];
        Daemon::spawn(&binary("replicated"), &[&args[..], &files[..]].concat(), dir.path().join(name))
    };
    let mut first = instance("first.log");
    until("the first instance works", async || first.log().contains("is FINISHED").then_some(())).await;
    let mut second = instance("second.log");
    until("the second stands by", async || second.log().contains("standing by").then_some(())).await;

    first.kill();

    let exit = second.exited().await;
    let said = second.log();
    assert!(exit.success(), "{said}");
    assert!(said.contains("took over framework-1"), "{said}");
    assert!(said.contains("all 12 items are done"), "{said}");
    let finished = |log: &str| log.lines().filter(|line| line.ends_with("is FINISHED")).count();
    assert!(finished(&first.log()) + finished(&said) >= 12, "{}\n{said}", first.log());
}
