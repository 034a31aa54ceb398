//! What is wrong gets one clear line, and nothing half done.

use std::path::Path;
use std::process::{Output, Stdio};

use haggle_kit::{AgentFlags, Cluster, Home, binary, wasm};
use tempfile::TempDir;

#[track_caller]
fn assert_refused(output: &Output, code: i32, says: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    for part in says {
        assert!(stderr.contains(part), "{part:?} is not in {stderr:?}");
    }
    if code == 125 {
        assert_eq!(stderr.trim_end().lines().count(), 1, "one line: {stderr:?}");
    }
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn haggle(args: &[&str]) -> Output {
    let mut command = haggle_kit::command(&binary("haggle"));
    Home::below(Path::new("/dev/null")).take_in(&mut command);
    command.args(args).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_module_that_is_not_there() {
    assert_refused(&haggle(&["run", "nowhere.wasm"]), 125, &["nowhere.wasm"]);
}

#[test]
fn a_file_that_is_no_module() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("text.wasm");
    std::fs::write(&path, "not a module").unwrap();

    assert_refused(&haggle(&["run", &path.display().to_string()]), 125, &["text.wasm"]);
    assert_refused(&haggle(&["inspect", &path.display().to_string()]), 125, &["text.wasm"]);
}

#[test]
fn quotas_that_nothing_can_hold() {
    let module = wasm("hello").display().to_string();

    assert_refused(&haggle(&["run", &module, "--cpus", "0"]), 2, &["--cpus"]);
    assert_refused(&haggle(&["run", &module, "--mem", "lots"]), 2, &["--mem", "lots"]);
    assert_refused(&haggle(&["run", &module, "--mem", "900TiB"]), 125, &["900 TiB"]);
}

#[test]
fn a_master_that_does_not_answer() {
    assert_refused(&haggle(&["agents", "--master", "http://127.0.0.1:9"]), 125, &["127.0.0.1:9"]);
}

#[test]
fn one_of_several_masters_that_others_reach_wants_a_place_for_its_seal_key() {
    let flags = ["master", "--listen", "0.0.0.0:0", "--etcd", "http://127.0.0.1:9"];

    assert_refused(&haggle(&flags), 125, &["--ca-key-file FILE", "--state DIR"]);
}

#[test]
fn an_agent_talks_to_another_machine_by_its_certificate_alone() {
    let dir = TempDir::new().unwrap();
    let work_dir = dir.path().display().to_string();

    let output = haggle(&["agent", "--master", "http://192.0.2.1:5050", "--work-dir", &work_dir]);

    assert_refused(&output, 125, &["192.0.2.1", "haggle agent --join TOKEN"]);
}

#[tokio::test]
async fn a_task_that_no_agent_could_ever_run_is_refused_with_the_largest_agents_size() {
    let cluster =
        Cluster::start(&[AgentFlags { cpus: "1", mem: "256MiB" }, AgentFlags { cpus: "2", mem: "512MiB" }]).await;
    let module = wasm("hello").display().to_string();

    let output = cluster.haggle(&["run", &module, "--mem", "1GiB"]).await;

    assert_refused(&output, 125, &["1 GiB", "512 MiB"]);
}

#[tokio::test]
async fn ids_that_nobody_knows() {
    let cluster = Cluster::start(&[]).await;

    assert_refused(&cluster.haggle(&["kill", "task-9.9"]).await, 125, &["task-9.9"]);
    assert_refused(&cluster.haggle(&["logs", "task-9.9"]).await, 125, &["task-9.9"]);
    assert_refused(&cluster.haggle(&["kill", "nine"]).await, 2, &["nine"]);
    let digest = format!("sha256:{}", "0".repeat(64));
    assert_refused(&cluster.haggle(&["run", &digest]).await, 125, &["sha256:0000"]);
}
