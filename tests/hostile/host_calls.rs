//! Guests that call the host for ever, with too much, or with nonsense.

use haggle_core::{Bytes, Reason, TaskState};

use crate::kit::{
    Bench, Guest, bare, exit, finished, for_ever, hostile, out_of_time, start, too_many_resources, trap, wat,
};

/// Loops around one call of the host, which nothing but the time limit ends.
fn calls(call: &str) -> Guest {
    for_ever(&format!("(drop {call})")).millis(60)
}

/// The same with 100 files in its scratch folder.
fn calls_beside_files(call: &str) -> Guest {
    start(&format!(
        "(loop $more (call $name (local.get $i))
            (call $check (call $open (i32.const 3) (i32.const 256) (i32.const 5) (i32.const 1)))
            (call $check (call $fd_close (i32.load (i32.const 12))))
            (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100))))
        (loop $more {call} (br $more))"
    ))
    .disk(Bytes::from_mib(1))
    .millis(60)
}

/// Ends with the error number of this call.
fn asks(call: &str) -> Guest {
    start(&format!("(call $exit {call})"))
}

const RANDOM_4_MIB: &str = r#"(memory (export "memory") 64)
    (func (export "_start") (loop $more (drop (call $random_get (i32.const 0) (i32.const 4194304))) (br $more)))"#;

/// A component that asks for timers, and drops none.
const TIMERS: &str = r#"(component
    (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
        (alias outer 1 $pollable (type $outer))
        (export "pollable" (type $inner (eq $outer)))
        (export "subscribe-duration" (func (param "when" u64) (result (own $inner))))))
    (core func $subscribe (canon lower (func $clock "subscribe-duration")))
    (core module $module
        (import "clock" "subscribe" (func $subscribe (param i64) (result i32)))
        (func (export "run") (result i32) (loop $more (drop (call $subscribe (i64.const 1))) (br $more)) (i32.const 0)))
    (core instance $core (instantiate $module (with "clock" (instance (export "subscribe" (func $subscribe))))))
    (func $run (result (result)) (canon lift (core func $core "run")))
    (instance $cli (export "run" (func $run)))
    (export "wasi:cli/run@0.2.0" (instance $cli)))"#;

hostile! {
    takes_timers_without_end: bare(TIMERS) => too_many_resources();
    yields_for_ever: calls("(call $sched_yield)") => out_of_time();
    asks_the_time_for_ever: calls("(call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 64))") => out_of_time();
    asks_the_time_for_ever_as_a_component:
        calls("(call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 64))").component() => out_of_time();
    draws_chance_for_ever: wat(RANDOM_4_MIB).millis(60) => out_of_time();
    draws_chance_for_ever_as_a_component: calls("(call $random_get (i32.const 0) (i32.const 65536))").component()
        => out_of_time();
    reads_its_long_arguments_for_ever: calls("(call $args_sizes_get (i32.const 16) (i32.const 20))").args(10_000, 50)
        => out_of_time();
    reads_its_long_environment_for_ever: calls("(call $environ_sizes_get (i32.const 16) (i32.const 20))").env(10_000, 50)
        => out_of_time();
    looks_for_a_file_for_ever:
        calls("(call $path_filestat_get (i32.const 3) (i32.const 0) (i32.const 256) (i32.const 9) (i32.const 300))")
        .disk(Bytes::from_mib(1)) => out_of_time();
    looks_for_a_file_for_ever_as_a_component:
        calls("(call $path_filestat_get (i32.const 3) (i32.const 0) (i32.const 256) (i32.const 9) (i32.const 300))")
        .disk(Bytes::from_mib(1)).component() => out_of_time();
    opens_and_closes_for_ever:
        for_ever("(i32.store (i32.const 256) (i32.const 0x61616161))
            (call $check (call $open (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 1)))
            (call $check (call $fd_close (i32.load (i32.const 12))))").disk(Bytes::from_mib(1)).millis(60) => out_of_time();
    lists_a_folder_for_ever: calls_beside_files("(call $check
            (call $fd_readdir (i32.const 3) (i32.const 1024) (i32.const 60000) (i64.const 0) (i32.const 16)))")
        => out_of_time();
    lists_a_folder_for_ever_as_a_component: calls_beside_files("(call $check
            (call $fd_readdir (i32.const 3) (i32.const 1024) (i32.const 60000) (i64.const 0) (i32.const 16)))").component()
        => out_of_time();
    writes_over_its_file_for_ever:
        wat(r#"(memory (export "memory") 128) (data (i32.const 256) "file") (func (export "_start")
            (call $check (call $open (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 1)))
            (call $buffer (i32.const 0) (i32.const 0) (i32.const 8388608))
            (loop $more (call $check (call $fd_pwrite
                (i32.load (i32.const 12)) (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 8))) (br $more)))"#)
        .disk(Bytes::from_mib(8)).millis(60) => out_of_time();
    asks_for_a_socket_for_ever: calls("(call $sock_recv
            (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 0) (i32.const 16) (i32.const 20))") => out_of_time();
    polls_the_past_for_ever: calls("(call $sleep (i32.const 1) (i64.const 0))") => out_of_time();
    naps_for_ever: calls("(call $sleep (i32.const 1) (i64.const 1000))") => out_of_time();
    sleeps_for_ever: start("(call $check (call $sleep (i32.const 1) (i64.const -1)))").millis(40) => out_of_time();
    sleeps_for_ever_by_the_days_clock:
        start("(call $check (call $sleep (i32.const 0) (i64.const -1)))").millis(40) => out_of_time();
    sleeps_for_ever_as_a_component:
        start("(call $check (call $sleep (i32.const 1) (i64.const -1)))").component().millis(40) => out_of_time();
    waits_for_nothing: asks("(call $poll_oneoff (i32.const 1024) (i32.const 9000) (i32.const 0) (i32.const 16))")
        => exit(28);
    waits_for_too_much: asks("(call $poll_oneoff (i32.const 1024) (i32.const 9000) (i32.const 65) (i32.const 16))")
        => exit(28);
    waits_for_all_there_can_be:
        asks("(call $poll_oneoff (i32.const 1024) (i32.const 9000) (i32.const -1) (i32.const 16))") => exit(28);
    waits_for_the_same_output_64_times:
        // Each entry of 48 bytes waits until it may write to descriptor 1.
        start("(loop $more
                (i32.store8 offset=1032 (local.get $fd) (i32.const 2)) (i32.store offset=1040 (local.get $fd) (i32.const 1))
                (local.set $fd (i32.add (local.get $fd) (i32.const 48)))
                (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 64))))
            (call $check (call $poll_oneoff (i32.const 1024) (i32.const 9000) (i32.const 64) (i32.const 16)))")
        => finished();
    waits_on_a_clock_that_is_none: asks("(call $sleep (i32.const 9) (i64.const 1))") => exit(28);
    asks_a_clock_that_is_none: asks("(call $clock_time_get (i32.const 99) (i64.const 0) (i32.const 64))")
        => trap("Invalid enum value");
    asks_the_hosts_cpu_clocks:
        start("(call $refused (call $clock_time_get (i32.const 2) (i64.const 0) (i32.const 64)))
            (call $refused (call $clock_res_get (i32.const 3) (i32.const 64)))") => finished();
    draws_too_much_chance: asks("(call $random_get (i32.const 0) (i32.const 4194305))") => exit(28);
    draws_chance_beyond_its_memory: asks("(call $random_get (i32.const 65530) (i32.const 100))")
        => trap("Pointer out of bounds");
    reads_beyond_its_memory:
        start("(call $buffer (i32.const 0) (i32.const 65530) (i32.const 100))
            (call $exit (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))").stdin(500) => trap("Pointer out of bounds");
    reads_over_the_list_of_its_buffers:
        start("(call $buffer (i32.const 0) (i32.const 0) (i32.const 60000))
            (call $check (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 65000)))
            (call $exit (i32.load (i32.const 0)))").stdin(60_000)
        => exit(0x7878_7878);
    reads_a_huge_length_over_the_list_of_its_buffers:
        wat(r#"(memory (export "memory") 64) (func (export "_start")
            (call $buffer (i32.const 0) (i32.const 4) (i32.const 4000000))
            (call $check (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 3900000)))
            ;; What was read stays, and is not written over by what the host remembers.
            (if (i32.ne (i32.load (i32.const 4)) (i32.const 0x78787878)) (then (unreachable)))
            (if (i32.ne (i32.load (i32.const 3900000)) (i32.const 100)) (then (unreachable))))"#).stdin(100) => finished();
    has_its_sizes_written_nowhere: asks("(call $args_sizes_get (i32.const -1) (i32.const -2))")
        => trap("Pointer out of bounds");
    has_its_arguments_written_nowhere: asks("(call $args_get (i32.const -1) (i32.const -1))")
        => trap("Pointer");
    has_the_time_written_across_the_end:
        asks("(call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 65532))") => trap("Pointer");
    has_its_events_written_nowhere:
        asks("(call $poll_oneoff (i32.const 1024) (i32.const -8) (i32.const 1) (i32.const 16))") => trap("Pointer");
    uses_descriptors_that_are_none:
        start("(local.set $fd (i32.const 3))
            (loop $more
                (call $refused (call $fd_close (local.get $fd))) (call $refused (call $fd_sync (local.get $fd)))
                (call $refused (call $fd_prestat_get (local.get $fd) (i32.const 64)))
                (call $refused (call $fd_prestat_dir_name (local.get $fd) (i32.const 64) (i32.const 64)))
                (call $refused (call $fd_fdstat_get (local.get $fd) (i32.const 64)))
                (call $refused (call $fd_renumber (local.get $fd) (i32.const 1)))
                (call $refused (call $fd_renumber (i32.const 1) (local.get $fd)))
                (call $refused (call $fd_advise (local.get $fd) (i64.const 0) (i64.const -1) (i32.const 3)))
                (call $refused (call $fd_readdir (local.get $fd) (i32.const 64) (i32.const 64) (i64.const 0) (i32.const 16)))
                (br_if $more (i32.lt_u (local.tee $fd (i32.add (local.get $fd) (i32.const 1))) (i32.const 60))))")
        => finished();
    has_no_socket:
        start("(call $refused (call $sock_accept (i32.const 1) (i32.const 0) (i32.const 64)))
            (call $refused (call $sock_send (i32.const 1) (i32.const 64) (i32.const 1) (i32.const 0) (i32.const 16)))
            (call $refused (call $sock_shutdown (i32.const 99) (i32.const 3)))") => finished();
    raises_signals: start("(call $refused (call $proc_raise (i32.const 9)))") => finished();
    sees_no_environment_of_the_host:
        start("(call $check (call $environ_sizes_get (i32.const 16) (i32.const 20)))
            (call $exit (i32.add (i32.load (i32.const 16)) (i32.load (i32.const 20))))") => finished();
    sees_no_arguments_of_the_host:
        // Its own name, `guest`, with the NUL that ends it.
        start("(call $check (call $args_sizes_get (i32.const 16) (i32.const 20)))
            (call $exit (i32.add (i32.load (i32.const 16)) (i32.load (i32.const 20))))") => exit(7);
    calls_without_a_memory:
        bare(r#"(module (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
            (func (export "_start") (drop (call $random_get (i32.const 0) (i32.const 1)))))"#)
        => trap("missing required memory export");
    calls_from_its_start_function:
        wat(r#"(memory (export "memory") 1) (start $go) (func (export "_start"))
            (func $go (loop $more (drop (call $sched_yield)) (br $more)))"#).millis(60) => out_of_time();
    exits_with_1: start("(call $exit (i32.const 1))") => exit(1);
    exits_with_255: start("(call $exit (i32.const 255))") => exit(255);
    exits_with_256: start("(call $exit (i32.const 256))") => exit(256);
    exits_with_minus_1: start("(call $exit (i32.const -1))") => exit(-1);
    exits_with_the_least: start("(call $exit (i32.const 0x80000000))") => exit(i32::MIN);
    exits_well_in_its_start_function:
        wat(r#"(memory (export "memory") 1) (start $go) (func $go (call $exit (i32.const 0)))
            (func (export "_start") (unreachable))"#) => finished();
}

/// A loop around a cheap call of the host executes hardly any fuel; its rate holds all the same.
#[test]
fn loops_around_calls_of_the_host_keep_to_their_cpus() {
    let loops = [
        calls("(call $sched_yield)"),
        calls("(call $write (i32.const 1) (i32.const 0) (i32.const 0))"),
        calls("(call $args_sizes_get (i32.const 16) (i32.const 20))").args(5_000, 50),
        calls("(call $random_get (i32.const 0) (i32.const 65536))"),
        calls("(call $random_get (i32.const 0) (i32.const 65536))").component(),
        calls("(call $path_filestat_get (i32.const 3) (i32.const 0) (i32.const 256) (i32.const 9) (i32.const 300))")
            .disk(Bytes::from_mib(1)),
    ];
    let mut bench = Bench::new();
    for guest in loops {
        let ending = bench.run(&guest.milli_cpus(200).millis(500));

        assert_eq!((ending.state, ending.reason), (TaskState::Failed, Some(Reason::TimeLimit)));
        // A fifth of the time it had, what it may have at once, and a slice or two.
        let most = ending.usage.wall / 5 + std::time::Duration::from_millis(40);
        assert!(ending.usage.cpu <= most, "{ending:?}");
    }
}
