//! Modules that are dear to compile, before limits that are soon reached: they end there, and harm nobody.

use std::collections::HashMap;
use std::time::Duration;

use haggle_core::{Bytes, Ending, Reason, TaskId, TaskState};
use haggle_executor::CompileLimits;

use crate::kit::{Bench, Guest, bytes, start};

/// Passes the first look at it. Takes some ten seconds of CPU, a hundred MB, and makes a megabyte.
fn dear() -> Guest {
    let body = "(i64.mul (i64.add (local.get 0) (i64.const 3)) (i64.rotl (local.get 0) (i64.const 7)))";
    let function = format!("(func (param i64) (result i64) {body})");
    bytes(format!(r#"(module {} (func (export "_start")))"#, function.repeat(20_000)).into_bytes())
}

/// A dear module before these limits, honest tasks behind it. Gives the end of the first.
fn end_of_dear(limits: CompileLimits) -> Ending {
    let mut bench = Bench::compiling_within(limits);
    let hostile = bench.launch(&dear());
    let honest: Vec<TaskId> = (0..3).map(|_| bench.launch(&start(""))).collect();

    let mut ends: HashMap<TaskId, Ending> = (0..4).map(|_| bench.ended()).collect();

    for task in honest {
        assert_eq!(ends[&task].state, TaskState::Finished, "{:?}", ends[&task]);
    }
    let end = ends.remove(&hostile).unwrap();
    assert_eq!((end.state, end.reason), (TaskState::Failed, Some(Reason::ModuleInvalid)), "{end:?}");
    end
}

#[cfg(unix)]
#[test]
fn takes_more_cpu_than_a_compilation_is_given() {
    let end = end_of_dear(CompileLimits { cpu: Some(Duration::from_secs(1)), ..CompileLimits::default() });

    assert_eq!(
        end.message,
        "compile limit: used 1 s of CPU, all that one module is given (`haggle agent --compile-cpu` raises it)"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn takes_more_memory_than_a_compilation_is_given() {
    let end = end_of_dear(CompileLimits { mem: Some(Bytes::from_mib(64)), ..CompileLimits::default() });

    assert_eq!(
        end.message,
        "compile limit: wants more than 64 MiB of memory to be compiled (`haggle agent --compile-mem` raises it)"
    );
}

/// What is large is asked of the system in one piece each, which it refuses elsewhere than what is small.
#[cfg(target_os = "linux")]
#[test]
fn wants_large_pieces_of_memory_and_gets_a_word_whatever_the_limit_is() {
    let text = "x".repeat(24 << 20);
    let module =
        wat::parse_str(format!(r#"(module (memory 400) (data (i32.const 0) "{text}") (func (export "_start")))"#));
    let large = bytes(module.unwrap());

    for mem in [16, 64, 112, 128, 136] {
        let limits = CompileLimits { mem: Some(Bytes::from_mib(mem)), ..CompileLimits::default() };
        let mut bench = Bench::compiling_within(limits);
        bench.launch(&large);
        let (_, end) = bench.ended();

        let told = format!(
            "compile limit: wants more than {mem} MiB of memory to be compiled (`haggle agent --compile-mem` raises it)"
        );
        assert_eq!(end.message, told);
    }
}

#[cfg(unix)]
#[test]
fn makes_more_machine_code_than_a_compilation_is_given() {
    let end = end_of_dear(CompileLimits { code: Bytes::from_mib(1), ..CompileLimits::default() });

    assert_eq!(end.message, "compile limit: makes more than 1 MiB of machine code");
}

/// Programs inherit which signals are ignored, as by Python, and blocked; and limits are told by signals.
#[cfg(target_os = "linux")]
#[test]
fn is_compiled_for_somebody_who_ignores_and_blocks_every_signal() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("deaf");
    let haggle = haggle_kit::binary("haggle");
    let deaf = format!("exec /usr/bin/env --ignore-signal --block-signal {} \"$@\"", haggle.display());
    std::fs::write(&program, format!("#!/bin/sh\n{deaf}\n")).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o700)).unwrap();
    let message = |guest: &Guest, limits| {
        let mut bench = Bench::compiling_by(program.clone(), limits);
        bench.launch(guest);
        bench.ended().1.message
    };
    let quick = bytes(format!(r#"(module {} (func (export "_start")))"#, "(func)".repeat(1000)).into_bytes());

    let long = message(&dear(), CompileLimits { cpu: Some(Duration::from_secs(1)), ..CompileLimits::default() });
    let large = message(&quick, CompileLimits { code: Bytes::from_kib(16), ..CompileLimits::default() });

    assert!(long.starts_with("compile limit: used 1 s of CPU"), "{long}");
    assert_eq!(large, "compile limit: makes more than 16 KiB of machine code");
}

#[test]
fn is_larger_than_what_an_operator_lets_be_compiled() {
    let limits = CompileLimits { module: Bytes::from_kib(4), ..CompileLimits::default() };
    let mut bench = Bench::compiling_within(limits);
    let mut end = |field: &str| {
        let task = bench.launch(&bytes(format!(r#"(module {field} (func (export "_start")))"#).into_bytes()));
        let (ended, end) = bench.ended();
        assert_eq!(ended, task);
        end
    };
    let text = |length| "x".repeat(length);

    let named = end(&format!(r#"(@custom "names" "{}")"#, text(10_000)));
    let large = end(&format!(r#"(memory 1) (data (i32.const 0) "{}")"#, text(5_000)));
    let stuffed = end(&format!(r#"(@custom "names" "{}")"#, text(20_000)));

    assert_eq!(named.state, TaskState::Finished, "names are not compiled: {named:?}");
    assert!(large.message.ends_with("without its custom sections, at most 4096 are compiled"), "{large:?}");
    assert!(stuffed.message.ends_with("at most 16384 are read"), "{stuffed:?}");
}

#[test]
fn wants_another_host_and_so_need_not_be_compiled() {
    let mut bench =
        Bench::compiling_within(CompileLimits { cpu: Some(Duration::from_secs(2)), ..CompileLimits::default() });
    let import = r#"(import "env" "secret" (func))"#;
    let foreign = format!(r#"(module {import} {} (func (export "_start")))"#, "(func)".repeat(60_000));

    bench.launch(&bytes(foreign.into_bytes()));
    let (_, end) = bench.ended();

    assert_eq!(end.message, "imports `secret` from `env`, which no task is given");
}

#[test]
fn is_a_library_that_nobody_needs_to_compile() {
    let mut bench =
        Bench::compiling_within(CompileLimits { cpu: Some(Duration::from_secs(1)), ..CompileLimits::default() });
    let library = bytes(format!("(module {})", "(func)".repeat(20_000)).into_bytes());

    bench.launch(&library);
    let (_, end) = bench.ended();

    assert!(end.message.starts_with("exports no `_start` function"), "{end:?}");
}
