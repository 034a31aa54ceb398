//! The arrows of `docs/ARCHITECTURE.md`: who may know of whom, checked against what cargo says.

use std::process::Command;

use serde_json::Value;

/// A package and a package that it names in its dependencies.
type Arrow = (String, String);

/// Our packages, and those of ours which each may use. Whoever may see everything is not listed here.
const LAYERS: [(&str, &[&str]); 19] = [
    ("haggle-core", &[]),
    ("haggle-memmove", &[]),
    ("haggle-etcd", &[]),
    ("haggle-inspect", &[]),
    ("haggle-upgrade", &[]),
    ("haggle-proto", &["haggle-core"]),
    ("haggle-mesos", &["haggle-core"]),
    ("haggle-tls", &["haggle-core"]),
    ("haggle-pages", &["haggle-core"]),
    ("haggle-otlp", &["haggle-core"]),
    ("haggle-sources", &["haggle-core"]),
    ("haggle-executor", &["haggle-core", "haggle-inspect"]),
    (
        "haggle-master",
        &[
            "haggle-core",
            "haggle-etcd",
            "haggle-mesos",
            "haggle-otlp",
            "haggle-pages",
            "haggle-proto",
            "haggle-sources",
            "haggle-tls",
            "haggle-upgrade",
        ],
    ),
    (
        "haggle-agent",
        &["haggle-core", "haggle-otlp", "haggle-proto", "haggle-tls", "haggle-upgrade", "haggle-executor"],
    ),
    ("haggle-sdk", &["haggle-core", "haggle-etcd", "haggle-inspect", "haggle-proto", "haggle-tls"]),
    (
        "haggle-cli",
        &[
            "haggle-core",
            "haggle-memmove",
            "haggle-pages",
            "haggle-proto",
            "haggle-tls",
            "haggle-master",
            "haggle-agent",
            "haggle-executor",
            "haggle-sdk",
            "haggle-sources",
        ],
    ),
    ("haggle-examples", &["haggle-sdk"]),
    ("haggle-python", &["haggle-pages", "haggle-sdk"]),
    ("haggle-sim", &["haggle-core", "haggle-sdk"]),
];

/// What proves the others, and so may see all of them.
const OBSERVERS: [&str; 1] = ["haggle-tests"];

/// Dependencies that live in one place, so that changing one of them changes one folder: what their names start with,
/// and who may use them.
const ISOLATED: [(&str, &[&str]); 10] = [
    ("wasmtime", &["haggle-executor"]),
    ("tonic", &["haggle-etcd", "haggle-proto", "haggle-upgrade", "haggle-master", "haggle-agent", "haggle-sdk"]),
    ("redb", &["haggle-master"]),
    ("rcgen", &["haggle-tls", "haggle-sources"]),
    ("ratatui", &["haggle-cli"]),
    ("pyo3", &["haggle-python"]),
    ("pythonize", &["haggle-python"]),
    ("askama", &["haggle-pages"]),
    ("opentelemetry", &["haggle-otlp"]),
    ("rusty-s3", &["haggle-sources"]),
];

#[test]
fn every_arrow_between_our_packages_points_down() {
    let (ours, arrows) = workspace();

    assert_eq!(faults(&ours, &arrows), Vec::<String>::new());
}

#[test]
fn the_core_is_compiled_without_the_standard_library() {
    let root = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../core/src/lib.rs")).unwrap();

    assert!(root.lines().any(|line| line == "#![no_std]"), "core/src/lib.rs lacks #![no_std]");
}

#[test]
fn an_arrow_that_points_up_or_sideways_is_a_fault() {
    for (from, to) in [
        ("haggle-master", "haggle-agent"),
        ("haggle-agent", "haggle-master"),
        ("haggle-core", "haggle-proto"),
        ("haggle-executor", "haggle-proto"),
        ("haggle-etcd", "haggle-core"),
        ("haggle-sdk", "haggle-master"),
        ("haggle-tls", "haggle-proto"),
        ("haggle-cli", "haggle-tests"),
        ("haggle-cli", "xtask"),
        ("xtask", "haggle-core"),
    ] {
        assert_eq!(found(&[(from, to)]), [format!("{from} must not use {to}")]);
    }
}

#[test]
fn a_dependency_outside_its_place_is_a_fault() {
    for (from, to) in [("haggle-agent", "wasmtime-wasi"), ("haggle-cli", "tonic"), ("haggle-core", "redb")] {
        assert_eq!(found(&[(from, to)]), [format!("{from} must not use {to}")]);
    }
}

#[test]
fn what_the_diagram_shows_is_no_fault() {
    let allowed = [
        ("haggle-proto", "haggle-core"),
        ("haggle-agent", "haggle-executor"),
        ("haggle-executor", "wasmtime"),
        ("haggle-proto", "tonic-prost"),
        ("haggle-master", "redb"),
        ("haggle-tests", "haggle-master"),
        ("haggle-core", "thiserror"),
    ];

    assert_eq!(found(&allowed), Vec::<String>::new());
}

#[test]
fn a_package_that_the_diagram_does_not_know_is_a_fault() {
    assert_eq!(faults(&["haggle-new".to_string()], &[]), ["haggle-new has no layer"]);
}

/// The faults of arrows between packages that all have their layer.
fn found(arrows: &[(&str, &str)]) -> Vec<String> {
    let ours: Vec<String> =
        LAYERS.iter().map(|(name, _)| *name).chain(OBSERVERS).chain(["xtask"]).map(str::to_string).collect();
    let arrows: Vec<Arrow> = arrows.iter().map(|(from, to)| (from.to_string(), to.to_string())).collect();
    faults(&ours, &arrows)
}

/// What is wrong, in words. Looks at what a package names itself, not at what comes along behind it.
fn faults(ours: &[String], arrows: &[Arrow]) -> Vec<String> {
    let strangers = ours
        .iter()
        .filter(|package| allowed_to(package).is_none() && !OBSERVERS.contains(&package.as_str()))
        .map(|package| format!("{package} has no layer"));
    let wrong = arrows
        .iter()
        .filter(|(from, to)| !may_use(ours, from, to))
        .map(|(from, to)| format!("{from} must not use {to}"));
    strangers.chain(wrong).collect()
}

fn may_use(ours: &[String], from: &str, to: &str) -> bool {
    if OBSERVERS.contains(&from) {
        return true;
    }
    if ours.iter().any(|package| package == to) {
        return allowed_to(from).is_some_and(|allowed| allowed.contains(&to));
    }
    ISOLATED.iter().filter(|(prefix, _)| to.starts_with(prefix)).all(|(_, users)| users.contains(&from))
}

/// Which of our packages `package` may use; `None` when it has no layer. Setting up comes before everything, so `xtask`
/// may use none.
fn allowed_to(package: &str) -> Option<&'static [&'static str]> {
    if package == "xtask" {
        return Some(&[]);
    }
    LAYERS.iter().find(|(name, _)| *name == package).map(|(_, allowed)| *allowed)
}

/// Our packages, and all arrows from them. Arrows of tests count as well: what proves a layer must not pull it up.
fn workspace() -> (Vec<String>, Vec<Arrow>) {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();

    let packages = metadata["packages"].as_array().unwrap();
    let ours = packages.iter().map(name).collect();
    let arrows = packages.iter().flat_map(|package| {
        package["dependencies"].as_array().unwrap().iter().map(move |dependency| (name(package), name(dependency)))
    });
    (ours, arrows.collect())
}

fn name(of: &Value) -> String {
    of["name"].as_str().unwrap().to_string()
}
