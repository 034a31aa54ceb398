//! Two instances of one framework, with a folder or an etcd between them: one is killed or stopped, the other goes on.

use std::collections::BTreeMap;

use haggle_kit::{AgentFlags, Cluster, Daemon, binary, until, wasm};
use haggle_sdk::{Announcement, TaskId, TaskState};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;

use crate::etcd::Etcd;

/// Enough that some are left whenever the first instance is stopped.
const ITEMS: usize = 24;

/// Where instances of the example `replicated` run, and what becomes of their tasks.
struct Stage {
    cluster: Cluster,
    /// Holds the store, when that is a folder.
    _dir: TempDir,
    store: String,
    /// Every end that the master announces, until the framework has left.
    ends: JoinHandle<Vec<(TaskId, TaskState)>>,
}

impl Stage {
    async fn with_folder() -> Self {
        let dir = TempDir::new().unwrap();
        let store = dir.path().join("store").display().to_string();
        Self::start(dir, store).await
    }

    async fn with_etcd(etcd: &Etcd) -> Self {
        let hosts: Vec<_> = etcd.urls().iter().map(|url| url.replace("http://", "")).collect();
        Self::start(TempDir::new().unwrap(), format!("etcd://{}/test/replicated", hosts.join(","))).await
    }

    async fn start(dir: TempDir, store: String) -> Self {
        let cluster = Cluster::start(&[AgentFlags::default()]).await;
        let mut watch = cluster.client().await.watch().await.unwrap();
        let ends = tokio::spawn(async move {
            let mut ends = Vec::new();
            while let Some(event) = watch.next().await {
                match event.unwrap().what {
                    Announcement::Task(status) if status.state.is_terminal() => ends.push((status.task, status.state)),
                    Announcement::FrameworkRemoved(_) => break,
                    _ => {}
                }
            }
            ends
        });
        Self { cluster, _dir: dir, store, ends }
    }

    fn instance(&self, name: &str) -> Daemon {
        let (items, module) = (ITEMS.to_string(), wasm("sleeper").display().to_string());
        let args = [
            ["--master", &self.cluster.url],
            ["--store", &self.store],
            ["--items", &items],
            ["--seconds", "0.5"],
            ["--module", &module],
        ];
        let args: Vec<_> = args.concat().into_iter().map(str::to_owned).collect();
        Daemon::spawn(&binary("replicated"), &args, self.cluster.log(name))
    }

    /// Two instances, of which the first has done a part, and the second waits.
    async fn two_instances(&self) -> (Daemon, Daemon) {
        let first = self.instance("first.log");
        until("the first has the store", async || first.log().contains("connected to").then_some(())).await;
        let second = self.instance("second.log");
        until("the second stands by", async || second.log().contains("standing by").then_some(())).await;
        until("the first works", async || first.log().contains("is FINISHED").then_some(())).await;
        (first, second)
    }

    /// The second has taken over and does what is left: each item has one task that finished.
    async fn done_by(self, second: &mut Daemon, logs: impl Fn() -> String) {
        let exit = second.exited().await;
        let said = second.log();
        assert!(exit.success(), "{said}");
        assert!(said.contains("took over framework-1"), "{said}");
        assert!(said.contains("all 24 items are done"), "{said}");
        let ends = self.ends.await.unwrap();
        let mut finished = BTreeMap::<String, Vec<TaskId>>::new();
        for (item, task) in launches(&(logs() + &said)) {
            let ends: Vec<_> = ends.iter().filter(|(of, _)| of.to_string() == task).collect();
            assert!(ends.len() <= 1, "{task} ended more than once: {ends:?}");
            finished
                .entry(item)
                .or_default()
                .extend(ends.iter().filter(|(_, state)| *state == TaskState::Finished).map(|(task, _)| *task));
        }
        assert_eq!(finished.len(), ITEMS, "{finished:?}");
        assert!(finished.values().all(|tasks| tasks.len() == 1), "{finished:?}");
    }
}

/// Items and tasks, of lines like `launched item-3 as task-1.4 on agent-1`.
fn launches(log: &str) -> Vec<(String, String)> {
    let launch = |line: &str| {
        let words: Vec<_> = line.strip_prefix("launched ")?.split(' ').collect();
        Some((words.first()?.to_string(), words.get(2)?.to_string()))
    };
    log.lines().filter_map(launch).collect()
}

fn signal(process: &Daemon, signal: Signal) {
    let pid = Pid::from_raw(process.pid().cast_signed()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[tokio::test]
async fn the_standby_of_a_framework_does_what_is_left_when_the_first_instance_is_killed() {
    let stage = Stage::with_folder().await;
    let (mut first, mut second) = stage.two_instances().await;

    first.kill();

    stage.done_by(&mut second, || first.log()).await;
}

#[tokio::test]
async fn with_an_etcd_the_standby_takes_over_when_the_lease_of_the_first_has_ended() {
    let etcd = Etcd::start(1);
    let stage = Stage::with_etcd(&etcd).await;
    let (mut first, mut second) = stage.two_instances().await;

    first.kill();

    stage.done_by(&mut second, || first.log()).await;
}

/// It goes on in the middle of what the second does. A launch that it had written down before it was stopped it may still say,
/// and then nobody listens.
#[tokio::test]
async fn an_instance_that_was_stopped_and_followed_changes_nothing_and_says_why_it_ends() {
    let etcd = Etcd::start(1);
    let stage = Stage::with_etcd(&etcd).await;
    let (mut first, mut second) = stage.two_instances().await;

    signal(&first, Signal::STOP);
    until("the second works", async || second.log().contains("took over").then_some(())).await;
    signal(&first, Signal::CONT);

    let exit = first.exited().await;
    assert!(!exit.success(), "{}", first.log());
    assert!(first.log().contains("this instance was silent for so long that it has lost"), "{}", first.log());
    stage.done_by(&mut second, || first.log()).await;
    assert!(!second.log().contains("back at the master"), "its session was never taken: {}", second.log());
}
