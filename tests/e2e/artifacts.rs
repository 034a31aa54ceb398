//! Artifacts from registries and stores that others made, and what becomes of them in the master.

mod registries;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use haggle_kit::{AgentFlags, Cluster, Daemon, Machine, Ran, free_port, until, wasm};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// A port of this machine that nobody listens on.
/// A server of somebody else's, gone with its value.
struct Server {
    port: u16,
    folder: TempDir,
    _process: Daemon,
}

impl Server {
    async fn start(program: &Path, args: &[String], port: u16, folder: TempDir) -> Self {
        let process = Daemon::spawn(program, args, folder.path().join("log"));
        until("it answers", async || TcpStream::connect(("127.0.0.1", port)).await.ok()).await;
        Self { port, folder, _process: process }
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// Debian's registry; with `users`, it lets in those of that file alone. `None`, and says so, where there is none.
async fn registry(users: Option<&str>) -> Option<Server> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("users");
    let auth = users.map(|users| {
        fs::write(&file, users).unwrap();
        format!("auth: {{ htpasswd: {{ realm: here, path: {:?} }} }}\n", file.display().to_string())
    });
    registry_with(folder, "", &auth.unwrap_or_default()).await
}

/// The same in a folder, with more in its configuration: of how it speaks HTTP, and besides.
async fn registry_with(folder: TempDir, http: &str, more: &str) -> Option<Server> {
    let is_there =
        Command::new("docker-registry").arg("--version").output().is_ok_and(|output| output.status.success());
    if !is_there {
        assert!(env::var_os("CI").is_none(), "there is no docker-registry");
        eprintln!("left out: there is no docker-registry; `cargo xtask test` fetches one");
        return None;
    }
    let port = free_port();
    let storage = folder.path().join("storage").display().to_string();
    let config = format!(
        "version: 0.1\nlog: {{ level: warn }}\nstorage: {{ filesystem: {{ rootdirectory: {storage:?} }} }}\nhttp: {{ addr: \
         \"127.0.0.1:{port}\"{http} }}\n{more}"
    );
    let file = folder.path().join("config.yml");
    fs::write(&file, config).unwrap();
    let args = ["serve".to_owned(), file.display().to_string()];
    Some(Server::start(Path::new("docker-registry"), &args, port, folder).await)
}

/// A cluster whose master fetches from these hosts.
async fn cluster(hosts: &str, more: &[&str]) -> Cluster {
    let flags = ["--artifact-hosts", hosts].into_iter().chain(more.iter().copied());
    // The kit keeps flags for as long as the test runs, to start the master anew.
    let flags: Vec<&'static str> = flags.map(|flag| &*Box::leak(flag.to_owned().into_boxed_str())).collect();
    Cluster::start_with(Box::leak(flags.into_boxed_slice()), &[AgentFlags::default()]).await
}

async fn ran(cluster: &Cluster, args: &[&str]) -> Ran {
    cluster.haggle(args).await.into()
}

async fn kept(cluster: &Cluster) -> Vec<Value> {
    ran(cluster, &["artifacts", "ls", "--json"]).await.json()
}

fn example(name: &str) -> String {
    wasm(name).display().to_string()
}

#[tokio::test]
async fn what_is_pushed_to_a_registry_runs_from_there_pinned_and_is_fetched_once() {
    let Some(registry) = registry(None).await else { return };
    let cluster = cluster(&registry.host(), &[]).await;
    let source = format!("oci://{}/team/hello", registry.host());
    let (v1, latest) = (format!("{source}:1.0"), format!("{source}:latest"));

    let pushed = ran(&cluster, &["push", &example("hello"), &v1, "--json"]).await.json().remove(0);
    let pinned = pushed["pinned"].as_str().unwrap();
    let first = ran(&cluster, &["run", &v1]).await;
    let again = ran(&cluster, &["run", "--quiet", pinned]).await;

    assert!(pinned.starts_with(&format!("{source}@sha256:")), "{pinned}");
    assert_eq!(first.stdout, "hello, world\n", "{first:?}");
    assert!(
        first.stderr.contains(&format!("{v1} is {}, from {pinned}", pushed["digest"].as_str().unwrap())),
        "{first:?}"
    );
    assert_eq!((again.stdout.as_str(), again.stderr.as_str()), ("hello, world\n", ""), "{again:?}");
    let (tasks, table) =
        (ran(&cluster, &["ps", "--all", "--json"]).await, ran(&cluster, &["ps", "--all"]).await.well());
    assert!(tasks.json().iter().all(|task| task["module"] == pushed["digest"]), "{table}");
    assert!(table.contains(&pushed["digest"].as_str().unwrap()["sha256:".len()..][..12]), "{table}");
    // Where it was fetched from is told to those who may list what is kept.
    let task = ran(&cluster, &["ps", "--all", "--json"]).await.json()[0]["id"].as_str().unwrap().to_owned();
    for (kind, sources) in [("operator", vec![pinned]), ("viewer", vec![])] {
        let flags = ["token", "create", "--kind", kind, "--role", "*"];
        let flags = if kind == "operator" { &flags[..4] } else { &flags };
        let token = ran(&cluster, flags).await.well();
        let page = cluster.page(&format!("/tasks/{task}.json"), &token).await.unwrap();
        assert_eq!((&page["task"]["module"], &page["module_sources"]), (&pushed["digest"], &sources.into()), "{kind}");
    }
    let kept = kept(&cluster).await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!((&kept[0]["digest"], &kept[0]["sources"][0]), (&pushed["digest"], &pushed["pinned"]));

    // The tag moves; what was pinned does not.
    ran(&cluster, &["push", &example("wordcount"), &v1]).await.well();
    let moved = ran(&cluster, &["inspect", &v1, "--json"]).await.json().remove(0);
    let first = ran(&cluster, &["inspect", pinned, "--json"]).await.json().remove(0);
    assert_ne!(moved["digest"], pushed["digest"]);
    assert_eq!((&first["digest"], &first["pinned"]), (&pushed["digest"], &pushed["pinned"]));

    // And without a cluster: what the command line names is allowed by that.
    ran(&cluster, &["push", &example("hello"), &latest]).await.well();
    let alone = Machine::new().haggle(&["run", &source]);
    assert_eq!(alone.stdout, "hello, world\n", "{alone:?}");
}

/// `ada`, with the password `s3cret`, as htpasswd writes it.
const USERS: &str = "ada:$2b$05$WkzTHROtpRaCJFqwbtcN1uFPnTsSFsBJQuIhrC55KeGYKecYHYl4i\n";

#[tokio::test]
async fn a_login_is_found_where_docker_keeps_it_and_shown_nowhere() {
    let Some(registry) = registry(Some(USERS)).await else { return };
    let audit = registry.folder.path().join("audit").display().to_string();
    let cluster = cluster(&registry.host(), &["--audit", &audit]).await;
    let source = format!("oci://{}/team/hello:1.0", registry.host());
    let stranger = ran(&cluster, &["push", &example("hello"), &source]).await;
    let config = cluster.home().logins(".docker/config.json");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    // ada:s3cret
    fs::write(&config, format!(r#"{{"auths": {{"{}": {{"auth": "YWRhOnMzY3JldA=="}}}}}}"#, registry.host())).unwrap();

    ran(&cluster, &["push", &example("hello"), &source]).await.well();
    let run = ran(&cluster, &["run", &source]).await;
    fs::remove_file(&config).unwrap();
    let locked_out = ran(&cluster, &["run", &source]).await;

    assert!(stranger.stderr.contains("does not let us in (401): ~/.docker/config.json"), "{stranger:?}");
    assert_eq!(run.stdout, "hello, world\n", "{run:?}");
    assert!(locked_out.stderr.contains("does not let us in (401)"), "{locked_out:?}");
    let told = [cluster.master.log(), fs::read_to_string(audit).unwrap(), run.stderr];
    assert!(told[1].contains("\"Pull\"") && told[1].contains(&source), "{}", told[1]);
    for told in told {
        assert!(!told.contains("s3cret") && !told.contains("YWRhOnMzY3JldA"), "{told}");
    }
}

#[tokio::test]
async fn a_master_fetches_from_nobody_whom_its_operator_does_not_name_and_for_nobody_who_may_not() {
    let cluster = cluster("registry.example", &[]).await;
    let viewer = ran(&cluster, &["token", "create", "--kind", "viewer", "--role", "*"]).await.well();
    let lines = async |args: &[&str]| ran(&cluster, args).await.stderr;

    let elsewhere = lines(&["run", "oci://127.0.0.1:1/team/app:1.0"]).await;
    let plain = lines(&["run", "http://registry.example/app.wasm"]).await;
    let path = lines(&["run", "oci://registry.example/../etc/passwd:1"]).await;
    let looks_on = lines(&["--token", &viewer, "artifacts", "pull", "https://registry.example/a.wasm"]).await;
    let removes = lines(&["--token", &viewer, "artifacts", "gc"]).await;

    assert!(elsewhere.contains("allow it with --artifact-hosts 127.0.0.1:1"), "{elsewhere}");
    assert!(plain.contains("in plain text"), "{plain}");
    assert!(path.contains("names no artifact"), "{path}");
    assert!(looks_on.contains("(viewer) may not have artifacts fetched"), "{looks_on}");
    assert!(removes.contains("(viewer) may not collect unused artifacts"), "{removes}");
    assert_eq!(kept(&cluster).await, Vec::<Value>::new());
}

/// An object store that speaks S3, with a bucket; `None`, and says so, where there is none.
async fn store() -> Option<Server> {
    let folder = env::var_os("HAGGLE_TEST_S3").map(PathBuf::from).filter(|folder| folder.is_dir());
    let Some(installed) = folder else {
        assert!(env::var_os("CI").is_none(), "there is no object store: `cargo xtask test` fetches it");
        eprintln!("left out: HAGGLE_TEST_S3 names no folder with an object store; `cargo xtask test` fetches one");
        return None;
    };
    let (folder, port) = (TempDir::new().unwrap(), free_port());
    let data = folder.path().join("data");
    let object = data.join("models/jobs");
    fs::create_dir_all(&object).unwrap();
    // As it keeps objects itself.
    for (name, content) in [("hello.wasm", fs::read(wasm("hello")).unwrap()), ("words.txt", b"some words".to_vec())] {
        fs::write(object.join(format!("{name}._S3rver_object")), &content).unwrap();
        fs::write(object.join(format!("{name}._S3rver_metadata.json")), "{}").unwrap();
        fs::write(object.join(format!("{name}._S3rver_object.md5")), "00000000000000000000000000000000").unwrap();
    }
    let args = ["-d", &data.display().to_string(), "-a", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned);
    Some(Server::start(&installed.join("node_modules/.bin/s3rver"), &args, port, folder).await)
}

#[tokio::test]
async fn modules_and_inputs_come_from_an_object_store() {
    let Some(store) = store().await else { return };
    let cluster = cluster(&store.host(), &[]).await;
    let configure = |key: &str| {
        let said = format!(
            "[default]\nendpoint_url = http://{}\naws_access_key_id = {key}\naws_secret_access_key = S3RVER\n",
            store.host()
        );
        let config = cluster.home().logins(".aws/config");
        fs::create_dir_all(config.parent().unwrap()).unwrap();
        fs::write(config, said).unwrap();
    };
    configure("somebody");
    let stranger = ran(&cluster, &["run", "s3://models/jobs/hello.wasm"]).await;
    // What the store knows by itself.
    configure("S3RVER");

    let run = ran(&cluster, &["run", "s3://models/jobs/hello.wasm"]).await;
    let no_module = ran(&cluster, &["run", "s3://models/jobs/words.txt"]).await;
    let missing = ran(&cluster, &["run", "s3://models/jobs/other.wasm"]).await;
    let input = "/words.txt=s3://models/jobs/words.txt";
    let counted = ran(&cluster, &["run", &example("wordcount"), "--input", input, "--quiet", "--", "/words.txt"]).await;

    assert!(stranger.stderr.contains("does not let us in (403)"), "{stranger:?}");
    assert_eq!(run.stdout, "hello, world\n", "{run:?}");
    assert!(no_module.stderr.contains("is not a WebAssembly module: it begins with \"some wor\""), "{no_module:?}");
    assert!(missing.stderr.contains("has no jobs/other.wasm in bucket models"), "{missing:?}");
    assert!(counted.code == Some(0) && counted.stdout.contains('2'), "{counted:?}");
}

#[tokio::test]
async fn what_a_task_needs_is_not_removed_and_goes_when_the_task_has_ended() {
    let mut cluster = cluster("registry.example", &[]).await;
    let spinner = example("spinner");
    let hello = ran(&cluster, &["upload", &example("hello"), "--json"]).await.json().remove(0);
    let mut running = cluster.command(&["run", &spinner, "--cpus", "0.1"]).spawn().unwrap();
    let needed = async || kept(&cluster).await.into_iter().find(|artifact| artifact["tasks"] == 1);
    let needed = until("a task needs it", needed).await["digest"].as_str().unwrap().to_owned();

    let refused = ran(&cluster, &["artifacts", "rm", &needed]).await;
    let collected = ran(&cluster, &["artifacts", "gc", "--unused", "0s", "--json"]).await.json().remove(0);
    let left = kept(&cluster).await;

    assert!(refused.stderr.contains("is not removed: a task needs it"), "{refused:?}");
    assert_eq!((collected["artifacts"].as_u64(), left.len()), (Some(1), 1), "{collected} {left:?}");
    assert_eq!(left[0]["digest"].as_str(), Some(&*needed));
    assert_ne!(hello["digest"], left[0]["digest"]);

    let task = ran(&cluster, &["ps", "--json"]).await.json().remove(0);
    ran(&cluster, &["kill", task["id"].as_str().unwrap()]).await.well();
    running.wait().unwrap();
    until("nobody needs it", async || kept(&cluster).await.iter().all(|artifact| artifact["tasks"] == 0).then_some(()))
        .await;
    ran(&cluster, &["artifacts", "rm", &needed]).await.well();
    let unknown = ran(&cluster, &["artifacts", "rm", &needed]).await;
    assert!(unknown.stderr.contains("the master has no artifact"), "{unknown:?}");

    // And of what is gone nothing comes back with the next master.
    cluster.restart_master().await;
    cluster.registered(1).await;
    assert_eq!(kept(&cluster).await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_is_larger_than_the_operator_allows_is_not_fetched() {
    let Some(registry) = registry(None).await else { return };
    let cluster = cluster(&registry.host(), &["--artifact-limit", "1KiB"]).await;
    let source = format!("oci://{}/team/hello:1.0", registry.host());
    ran(&cluster, &["push", &example("hello"), &source]).await.well();

    let refused = ran(&cluster, &["run", &source]).await;

    assert!(refused.stderr.contains("it is larger than the 1 KiB that are taken"), "{refused:?}");
    assert_eq!(kept(&cluster).await, Vec::<Value>::new());
}
