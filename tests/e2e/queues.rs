//! Allocations and their queues, from the framework to the guest and back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use haggle_core::{Digest, Reason, TaskState};
use haggle_kit::{AgentFlags, Cluster, guests, until, wasm};
use haggle_sdk::{
    AllocationSpec, Client, Event, Events, Framework, FrameworkInfo, Index, QueueVolume, QueuedTasks, Resources,
    Runner, Task, TaskId, TaskStatus,
};
use serde_json::Value;

use crate::said::lines;

mod volumes;
mod watched;

/// The number of the allocation in each of these tests.
const ALLOCATION: u64 = 1;

/// A framework with one allocation, and how its tasks ended so far.
struct Owner {
    framework: Framework,
    events: Events,
    allocation: Vec<TaskState>,
    ends: BTreeMap<u64, Vec<TaskStatus>>,
}

impl Owner {
    /// Opens an allocation with all that is offered, which stays open for a minute.
    async fn open(client: &Client) -> Self {
        Self::open_with(client, "role", Vec::new()).await
    }

    /// The same in this role, with these volumes.
    async fn open_with(client: &Client, role: &str, volumes: Vec<QueueVolume>) -> Self {
        let info = FrameworkInfo {
            name: "owner".to_owned(),
            roles: vec![role.to_owned()],
            failover_timeout: Duration::from_secs(60),
        };
        let (framework, mut events) = Framework::connect(client, info).await.unwrap();
        let offer = loop {
            if let Event::Offers(mut offers) = events.next().await.expect("the session lasts") {
                break offers.remove(0);
            }
        };
        let owner = Self { framework, events, allocation: Vec::new(), ends: BTreeMap::new() };
        let resources = Resources::new(offer.resources.cpus, offer.resources.mem, offer.resources.disk);
        let spec = AllocationSpec {
            id: owner.id(ALLOCATION),
            name: "queue".to_owned(),
            role: String::new(),
            resources,
            volumes,
            idle_timeout: Duration::from_secs(60),
        };
        owner.framework.open([offer.id], spec, Duration::ZERO).await.unwrap();
        owner
    }

    fn id(&self, number: u64) -> TaskId {
        TaskId { framework: self.framework.id(), number }
    }

    async fn enqueue(&self, task: Task, first: u64, count: u32, last: bool) {
        let index = Some(Index { variable: "HAGGLE_TASK_INDEX".to_owned(), first: 0 });
        let tasks = QueuedTasks { spec: Arc::new(task.spec(self.id(first))), count, index };
        self.framework.enqueue(self.id(ALLOCATION), [tasks], last).await.unwrap();
    }

    /// Hears events until so many tasks have ended, and the allocation if that is wanted.
    async fn hear(&mut self, ends: usize, and_the_allocation: bool) {
        let is_over = |allocation: &[TaskState]| allocation.last().is_some_and(|state| state.is_terminal());
        while self.ends.len() < ends || (and_the_allocation && !is_over(&self.allocation)) {
            match self.events.next().await.expect("the session lasts") {
                Event::Queue(update) => {
                    self.framework.acknowledge_queue(&update).await.unwrap();
                    Arc::unwrap_or_clone(update).ends().for_each(|status| self.ended(status));
                }
                Event::Update(status) => {
                    self.framework.acknowledge([&status]).await.unwrap();
                    match status.task.number {
                        ALLOCATION => self.allocation.push(status.state),
                        _ if status.state.is_terminal() => self.ended(status),
                        _ => {}
                    }
                }
                Event::Error(why) => panic!("{why}"),
                _ => {}
            }
        }
    }

    /// What is told again is told as it was.
    fn ended(&mut self, status: TaskStatus) {
        let told = self.ends.entry(status.task.number).or_default();
        assert!(told.iter().all(|before| before.state == status.state), "{status:?} after {told:?}");
        told.push(status);
    }

    /// How many tasks ended in each state.
    fn states(&self) -> BTreeMap<TaskState, usize> {
        let mut states = BTreeMap::new();
        for told in self.ends.values() {
            *states.entry(told[0].state).or_default() += 1;
        }
        states
    }

    async fn leave(self) {
        self.framework.teardown(self.events).await.unwrap();
    }
}

async fn cluster() -> (Cluster, Client) {
    let cluster = Cluster::start(&[AgentFlags { cpus: "2", mem: "1GiB" }]).await;
    let client = cluster.client().await;
    (cluster, client)
}

async fn upload(client: &Client, guest: &str) -> Digest {
    client.upload_bytes(guests::compile(guest)).await.unwrap()
}

fn task(module: Digest) -> Task {
    Task::new(module).cpus("1").mem("8MiB").name("queued")
}

/// The tasks in a queue by their state, as `haggle ps` shows them.
async fn listed(cluster: &Cluster) -> BTreeMap<String, Vec<String>> {
    let mut listed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for task in lines(&cluster.haggle(&["ps", "--json"]).await) {
        if task["name"] == "queued" {
            listed
                .entry(task["state"].as_str().unwrap().to_owned())
                .or_default()
                .push(task["id"].as_str().unwrap().to_owned());
        }
    }
    listed
}

#[tokio::test]
async fn tasks_of_a_queue_run_back_to_back_and_their_allocation_ends_after_the_last() {
    let (_cluster, client) = cluster().await;
    let module = upload(&client, guests::NOOP).await;
    let mut owner = Owner::open(&client).await;

    owner.enqueue(task(module), 10, 1_000, false).await;
    owner.enqueue(task(module).cpus("0.01"), 2_000, 3_000, true).await;
    owner.hear(4_000, true).await;

    assert_eq!(owner.states(), [(TaskState::Finished, 4_000)].into());
    assert_eq!(owner.allocation.last(), Some(&TaskState::Finished));
    assert!(owner.ends[&10][0].usage.is_some_and(|usage| usage.wall > Duration::ZERO));
    until("what it held is free", async || {
        let agents = client.agents().await.ok()?;
        agents[0].used.is_empty().then_some(())
    })
    .await;
    owner.leave().await;
}

#[tokio::test]
async fn what_a_task_of_a_queue_wrote_is_read_as_of_any_other() {
    let (cluster, client) = cluster().await;
    let module = upload(&client, guests::CAT).await;
    let mut owner = Owner::open(&client).await;

    owner.enqueue(task(module).stdin("hello"), 10, 3, false).await;
    owner.hear(3, false).await;

    let output = cluster.haggle(&["logs", &owner.id(11).to_string()]).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello", "{}", String::from_utf8_lossy(&output.stderr));
    owner.leave().await;
}

#[tokio::test]
async fn tasks_of_a_queue_are_listed_and_killed_as_any_other() {
    let (cluster, client) = cluster().await;
    let module = upload(&client, guests::SLEEPER).await;
    let mut owner = Owner::open(&client).await;
    owner.enqueue(task(module), 10, 5, false).await;
    let two_run = async || {
        let listed = listed(&cluster).await;
        (listed.get("RUNNING")?.len() == 2).then_some(listed)
    };
    let listed = until("two of five run", two_run).await;
    assert_eq!(listed["STAGING"].len(), 3);

    let waits = owner.id(14).to_string();
    for task in [&listed["RUNNING"][0], &waits] {
        assert!(cluster.haggle(&["kill", task]).await.status.success());
    }
    owner.hear(2, false).await;
    assert_eq!(owner.states(), [(TaskState::Killed, 2)].into());
    until("the next one runs", two_run).await;

    owner.framework.kill(owner.id(ALLOCATION)).await.unwrap();
    owner.hear(5, true).await;
    assert_eq!(owner.states(), [(TaskState::Killed, 5)].into());
    assert_eq!(owner.allocation.last(), Some(&TaskState::Killed));
    owner.leave().await;
}

#[tokio::test]
async fn a_queue_goes_on_while_its_agent_is_away_and_every_end_is_told() {
    let (mut cluster, client) = cluster().await;
    let module = upload(&client, &guests::work(2_000_000)).await;
    let mut owner = Owner::open(&client).await;
    owner.enqueue(task(module), 10, 500, false).await;
    owner.hear(20, false).await;

    cluster.agents[0].kill();
    cluster.restart_agent(0, &AgentFlags { cpus: "2", mem: "1GiB" });
    owner.hear(500, false).await;

    assert_eq!(owner.states(), [(TaskState::Finished, 500)].into());
    owner.enqueue(task(module), 1_000, 10, true).await;
    owner.hear(510, true).await;
    assert_eq!(owner.allocation.last(), Some(&TaskState::Finished));
    owner.leave().await;
}

#[tokio::test]
async fn a_queue_survives_a_restart_of_the_master() {
    let (mut cluster, client) = cluster().await;
    let module = upload(&client, &guests::work(2_000_000)).await;
    let mut owner = Owner::open(&client).await;
    owner.enqueue(task(module), 10, 500, false).await;
    owner.hear(20, false).await;

    cluster.restart_master().await;
    owner.hear(500, false).await;

    assert_eq!(owner.states(), [(TaskState::Finished, 500)].into());
    owner.enqueue(task(module), 1_000, 10, true).await;
    owner.hear(510, true).await;
    owner.leave().await;
}

#[tokio::test]
async fn with_its_executor_a_queue_has_failed() {
    let (cluster, client) = cluster().await;
    let module = upload(&client, guests::SLEEPER).await;
    let mut owner = Owner::open(&client).await;
    owner.enqueue(task(module), 10, 5, false).await;
    until("they run", async || listed(&cluster).await.contains_key("RUNNING").then_some(())).await;

    cluster.kill_executors(0, None);
    owner.hear(5, true).await;

    assert_eq!(owner.states(), [(TaskState::Failed, 5)].into());
    assert!(owner.ends.values().all(|told| told[0].reason == Some(Reason::ExecutorTerminated)), "{:?}", owner.ends);
    owner.leave().await;
}

#[tokio::test]
async fn a_module_that_is_none_fails_every_task_that_names_it_and_no_other() {
    let (_cluster, client) = cluster().await;
    let (good, bad) = (upload(&client, guests::NOOP).await, client.upload_bytes(b"nothing".to_vec()).await.unwrap());
    let mut owner = Owner::open(&client).await;

    owner.enqueue(task(bad), 10, 50, false).await;
    owner.enqueue(task(good), 100, 50, true).await;
    owner.hear(100, true).await;

    assert_eq!(owner.states(), [(TaskState::Finished, 50), (TaskState::Failed, 50)].into());
    assert_eq!(owner.ends[&10][0].reason, Some(Reason::ModuleInvalid));
    owner.leave().await;
}

#[tokio::test]
async fn a_runner_has_short_tasks_run_in_queues_by_itself() {
    let (_cluster, client) = cluster().await;
    let module = upload(&client, guests::NOOP).await;
    let session = Runner::new(&client).name("runner").start().await.unwrap();

    let mut handles = Vec::new();
    for _ in 0..3_000 {
        handles.push(session.submit(task(module)).await.unwrap());
    }
    for handle in handles {
        let status = handle.ended().await.unwrap();
        assert_eq!(status.state, TaskState::Finished, "{}", status.message);
    }

    let tasks = client.tasks(true).await.unwrap();
    assert!(tasks.iter().any(|task| task.is_allocation), "it has opened an allocation");
    session.close().await;
}

#[tokio::test]
async fn every_task_of_a_run_is_listed_after_its_end_and_its_allocations_are_told_from_them() {
    let (cluster, client) = cluster().await;
    let module = wasm("hello").display().to_string();

    let ran = cluster.haggle(&["run", &module, "--instances", "300", "--cpus", "1", "--quiet"]).await;
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));

    let ended = until("all has ended", async || {
        client.tasks(false).await.ok()?.is_empty().then_some(())?;
        Some(lines(&cluster.haggle(&["ps", "--all", "--json"]).await))
    })
    .await;
    // An allocation closes when it is idle for a while. On a machine that is busy for so long, the next tasks for it come too late: they
    // never ran, and were launched again as others.
    let (too_late, ended): (Vec<Value>, Vec<Value>) = ended.into_iter().partition(|task| task["state"] == "DROPPED");
    assert!(too_late.iter().all(|task| task["reason"] == "INVALID_OFFERS" && task["kind"] == "task"), "{too_late:?}");
    assert!(ended.iter().all(|task| task["state"] == "FINISHED" && task["reason"].is_null()), "{ended:?}");
    let (allocations, tasks): (Vec<&Value>, Vec<&Value>) = ended.iter().partition(|task| task["kind"] == "allocation");
    assert_eq!(tasks.len(), 300);
    assert!(tasks.iter().all(|task| task["kind"] == "task"), "{tasks:?}");
    assert!(tasks.iter().all(|task| !task["usage"].is_null() && !task["agent"].is_null()), "{tasks:?}");
    assert!(!allocations.is_empty(), "short tasks run in a queue");
    let one = allocations[0]["id"].as_str().unwrap();
    let shown = cluster.haggle(&["ps", "--all"]).await;
    let shown = String::from_utf8_lossy(&shown.stdout);
    let line = shown.lines().find(|line| line.split_whitespace().next() == Some(one)).expect("it is shown");
    assert_eq!(line.split_whitespace().nth(1), Some("allocation"), "{line}");
}
