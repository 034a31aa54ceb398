//! `haggle top`: once as JSON, and in a terminal that tmux plays.

use std::process::Command;
#[cfg(target_os = "linux")]
use std::time::Duration;

use haggle_kit::{AgentFlags, Cluster, binary, until, wasm};
use haggle_sdk::{Client, Runner, Session, Task, TaskHandle, TaskState};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A spinner that runs, and its id.
async fn spinner(client: &Client) -> (Session, TaskHandle, String) {
    let session = Runner::new(client).name("night").role("eng/batch").start().await.unwrap();
    let module = client.upload(wasm("spinner")).await.unwrap();
    let handle = session.submit(Task::new(module).name("top").cpus("0.5").mem("32MiB")).await.unwrap();
    let id = until("the task runs", async || {
        let tasks = client.tasks(false).await.ok()?;
        tasks.iter().find(|task| task.status.state == TaskState::Running).map(|task| task.id.to_string())
    })
    .await;
    (session, handle, id)
}

#[tokio::test]
async fn a_cluster_at_one_moment_is_one_json_object_or_some_lines() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let (session, handle, id) = spinner(&client).await;

    let json = cluster.haggle(&["top", "--once", "--json"]).await;
    let text = cluster.haggle(&["top", "--once"]).await;

    assert!(json.status.success(), "{}", String::from_utf8_lossy(&json.stderr));
    let record: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(record["master"]["url"], cluster.url.as_str());
    assert_eq!(record["agents"][0]["name"], "agent0");
    assert_eq!((&record["tasks"][0]["id"], &record["tasks"][0]["state"]), (&id.as_str().into(), &"RUNNING".into()));
    assert!(record["roles"].as_array().unwrap().iter().any(|role| role["name"] == "eng/batch"), "{record}");
    assert_eq!(record["frameworks"][0]["name"], "night");
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("0.5 of 2 used (25 %)") && text.contains("1 up, 0 that take no tasks"), "{text}");

    client.kill(id.parse().unwrap()).await.unwrap();
    handle.ended().await.unwrap();
    session.close().await;
}

#[tokio::test]
async fn without_a_terminal_it_says_what_to_do_instead() {
    let cluster = Cluster::start(&[]).await;

    let output = cluster.haggle(&["top"]).await;

    assert_eq!(output.status.code(), Some(125));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("is none") && said.contains("haggle top --once"), "{said}");
}

/// What is run in a terminal: `haggle top` between two words, and its process's id.
fn line(cluster: &Cluster) -> String {
    let (haggle, pid) = (binary("haggle"), cluster.log("top.pid"));
    let top = format!("echo $$ > {}; exec {} top", pid.display(), haggle.display());
    format!("echo before; sh -c '{top}'; echo left with $?; exec cat")
}

/// A terminal of a server of its own, gone with its value.
struct Tmux {
    socket: String,
}

impl Tmux {
    /// Runs a line of a shell in it, as the user of a cluster.
    fn start(cluster: &Cluster, line: &str) -> Self {
        let tmux = Self { socket: format!("haggle-test-{}", cluster.url.rsplit(':').next().unwrap()) };
        let mut command = tmux.command();
        cluster.home().take_in(&mut command);
        command.env("HAGGLE_MASTER", &cluster.url).env("LC_ALL", "C.UTF-8").env("TERM", "xterm-256color");
        command.args(["-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", line]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        tmux
    }

    /// `None`, and says so, where there is none.
    fn is_there() -> Option<()> {
        let is_there = Command::new("tmux").arg("-V").output().is_ok_and(|output| output.status.success());
        if !is_there {
            eprintln!("left out: there is no tmux; `cargo xtask test` fetches one");
        }
        is_there.then_some(())
    }

    fn command(&self) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-u", "-L", &self.socket]).env_remove("TMUX");
        command
    }

    fn press(&self, keys: &[&str]) {
        assert!(self.command().arg("send-keys").args(keys).status().unwrap().success(), "{keys:?}");
    }

    /// What is seen.
    fn screen(&self) -> String {
        let output = self.command().args(["capture-pane", "-p"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    async fn shows(&self, what: &str) {
        until(&format!("{what:?} is seen"), async || self.screen().contains(what).then_some(())).await;
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.command().arg("kill-server").output();
    }
}

#[tokio::test]
async fn in_a_terminal_one_finds_a_task_kills_it_and_gets_the_terminal_back() {
    let Some(()) = Tmux::is_there() else { return };
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let (session, handle, id) = spinner(&client).await;

    let tmux = Tmux::start(&cluster, &line(&cluster));

    tmux.shows("live").await;
    tmux.shows("0.5 of 2 used (25 %)").await;
    assert!(!tmux.screen().contains("before"));
    tmux.press(&[":tasks", "Enter"]);
    tmux.shows(&id).await;
    tmux.press(&["Enter"]);
    tmux.shows("standard output").await;
    tmux.shows("RUNNING on agent-1").await;
    tmux.press(&["C-k"]);
    tmux.shows(&format!("Kill {id}?")).await;
    tmux.press(&["y"]);
    assert_eq!(handle.ended().await.unwrap().state, TaskState::Killed);
    tmux.shows("KILLED on agent-1").await;
    tmux.press(&["Escape"]);
    tmux.shows("Tasks [").await;
    tmux.press(&[":q", "Enter"]);
    tmux.shows("left with 0").await;
    let screen = tmux.screen();
    assert!(screen.contains("before") && !screen.contains("Tasks ["), "{screen}");
    session.close().await;
}

/// Processor time of a process so far, of all its threads.
#[cfg(target_os = "linux")]
fn cpu(pid: i32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of = |thread: std::fs::DirEntry| {
        let told = std::fs::read_to_string(thread.path().join("schedstat")).unwrap();
        told.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    Duration::from_nanos(threads.map(|thread| of(thread.unwrap())).sum())
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn while_nothing_happens_it_takes_no_hundredth_of_a_core() {
    /// In which several rounds of everything that it does by itself would be, but for the lists that it asks for each 30 s.
    const LOOKED: Duration = Duration::from_secs(4);
    let Some(()) = Tmux::is_there() else { return };
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let tmux = Tmux::start(&cluster, &line(&cluster));
    tmux.shows("live").await;
    let pid: i32 = std::fs::read_to_string(cluster.log("top.pid")).unwrap().trim().parse().unwrap();
    // What it asked for first has come once nothing is done any more.
    until("it has nothing to do", async || {
        let before = cpu(pid);
        tokio::time::sleep(Duration::from_millis(300)).await;
        (cpu(pid) - before < Duration::from_millis(3)).then_some(())
    })
    .await;

    let before = cpu(pid);
    tokio::time::sleep(LOOKED).await;
    let took = cpu(pid) - before;

    assert!(took < LOOKED / 100, "{took:?} of {LOOKED:?}");
    eprintln!("haggle top took {took:?} of {LOOKED:?}");
}

#[tokio::test]
async fn a_signal_gives_the_terminal_back_as_well() {
    let Some(()) = Tmux::is_there() else { return };
    let cluster = Cluster::start(&[]).await;
    let tmux = Tmux::start(&cluster, &line(&cluster));
    tmux.shows("live").await;

    let pid = std::fs::read_to_string(cluster.log("top.pid")).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();

    tmux.shows("left with 130").await;
    assert!(tmux.screen().contains("before"), "{}", tmux.screen());
    // What is typed is seen again.
    tmux.press(&["typed"]);
    tmux.shows("typed").await;
}
