//! Scripts on a cluster that is there.

use haggle_kit::{AgentFlags, Cluster, wasm};
use tempfile::TempDir;

use crate::run::{assert_success, embedded, text};

#[tokio::test]
async fn an_interpreter_that_only_the_master_has_runs_a_script() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let digest = cluster.client().await.upload(wasm("hello")).await.unwrap();
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("job.txt"), "text").unwrap();
    let of = |mut command: std::process::Command| {
        command.current_dir(dir.path()).env("XDG_CACHE_HOME", dir.path().join("cache"));
        command.output().unwrap()
    };

    let added = of(cluster.command(&["runtime", "add", &format!("greeter={digest}")]));
    let ran = of(cluster.command(&["run", "job.txt", "--runtime", "greeter"]));
    let elsewhere = of(embedded(&["job.txt", "--runtime", "greeter"]));

    assert_success(&added);
    assert_success(&ran);
    assert_eq!(text(&ran.stdout), "hello, /script/job.txt\n");
    assert_eq!(elsewhere.status.code(), Some(125));
    assert!(text(&elsewhere.stderr).contains(&digest.to_string()), "{}", text(&elsewhere.stderr));
}
