//! What tasks leave unused, offered again and taken back.

use std::process::{Child, Output, Stdio};

use haggle_kit::{AgentFlags, Cluster, guests, until};
use serde_json::{Value, json};

use crate::run::text;
use crate::said::lines;

/// What an agent measures over the shortest time that there is.
const OVERSUBSCRIBES: &[&str] = &["--oversubscribe=1s"];

/// Does nothing until there is a file `go` in the folder that it is given. Then it takes all the processor time that it has.
const WOKEN_BY_A_FILE: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 512) "go")
  (func (export "_start")
    ;; A subscription to the monotonic clock: fifty milliseconds from now.
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 50000000))
    (loop $again
      (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
      (br_if $again (call $open (i32.const 3) (i32.const 0) (i32.const 512) (i32.const 2) (i32.const 0)
        (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 256))))
    (loop $ever (br $ever))))"#;

/// A command line that runs a task, and the task's module in a file.
struct Run {
    child: Option<Child>,
    _module: tempfile::TempPath,
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // One that has ended already is what we want.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Run {
    fn start(cluster: &Cluster, guest: &str, flags: &[&str]) -> Self {
        let module = tempfile::Builder::new().suffix(".wasm").tempfile().unwrap().into_temp_path();
        std::fs::write(&module, guests::compile(guest)).unwrap();
        let mut args = vec!["run", module.to_str().unwrap(), "--json"];
        args.extend(flags);
        let child = cluster.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self { child: Some(child), _module: module }
    }

    async fn ended(mut self) -> Output {
        let child = self.child.take().expect("it is taken once");
        tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap()
    }
}

async fn tasks(cluster: &Cluster) -> Vec<Value> {
    lines(&cluster.haggle(&["ps", "--json"]).await)
}

/// Waits until a task of this name runs.
async fn runs(cluster: &Cluster, name: &str) -> Value {
    until(&format!("{name} runs"), async || {
        let is_it = |task: &Value| task["name"] == name && task["state"] == "RUNNING";
        tasks(cluster).await.into_iter().find(is_it)
    })
    .await
}

async fn cluster() -> Cluster {
    let mut cluster = Cluster::start(&[]).await;
    cluster.spawn_agent_with(&AgentFlags { cpus: "2", mem: "1GiB" }, OVERSUBSCRIBES);
    cluster.registered(1).await;
    cluster
}

/// S24 and S45 from end to end.
#[tokio::test]
async fn a_task_runs_on_what_another_one_leaves_unused_and_goes_when_that_is_wanted_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let mut cluster = Cluster::start(&[]).await;
    let flags = [OVERSUBSCRIBES[0], "--allow-folder", path];
    cluster.spawn_agent_with(&AgentFlags { cpus: "2", mem: "1GiB" }, &flags);
    cluster.registered(1).await;
    let seen = format!("{path}::/seen");
    // Little is promised, so that it is seen to be used on a machine that is busy with others, too.
    let _idle = Run::start(&cluster, WOKEN_BY_A_FILE, &["--name", "idle", "--cpus", "0.5", "--host-dir", &seen]);
    runs(&cluster, "idle").await;
    // Well below the 0.45 that the other can leave: its waking up takes some of that, and of a little more nobody is told.
    let revocable = Run::start(&cluster, guests::LOOP, &["--name", "eager", "--cpus", "0.3", "--revocable"]);
    let eager = runs(&cluster, "eager").await;
    assert_eq!((&eager["resources"]["revocable_cpus"], &eager["resources"]["cpus"]), (&json!(0.3), &json!(0.0)));
    let agent = lines(&cluster.haggle(&["agents", "--json"]).await).remove(0);
    assert_eq!((&agent["used"]["cpus"], &agent["used"]["revocable_cpus"]), (&json!(0.5), &json!(0.3)));

    std::fs::write(folder.path().join("go"), "").unwrap();

    let output = revocable.ended().await;
    let ended: Value = serde_json::from_str(text(&output.stdout).lines().last().unwrap()).unwrap();
    assert_eq!((&ended["state"], &ended["reason"]), (&json!("GONE"), &json!("PREEMPTED")), "{output:?}");
    assert_eq!(output.status.code(), Some(125));
    assert!(ended["usage"]["cpu_seconds"].as_f64().unwrap() > 0.0, "it ran: {ended}");
    runs(&cluster, "idle").await;
}

#[tokio::test]
async fn without_an_agent_that_measures_a_revocable_task_waits_and_why_says_for_what() {
    let cluster = Cluster::start(&[AgentFlags { cpus: "2", mem: "1GiB" }]).await;
    let _waits = Run::start(&cluster, guests::NOOP, &["--name", "waits", "--cpus", "0.5", "--revocable"]);

    let why = until("it waits", async || {
        let asked = cluster.haggle(&["why", "default", "--json"]).await;
        // Until it has come, nobody is called so.
        let why = asked.status.success().then(|| lines(&asked))?.pop()?;
        why["hindrances"][0].is_object().then_some(why)
    })
    .await;

    assert_eq!(why["hindrances"][0]["obstacle"], "not_unused", "{why}");
    let told = cluster.haggle(&["why", "default"]).await;
    assert!(text(&told.stdout).contains("haggle agent --oversubscribe"), "{told:?}");
}

#[tokio::test]
async fn a_revocable_task_outlives_its_agents_process_and_goes_when_nobody_measures_any_more() {
    let mut cluster = cluster().await;
    let _idle = Run::start(&cluster, guests::SLEEPER, &["--name", "idle", "--cpus", "2"]);
    runs(&cluster, "idle").await;
    let revocable = Run::start(&cluster, guests::LOOP, &["--name", "eager", "--cpus", "0.5", "--revocable"]);
    runs(&cluster, "eager").await;

    cluster.restart_agent_with(0, &AgentFlags { cpus: "2", mem: "1GiB" }, &[]);

    let output = revocable.ended().await;
    assert!(text(&output.stdout).contains("PREEMPTED"), "{output:?}");
    runs(&cluster, "idle").await;
}

#[tokio::test]
async fn without_a_cluster_there_is_nobody_who_leaves_anything() {
    let cluster = Cluster::start(&[]).await;
    let mut command = cluster.command(&["run", "any.wasm", "--revocable"]);
    command.env_remove("HAGGLE_MASTER");

    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();

    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("--revocable"), "{output:?}");
}
