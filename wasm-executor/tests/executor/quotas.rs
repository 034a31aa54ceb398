//! Memory, fuel, time and output: each ends a task with its own reason and both numbers.

use std::time::Duration;

use haggle_core::{Bytes, Reason, TaskState};

use crate::kit::{BOTH, Bench, Form, spec, with_fuel};

const SPIN: &str = r#"(memory (export "memory") 1) (func (export "_start") (call $spin))"#;

const FOREVER_ASLEEP: &str =
    r#"(memory (export "memory") 1) (func (export "_start") (call $sleep (i64.const 0x7fffffffffffffff)))"#;

#[test]
fn growth_beyond_the_memory_is_denied_and_a_guest_may_live_on() {
    let body = r#"
        (memory (export "memory") 1)
        (func (export "_start")
            (call $expect (i32.const -1) (memory.grow (i32.const 1600))))"#;
    let bench = Bench::new();
    for form in BOTH {
        let report = bench.run(form, spec(), body);

        report.assert_finished();
        assert!(report.ending.usage.peak_mem <= Bytes::from_mib(16));
    }
}

#[test]
fn a_guest_that_traps_after_denied_growth_ended_by_its_memory() {
    let body = r#"
        (memory (export "memory") 1)
        (func (export "_start")
            (if (i32.eq (i32.const -1) (memory.grow (i32.const 1599))) (then (unreachable))))"#;
    let bench = Bench::new();

    let report = bench.run(Form::Core, spec(), body);

    let exceeded = report.assert_limited(Reason::MemoryLimit, 16 << 20);
    assert_eq!(exceeded.used, 100 << 20);
    assert_eq!(report.ending.message, "wants 100 MiB memory, is limited to 16 MiB");
    bench.run(Form::Component, spec(), body).assert_limited(Reason::MemoryLimit, 16 << 20);
}

#[test]
fn a_guest_that_gives_up_after_denied_growth_ended_by_its_memory() {
    let body = r#"
        (memory (export "memory") 1)
        (func (export "_start")
            (drop (memory.grow (i32.const 1600)))
            (call $exit (i32.const 1)))"#;

    let report = Bench::new().run(Form::Core, spec(), body);

    report.assert_limited(Reason::MemoryLimit, 16 << 20);
    assert_eq!(report.ending.exit_code, Some(1));
}

#[test]
fn a_module_that_does_not_fit_its_memory_never_begins() {
    let bench = Bench::new();
    for form in BOTH {
        let report = bench.run(form, spec(), r#"(memory (export "memory") 1600) (func (export "_start"))"#);

        let exceeded = report.assert_limited(Reason::MemoryLimit, 16 << 20);
        assert!(exceeded.used >= 100 << 20);
    }
}

#[test]
fn tables_count_as_memory() {
    let body = r#"
        (memory (export "memory") 1)
        (table $table 1 funcref)
        (func (export "_start")
            (call $expect (i32.const -1) (table.grow $table (ref.null func) (i32.const 70000)))
            (unreachable))"#;
    let mut spec = spec();
    spec.resources.mem = Bytes::from_mib(1);

    Bench::new().run(Form::Core, spec, body).assert_limited(Reason::MemoryLimit, 1 << 20);
}

#[test]
fn standard_input_counts_as_memory() {
    let mut spec = spec();
    spec.resources.mem = Bytes::from_mib(1);
    spec.stdin = vec![0; 2 << 20];

    let report = Bench::new().run(Form::Core, spec, SPIN);

    report.assert_limited(Reason::MemoryLimit, 1 << 20);
}

#[test]
fn fuel_ends_a_loop_exactly_at_its_budget() {
    let bench = Bench::new();
    for form in BOTH {
        let report = bench.run(form, with_fuel(3_000_000), SPIN);

        report.assert_limited(Reason::FuelExhausted, 3_000_000);
        assert_eq!(report.ending.usage.fuel.get(), 3_000_000);
        assert_eq!(report.ending.message, "used up 3000000 fuel, all it was given");
    }
}

#[test]
fn the_same_work_burns_the_same_fuel_with_a_budget_and_without() {
    let body = r#"
        (memory (export "memory") 1)
        (func (export "_start")
            (local $left i32)
            (local.set $left (i32.const 1000000))
            (loop $more
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br_if $more (local.get $left))))"#;
    let bench = Bench::new();

    let reports = [spec(), spec(), with_fuel(100_000_000)].map(|spec| bench.run(Form::Core, spec, body));

    let burnt = reports.map(|report| {
        report.assert_finished();
        report.ending.usage.fuel.get()
    });
    assert!(burnt[0] > 1_000_000);
    assert_eq!([burnt[0]; 3], burnt);
}

#[test]
fn the_time_limit_ends_a_loop_and_a_sleep() {
    let bench = Bench::new();
    for form in BOTH {
        for body in [SPIN, FOREVER_ASLEEP] {
            let mut spec = spec();
            spec.limits.time = Some(Duration::from_millis(30));

            let report = bench.run(form, spec, body);

            let exceeded = report.assert_limited(Reason::TimeLimit, 30);
            assert!(exceeded.used >= 30);
            assert!(report.ending.message.contains("is limited to 0.030 s"), "{}", report.ending.message);
        }
    }
}

#[test]
fn a_loop_in_the_modules_start_function_is_limited_too() {
    let body = r#"(memory (export "memory") 1) (start $spin) (func (export "_start"))"#;

    Bench::new().run(Form::Core, with_fuel(1_000_000), body).assert_limited(Reason::FuelExhausted, 1_000_000);
}

#[test]
fn a_task_with_a_small_share_still_finishes() {
    let mut spec = spec();
    spec.resources.cpus = haggle_core::MilliCpu::new(50);
    let body = r#"
        (memory (export "memory") 1)
        (func (export "_start")
            (local $left i32)
            (local.set $left (i32.const 20000000))
            (loop $more
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br_if $more (local.get $left))))"#;

    let report = Bench::new().run(Form::Core, spec, body);

    report.assert_finished();
    let usage = report.ending.usage;
    // What it may use in this time, a period's credit, and the slice in which the rest was used up.
    let ceiling = usage.wall / 20 + Duration::from_millis(1) + Duration::from_millis(10);
    assert!(usage.cpu < ceiling, "{usage:?}");
}

#[test]
fn usage_is_told_of_killed_tasks_too() {
    let bench = Bench::new();
    let mut limited = spec();
    limited.limits.time = Some(Duration::from_millis(20));

    let report = bench.run(Form::Core, limited, SPIN);

    assert_eq!(report.ending.state, TaskState::Failed);
    assert!(report.ending.usage.fuel.get() > 0);
    assert!(report.ending.usage.cpu > Duration::ZERO);
}
