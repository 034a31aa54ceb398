//! Every quota ends a task there, with the reason that it has everywhere.

use std::fs;

use haggle_kit::{guests, wasm};
use serde_json::Value;
use tempfile::TempDir;

use crate::{haggle, text};

const TRAP: &str = r#"(module (memory (export "memory") 1) (func (export "_start") unreachable))"#;

const EXIT: &str = r#"(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (call $exit (i32.const 7))))"#;

/// Makes its file as long as no scratch folder is, and gives up when it cannot.
const LARGE: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $resize (param i32 i64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "large")
  (func (export "_start")
    (if (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 1) (i64.const 4194368)
      (i64.const 0) (i32.const 0) (i32.const 0)) (then (return)))
    (if (call $resize (i32.load (i32.const 0)) (i64.const 1000000000)) (then (unreachable)))))"#;

#[test]
#[ignore = "needs haggle.exe and Wine: cargo xtask windows"]
fn each_quota_ends_a_task_with_its_own_reason() {
    let dir = TempDir::new().unwrap();
    let guest = |name: &str, text: &str| {
        let path = dir.path().join(name).with_extension("wat");
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let example = |name: &str| wasm(name).display().to_string();
    let rows: [(String, &[&str], i32, &str); 7] = [
        (example("hungry"), &["--mem", "64MiB"], 137, "MEMORY_LIMIT"),
        (guest("loop", guests::LOOP), &["--fuel", "20000000"], 137, "FUEL_EXHAUSTED"),
        (guest("sleeper", guests::SLEEPER), &["--timeout", "300ms"], 124, "TIME_LIMIT"),
        (guest("large", LARGE), &["--disk", "1MiB"], 137, "DISK_LIMIT"),
        (example("chatty"), &["--output-limit", "100KiB"], 137, "OUTPUT_LIMIT"),
        (guest("trap", TRAP), &[], 134, "TRAP"),
        (guest("exit", EXIT), &[], 7, "EXIT"),
    ];
    for (module, flags, code, reason) in rows {
        let output = haggle(&["run", &module, "--json"]).args(flags).output().unwrap();

        let told: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", text(&output.stdout), text(&output.stderr)));
        assert_eq!((&told["state"], &told["reason"]), (&"FAILED".into(), &reason.into()), "{told}");
        assert_eq!(output.status.code(), Some(code), "{told}");
        if !matches!(reason, "TRAP" | "EXIT") {
            let number = |of: &str| told["exceeded"][of].as_u64().unwrap_or_else(|| panic!("no {of}: {told}"));
            assert!(number("used") >= number("limit") && number("limit") > 0, "{told}");
        }
    }
}
