//! Guests that want more memory than they were given.

use haggle_core::Bytes;

use crate::kit::{Guest, bare, bytes, exit, finished, hostile, invalid, out_of_memory, start, trap, wat};

/// Until `grow` fails, then gives up.
fn grows(declared: &str, grow: &str) -> Guest {
    wat(&format!(
        r#"(memory (export "memory") 1) {declared}
        (func (export "_start") (loop $more (br_if $more (i32.ne (i32.const -1) {grow})) (unreachable)))"#
    ))
}

fn declares(items: impl Iterator<Item = String>) -> Guest {
    let items: String = items.collect();
    bytes(::wat::parse_str(format!(r#"(module {items} (func (export "_start")))"#)).unwrap())
}

hostile! {
    grows_page_by_page: grows("", "(memory.grow (i32.const 1))") => out_of_memory();
    grows_page_by_page_as_a_component: grows("", "(memory.grow (i32.const 1))").component() => out_of_memory();
    grows_at_once: grows("", "(memory.grow (i32.const 65535))") => out_of_memory();
    grows_in_its_start_function:
        wat(r#"(memory (export "memory") 1) (start $grow) (func (export "_start"))
            (func $grow (if (i32.eq (i32.const -1) (memory.grow (i32.const 1000))) (then (unreachable))))"#)
        => out_of_memory();
    lives_with_what_it_has: start("(drop (memory.grow (i32.const 30000)))") => finished();
    touches_every_page_it_has:
        wat(r#"(memory (export "memory") 256) (func (export "_start") (local $at i32) (loop $more
            (i32.store (local.get $at) (i32.const 1))
            (br_if $more (i32.lt_u
                (local.tee $at (i32.add (local.get $at) (i32.const 4096))) (i32.const 16777216)))))"#) => finished();
    declares_more_than_it_has: wat(r#"(memory (export "memory") 257) (func (export "_start"))"#) => out_of_memory();
    declares_all_there_can_be: wat(r#"(memory (export "memory") 65536) (func (export "_start"))"#) => out_of_memory();
    grows_a_table: grows("(table $t 1 funcref)", "(table.grow $t (ref.null func) (i32.const 1000))")
        .mem(Bytes::from_mib(1)) => out_of_memory();
    grows_a_table_of_things_of_the_host: grows("(table $t 1 externref)", "(table.grow $t (ref.null extern) (i32.const 1000))")
        .mem(Bytes::from_mib(1)) => out_of_memory();
    declares_eight_large_tables: declares((0..8).map(|_| "(table 100000 funcref)".to_owned()))
        .mem(Bytes::from_mib(8)) => out_of_memory();
    declares_a_hundred_thousand_globals:
        declares((0..100_000).map(|_| "(global (mut i64) (i64.const 1))".to_owned())) => finished();
    makes_many_instances_with_many_globals:
        // Each takes 480 kB, which no memory and no table has.
        bare(&format!(r#"(component (core module $m {} (func (export "run") (result i32) (i32.const 0))) {}
            (core instance $last (instantiate $m))
            (func $run (result (result)) (canon lift (core func $last "run")))
            (instance $cli (export "run" (func $run))) (export "wasi:cli/run@0.2.0" (instance $cli)))"#,
            "(global (mut i64) (i64.const 1))".repeat(30_000), "(core instance (instantiate $m))".repeat(2)))
        .mem(Bytes::from_mib(1)) => out_of_memory();
    makes_more_instances_than_there_can_be:
        bare(&format!(r#"(component (core module $m {} (func (export "run") (result i32) (i32.const 0))) {}
            (core instance $last (instantiate $m))
            (func $run (result (result)) (canon lift (core func $last "run")))
            (instance $cli (export "run" (func $run))) (export "wasi:cli/run@0.2.0" (instance $cli)))"#,
            "(global (mut i64) (i64.const 1))".repeat(100_000), "(core instance (instantiate $m))".repeat(20)))
        => invalid("aggregated core instance runtime space which exceeds");
    has_more_globals_than_memory: declares((0..100_000).map(|_| "(global (mut i64) (i64.const 1))".to_owned()))
        .mem(Bytes::from_mib(1)) => out_of_memory();
    has_twenty_thousand_data_segments:
        declares(std::iter::once("(memory 1)".to_owned())
            .chain((0..20_000).map(|_| r#"(data (i32.const 0) "x")"#.to_owned()))) => finished();
    has_twenty_thousand_element_segments:
        declares(std::iter::once("(table 9 funcref) (func $f)".to_owned())
            .chain((0..20_000).map(|_| "(elem (i32.const 0) $f $f $f)".to_owned()))) => finished();
    has_eight_mebibytes_of_data:
        bare(&format!(r#"(module (memory 200) (data (i32.const 9) "{}") (func (export "_start")))"#, "x".repeat(8 << 20)))
        => finished();
    has_data_beyond_its_memory:
        bare(r#"(module (memory 1) (data (i32.const 65530) "too much") (func (export "_start")))"#)
        => trap("out of bounds memory access");
    has_data_far_apart:
        bare(r#"(module (memory 30000) (data (i32.const 0) "a") (data (i32.const 1900000000) "b")
            (func (export "_start")))"#).mem(Bytes::from_mib(2048)) => finished();
    has_elements_beyond_its_table:
        bare(r#"(module (table 1 funcref) (func $f) (elem (i32.const 1) $f) (func (export "_start")))"#)
        => trap("out of bounds table access");
    reads_beyond_its_memory: start("(drop (i64.load offset=4294967295 (i32.const -1)))")
        => trap("out of bounds memory access");
    writes_just_beyond_its_memory: start("(i64.store (i32.const 65529) (i64.const 1))")
        => trap("out of bounds memory access");
    fills_beyond_its_memory: start("(memory.fill (i32.const 1) (i32.const 1) (i32.const -1))")
        => trap("out of bounds memory access");
    brings_too_much_standard_input: start("").stdin(2 << 20).mem(Bytes::from_mib(1)) => out_of_memory();
    brings_too_many_arguments: start("").args(100_000, 0).mem(Bytes::from_mib(1)) => out_of_memory();
    brings_too_long_an_environment: start("").env(10, 200_000).mem(Bytes::from_mib(1)) => out_of_memory();
    fits_its_memory_exactly: wat(r#"(memory (export "memory") 16) (func (export "_start"))"#)
        .args(20, 20).env(20, 20).mem(Bytes::from_mib(1)) => finished();
    fails_by_itself_within_its_memory: start("(call $exit (i32.const 3))") => exit(3);
}
