//! The example frameworks, as a reader of the README runs them.

use std::process::Command;

use haggle_kit::{AgentFlags, Cluster, binary, wasm};
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
