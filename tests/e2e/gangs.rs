//! Tasks that start together over agents or not at all, and live and die together.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use haggle_core::{Reason, TaskState};
use haggle_kit::{AgentFlags, Cluster, guests, until, wasm};
use haggle_sdk::{Client, Outcome, Report, RunError, Runner, Task, TaskView};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::run::{assert_success, text};
use crate::said::said;

const ONE_CORE: AgentFlags = AgentFlags { cpus: "1", mem: "1GiB" };
const TWO_CORES: AgentFlags = AgentFlags { cpus: "2", mem: "1GiB" };

fn lines(output: &Output) -> Vec<Value> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Traps as the first task of its framework, and never ends as any other.
fn first_traps() -> String {
    let (first, other) = ("(loop $ever (br $ever))", "(return)");
    assert!(guests::FIRST_FOR_EVER.contains(first) && guests::FIRST_FOR_EVER.contains(other));
    guests::FIRST_FOR_EVER.replace(first, "(unreachable)").replace(other, first)
}

/// A gang of so many spinners of one core each.
fn start_gang(client: &Client, module: haggle_core::Digest, tasks: usize) -> JoinHandle<Result<Report, RunError>> {
    let tasks = vec![Task::new(module).name("spinner").cpus("0.9").mem("32MiB"); tasks];
    let runner = Runner::new(client).name("gang").gang();
    tokio::spawn(runner.run(tasks, |_| {}))
}

/// Its tasks, once all of them run.
async fn running(client: &Client, tasks: usize) -> Vec<TaskView> {
    until("all of them run", async || {
        let mut all = client.tasks(false).await.ok()?;
        all.retain(|task| task.status.state == TaskState::Running);
        (all.len() == tasks).then_some(all)
    })
    .await
}

fn ends(report: &Report) -> Vec<(TaskState, Option<Reason>)> {
    let end = |outcome: &Outcome| outcome.status.as_ref().map(|status| (status.state, status.reason));
    report.outcomes.iter().filter_map(end).collect()
}

/// S43.
#[tokio::test]
async fn a_task_that_fails_ends_its_gang_over_two_agents() {
    let cluster = Cluster::start(&[TWO_CORES, TWO_CORES]).await;
    let module = cluster.log("first-traps.wat");
    std::fs::write(&module, first_traps()).unwrap();
    let module = module.display().to_string();

    let gang = ["--instances", "4", "--gang", "--cpus", "1", "--mem", "32MiB", "--json"];
    let output = cluster.haggle(&[&["run", module.as_str()][..], &gang].concat()).await;

    assert_eq!(output.status.code(), Some(134), "{}", text(&output.stderr));
    let mut ended = lines(&output);
    ended.sort_by_key(|task| task["index"].as_u64());
    assert_eq!((&ended[0]["state"], &ended[0]["reason"]), (&"FAILED".into(), &"TRAP".into()));
    for other in &ended[1..] {
        assert_eq!((&other["state"], &other["reason"]), (&"KILLED".into(), &"TASK_GROUP".into()), "{other}");
        assert!(other["message"].as_str().unwrap().ends_with(".1 of its group is FAILED (TRAP)"), "{other}");
    }
    let agents: BTreeSet<_> = ended.iter().map(|task| task["agent_name"].as_str().unwrap()).collect();
    assert_eq!(agents, ["agent0", "agent1"].into());
    until("nothing is held", async || {
        let agents = cluster.client().await.agents().await.ok()?;
        agents.iter().all(|agent| agent.used.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_gang_without_room_says_why_and_starts_when_there_is() {
    let mut cluster = Cluster::start(&[TWO_CORES]).await;
    let module = wasm("hello").display().to_string();
    let mut run = cluster.command(&["run", &module, "--instances", "3", "--gang", "--mem", "16MiB"]);
    let mut run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = BufReader::new(run.stderr.take().unwrap());

    let told = tokio::task::spawn_blocking(|| {
        let mut told = stderr.lines().map_while(Result::ok);
        let why = told.find(|line| line.contains("all 3 tasks want room at once, and now there is room for 2"));
        (why, told)
    });
    // Its standard error stays open, for it may have more to say.
    let (why, _stderr) = told.await.unwrap();
    assert!(why.is_some());
    let agents = cluster.client().await.agents().await.unwrap();
    assert!(agents[0].used.is_empty() && agents[0].offered.is_empty(), "{:?}", agents[0]);

    cluster.spawn_agent(&ONE_CORE);
    let output = tokio::task::spawn_blocking(|| run.wait_with_output().unwrap()).await.unwrap();
    assert_success(&output);
    assert_eq!(text(&output.stdout).matches("hello, world").count(), 3);
}

#[tokio::test]
async fn a_gang_lives_on_under_another_master_and_ends_when_one_fails() {
    let mut cluster = Cluster::start(&[ONE_CORE, ONE_CORE]).await;
    let client = cluster.client().await;
    let module = client.upload(wasm("spinner")).await.unwrap();
    let gang = start_gang(&client, module, 2);
    let before = running(&client, 2).await;

    cluster.restart_master().await;
    cluster.registered(2).await;
    let client = cluster.client().await;
    let after = running(&client, 2).await;
    let ids = |tasks: &[TaskView]| tasks.iter().map(|task| task.id).collect::<BTreeSet<_>>();
    assert_eq!(ids(&after), ids(&before));
    let listed = lines(&cluster.haggle(&["ps", "--json"]).await);
    assert!(listed.iter().all(|task| task["group"] == before[0].id.to_string()), "{listed:?}");
    let told = said(&cluster, &["why", &after[1].id.to_string()]).await;
    assert!(told.contains(&format!("its group {} has 2 tasks of framework-1: 2 RUNNING", before[0].id)), "{told}");
    let killed = cluster.haggle(&["kill", &after[1].id.to_string()]).await;
    assert_success(&killed);

    let report = gang.await.unwrap().unwrap();
    let mut ended = ends(&report);
    ended.sort_unstable();
    let killed = |reason| (TaskState::Killed, Some(reason));
    assert_eq!(ended, [killed(Reason::KillRequested), killed(Reason::TaskGroup)]);
}

#[tokio::test]
async fn an_agent_that_lost_its_task_of_a_gang_ends_the_others() {
    let mut cluster = Cluster::start(&[ONE_CORE, ONE_CORE]).await;
    let client = cluster.client().await;
    let module = client.upload(wasm("spinner")).await.unwrap();
    let gang = start_gang(&client, module, 2);
    running(&client, 2).await;

    cluster.agents[1].kill();
    cluster.kill_executors(1, None);
    cluster.restart_agent(1, &ONE_CORE);

    let report = gang.await.unwrap().unwrap();
    let mut ended = ends(&report);
    ended.sort_unstable();
    assert_eq!(ended[0], (TaskState::Killed, Some(Reason::TaskGroup)), "{ended:?}");
    assert_eq!(ended[1].0, TaskState::Gone, "{ended:?}");
}

#[tokio::test]
async fn a_gang_is_run_again_as_a_whole() {
    let cluster = Cluster::start(&[ONE_CORE, ONE_CORE]).await;
    let client = cluster.client().await;
    // The first task of all fails, and those of the second launch have other numbers.
    let (first, other) = ("(loop $ever (br $ever))", "(return)");
    let guest = guests::FIRST_FOR_EVER.replace(first, "(unreachable)");
    assert!(guest.contains(other));
    let module = client.upload_bytes(guests::compile(&guest)).await.unwrap();
    let tasks = vec![Task::new(module).cpus("0.9").mem("32MiB"); 2];

    let report = Runner::new(&client).name("again").retries(1).gang().run(tasks, |_| {}).await.unwrap();

    assert!(report.all_finished(), "{report:?}");
    let attempts: Vec<u32> = report.outcomes.iter().map(|outcome| outcome.attempts).collect();
    assert_eq!(attempts, [2, 2]);
}
