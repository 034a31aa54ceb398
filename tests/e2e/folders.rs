//! `haggle run --dir` and `--host-dir`: folders of this machine in a guest's view.

use std::fs;

use tempfile::TempDir;

use crate::run::{assert_success, embedded, text};

/// Opens a folder `empty`, makes a file in it, and unlinks a file `one`, all in the first folder that it finds open. Its
/// exit code is the first errno that is not 0.
const CHANGER: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "empty/new")
  (data (i32.const 32) "one")
  (func $check (param $errno i32) (if (local.get $errno) (then (call $exit (local.get $errno)))))
  (func (export "_start")
    (call $check (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 2)
      (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0)))
    (call $check (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 9) (i32.const 1)
      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 0)))
    (call $check (call $unlink (i32.const 3) (i32.const 32) (i32.const 3)))))"#;

/// What `ENOENT` and `EROFS`, `EPERM` are in WASI 0.1.
const NOENT: i32 = 44;
const REFUSALS: [i32; 3] = [2, 63, 69];

/// A folder with a file `one` and an empty folder, and a module beside it.
fn place() -> (TempDir, String, String) {
    let dir = TempDir::new().unwrap();
    let module = dir.path().join("changer.wat");
    fs::write(&module, CHANGER).unwrap();
    let work = dir.path().join("work");
    fs::create_dir_all(work.join("empty")).unwrap();
    fs::write(work.join("one"), "1").unwrap();
    (dir, module.display().to_string(), work.display().to_string())
}

#[test]
fn a_task_changes_its_copy_of_a_folder_and_not_the_folder() {
    let (_dir, module, work) = place();

    let output = embedded(&[&module, "--dir", &format!("{work}::/")]).output().unwrap();

    assert_success(&output);
    assert_eq!(fs::read(format!("{work}/one")).unwrap(), b"1");
    assert_eq!(fs::read_dir(format!("{work}/empty")).unwrap().count(), 0);
}

#[test]
fn a_copy_counts_as_what_the_task_holds_on_disk() {
    let (_dir, module, work) = place();
    fs::write(format!("{work}/large"), vec![7; 100_000]).unwrap();
    let dir = format!("{work}::/");

    let full = embedded(&[&module, "--dir", &dir, "--disk", "64KiB"]).output().unwrap();
    let told = embedded(&[&module, "--dir", &dir, "--json"]).output().unwrap();

    assert_eq!(full.status.code(), Some(137), "{}", text(&full.stderr));
    assert!(text(&full.stderr).contains("DISK_LIMIT"), "{}", text(&full.stderr));
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert!(told["usage"]["peak_disk_bytes"].as_u64().unwrap() >= 100_001, "{told}");
}

#[test]
fn a_folder_of_the_machine_can_be_read_and_not_changed() {
    let (_dir, module, work) = place();

    let output = embedded(&[&module, "--host-dir", &format!("{work}::/")]).output().unwrap();

    let code = output.status.code().unwrap();
    assert!(REFUSALS.contains(&code) && code != NOENT, "{code}: {}", text(&output.stderr));
    assert_eq!(fs::read(format!("{work}/one")).unwrap(), b"1");
}
