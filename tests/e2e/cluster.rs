//! A master and agents as processes, and the commands that ask them.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use haggle_core::{Digest, TaskState};
use haggle_kit::{AgentFlags, Cluster, until, wasm};
use haggle_sdk::{Runner, Task};
use serde_json::Value;

fn lines(stdout: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stdout).expect("haggle writes UTF-8");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[tokio::test]
async fn an_array_spreads_over_the_agents_and_every_task_finishes() {
    let cluster = Cluster::start(&[AgentFlags::default(), AgentFlags::default()]).await;
    let module = wasm("primes").display().to_string();

    let output =
        cluster.haggle(&["run", &module, "--instances", "20", "--cpus", "0.5", "--json", "--", "100000"]).await;

    let told = lines(&output.stdout);
    assert_eq!(told.len(), 20, "{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.iter().all(|task| task["state"] == "FINISHED"), "{told:?}");
    let mut agents: Vec<_> = told.iter().map(|task| task["agent"].to_string()).collect();
    agents.sort();
    agents.dedup();
    assert_eq!(agents.len(), 2, "both agents had work");
}

#[tokio::test]
async fn a_task_waits_for_the_first_agent_and_wants_no_more_cpus_than_that_has() {
    let mut cluster = Cluster::start(&[]).await;
    let client = cluster.client().await;
    let hello = wasm("hello").display().to_string();
    let inspected = lines(&cluster.haggle(&["inspect", &hello, "--json"]).await.stdout);
    let module: Digest = inspected[0]["digest"].as_str().unwrap().parse().unwrap();
    let mut run = cluster.command(&["run", &hello]);
    let run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the module is there", async || client.has_artifact(module).await.ok()?.then_some(())).await;

    cluster.spawn_agent(&AgentFlags { cpus: "0.5", mem: "1GiB" });

    let output = tokio::task::spawn_blocking(|| run.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello, world\n", "{output:?}");
}

#[tokio::test]
async fn every_list_shows_what_is_there() {
    let cluster = Cluster::start(&[AgentFlags { cpus: "2", mem: "1GiB" }]).await;
    let client = cluster.client().await;
    let module = client.upload(wasm("spinner")).await.unwrap();
    let session = Runner::new(&client).name("lists").role("science").start().await.unwrap();
    let spinner = session.submit(Task::new(module).name("top").cpus("0.5").mem("64MiB")).await.unwrap();
    until("the spinner runs", async || {
        let tasks = client.tasks(false).await.ok()?;
        tasks.iter().any(|task| task.status.state == TaskState::Running).then_some(())
    })
    .await;

    let list = async |what: &str| lines(&cluster.haggle(&[what, "--json"]).await.stdout);
    let (agents, frameworks, roles, tasks) =
        (list("agents").await, list("frameworks").await, list("roles").await, list("ps").await);

    assert_eq!(agents.len(), 1);
    assert_eq!(agents[0]["name"], "agent0");
    assert_eq!(frameworks[0]["name"], "lists");
    assert_eq!(frameworks[0]["roles"][0], "science");
    assert!(roles.iter().any(|role| role["name"] == "science"), "{roles:?}");
    assert_eq!((&tasks[0]["name"], &tasks[0]["state"]), (&"top".into(), &"RUNNING".into()));

    let id = tasks[0]["id"].as_str().unwrap();
    let killed = cluster.haggle(&["kill", id, "--json"]).await;
    assert_eq!(lines(&killed.stdout)[0]["id"], id, "{}", String::from_utf8_lossy(&killed.stderr));
    assert_eq!(spinner.ended().await.unwrap().state, TaskState::Killed);
    session.close().await;
}

#[tokio::test]
async fn a_log_is_read_while_the_task_runs_and_after_it_has_ended() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let module = client.upload(wasm("chatty")).await.unwrap();
    let session = Runner::new(&client).start().await.unwrap();
    let handle = session.submit(Task::new(module).cpus("0.5").mem("16MiB").output_limit("8KiB")).await.unwrap();
    let status = handle.ended().await.unwrap();

    let log = cluster.haggle(&["logs", &status.task.to_string()]).await;
    let followed = cluster.haggle(&["logs", "-f", &status.task.to_string()]).await;

    assert_eq!(log.stdout.len(), 8 << 10);
    assert_eq!(followed.stdout, log.stdout);
    let told = lines(&cluster.haggle(&["logs", "--json", &status.task.to_string()]).await.stdout);
    let text: String = told.iter().filter_map(|piece| piece["text"].as_str()).collect();
    assert_eq!(text.as_bytes(), log.stdout);
    session.close().await;
}

#[tokio::test]
async fn a_watcher_sees_a_task_come_and_go() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let mut watcher = cluster.command(&["watch", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let stdout = watcher.stdout.take().unwrap();
    let seen = tokio::task::spawn_blocking(move || {
        BufReader::new(stdout).lines().map_while(Result::ok).find(|line| line.contains("FINISHED"))
    });
    let module = wasm("hello").display().to_string();

    // A watcher sees what happens from the moment it is there, so that the first tasks may come too early.
    until("the watcher has seen a task finish", async || {
        let ran = cluster.haggle(&["run", &module]).await;
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        seen.is_finished().then_some(())
    })
    .await;

    assert!(seen.await.unwrap().is_some());
    watcher.kill().unwrap();
    watcher.wait().unwrap();
}

#[tokio::test]
async fn two_roles_with_more_work_than_room_both_come_to_their_end() {
    let cluster = Cluster::start(&[AgentFlags { cpus: "2", mem: "1GiB" }]).await;
    let module = wasm("sleeper").display().to_string();
    let flags = ["--cpus", "1", "--mem", "16MiB", "--instances", "4", "--json", "--", "0.05"];
    let run = |role: &'static str| {
        let args: Vec<&str> = ["run", &module, "--role", role].into_iter().chain(flags).collect();
        let mut command = cluster.command(&args);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };

    let (red, blue) = tokio::join!(run("red"), run("blue"));

    for output in [red.unwrap(), blue.unwrap()] {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(lines(&output.stdout).len(), 4);
    }
}
