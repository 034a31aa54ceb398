//! How guests end by themselves, and what they were given to work with.

use haggle_core::{Reason, TaskState};
use haggle_executor::{Event, Stream};

use crate::kit::{BOTH, Bench, Form, spec};

const HELLO: &str = r#"
    (memory (export "memory") 1)
    (data (i32.const 256) "hello\n")
    (func (export "_start") (call $print (i32.const 256) (i32.const 6)))"#;

#[test]
fn a_task_starts_says_something_and_ends_in_that_order() {
    let bench = Bench::new();
    for form in BOTH {
        let report = bench.run(form, spec(), HELLO);

        report.assert_finished();
        assert_eq!(report.text(), "hello\n");
        assert_eq!(report.ending.exit_code, Some(0));
        assert!(matches!(
            report.events[..],
            [Event::Started { .. }, Event::Output { stream: Stream::Stdout, .. }, Event::Ended { .. }]
        ));
        let usage = report.ending.usage;
        assert_eq!(usage.output.get(), 6);
        assert!(usage.fuel.get() > 0 && usage.cpu.as_nanos() > 0 && usage.wall.as_nanos() > 0);
        assert!(usage.peak_mem.get() >= 64 << 10, "{usage:?}");
    }
}

#[test]
fn a_silent_task_emits_no_output() {
    let report = Bench::new().run(Form::Core, spec(), r#"(memory (export "memory") 1) (func (export "_start"))"#);

    report.assert_finished();
    assert_eq!(report.events.len(), 2);
}

#[test]
fn both_streams_keep_the_order_in_which_they_were_written() {
    let body = r#"
        (memory (export "memory") 1)
        (data (i32.const 256) "onetwothree")
        (func (export "_start")
            (call $check (call $write (i32.const 1) (i32.const 256) (i32.const 3)))
            (call $check (call $write (i32.const 2) (i32.const 259) (i32.const 3)))
            (call $check (call $write (i32.const 1) (i32.const 262) (i32.const 5))))"#;

    let report = Bench::new().run(Form::Core, spec(), body);

    let outputs: Vec<(Stream, &[u8])> = report
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Output { stream, bytes, .. } => Some((*stream, &bytes[..])),
            _ => None,
        })
        .collect();
    assert_eq!(
        outputs,
        [(Stream::Stdout, &b"one"[..]), (Stream::Stderr, &b"two"[..]), (Stream::Stdout, &b"three"[..])]
    );
}

#[test]
fn a_task_sees_its_arguments_and_its_environment_and_no_other() {
    let body = r#"
        (memory (export "memory") 1)
        (func (export "_start")
            (call $check (call $args_sizes_get (i32.const 20) (i32.const 24)))
            (call $check (call $args_get (i32.const 1024) (i32.const 2048)))
            (call $print (i32.const 2048) (i32.load (i32.const 24)))
            (call $check (call $environ_sizes_get (i32.const 20) (i32.const 24)))
            (call $check (call $environ_get (i32.const 1024) (i32.const 4096)))
            (call $print (i32.const 4096) (i32.load (i32.const 24))))"#;
    let bench = Bench::new();
    for form in BOTH {
        let mut spec = spec();
        spec.args = vec!["one".to_owned(), "zwei ü".to_owned()];
        spec.env =
            [("HAGGLE_TASK_ID", "forged"), ("COLOUR", "blue")].map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();

        let id = bench.launch(form, spec, body);
        let report = bench.report(id);

        report.assert_finished();
        assert_eq!(report.text(), format!("guest\0one\0zwei ü\0COLOUR=blue\0HAGGLE_TASK_ID={id}\0"));
    }
}

#[test]
fn a_task_reads_its_standard_input_to_the_end() {
    let body = r#"
        (memory (export "memory") 1)
        (func (export "_start")
            (local $length i32)
            (loop $more
                (local.set $length (call $read (i32.const 0)))
                (call $print (i32.const 1024) (local.get $length))
                (br_if $more (local.get $length))))"#;
    let bench = Bench::new();
    for form in BOTH {
        let mut spec = spec();
        spec.stdin = b"some words".to_vec();

        let report = bench.run(form, spec, body);

        report.assert_finished();
        assert_eq!(report.text(), "some words");
    }
}

#[test]
fn an_exit_code_is_the_tasks_own_whatever_it_is() {
    let bench = Bench::new();
    for code in [1, 77, 126, 255, -1] {
        let body = format!(r#"(memory (export "memory") 1) (func (export "_start") (call $exit (i32.const {code})))"#);

        let report = bench.run(Form::Core, spec(), &body);

        assert_eq!(report.verdict(), (TaskState::Failed, Some(Reason::Exit)));
        assert_eq!(report.ending.exit_code, Some(code));
        assert_eq!(report.ending.message, format!("exited with code {code}"));
    }
}

#[test]
fn a_component_that_fails_exits_with_one() {
    let body = r#"(memory (export "memory") 1) (func (export "_start") (call $exit (i32.const 1)))"#;

    let report = Bench::new().run(Form::Component, spec(), body);

    assert_eq!(report.verdict(), (TaskState::Failed, Some(Reason::Exit)));
    assert_eq!(report.ending.exit_code, Some(1));
}

#[test]
fn a_trap_says_what_and_where() {
    let body = r#"
        (memory (export "memory") 1)
        (func $divide (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0)))
        (func $main (export "_start") (drop (call $divide (i32.const 0))))"#;

    let report = Bench::new().run(Form::Core, spec(), body);

    assert_eq!(report.verdict(), (TaskState::Failed, Some(Reason::Trap)));
    assert_eq!(report.ending.message, "wasm trap: integer divide by zero in divide < main");
    assert_eq!(report.ending.exit_code, None);
}

#[test]
fn endless_recursion_is_a_trap() {
    let body = r#"(memory (export "memory") 1) (func $deeper (export "_start") (call $deeper) (call $spin))"#;

    let report = Bench::new().run(Form::Core, spec(), body);

    assert_eq!(report.verdict(), (TaskState::Failed, Some(Reason::Trap)));
    assert!(report.ending.message.starts_with("wasm trap: call stack exhausted"), "{}", report.ending.message);
}

#[test]
fn random_bytes_come_in_any_sane_amount() {
    let body = r#"
        (memory (export "memory") 32)
        (func (export "_start") (call $check (call $random_get (i32.const 1024) (i32.const 1000000))))"#;

    Bench::new().run(Form::Core, spec(), body).assert_finished();
}

#[test]
fn a_sleeping_task_wakes_up_and_goes_on() {
    let body = r#"
        (memory (export "memory") 1)
        (func (export "_start") (call $sleep (i64.const 2000000)) (call $sleep (i64.const 2000000)))"#;
    let bench = Bench::new();
    for form in BOTH {
        let report = bench.run(form, spec(), body);

        report.assert_finished();
        assert!(report.ending.usage.wall.as_millis() >= 4);
    }
}

/// By a time from now, and by one that has been, which take different ways through the host.
#[test]
fn whoever_waits_for_a_time_alone_is_told_so_as_ever() {
    for absolute in [0, 1] {
        let body = format!(
            r#"
            (memory (export "memory") 1)
            (func (export "_start")
                (memory.fill (i32.const 128) (i32.const 255) (i32.const 32))
                (i64.store (i32.const 64) (i64.const 77))
                (i32.store (i32.const 80) (i32.const 1))
                (i64.store (i32.const 88) (i64.const 1))
                (i32.store16 (i32.const 104) (i32.const {absolute}))
                (call $check (call $poll_oneoff (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 16)))
                (call $expect (i32.const 1) (i32.load (i32.const 16)))
                (call $expect (i32.const 77) (i32.load (i32.const 128)))
                (call $expect (i32.const 0) (i32.load16_u (i32.const 136)))
                (call $expect (i32.const 0) (i32.load8_u (i32.const 138)))
                (call $expect (i32.const 0) (i32.load (i32.const 144)))
                (call $expect (i32.const 0) (i32.load16_u (i32.const 152))))"#
        );

        Bench::new().run(Form::Core, spec(), &body).assert_finished();
    }
}
