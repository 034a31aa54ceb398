//! Output: how much of it there may be, when it comes, and what becomes of the rest.

use std::sync::Arc;

use haggle_core::{Bytes, OutputOverrun, Reason};
use haggle_executor::{Event, Stream};
use parking_lot::Mutex;

use crate::kit::{BOTH, Bench, Form, spec};

#[test]
fn output_goes_out_up_to_its_limit_and_no_further() {
    let body = r#"
        (memory (export "memory") 1)
        (func (export "_start")
            (loop $more
                (call $print (i32.const 256) (i32.const 3000))
                (br $more)))"#;
    let bench = Bench::new();
    for form in BOTH {
        let mut spec = spec();
        spec.limits.output = Bytes::new(50_000);

        let report = bench.run(form, spec, body);

        let exceeded = report.assert_limited(Reason::OutputLimit, 50_000);
        assert!(exceeded.used > 50_000);
        assert_eq!(report.stdout.len(), 50_000);
        assert_eq!(report.ending.usage.output.get(), 50_000);
    }
}

#[test]
fn truncated_output_ends_at_its_limit_and_the_guest_goes_on() {
    let body = r#"
        (memory (export "memory") 1)
        (func (export "_start") (local $left i32)
            (local.set $left (i32.const 500))
            (loop $more
                (call $print (i32.const 256) (i32.const 3000))
                (call $check (call $write (i32.const 2) (i32.const 256) (i32.const 3000)))
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br_if $more (local.get $left))))"#;
    let bench = Bench::new();
    for form in BOTH {
        let mut spec = spec();
        spec.limits.output = Bytes::new(50_000);
        spec.limits.output_overrun = OutputOverrun::Truncate;

        let report = bench.run(form, spec, body);

        report.assert_finished();
        assert_eq!(report.stdout.len() + report.stderr.len(), 50_000);
        assert_eq!(report.ending.usage.output.get(), 50_000);
    }
}

/// What fits the window of a task and no more, with room for the last write.
const HELD_AT_MOST: usize = 300 << 10;

#[test]
fn a_guest_waits_while_its_output_is_held_and_goes_on_when_it_is_taken() {
    let body = r#"
        (memory (export "memory") 1)
        (func (export "_start") (local $left i32)
            (local.set $left (i32.const 256))
            (loop $more
                (call $print (i32.const 256) (i32.const 4096))
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br_if $more (local.get $left))))"#;
    for form in BOTH {
        let held = Arc::new(Mutex::new(Vec::<bytes::Bytes>::new()));
        let bench = Bench::hearing({
            let held = Arc::clone(&held);
            move |event| {
                if let Event::Output { bytes, .. } = event {
                    held.lock().push(bytes.clone());
                }
            }
        });

        let id = bench.launch(form, spec(), body);

        let mut most = 0;
        bench.wait_for(|event| {
            let mut held = held.lock();
            let sum = held.iter().map(bytes::Bytes::len).sum();
            most = most.max(sum);
            if sum >= HELD_AT_MOST / 2 {
                held.clear();
            }
            matches!(event, Event::Ended { .. })
        });
        let report = bench.report(id);
        report.assert_finished();
        assert_eq!(report.stdout.len(), 1 << 20);
        assert!(most <= HELD_AT_MOST, "{most}");
    }
}

#[test]
fn memory_that_its_output_takes_is_the_guests_again_when_that_is_taken() {
    // All the memory there is, while 100,000 bytes of output are held until somebody hears of them.
    let body = r#"
        (memory (export "memory") 2)
        (func (export "_start")
            (call $print (i32.const 256) (i32.const 100000))
            (call $expect (i32.const 2) (memory.grow (i32.const 254))))"#;
    let held = Arc::new(Mutex::new(Vec::<bytes::Bytes>::new()));
    let bench = Bench::hearing({
        let held = Arc::clone(&held);
        move |event| {
            if let Event::Output { bytes, .. } = event {
                held.lock().push(bytes.clone());
            }
        }
    });

    let id = bench.launch(Form::Core, spec(), body);

    let mut heard = 0;
    bench.wait_for(|event| {
        if let Event::Output { bytes, .. } = event {
            heard += bytes.len();
        }
        if heard == 100_000 {
            held.lock().clear();
        }
        matches!(event, Event::Ended { .. })
    });
    let report = bench.report(id);
    report.assert_finished();
    assert_eq!(report.ending.usage.peak_mem, Bytes::from_mib(16));
}

#[test]
fn single_bytes_on_both_streams_make_few_events_and_lose_none() {
    let body = r#"
        (memory (export "memory") 1)
        (data (i32.const 256) "ab")
        (func (export "_start") (local $left i32)
            (local.set $left (i32.const 20000))
            (loop $more
                (call $check (call $write (i32.const 1) (i32.const 256) (i32.const 1)))
                (call $check (call $write (i32.const 2) (i32.const 257) (i32.const 1)))
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br_if $more (local.get $left))))"#;

    let report = Bench::new().run(Form::Core, spec(), body);

    report.assert_finished();
    assert_eq!(report.stdout, [b'a'; 20_000]);
    assert_eq!(report.stderr, [b'b'; 20_000]);
    assert!(report.events.len() < 2_000, "{} events", report.events.len());
}

#[test]
fn what_is_written_to_both_streams_in_turn_comes_out_in_that_order() {
    let body = r#"
        (memory (export "memory") 1)
        (data (i32.const 256) "one\ntwo\nthree\n")
        (func (export "_start")
            (call $check (call $write (i32.const 2) (i32.const 256) (i32.const 4)))
            (call $check (call $write (i32.const 1) (i32.const 260) (i32.const 4)))
            (call $check (call $write (i32.const 2) (i32.const 264) (i32.const 6))))"#;

    let report = Bench::new().run(Form::Core, spec(), body);

    let told = report.events.iter().filter_map(|event| match event {
        Event::Output { stream, bytes, .. } => Some((*stream, bytes.to_vec())),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    let wanted = [(Stream::Stderr, "one\n"), (Stream::Stdout, "two\n"), (Stream::Stderr, "three\n")];
    assert_eq!(told, wanted.map(|(stream, text)| (stream, text.as_bytes().to_vec())));
}
