//! `haggle doctor`.

use std::fs;

use serde_json::Value;

use crate::haggle::{Place, Ran};

fn findings(ran: &Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'a>(findings: &'a [Value], check: &str) -> &'a Value {
    findings.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("{check}: {findings:?}"))
}

#[test]
fn each_check_is_a_line_with_what_to_do_and_nothing_is_changed() {
    let place = Place::with(&[]);

    let told = place.haggle("doctor");
    let json = place.haggle("doctor --json");

    let findings = findings(&json);
    assert_eq!(told.stdout.lines().count(), findings.len(), "{told:?}");
    for check in [
        "second wall",
        "open files",
        "disk of state",
        "disk of caches",
        "wasm target",
        "clock",
        "default port",
        "contexts",
        "master",
    ] {
        let finding = of(&findings, check);
        assert_eq!(finding["verdict"] == "ok", finding["advice"].is_null(), "{finding}");
        assert!(told.stdout.lines().any(|line| line.contains(check)), "{check}: {told:?}");
    }
    let fails = findings.iter().any(|finding| finding["verdict"] == "fail");
    assert_eq!(json.code, i32::from(fails), "{findings:?}");
    assert_eq!(fs::read_dir(place.path(".")).unwrap().count(), 0, "nothing is made");
}

#[test]
fn what_fails_fails_the_command_and_the_rest_is_told_all_the_same() {
    let place = Place::with(&[]);
    fs::create_dir_all(place.path("config/haggle")).unwrap();
    fs::write(place.path("config/haggle/contexts.toml"), "[contexts").unwrap();

    let ran = place.haggle("--master 127.0.0.1:1 doctor --json");

    let findings = findings(&ran);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{ran:?}");
    assert_eq!(of(&findings, "contexts")["verdict"], "fail");
    let master = of(&findings, "master");
    assert_eq!(master["verdict"], "fail");
    assert!(master["found"].as_str().unwrap().contains("127.0.0.1:1"), "{master}");
    assert!(of(&findings, "clock")["verdict"].is_string());
}
