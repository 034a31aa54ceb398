//! Blocks of commands that the tests here do not type, each with the reason: the one list of them.

use std::fs;
use std::path::Path;

use super::blocks::blocks;

/// Pages of which every block is typed.
const TYPED: [&str; 3] = ["SCRIPTS.md", "QUOTAS.md", "TASKS.md"];

/// A page, how a block there begins, and why it is not typed here.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("README.md", "cargo xtask demo", "it builds and tests all there is, this among it"),
    ("README.md", "cargo build --release", "it builds what the tests have built already"),
    (
        "README.md",
        "host1$ haggle master",
        "it takes two machines and a laptop: tests/hosts/tour.rs types it in three networks",
    ),
    (
        "ARTIFACTS.md",
        "haggle run oci://",
        "it wants a registry, a store and a web server: tests/e2e/artifacts.rs asks three",
    ),
    (
        "ARTIFACTS.md",
        "haggle master --artifact-hosts",
        "it is a master for each line: tests/e2e/artifacts.rs starts such",
    ),
    ("ARTIFACTS.md", "haggle push", "it wants a registry: tests/e2e/artifacts.rs pushes to Debian's"),
    (
        "ARTIFACTS.md",
        "haggle artifacts ls",
        "it names a digest that somebody has: tests/e2e/artifacts.rs types all three",
    ),
    ("TRACING.md", "haggle master --otlp", "it wants a collector: tests/e2e/traces.rs has one"),
    (
        "CLUSTER.md",
        "host1$ haggle master",
        "it takes two machines and a laptop: tests/hosts/tour.rs types it in three networks",
    ),
    (
        "OPERATING.md",
        "haggle master --listen 127.0.0.1:5050 --state m0",
        "it wants an etcd: tests/chaos kills masters that are started so",
    ),
    ("PYTHON.md", "", "sdk/python/tests/test_documents.py types it, with the package built"),
    (
        "MESOS.md",
        "haggle proxy --listen",
        "it wants two masters and a client of Mesos: tests/e2e/mesos has two of them go this way",
    ),
    ("METRICS.md", "haggle token create", "it wants a cluster: tests/e2e/documents.rs types it"),
    ("PAGES.md", "haggle ui", "it opens a browser: tests/e2e/across/proxy.rs goes in as that would"),
    ("PAGES.md", "curl -H @", "it wants `haggle proxy`, which prints HEADER: tests/e2e/across/proxy.rs asks so"),
    ("ROLES.md", "$ haggle roles", "it shows a cluster at one moment of its work: tests/e2e/roles.rs has the table"),
    ("ROLES.md", "haggle agent --oversubscribe", "it wants a cluster that is busy: tests/e2e/revocable.rs"),
    ("ROLES.md", "$ haggle run solver.wasm", "it wants a cluster: tests/e2e/gangs.rs"),
    ("ROLES.md", "$ haggle run fetch.wasm", "it wants agents that differ: tests/e2e/placing.rs"),
    ("ROLES.md", "$ haggle why eng", "it shows a cluster at one moment of its work: tests/e2e/placing.rs"),
    (
        "VOLUMES.md",
        "$ haggle reserve",
        "it wants a cluster and a service that runs on: tests/e2e/volumes.rs goes this way",
    ),
    (
        "TERMINAL.md",
        "echo 'source",
        "it changes the shell of who types it: tests/e2e/completions.rs has bash source the same",
    ),
    ("BENCHMARKS.md", "cargo xtask bench", "it takes ten minutes of a machine that does nothing else"),
];

fn page(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = if name == "README.md" { root.join(name) } else { root.join("docs").join(name) };
    fs::read_to_string(path).unwrap()
}

/// Whether it is not typed here.
pub(super) fn is_typed_elsewhere(page: &str, block: &str) -> bool {
    ELSEWHERE.iter().any(|(of, begin, _)| *of == page && block.trim_start().starts_with(begin))
}

#[test]
fn every_block_of_commands_is_typed_or_says_why_it_is_not() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let names = fs::read_dir(docs).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = names.filter(|name| name.ends_with(".md") && !TYPED.contains(&name.as_str()));
    let typed_here = super::TYPED_IN_PART;

    for name in names.chain(["README.md".to_owned()]) {
        for block in blocks(&page(&name)).filter(|block| block.is_typed()) {
            let is_known = is_typed_elsewhere(&name, block.text) || typed_here.contains(&name.as_str());
            assert!(is_known, "{name}: this block is typed by no test, and says nowhere why:\n{}", block.text);
        }
    }
    for (name, begin, why) in ELSEWHERE {
        let page = page(name);
        let stands = blocks(&page).any(|block| block.text.trim_start().starts_with(begin));
        assert!(stands, "{name} has no block any more that begins with {begin:?} ({why})");
    }
}
