//! Volumes: what one task writes the next one reads, whatever becomes of the agent and the master in between.

use std::time::Duration;

use haggle_kit::{AgentFlags, Cluster, until};
use haggle_sdk::{Client, Event, Events, Framework, FrameworkInfo, Offer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::said::{lines, refused, said};

/// Makes a file in the first folder that it finds open, and writes a line to it. Its exit code is the first errno that is not 0.
pub(crate) const WRITER: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "file")
  (data (i32.const 32) "kept\n")
  (func $check (param $errno i32) (if (local.get $errno) (then (call $exit (local.get $errno)))))
  (func (export "_start")
    (call $check (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 9)
      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 0)))
    (i32.store (i32.const 4) (i32.const 32))
    (i32.store (i32.const 8) (i32.const 5))
    (call $check (call $write (i32.load (i32.const 0)) (i32.const 4) (i32.const 1) (i32.const 12)))))"#;

/// Writes what is in that file to its standard output.
pub(crate) const READER: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "file")
  (func $check (param $errno i32) (if (local.get $errno) (then (call $exit (local.get $errno)))))
  (func (export "_start")
    (call $check (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 0)))
    (i32.store (i32.const 4) (i32.const 64))
    (i32.store (i32.const 8) (i32.const 64))
    (call $check (call $read (i32.load (i32.const 0)) (i32.const 4) (i32.const 1) (i32.const 8)))
    (call $check (call $write (i32.const 1) (i32.const 4) (i32.const 1) (i32.const 12)))))"#;

/// Makes a file, named by the letter that it is given, and writes to it until it is refused.
const FILLER: &str = r#"(module
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)
  (func $check (param $errno i32) (if (local.get $errno) (then (call $exit (local.get $errno)))))
  (func (export "_start")
    (call $check (call $args (i32.const 32) (i32.const 128)))
    (call $check (call $open (i32.const 3) (i32.const 0) (i32.load (i32.const 36)) (i32.const 1) (i32.const 1)
      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 0)))
    (i32.store (i32.const 4) (i32.const 65536))
    (i32.store (i32.const 8) (i32.const 65536))
    (loop $again
      (call $check (call $write (i32.load (i32.const 0)) (i32.const 4) (i32.const 1) (i32.const 12)))
      (br $again))))"#;

/// Ends when it is killed.
const LOOP: &str = haggle_kit::guests::LOOP;

/// Modules on disk, under these names.
struct Modules(TempDir);

impl Modules {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for (name, source) in [("writer", WRITER), ("reader", READER), ("filler", FILLER), ("loop", LOOP)] {
            std::fs::write(dir.path().join(format!("{name}.wat")), source).unwrap();
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(format!("{name}.wat")).display().to_string()
    }
}

/// `haggle run` in the role `eng` of one of the modules, with this volume.
fn run<'a>(module: &'a str, mount: &'a str) -> Vec<&'a str> {
    vec!["run", module, "--role", "eng", "--cpus", "0.5", "--mem", "16MiB", "--volume", mount]
}

/// A cluster whose agent keeps 64 MiB of disk for `eng`, and a volume of 1 MiB there.
async fn with_volume() -> (Cluster, String) {
    with_volume_on(AgentFlags::default()).await
}

/// The same of such an agent.
pub(crate) async fn with_volume_on(agent: AgentFlags) -> (Cluster, String) {
    let cluster = Cluster::start(&[agent]).await;
    said(&cluster, &["reserve", "agent-1", "eng", "disk=64MiB"]).await;
    let made = lines(&cluster.haggle(&["volume", "create", "agent-1", "eng", "data", "1MiB", "--json"]).await);
    let volume = made[0]["id"].as_str().unwrap().to_owned();
    is(&cluster, &volume, "state", &json!("ready")).await;
    (cluster, volume)
}

/// Waits until `haggle volume ls` says so.
async fn is(cluster: &Cluster, volume: &str, field: &str, value: &Value) {
    until(&format!("{field} of {volume} is {value}"), async || {
        let all = lines(&cluster.haggle(&["volume", "ls", "--json"]).await);
        all.into_iter().find(|one| one["id"] == volume && one[field] == *value)
    })
    .await;
}

async fn in_role(client: &Client, role: &str) -> (Framework, Events) {
    let info = FrameworkInfo {
        name: format!("of {role}"),
        roles: vec![role.to_owned()],
        failover_timeout: Duration::from_secs(60),
    };
    Framework::connect(client, info).await.unwrap()
}

async fn offer(events: &mut Events) -> Offer {
    loop {
        if let Event::Offers(mut offers) = events.next().await.expect("the session lasts") {
            return offers.remove(0);
        }
    }
}

#[tokio::test]
async fn what_a_task_writes_the_next_one_of_its_role_reads_after_agent_and_master_were_started_again() {
    let (mut cluster, volume) = with_volume().await;
    let modules = Modules::new();
    let mount = format!("{volume}:/data");
    said(&cluster, &run(&modules.path("writer"), &mount)).await;

    cluster.restart_agent(0, &AgentFlags::default());
    cluster.restart_master().await;
    cluster.registered(1).await;
    is(&cluster, &volume, "state", &json!("ready")).await;

    assert_eq!(said(&cluster, &run(&modules.path("reader"), &format!("{mount}:ro"))).await, "kept\n");
    // Who only reads it changes nothing.
    let code = cluster.haggle(&run(&modules.path("writer"), &format!("{mount}:ro"))).await.status.code();
    assert!(code.is_some_and(|code| code != 0), "{code:?}");

    // Another role never sees it.
    let client = cluster.client().await;
    let (web, mut hears) = in_role(&client, "web").await;
    assert_eq!(offer(&mut hears).await.volumes, []);
    web.teardown(hears).await.unwrap();
    let (_eng, mut hears) = in_role(&client, "eng/batch").await;
    let offered = offer(&mut hears).await.volumes;
    assert_eq!(offered.iter().map(|volume| volume.id.to_string()).collect::<Vec<_>>(), std::slice::from_ref(&volume));
    let reader = modules.path("reader");
    let why = refused(&cluster, &["run", &reader, "--role", "web", "--volume", &mount]).await;
    assert!(why.contains("it is of the role eng, and this runs in web: say --role eng"), "{why}");
    let nobodys = refused(&cluster, &["run", &reader, "--role", "eng", "--volume", "volume-7.7:/data"]).await;
    assert!(nobodys.contains("no agent holds a volume of that id"), "{nobodys}");
}

#[tokio::test]
async fn a_volume_in_use_is_not_removed_and_goes_with_all_that_is_in_it_afterwards() {
    let (cluster, volume) = with_volume().await;
    let modules = Modules::new();
    let mount = format!("{volume}:/data");
    said(&cluster, &run(&modules.path("writer"), &mount)).await;
    let folder = cluster.work_dir(0).join("volumes").join(&volume);
    assert_eq!(std::fs::read_to_string(folder.join("data/file")).unwrap(), "kept\n");
    let mut busy = cluster.command(&run(&modules.path("loop"), &mount)).spawn().unwrap();
    is(&cluster, &volume, "users", &json!(1)).await;

    let why = refused(&cluster, &["volume", "rm", &volume]).await;

    assert!(why.contains(&format!("{volume} is used by task-")), "{why}");
    let why = refused(&cluster, &["unreserve", "agent-1", "eng", "disk=64MiB"]).await;
    assert!(why.contains(&format!("volumes hold more: {volume} (\"data\", 1 MiB)")), "{why}");
    busy.kill().unwrap();
    busy.wait().unwrap();
    for task in lines(&cluster.haggle(&["ps", "--json"]).await) {
        said(&cluster, &["kill", task["id"].as_str().unwrap()]).await;
    }
    is(&cluster, &volume, "users", &json!(0)).await;
    assert_eq!(
        said(&cluster, &["volume", "rm", &volume]).await,
        format!("{volume} is removed, with all that was in it\n")
    );
    until("the folder is gone", async || (!folder.exists()).then_some(())).await;
    assert_eq!(lines(&cluster.haggle(&["volume", "ls", "--json"]).await), [] as [Value; 0]);
    said(&cluster, &["unreserve", "agent-1", "eng", "disk=64MiB"]).await;
}

#[tokio::test]
async fn two_tasks_read_a_shared_volume_at_once_and_none_writes_it() {
    let (cluster, volume) = with_volume().await;
    let modules = Modules::new();
    let mount = format!("{volume}:/data");
    said(&cluster, &run(&modules.path("writer"), &mount)).await;
    said(&cluster, &["volume", "share", &volume]).await;

    let why = refused(&cluster, &run(&modules.path("writer"), &mount)).await;

    assert!(why.contains(&format!("it is shared, and can only be read: mount it as {volume}:/data:ro")), "{why}");
    let read_only = format!("{mount}:ro");
    let mut both = run(&modules.path("loop"), &read_only).iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>();
    both.extend(["--instances".to_owned(), "2".to_owned()]);
    let both: Vec<&str> = both.iter().map(String::as_str).collect();
    let mut busy = cluster.command(&both).spawn().unwrap();
    is(&cluster, &volume, "users", &json!(2)).await;
    assert_eq!(said(&cluster, &run(&modules.path("reader"), &read_only)).await, "kept\n");
    let why = refused(&cluster, &["volume", "share", &volume, "--off"]).await;
    assert!(why.contains("is used by task-"), "{why}");
    busy.kill().unwrap();
    busy.wait().unwrap();
}

#[tokio::test]
async fn the_size_of_a_volume_holds_over_all_tasks_that_write_it() {
    let (cluster, volume) = with_volume().await;
    let modules = Modules::new();
    let (filler, mount) = (modules.path("filler"), format!("{volume}:/data"));
    let fill = |name: &'static str| {
        let mut args = run(&filler, &mount);
        args.extend(["--json", "--", name]);
        args.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };

    for name in ["a", "b"] {
        let args = fill(name);
        let output = cluster.haggle(&args.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["reason"], "DISK_LIMIT", "{told}");
        assert_eq!(told["message"], format!("wants 1114112 B in {volume}, which has 1 MiB"), "{told}");
        assert_eq!(told["exceeded"]["limit"], 1 << 20, "{told}");
    }
    let data = cluster.work_dir(0).join("volumes").join(&volume).join("data");
    let held = |name: &str| std::fs::metadata(data.join(name)).unwrap().len();
    assert_eq!((held("a"), held("b")), (1 << 20, 0));
}
