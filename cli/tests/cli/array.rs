//! `haggle run --instances`: many tasks, one account.

use crate::guests::{ENVIRONMENT, EXIT_77, HELLO};
use crate::haggle::{Place, Ran};

fn run(guest: &str, flags: &str) -> Ran {
    Place::with(&[("guest.wat", guest)]).haggle(&format!("run guest.wat {flags}"))
}

#[test]
fn each_task_is_told_which_one_it_is() {
    let ran = run(ENVIRONMENT, "--instances 3");

    assert_eq!(ran.code, 0, "{ran:?}");
    for index in 0..3 {
        let prefix = format!("[{index}] ");
        let lines: Vec<_> = ran.stdout.lines().filter(|line| line.starts_with(&prefix)).collect();
        assert_eq!(lines.len(), 1, "{}", ran.stdout);
        assert!(lines[0].contains(&format!("HAGGLE_TASK_INDEX={index}\0")), "{lines:?}");
        assert!(lines[0].contains("HAGGLE_TASK_COUNT=3\0"), "{lines:?}");
    }
}

#[test]
fn it_ends_with_a_table() {
    let ran = run(HELLO, "--instances 20 --cpus 0.1");

    let table: Vec<_> = ran.stdout.lines().skip_while(|line| !line.starts_with("STATE")).collect();
    assert_eq!(table.len(), 2, "{}", ran.stdout);
    assert!(table[1].starts_with("FINISHED") && table[1].contains(" 20 "), "{table:?}");
    assert_eq!(ran.stdout.matches("hello").count(), 20, "{}", ran.stdout);
}

#[test]
fn the_first_failure_gives_the_exit_code_and_failures_are_told_a_few_times_only() {
    let ran = run(EXIT_77, "--instances 12");

    assert_eq!(ran.code, 77);
    let told = ran.stderr.lines().filter(|line| line.ends_with("] FAILED, EXIT: exited with code 77")).count();
    assert_eq!(told, 10, "{}", ran.stderr);
    assert!(ran.stdout.lines().last().unwrap().starts_with("FAILED  EXIT"), "{}", ran.stdout);
}

#[test]
fn quiet_leaves_the_table_only() {
    let ran = run(EXIT_77, "--instances 3 --quiet");

    assert_eq!((ran.code, ran.stderr.as_str()), (77, ""));
    assert!(ran.stdout.starts_with("STATE"), "{}", ran.stdout);
}

#[test]
fn json_is_one_object_for_each_task_and_nothing_else() {
    let ran = run(HELLO, "--instances 5 --json");

    let mut indices: Vec<_> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["index"].as_u64().unwrap())
        .collect();
    indices.sort_unstable();
    assert_eq!(indices, [0, 1, 2, 3, 4]);
}

#[test]
fn a_failed_task_is_run_again_as_often_as_allowed() {
    let ran = run(EXIT_77, "--retries 2 --json");

    let record: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(record["attempts"], 3);
    assert_eq!(ran.code, 77);
}
