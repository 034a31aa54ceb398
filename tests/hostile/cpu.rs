//! Guests that burn CPU, and faults that end them.

use crate::kit::{bare, for_ever, hostile, out_of_fuel, out_of_time, start, trap, wat};

hostile! {
    loops_for_ever_on_a_budget: start("(call $spin)").fuel(3_000_000) => out_of_fuel();
    loops_for_ever_on_a_clock: start("(call $spin)").millis(40) => out_of_time();
    loops_for_ever_as_a_component: start("(call $spin)").component().millis(40) => out_of_time();
    loops_in_its_start_function:
        wat(r#"(memory (export "memory") 1) (start $spin) (func (export "_start"))"#).fuel(2_000_000) => out_of_fuel();
    loops_in_its_start_function_on_a_clock:
        wat(r#"(memory (export "memory") 1) (start $spin) (func (export "_start"))"#).millis(40) => out_of_time();
    calls_itself_twice_as_often_each_time:
        bare(r#"(module (func $f (param i64)
            (if (i64.eqz (local.get 0)) (then (return)))
            (call $f (i64.sub (local.get 0) (i64.const 1))) (call $f (i64.sub (local.get 0) (i64.const 1))))
            (func (export "_start") (call $f (i64.const 62))))"#).fuel(3_000_000) => out_of_fuel();
    tail_calls_for_ever: bare(r#"(module (func $f (export "_start") (return_call $f)))"#).fuel(3_000_000) => out_of_fuel();
    recurses_for_ever: bare(r#"(module (func $f (export "_start") (call $f)))"#) => trap("call stack exhausted");
    recurses_with_wide_frames:
        bare(r#"(module (func $f (export "f") (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i64)
            (i64.add (call $f
                (i64.add (local.get 0) (local.get 1)) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6)
                (local.get 7) (local.get 8) (local.get 9) (local.get 10) (local.get 11) (local.get 0)) (local.get 3)))
            (func (export "_start") (drop (call $f (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1)
                (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1)))))"#)
        => trap("call stack exhausted");
    recurses_through_a_table:
        bare(r#"(module (type $t (func)) (table 1 funcref) (elem (i32.const 0) $f)
            (func $f (export "_start") (call_indirect (type $t) (i32.const 0))))"#) => trap("call stack exhausted");
    recurses_in_its_start_function:
        bare(r#"(module (func $f (call $f)) (start $f) (func (export "_start")))"#) => trap("call stack exhausted");
    fills_its_memory_for_ever:
        wat(r#"(memory (export "memory") 250) (func (export "_start") (loop $more
            (memory.fill (i32.const 0) (i32.const 7) (i32.const 16384000)) (br $more)))"#).millis(60) => out_of_time();
    copies_its_memory_onto_itself_for_ever:
        wat(r#"(memory (export "memory") 250) (func (export "_start") (loop $more
            (memory.copy (i32.const 1) (i32.const 0) (i32.const 16383999)) (br $more)))"#).millis(60) => out_of_time();
    initialises_its_memory_for_ever:
        wat(&format!(r#"(memory (export "memory") 250) (data $long "{}") (func (export "_start") (loop $more
            (memory.init $long (i32.const 0) (i32.const 0) (i32.mul (memory.size) (i32.const 4096))) (br $more)))"#,
            "a".repeat(1 << 20))).millis(60) => out_of_time();
    fills_more_memory_than_there_is_by_one_operator:
        start("(memory.fill (i32.const 1) (i32.const 7) (i32.mul (memory.size) (i32.const 65536)))")
        => trap("out of bounds memory access");
    copies_more_than_an_address_can_say:
        start("(memory.copy (i32.const 8) (i32.mul (memory.size) (i32.const 0)) (i32.sub (memory.size) (i32.const 9)))")
        => trap("out of bounds memory access");
    has_no_fuel_for_the_operator_that_it_begins:
        wat(r#"(memory (export "memory") 250) (func (export "_start")
            (memory.fill (i32.const 0) (i32.const 7) (i32.mul (memory.size) (i32.const 65536))))"#)
        .fuel(3_000_000) => out_of_fuel();
    fills_a_table_for_ever:
        wat(r#"(memory (export "memory") 1) (table $t 100000 funcref) (func (export "_start") (loop $more
            (table.fill $t (i32.const 0) (ref.null func) (i32.const 100000)) (br $more)))"#).millis(60) => out_of_time();
    grows_by_nothing_for_ever: for_ever("(drop (memory.grow (i32.const 0)))").millis(60) => out_of_time();
    asks_in_vain_for_ever: for_ever("(drop (memory.grow (i32.const 65535)))").millis(60) => out_of_time();
    divides_slow_floats_for_ever:
        bare(r#"(module (func (export "_start") (local f64) (local.set 0 (f64.const 0x1p-1070)) (loop $more
            (local.set 0 (f64.sqrt (f64.div (local.get 0) (f64.const 0x1.8p1)))) (br $more))))"#).millis(60)
        => out_of_time();
    waits_for_its_tenth_of_a_core: start("(call $spin)").milli_cpus(100).millis(200) => out_of_time();
    gives_up: start("(unreachable)") => trap("unreachable");
    divides_by_zero: start("(drop (i32.div_s (i32.const 1) (i32.const 0)))") => trap("divide by zero");
    divides_to_overflow:
        start("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))") => trap("integer overflow");
    makes_an_integer_of_nothing: start("(drop (i32.trunc_f64_s (f64.const nan)))") => trap("invalid conversion");
    calls_what_has_another_type:
        bare(r#"(module (type $t (func (param i64))) (table 1 funcref) (elem (i32.const 0) $f)
            (func $f (export "_start") (call_indirect (type $t) (i64.const 1) (i32.const 0))))"#)
        => trap("indirect call type mismatch");
    calls_an_empty_place:
        bare(r#"(module (table 1 funcref) (func (export "_start") (call_indirect (i32.const 0))))"#)
        => trap("uninitialized element");
    calls_beyond_its_table:
        bare(r#"(module (table 1 funcref) (func (export "_start") (call_indirect (i32.const -1))))"#)
        => trap("undefined element");
}
