//! Guests that throw: to burn what is not counted, to outlive their limits, and to fill the host's memory.

use haggle_core::Bytes;

use crate::kit::{
    Guest, bytes, hostile, invalid, out_of_exceptions, out_of_fuel, out_of_memory, out_of_time, trap, wat,
};

/// A command with a tag of this type and these functions.
fn thrower(tag: &str, functions: &str) -> Guest {
    wat(&format!(r#"(memory (export "memory") 1) (tag $e {tag}) {functions}"#))
}

/// Does this for ever, and catches whatever can be caught.
fn catching_all(code: &str) -> Guest {
    let start = format!(
        r#"(func (export "_start") (loop $more (block $caught (try_table (catch_all $caught) {code})) (br $more)))"#
    );
    thrower("", &format!("(func $recurse (call $recurse)) {start}"))
}

/// Calls itself so deep, throws, and is caught by the first of all frames; for ever. What a frame does beside: see `inside`.
fn deep(inside: &str) -> Guest {
    thrower(
        "(param i32)",
        &format!(
            r#"(tag $never)
            (func $dive (param i32)
                (if (i32.eqz (local.get 0)) (then (throw $e (i32.const 7))))
                (block $here {inside} (call $dive (i32.sub (local.get 0) (i32.const 1)))
                {end}))
            (func (export "_start") (loop $more
                (drop (block $caught (result i32)
                    (try_table (catch $e $caught) (call $dive (i32.const 5000))) (unreachable)))
                (br $more)))"#,
            end = if inside.is_empty() { "" } else { ")" },
        ),
    )
}

/// Each of its exceptions holds the one before, and none dies.
const CHAIN: &str = r#"(func (export "_start") (local $last exnref) (loop $more
    (local.set $last (block $caught (result exnref)
        (try_table (catch_all_ref $caught) (throw $e (local.get $last))) (unreachable)))
    (br $more)))"#;

/// Throws for ever from a depth at which there are many frames to look through for what is still alive.
fn collected_in_the_deep() -> Guest {
    thrower(
        "(param i64 i64 i64 i64 i64 i64 i64 i64)",
        r#"(func $throw (throw $e (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0)
                (i64.const 0) (i64.const 0)))
            (func $dive (param i32)
                (if (i32.eqz (local.get 0)) (then (loop $more
                    (block $caught (try_table (catch_all $caught) (call $throw))) (br $more))))
                (call $dive (i32.sub (local.get 0) (i32.const 1))))
            (func (export "_start") (call $dive (i32.const 5000)))"#,
    )
}

/// Keeps so many exceptions of 16 values in a table.
fn keeper() -> Guest {
    let values = "(i64.const 1)".repeat(16);
    thrower(
        &format!("(param {})", "i64 ".repeat(16)),
        &format!(
            r#"(table $kept 100000 exnref)
            (func (export "_start") (local $at i32) (loop $more
                (table.set $kept (local.get $at) (block $caught (result exnref)
                    (try_table (catch_all_ref $caught) (throw $e {values})) (unreachable)))
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (br $more)))"#
        ),
    )
}

/// `(module (tag $e) (func (export "_start") (try (do (throw $e)) (catch_all))))`, which is no text of today.
const OLD: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0d\x03\x01\0\0\x07\x0a\x01\x06_start\0\0\
    \x0a\x0a\x01\x08\0\x06\x40\x08\0\x19\x0b\x0b";

/// A function with so many clauses around one call.
fn clauses(count: usize) -> Guest {
    let clauses = "(catch $e 0)".repeat(count);
    thrower("", &format!(r#"(func $f) (func (export "_start") (try_table {clauses} (call $f)))"#))
}

hostile! {
    throws_for_ever_on_a_budget: catching_all("(throw $e)").fuel(3_000_000) => out_of_fuel();
    throws_for_ever_on_a_clock: catching_all("(throw $e)").millis(60) => out_of_time();
    throws_null_for_ever: catching_all("(throw_ref (ref.null exn))") => trap("null reference");
    catches_all_around_a_loop_on_a_budget: catching_all("(call $spin)").fuel(3_000_000) => out_of_fuel();
    catches_all_around_a_loop_on_a_clock: catching_all("(call $spin)").millis(60) => out_of_time();
    catches_all_around_a_trap: catching_all("(unreachable)") => trap("unreachable");
    catches_all_around_its_own_exit: catching_all("(call $exit (i32.const 3))") => crate::kit::exit(3);
    catches_all_around_a_stack_that_overflows: catching_all("(call $recurse)") => trap("call stack exhausted");
    catches_all_around_memory_that_is_not_there:
        catching_all("(drop (i32.load (i32.const -8)))") => trap("out of bounds memory access");
    throws_through_thousands_of_frames_on_a_budget: deep("").fuel(3_000_000) => out_of_fuel();
    throws_through_thousands_of_frames_on_a_clock: deep("").millis(60) => out_of_time();
    throws_through_thousands_of_frames_that_catch_something_else:
        deep(&format!("(try_table {}", "(catch $never $here)".repeat(200))).millis(60) => out_of_time();
    throws_for_ever_above_thousands_of_frames: collected_in_the_deep().millis(60) => out_of_time();
    chains_its_exceptions: thrower("(param exnref)", CHAIN) => out_of_exceptions();
    chains_its_exceptions_in_little_memory:
        thrower("(param exnref)", CHAIN).mem(Bytes::from_mib(1)) => out_of_memory();
    keeps_its_exceptions_in_a_table: keeper() => out_of_exceptions();
    keeps_its_exceptions_in_little_memory: keeper().mem(Bytes::from_mib(3)) => out_of_memory();
    throws_out_of_its_start: thrower("", r#"(func (export "_start") (throw $e))"#) => trap("that nothing catches");
    throws_before_its_start:
        thrower("", r#"(func $begin (throw $e)) (start $begin) (func (export "_start"))"#)
        => trap("that nothing catches");
    throws_what_nobody_catches_for_ever_and_a_day:
        thrower("", r#"(tag $other) (func (export "_start") (block $caught
            (try_table (catch $other $caught) (throw $e))))"#) => trap("that nothing catches");
    catches_in_a_thousand_clauses: clauses(1000) => invalid("catch clauses around one place");
    catches_around_more_calls_than_anybody: {
        let calls = "(call $f)".repeat(2000);
        let function = format!("(func (try_table {} {calls}))", "(catch $e 0)".repeat(250));
        thrower("", &format!(r#"(func $f) {} (func (export "_start"))"#, function.repeat(30)))
    } => invalid("catch clauses around its calls");
    throws_a_thousand_values:
        thrower(&"(param i64) ".repeat(1000), r#"(func (export "_start"))"#) => invalid("an exception of 1000 values");
    throws_as_it_was_done_before:
        bytes(OLD.to_vec()) => invalid("--translate-to-exnref");
}
