//! Modules that are none, and modules that are known already.

use std::sync::Arc;

use haggle_core::{Digest, Reason, TaskState};
use haggle_executor::{Launch, Meter, compile_here};

use crate::kit::{BOTH, Bench, Form, guest, spec};

const NOOP: &str = r#"(memory (export "memory") 1) (func (export "_start"))"#;

/// What is said of it by the compiler, or else by the executor.
fn refusal(bytes: &[u8]) -> String {
    if let Err(error) = compile_here(bytes, Meter::Fuel) {
        assert_eq!(error.reason(), Reason::ModuleInvalid, "{error}");
        return error.to_string();
    }
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
fn a_component_for_wasi_0_3_is_told_that_it_is_too_new() {
    let message = refusal(br#"(component (import "wasi:sockets/types@0.3.0" (instance)))"#);

    assert_eq!(
        message,
        "imports wasi:sockets/types@0.3.0, but WASI 0.3 is not given to tasks yet; build it for WASI 0.2 (wasm32-wasip2)"
    );
}

#[test]
fn a_module_without_an_entry_is_refused() {
    assert!(refusal(b"(module)").contains("exports no `_start` function"));
    assert!(refusal(br#"(module (func (export "_start") (param i32)))"#).contains("exports no `_start` function"));
    assert!(refusal(b"(component)").contains("exports no `wasi:cli/run`"));
}

#[test]
fn too_many_functions_are_not_compiled() {
    let functions = "(func)".repeat(100_000);
    let text = format!(r#"(module (func (export "_start")) {functions})"#);

    let message = refusal(text.as_bytes());

    assert_eq!(message, "module has 100001 functions, at most 100000 are compiled");
}

#[test]
fn a_compiled_module_that_is_gone_or_damaged_is_no_fault_of_the_module() {
    let bench = Bench::new();
    let mut spec = spec();
    spec.module = Digest([7; 32]);
    let id = spec.id;
    let module = bench.dir.path().join("none");
    let launch = Launch {
        spec: Arc::new(spec),
        module: module.clone(),
        meter: Meter::Fuel,
        folders: Vec::new(),
        volumes: Vec::new(),
        copies: None,
        env: Vec::new(),
    };

    bench.executor.launch(launch.clone());
    let gone = bench.report(id);
    assert_eq!(gone.verdict(), (TaskState::Failed, Some(Reason::ExecutorTerminated)), "{}", gone.ending.message);
    std::fs::write(&module, b"not machine code").unwrap();
    bench.executor.launch(launch.clone());
    let damaged = bench.report(id);
    assert_eq!(damaged.verdict(), (TaskState::Failed, Some(Reason::ExecutorTerminated)), "{}", damaged.ending.message);
    std::fs::write(&module, compile_here(&guest(Form::Core, NOOP), Meter::Fuel).unwrap()).unwrap();
    bench.executor.launch(launch);

    bench.report(id).assert_finished();
}

#[test]
fn text_is_a_module_too() {
    let bench = Bench::new();
    let id = bench.launch_bytes(spec(), br#"(module (func (export "_start")))"#, &[]);

    bench.report(id).assert_finished();
}
