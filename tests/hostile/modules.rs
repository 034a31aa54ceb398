//! Files that are no modules, modules that nobody may run, and modules that are dear to compile.

use std::time::{Duration, Instant};

use haggle_core::{Reason, TaskState};

use crate::kit::{Bench, Guest, bare, bytes, finished, hostile, invalid, out_of_memory, start, wat};

/// Text that is too long to be parsed by the test, too.
fn text(text: String) -> Guest {
    bytes(text.into_bytes())
}

fn module(items: &str) -> String {
    format!(r#"(module {items} (func (export "_start")))"#)
}

fn many(count: usize, item: &str) -> String {
    module(&item.repeat(count))
}

/// One function with this in its body, never called.
fn function(body: &str) -> Guest {
    text(module(&format!("(func (param i32) (local i64) {body})")))
}

/// So many functions with 50,000 locals each, which take five bytes to say.
fn of_locals(functions: u8) -> Guest {
    let body = [&[0x08, 0x01, 0xd0, 0x86, 0x03, 0x7e, 0x01, 0x01, 0x0b][..]].concat();
    let code: Vec<u8> = std::iter::once(functions).chain(body.repeat(functions.into())).collect();
    let mut module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0".to_vec();
    module.extend([0x03, functions + 1, functions]);
    module.extend(vec![0; functions.into()]);
    module.extend(b"\x07\x0a\x01\x06_start\0\0");
    let length = u16::try_from(code.len()).unwrap();
    module.extend([0x0a, (length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
    module.extend(code);
    bytes(module)
}

/// Each of these components instantiates the one before ten times.
fn doubling_components(levels: usize) -> String {
    let mut text = String::from("(component (component $c0 (core module $m) (core instance (instantiate $m)))");
    for level in 1..=levels {
        let below = level - 1;
        let instances = format!("(instance (instantiate $c{below}))").repeat(10);
        text.push_str(&format!("(component $c{level} (alias outer 1 $c{below} (component $c{below})) {instances})"));
    }
    text.push_str(&format!("(instance (instantiate $c{levels})))"));
    text
}

hostile! {
    is_empty: bytes(Vec::new()) => invalid("is empty");
    is_another_program: bytes(b"\x7fELF\x02\x01\x01\0".to_vec()) => invalid("starts with 7f 45 4c 46");
    is_only_a_beginning: bytes(b"\0asm".to_vec()) => invalid("not a WebAssembly module");
    is_of_the_future: bytes(b"\0asm\xff\0\0\0".to_vec()) => invalid("not a WebAssembly module");
    is_all_zeros: bytes(vec![0; 1 << 20]) => invalid("not a WebAssembly module");
    is_text_without_end: text("(module (func".to_owned()) => invalid("not a WebAssembly module");
    is_a_cave_of_parentheses: text("(".repeat(1_000_000)) => invalid("not a WebAssembly module");
    is_an_expression_without_bottom:
        text(module(&format!("(func {}{})", "(block ".repeat(200_000), ")".repeat(200_000)))) => invalid("nested");
    is_five_mebibytes_of_text: text(many(5 << 20, " ")) => invalid("at most");
    declares_a_section_that_is_not_there: bytes(b"\0asm\x01\0\0\0\x0a\xff\xff\xff\xff\x0f".to_vec())
        => invalid("not a WebAssembly module");
    declares_four_thousand_million_functions: bytes(b"\0asm\x01\0\0\0\x03\x06\xff\xff\xff\xff\x0f\0".to_vec())
        => invalid("");
    has_too_many_functions: text(many(100_001, "(func)")) => invalid("functions");
    has_a_function_that_is_too_long: function(&"(drop (i32.const 0))".repeat(400_000)) => invalid("at most");
    has_a_function_with_too_many_locals: text(module(&format!("(func (local {}))", "i64 ".repeat(50_001)))) => invalid("");
    has_fifty_functions_of_fifty_thousand_locals: of_locals(50) => invalid("locals");
    has_as_many_functions_as_it_wants: text(many(5_000, "(func)")) => finished();
    has_a_giant_table_of_branches:
        function(&format!("(block (br_table {} (local.get 0)))", "0 ".repeat(60_000))) => finished();
    has_a_table_of_branches_beyond_all_bounds:
        function(&format!("(block (br_table {} (local.get 0)))", "0 ".repeat(400_000))) => invalid("br_table");
    has_a_mountain_of_blocks: function(&format!("{}{}", "block ".repeat(100_000), "end ".repeat(100_000)))
        => invalid("nested");
    imports_what_nobody_has: bare(r#"(module (import "env" "secret" (func)) (func (export "_start")))"#)
        => invalid("imports `secret` from `env`, which no task is given");
    imports_a_memory_of_the_host: bare(r#"(module (import "env" "memory" (memory 1)) (func (export "_start")))"#)
        => invalid("imports `memory` from `env`");
    imports_a_call_of_another_type:
        bare(r#"(module (import "wasi_snapshot_preview1" "fd_write" (func (param i64))) (func (export "_start")))"#)
        => invalid("");
    imports_sockets_of_another_system:
        bare(r#"(module (import "wasi_snapshot_preview1" "sock_open" (func)) (func (export "_start")))"#)
        => invalid("imports `sock_open`");
    has_no_beginning: bare("(module)") => invalid("exports no `_start` function");
    begins_with_a_parameter: bare(r#"(module (func (export "_start") (param i32)))"#)
        => invalid("exports no `_start` function");
    begins_with_a_result: bare(r#"(module (func (export "_start") (result i32) (i32.const 0)))"#)
        => invalid("exports no `_start` function");
    begins_with_a_memory: bare(r#"(module (memory (export "_start") 1))"#) => invalid("exports no `_start` function");
    does_not_validate: bare(r#"(module (func (export "_start") i32.add))"#) => invalid("not a valid module");
    has_a_memory_of_64_bits: bare(r#"(module (memory i64 1) (func (export "_start")))"#) => invalid("");
    has_a_shared_memory: bare(r#"(module (memory 1 1 shared) (func (export "_start")))"#) => invalid("");
    has_two_memories: bare(r#"(module (memory 1) (memory 1) (func (export "_start")))"#) => invalid("");
    has_a_hundred_tables: text(many(100, "(table 1 funcref)")) => invalid("");
    has_a_table_of_a_million: text(module("(table 1000000 funcref)")) => invalid("");
    collects_garbage: bare(r#"(module (type (struct (field i32))) (func (export "_start")))"#) => invalid("");
    waits_with_other_threads:
        bare(r#"(module (memory 1 1 shared) (func (export "_start")
            (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))))"#) => invalid("");
    is_a_component_of_nothing: bare("(component)") => invalid("exports no `wasi:cli/run`");
    is_a_component_in_a_component_and_so_on:
        text(format!("{}{}", "(component ".repeat(500), ")".repeat(500))) => invalid("");
    is_a_component_with_ten_thousand_million_instances: text(doubling_components(10)) => invalid("instances");
    is_a_component_with_many_memories:
        text(format!("(component (core module $m (memory 1)) {})", "(core instance (instantiate $m))".repeat(500)))
        => invalid("");
    begins_with_a_memory_that_is_too_large_in_a_component:
        wat(r#"(memory (export "memory") 300) (func (export "_start"))"#).component() => out_of_memory();
}

/// A module that was cut off or changed in one place is refused or runs within its limits, whatever it is now.
#[test]
fn broken_copies_of_a_module_harm_nobody() {
    let whole = ::wat::parse_str(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1) (table 2 funcref) (global (mut i32) (i32.const 3))
            (elem (i32.const 0) $f) (data (i32.const 0) "\08\00\00\00\03\00\00\00abc")
            (func $f (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))
            (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))
                (loop (br_if 0 (i32.lt_s (call $f (global.get 0)) (i32.const 2))))))"#,
    )
    .unwrap();
    let mut broken: Vec<Vec<u8>> = (0..whole.len()).step_by(3).map(|length| whole[..length].to_vec()).collect();
    // A small generator of its own, so that every run tries the same.
    let mut seed = 42_u64;
    for _ in 0..150 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut copy = whole.clone();
        let at = (seed >> 33) as usize % copy.len();
        copy[at] = (seed >> 20) as u8;
        broken.push(copy);
    }
    let mut bench = Bench::new();

    for copy in &broken {
        bench.launch(&bytes(copy.clone()).fuel(1_000_000).millis(200));
    }
    for _ in &broken {
        let (task, ending) = bench.ended();
        assert!(matches!(ending.state, TaskState::Failed | TaskState::Finished), "{task}: {ending:?}");
        assert_ne!(ending.reason, Some(Reason::ExecutorTerminated), "{task}: {ending:?}");
    }

    bench.launch(&start(""));
    assert_eq!(bench.ended().1.state, TaskState::Finished);
}

/// What passes the bounds of the intake is compiled in seconds: the dearest of each kind, one after the other.
#[test]
fn the_dearest_modules_that_are_accepted_compile_in_bounded_time() {
    let locals: String = (0..400).map(|local| format!("(local.set {local} (i64.const {local}))")).collect();
    let uses: String = (0..400).map(|local| format!("(drop (local.get {local}))")).collect();
    let diamonds = format!("(if (i32.const 1) (then {locals}))").repeat(10);
    let nested = |depth| function(&format!("{}{}", "block ".repeat(depth), "end ".repeat(depth)));
    let dear = [
        nested(10_000),
        of_locals(40),
        text(many(20_000, "(func (result i32) (i32.const 1))")),
        text(module(&format!("(func (local {}) {diamonds} {uses})", "i64 ".repeat(400)))),
        function(&"(drop (i32.mul (local.get 0) (i32.const 3)))".repeat(80_000)),
    ];
    let mut bench = Bench::new();
    for guest in dear {
        let since = Instant::now();

        let ending = bench.run(&guest);

        assert!(matches!(ending.reason, None | Some(Reason::ModuleInvalid)), "{ending:?}");
        assert!(since.elapsed() < Duration::from_secs(60));
    }
}
