//! Modules that are none, and modules that are known already.

use std::sync::Arc;

use haggle_core::{Digest, Reason, TaskState};
use haggle_executor::{Launch, Meter};
use tempfile::TempDir;

use crate::kit::{BOTH, Bench, Form, guest, spec};

const NOOP: &str = r#"(memory (export "memory") 1) (func (export "_start"))"#;

fn refusal(bytes: &[u8]) -> String {
    let bench = Bench::new();
    let id = bench.launch_bytes(spec(), bytes, &[]);
    let report = bench.report(id);
    assert_eq!(report.verdict(), (TaskState::Failed, Some(Reason::ModuleInvalid)), "{}", report.ending.message);
    assert_eq!(report.events.len(), 1, "it never started");
    report.ending.message
}

#[test]
fn what_is_no_module_is_called_that() {
    let message = refusal(b"\x7fELF\x02\x01\x01\x00");

    assert_eq!(message, "not a WebAssembly module: starts with 7f 45 4c 46, not with 00 61 73 6d as WebAssembly does");
}

#[test]
fn an_empty_file_is_no_module() {
    assert!(refusal(b"").contains("is empty"));
}

#[test]
fn a_truncated_module_is_refused() {
    for form in BOTH {
        let mut bytes = guest(form, NOOP);
        bytes.truncate(bytes.len() / 2);

        refusal(&bytes);
    }
}

#[test]
fn a_module_that_does_not_validate_is_refused() {
    let message = refusal(&wat::parse_str(r#"(module (func (export "_start") i32.add))"#).unwrap());

    assert!(message.starts_with("not a valid module: "), "{message}");
}

#[test]
fn an_import_that_no_task_is_given_is_named() {
    let message = refusal(br#"(module (import "env" "secret" (func)) (func (export "_start")))"#);

    assert_eq!(message, "imports `secret` from `env`, which no task is given");
}

#[test]
fn a_module_without_an_entry_is_refused() {
    assert!(refusal(b"(module)").contains("exports no `_start` function"));
    assert!(refusal(br#"(module (func (export "_start") (param i32)))"#).contains("exports no `_start` function"));
    assert!(refusal(b"(component)").contains("exports no `wasi:cli/run`"));
}

#[test]
fn too_many_functions_are_not_compiled() {
    let mut text = String::from("(module ");
    text.push_str(&"(func)".repeat(50_001));
    text.push(')');

    let message = refusal(text.as_bytes());

    assert_eq!(message, "module has 50001 functions, at most 50000 are compiled");
}

#[test]
fn a_module_that_cannot_be_read_is_no_fault_of_the_module() {
    let bench = Bench::new();
    let mut spec = spec();
    spec.module = Digest([7; 32]);
    let id = spec.id;
    let module = bench.dir.path().join("none");
    let launch =
        Launch { spec: Arc::new(spec), module, meter: Meter::Fuel, folders: Vec::new(), copies: None, env: Vec::new() };

    bench.executor.launch(launch.clone());
    assert_eq!(bench.report(id).verdict(), (TaskState::Failed, Some(Reason::ArtifactUnavailable)));

    std::fs::write(bench.dir.path().join("none"), guest(Form::Core, NOOP)).unwrap();
    bench.executor.launch(launch);
    bench.report(id).assert_finished();
}

#[test]
fn text_is_a_module_too() {
    let bench = Bench::new();
    let id = bench.launch_bytes(spec(), br#"(module (func (export "_start")))"#, &[]);

    bench.report(id).assert_finished();
}

#[test]
fn a_module_is_compiled_once_for_all_who_want_it() {
    let bench = Bench::new();

    let ids: Vec<_> = (0..20).map(|_| bench.launch(Form::Core, spec(), NOOP)).collect();

    for id in ids {
        bench.report(id).assert_finished();
    }
    assert_eq!(bench.executor.stats().compilations, 1);
}

#[test]
fn a_module_is_not_compiled_again_by_the_next_executor() {
    let dir = Arc::new(TempDir::new().unwrap());
    let bench = Bench::with(4, Arc::clone(&dir));
    for form in BOTH {
        bench.run(form, spec(), NOOP).assert_finished();
    }
    assert_eq!(bench.executor.stats().compilations, 2);
    drop(bench);

    let bench = Bench::with(4, dir);
    for form in BOTH {
        bench.run(form, spec(), NOOP).assert_finished();
    }

    assert_eq!(bench.executor.stats().compilations, 0);
}

#[test]
fn a_damaged_cache_is_compiled_anew() {
    let dir = Arc::new(TempDir::new().unwrap());
    let bench = Bench::with(4, Arc::clone(&dir));
    bench.run(Form::Core, spec(), NOOP).assert_finished();
    drop(bench);
    for entry in std::fs::read_dir(dir.path().join("cache")).unwrap() {
        std::fs::write(entry.unwrap().path(), b"not machine code").unwrap();
    }

    let bench = Bench::with(4, dir);

    bench.run(Form::Core, spec(), NOOP).assert_finished();
    assert_eq!(bench.executor.stats().compilations, 1);
}

#[cfg(unix)]
#[test]
fn nobody_else_can_look_into_the_cache() {
    use std::os::unix::fs::PermissionsExt;

    let bench = Bench::new();

    let mode = std::fs::metadata(bench.dir.path().join("cache")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
