//! `haggle inspect`.

use std::process::Stdio;

use crate::guests::HELLO;
use crate::haggle::Place;

#[test]
fn a_module_is_described() {
    let ran = Place::with(&[("hello.wat", HELLO)]).haggle("inspect hello.wat");

    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    for line in [
        "kind     core module (WASI 0.1)",
        "runs     as a task",
        "memory   starts with 64 KiB, grows up to as --mem allows",
        "needs    nothing but its quotas",
        "imports  wasi_snapshot_preview1.fd_write",
        "exports  memory\n         _start",
    ] {
        assert!(ran.stdout.contains(line), "{line}\n{}", ran.stdout);
    }
}

#[test]
fn a_library_is_told_from_a_task() {
    let ran = Place::with(&[("library.wat", r#"(module (func (export "add")))"#)]).haggle("inspect library.wat");

    assert!(ran.stdout.contains("runs     not as a task: exports no `_start` function"), "{}", ran.stdout);
}

#[test]
fn the_description_comes_as_json_too() {
    let ran = Place::with(&[("hello.wat", HELLO)]).haggle("inspect --json hello.wat");

    let record: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(record["kind"], "core");
    assert_eq!(record["runnable"], true);
    assert_eq!(record["memory_min_bytes"], 65536);
    assert!(record["digest"].as_str().unwrap().starts_with("sha256:"));
}

#[test]
fn nobody_needs_to_read_to_the_end() {
    let place = Place::with(&[("hello.wat", HELLO)]);

    let mut child = place.command("inspect hello.wat").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();

    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stderr, b"");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_reported() {
    let place = Place::with(&[("hello.wat", HELLO)]);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();

    let output = place.command("inspect hello.wat").stdout(full).output().unwrap();

    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("haggle: cannot write to standard output: "));
}
