//! `haggle run` without a cluster: one brought up inside the process.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use haggle_kit::{Home, binary, guests, wasm};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) fn embedded(args: &[&str]) -> Command {
    let mut command = haggle_kit::command(&binary("haggle"));
    // A user who is logged in to nothing.
    Home::below(Path::new("/dev/null")).take_in(&mut command);
    command.arg("run").args(args).stdin(Stdio::null());
    command
}

fn example(name: &str) -> String {
    wasm(name).display().to_string()
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("haggle writes UTF-8")
}

/// How an example ends under these flags, as `--json` tells it.
fn ending(name: &str, flags: &[&str]) -> (Option<i32>, Value) {
    let module = example(name);
    let args: Vec<&str> = [module.as_str(), "--json"].iter().chain(flags).copied().collect();
    let output = embedded(&args).output().expect("haggle can be started");
    let told = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", text(&output.stdout), text(&output.stderr)));
    (output.status.code(), told)
}

#[track_caller]
pub(crate) fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
}

#[test]
fn a_task_says_hello_on_our_standard_output() {
    let output = embedded(&[&example("hello")]).output().unwrap();

    assert_success(&output);
    assert!(text(&output.stdout).to_lowercase().contains("hello"), "{}", text(&output.stdout));
}

#[test]
fn a_task_reads_its_inputs_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let words = dir.path().join("words.txt");
    std::fs::write(&words, "the quick the lazy the dog\n").unwrap();
    let input = format!("/in/words.txt={}", words.display());

    let counted = embedded(&[&example("wordcount"), "--input", &input, "--", "map", "/in/words.txt"]).output().unwrap();
    let foreign = embedded(&[&example("wordcount"), "--input", &input, "--", "map", "/etc/hostname"]).output().unwrap();

    assert_success(&counted);
    assert_eq!(text(&counted.stdout), "dog\t1\nlazy\t1\nquick\t1\nthe\t3\n");
    assert!(!foreign.status.success());
}

#[test]
fn a_task_reads_our_standard_input() {
    let dir = TempDir::new().unwrap();
    let cat = dir.path().join("cat.wat");
    std::fs::write(&cat, guests::CAT).unwrap();
    let mut child = embedded(&[&cat.display().to_string(), "--stdin", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();

    child.stdin.take().unwrap().write_all(b"from the other side").unwrap();
    let output = child.wait_with_output().unwrap();

    assert_success(&output);
    assert_eq!(text(&output.stdout), "from the other side");
}

#[test]
fn a_memory_hog_ends_at_its_memory_limit() {
    let (code, told) = ending("hungry", &["--mem", "64MiB"]);

    assert_eq!(code, Some(137));
    assert_eq!((&told["state"], &told["reason"]), (&"FAILED".into(), &"MEMORY_LIMIT".into()), "{told}");
    assert_eq!(told["exceeded"]["limit"], 64 << 20);
    assert!(told["exceeded"]["used"].as_u64().unwrap() > 64 << 20, "{told}");
    assert!(told["usage"]["peak_mem_bytes"].as_u64().unwrap() <= 64 << 20, "{told}");
}

#[test]
fn an_endless_loop_ends_at_its_time_limit() {
    let (code, told) = ending("spinner", &["--timeout", "300ms"]);

    assert_eq!(code, Some(124));
    assert_eq!(told["reason"], "TIME_LIMIT");
    assert!(told["usage"]["wall_seconds"].as_f64().unwrap() >= 0.3, "{told}");
}

#[test]
fn a_task_without_cpus_lives_from_what_nobody_else_wants() {
    let (code, told) = ending("hello", &["--cpus", "0", "--burst", "1", "--weight", "0.5"]);

    assert_eq!(code, Some(0), "{told}");
    assert_eq!(told["state"], "FINISHED");
}

#[test]
fn a_sleeper_ends_at_its_time_limit() {
    let module = example("sleeper");
    let output = embedded(&[&module, "--timeout", "200ms", "--json", "--", "3600"]).output().unwrap();

    assert_eq!(output.status.code(), Some(124), "{}", text(&output.stderr));
}

#[test]
fn fuel_is_exact() {
    let (code, first) = ending("spinner", &["--fuel", "20000000"]);
    let (_, second) = ending("spinner", &["--fuel", "20000000"]);

    assert_eq!(code, Some(137));
    assert_eq!(first["reason"], "FUEL_EXHAUSTED");
    assert_eq!(first["usage"]["fuel"], second["usage"]["fuel"]);
    assert_eq!(first["exceeded"]["limit"], 20_000_000);
}

#[test]
fn a_flooder_ends_at_its_output_limit_and_what_it_wrote_until_then_arrives() {
    let module = example("chatty");
    let output = embedded(&[&module, "--output-limit", "100KiB"]).output().unwrap();

    assert_eq!(output.status.code(), Some(137));
    assert_eq!(output.stdout.len(), 100 << 10);
    assert!(text(&output.stderr).contains("OUTPUT_LIMIT"), "{}", text(&output.stderr));
}

#[test]
fn the_tasks_of_an_array_see_what_the_cluster_tells_them_and_no_other_environment() {
    let dir = TempDir::new().unwrap();
    let module = dir.path().join("index.wat");
    std::fs::write(&module, ENVIRON).unwrap();

    let output = embedded(&[&module.display().to_string(), "--instances", "3", "--json"]).output().unwrap();

    let mut told: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.len(), 3, "{}", text(&output.stderr));
    // They are told as they end.
    told.sort_by_key(|task| task["index"].as_u64());
    for (index, task) in told.iter().enumerate() {
        assert_eq!(task["index"], index);
        assert_eq!(task["exit_code"], 4, "HAGGLE_TASK_ID, _AGENT, _INDEX and _COUNT are all there is: {task}");
    }
}

#[test]
fn a_cargo_package_runs_as_the_module_built_from_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/tasks/primes");

    let built = embedded(&[&folder.display().to_string(), "--", "1000"]).output().unwrap();
    let module = embedded(&[&example("primes"), "--", "1000"]).output().unwrap();

    assert_success(&built);
    assert_success(&module);
    assert_eq!(built.stdout, module.stdout);
    assert!(text(&module.stdout).contains("168"), "there are 168 primes below 1000: {}", text(&module.stdout));
}

/// Exits with the number of its environment variables.
const ENVIRON: &str = r#"(module
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (drop (call $sizes (i32.const 0) (i32.const 4)))
    (call $exit (i32.load (i32.const 0)))))"#;
