//! The network: what is granted works and is counted, what is not granted is refused inside the guest.

mod http;
mod server;
mod sockets;

use std::path::PathBuf;
use std::sync::OnceLock;

use haggle_core::{Bytes, Reason, TaskId, TaskSpec, TaskState};

use crate::kit::{Bench, Report, component, spec};

/// An example task that is linked against WASI 0.2, as a component.
fn guest(name: &'static str) -> &'static [u8] {
    static DIAL: OnceLock<Vec<u8>> = OnceLock::new();
    static FETCH: OnceLock<Vec<u8>> = OnceLock::new();
    let kept = if name == "dial" { &DIAL } else { &FETCH };
    kept.get_or_init(|| {
        let path = wasm_folder().join(format!("{name}.wasm"));
        let read = std::fs::read(&path);
        component(&read.unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask wasm`", path.display())))
    })
}

/// `target/wasm`, unless `HAGGLE_TEST_WASM` names another folder.
fn wasm_folder() -> PathBuf {
    std::env::var_os("HAGGLE_TEST_WASM").map_or_else(
        || {
            let executable = std::env::current_exe().unwrap();
            executable.ancestors().nth(3).unwrap().join("wasm")
        },
        PathBuf::from,
    )
}

/// `net:HOST:PORT` and `http:HOST[:PORT]`.
fn granted(grants: &[&str], args: &[&str]) -> TaskSpec {
    let mut spec = spec();
    spec.resources.mem = Bytes::from_mib(64);
    spec.args = args.iter().map(ToString::to_string).collect();
    for grant in grants {
        match grant.split_once(':').unwrap() {
            ("net", endpoint) => spec.grants.net.push(endpoint.parse().unwrap()),
            (_, host) => spec.grants.http.push(host.parse().unwrap()),
        }
    }
    spec
}

fn launch(bench: &Bench, name: &'static str, spec: TaskSpec) -> TaskId {
    bench.launch_bytes(spec, guest(name), &[])
}

fn run(name: &'static str, grants: &[&str], args: &[&str]) -> Report {
    let bench = Bench::new();
    let id = launch(&bench, name, granted(grants, args));
    bench.report(id)
}

impl Report {
    fn assert_says(&self, what: &str) {
        let said = String::from_utf8_lossy(&self.stderr);
        assert_eq!(self.verdict(), (TaskState::Failed, Some(Reason::Exit)), "{}: {said}", self.ending.message);
        assert!(said.contains(what), "{said} does not say {what}");
    }
}

#[test]
fn without_grants_there_is_no_network() {
    for (name, args, says) in [
        ("dial", ["tcp", "127.0.0.1:80", ""].as_slice(), "socket: access-denied"),
        ("dial", &["udp", "127.0.0.1:80", "x"], "socket: access-denied"),
        ("dial", &["lookup", "localhost"], "lookup: access-denied"),
        ("fetch", &["http://127.0.0.1/"], "HttpRequestDenied"),
    ] {
        let report = run(name, &[], args);

        report.assert_says(says);
        assert_eq!(report.ending.usage.net, Bytes::ZERO);
    }
}

#[test]
fn an_agent_without_a_network_refuses_a_task_that_wants_one() {
    let bench = Bench::without_network();
    for grant in ["net:db.example:5432", "http:api.example"] {
        let id = launch(&bench, "dial", granted(&[grant], &["lookup", "db.example"]));
        let ending = bench.report(id).ending;

        assert_eq!((ending.state, ending.reason), (TaskState::Failed, Some(Reason::TaskInvalid)));
        assert!(ending.message.contains("gives its tasks no network"), "{}", ending.message);
    }
    let id = launch(&bench, "dial", granted(&[], &["lookup", "db.example"]));
    bench.report(id).assert_says("lookup: access-denied");
}
