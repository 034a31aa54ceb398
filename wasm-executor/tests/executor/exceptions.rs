//! Exceptions: what compilers make of those of C++ runs, in both forms of modules, and counts.

use haggle_core::{Bytes, Reason, TaskState};
use haggle_executor::{Event, Meter};

use crate::kit::{BOTH, Bench, Form, Report, guest, spec, with_fuel};

/// Throws values through frames, catches by tag, by reference and whatever there is, and throws anew.
const HONEST: &str = r#"
(memory (export "memory") 1)
(tag $number (param i32)) (tag $pair (param i64 f64)) (tag $empty)
(func $throw (param $which i32)
    (if (i32.eq (local.get $which) (i32.const 0)) (then (throw $number (i32.const 41))))
    (if (i32.eq (local.get $which) (i32.const 1)) (then (throw $pair (i64.const 5) (f64.const 2.5))))
    (if (i32.eq (local.get $which) (i32.const 2)) (then (throw $empty))))
(func $between (param i32) (call $throw (local.get 0)) (call $expect (i32.const 3) (local.get 0)))
;; Cleans up, as a destructor does, and passes on what it caught.
(func $cleans (param i32)
    (throw_ref (block $cleanup (result exnref)
        (try_table (catch_all_ref $cleanup) (call $between (local.get 0)))
        (return)))
    )
(func $caught (param $which i32) (result i32)
    (local $float f64)
    (block $any
        (block $is_pair (result i64 f64)
            (return (i32.add (i32.const 1) (block $is_number (result i32)
                (try_table (catch $number $is_number) (catch $pair $is_pair) (catch_all $any)
                    (call $cleans (local.get $which)))
                (return (i32.const 0))))))
        (local.set $float)
        (return (i32.add (i32.wrap_i64) (i32.trunc_f64_s (f64.mul (local.get $float) (f64.const 2))))))
    (i32.const 99))
(func (export "_start")
    (call $expect (i32.const 42) (call $caught (i32.const 0)))
    (call $expect (i32.const 10) (call $caught (i32.const 1)))
    (call $expect (i32.const 99) (call $caught (i32.const 2)))
    (call $expect (i32.const 0) (call $caught (i32.const 3))))
"#;

/// Throws so often, and catches each time.
fn throws(times: u32) -> String {
    format!(
        r#"(memory (export "memory") 1) (tag $e (param i32))
        (func $throw (param i32) (throw $e (local.get 0)))
        (func (export "_start") (local $i i32)
            (loop $more
                (drop (block $caught (result i32)
                    (try_table (catch $e $caught) (call $throw (local.get $i))) (unreachable)))
                (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const {times})))))"#
    )
}

fn run(meter: Meter, module: &[u8]) -> Report {
    let bench = Bench::new();
    let id = bench.launch_metered(meter, spec(), module, &[]);
    bench.report(id)
}

#[test]
fn what_is_thrown_is_caught_by_whom_it_is_meant_for() {
    for form in BOTH {
        for meter in [Meter::Fuel, Meter::Epochs] {
            run(meter, &guest(form, HONEST)).assert_finished();
        }
    }
}

#[test]
fn a_throw_costs_the_same_each_time_and_what_was_called_is_paid() {
    let fuel = |times| Bench::new().run(Form::Core, spec(), &throws(times)).ending.usage.fuel.get();

    let (once, twice) = (fuel(1), fuel(2));
    let each = twice - once;
    assert_eq!(fuel(1001), once + 1000 * each);
    // The throw, and what is done around it.
    assert_eq!(each, 250 + 11);
}

#[test]
fn a_budget_ends_within_what_is_called_though_all_is_caught() {
    let body = r#"(memory (export "memory") 1) (tag $e)
        (func $work (local $i i32)
            (loop $more (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))
            (throw $e))
        (func (export "_start") (loop $more
            (block $caught (try_table (catch_all $caught) (call $work))) (br $more)))"#;

    let report = Bench::new().run(Form::Core, with_fuel(100_000), body);

    assert_eq!(report.ending.usage.fuel.get(), 100_000, "{}", report.ending.message);
}

#[test]
fn a_kill_ends_who_throws_through_thousands_of_frames_for_ever_and_catches_all() {
    let throws = r#"(memory (export "memory") 1) (tag $e)
        (func $dive (param i32)
            (if (i32.eqz (local.get 0)) (then (throw $e)))
            (call $dive (i32.sub (local.get 0) (i32.const 1))))
        (func (export "_start")
            (loop $more
                (block $caught (try_table (catch_all $caught) (call $dive (i32.const 5000))))
                (br $more)))"#;
    let bench = Bench::new();
    for meter in [Meter::Fuel, Meter::Epochs] {
        let id = bench.launch_metered(meter, spec(), &guest(Form::Core, throws), &[]);
        bench.wait_for(|event| *event == Event::Started { task: id });

        bench.executor.kill(id);

        assert_eq!(bench.report(id).verdict(), (TaskState::Killed, Some(Reason::KillRequested)), "{meter:?}");
    }
}

#[test]
fn exceptions_are_memory_of_the_task_and_die() {
    let report = Bench::new().run(Form::Core, spec(), &throws(100_000));

    report.assert_finished();
    // A page for the guest, and one or two for what it threw since the last time that the dead were looked for.
    let peak = report.ending.usage.peak_mem;
    assert!(peak >= Bytes::new(2 << 16) && peak <= Bytes::new(4 << 16), "{peak}");
}

#[test]
fn who_throws_nothing_holds_no_heap() {
    let body = r#"(memory (export "memory") 1) (func (export "_start"))"#;

    let report = Bench::new().run(Form::Core, spec(), body);

    assert_eq!(report.ending.usage.peak_mem, Bytes::new(1 << 16));
}

#[test]
fn memory_grows_beside_exceptions_as_far_as_it_may() {
    // 160 pages are more than all exceptions may have, and less than the task has.
    let body = r#"(memory (export "memory") 1) (tag $e)
        (func (export "_start") (local $before i32)
            (block $caught (try_table (catch_all $caught) (throw $e)))
            (local.set $before (memory.grow (i32.const 160)))
            (call $expect (i32.add (local.get $before) (i32.const 160)) (memory.size))
            (call $expect (i32.const -1) (memory.grow (i32.const 65535))))"#;

    for form in BOTH {
        let report = Bench::new().run(form, spec(), body);

        assert_eq!(report.verdict(), (TaskState::Finished, None), "{}", report.ending.message);
    }
}
