//! What work costs in fuel, exactly: a number that changes here changes the meaning of every budget.

use haggle_core::Fuel;

use crate::kit::{BOTH, Bench, Form, spec};

/// Work of each kind, and its fuel as a core module and as a component, whose adapter executes a little on its own.
const WORK: [(&str, &str, [u64; 2]); 10] = [
    ("nothing", "", [1, 95]),
    (
        "integers",
        "(local $i i32) (local $x i64)
        (loop $more
            (local.set $x (i64.xor (i64.mul (i64.const 31) (local.get $x)) (i64.extend_i32_u (local.get $i))))
            (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))",
        [14001, 14095],
    ),
    (
        "floats",
        "(local $i i32) (local $x f64)
        (loop $more
            (local.set $x (f64.sqrt (f64.div (f64.const 3) (f64.add (f64.const 1) (local.get $x)))))
            (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))",
        [14001, 14095],
    ),
    (
        "memory",
        "(local $i i32)
        (loop $more
            (i32.store (i32.add (i32.const 1024) (local.get $i)) (i32.load8_u (local.get $i)))
            (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))",
        [13001, 13095],
    ),
    ("calls", "(drop (call $fibonacci (i32.const 12)))", [4649, 4743]),
    (
        "calls through a table",
        "(local $i i32)
        (loop $more
            (drop (call_indirect (param i32) (result i32) (i32.const 1) (i32.const 0)))
            (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100))))",
        [1601, 1695],
    ),
    (
        "bulk memory",
        "(memory.fill (i32.const 1024) (i32.const 7) (i32.const 40000))
        (memory.copy (i32.const 1024) (i32.const 2048) (i32.const 20000))
        (memory.init $words (i32.const 1024) (i32.const 0) (i32.const 5))
        (drop (memory.grow (i32.const 3)))",
        [60069, 60163],
    ),
    (
        // 1,200,000 bytes twice, each time in two pieces and a rest.
        "bulk memory in pieces",
        "(drop (memory.grow (i32.const 30)))
        (memory.fill (i32.const 0) (i32.const 7) (i32.sub (i32.const 1200001) (i32.const 1)))
        (memory.copy (i32.const 1024) (i32.const 0) (i32.sub (i32.const 1200001) (i32.const 1)))",
        [2400172, 2400266],
    ),
    ("a line of output", "(call $print (i32.const 256) (i32.const 5))", [46, 13176]),
    ("random numbers", "(call $check (call $random_get (i32.const 1024) (i32.const 64)))", [8, 481]),
];

/// What the layout of a memory costs a component whose functions run before all of it is laid out, on systems that cannot map
/// it: a byte each of the pages with data, and the call.
const LAYOUT: u64 = if cfg!(target_os = "linux") { 0 } else { 4096 + 1 };

fn module(work: &str) -> String {
    format!(
        r#"(memory (export "memory") 1)
        (data (i32.const 256) "hello")
        (data $words "words")
        (table funcref (elem $fibonacci))
        (func $fibonacci (param $n i32) (result i32)
            (if (result i32) (i32.lt_u (local.get $n) (i32.const 2))
                (then (local.get $n))
                (else (i32.add
                    (call $fibonacci (i32.sub (local.get $n) (i32.const 1)))
                    (call $fibonacci (i32.sub (local.get $n) (i32.const 2)))))))
        (func (export "_start") {work})"#
    )
}

#[test]
fn work_costs_exactly_this_much_fuel_whenever_it_runs() {
    let bench = Bench::new();
    let burn = |form: Form, work: &str| {
        let report = bench.run(form, spec(), &module(work));
        report.assert_finished();
        report.ending.usage.fuel
    };

    let costs = |(name, work, _): (&'static str, &str, _)| {
        let costs = BOTH.map(|form| {
            let first = burn(form, work);
            assert_eq!(burn(form, work), first, "{name}: another number when run again");
            first.get()
        });
        (name, costs)
    };

    let wanted = |(name, _, [core, component]): (&'static str, &str, [u64; 2])| (name, [core, component + LAYOUT]);
    assert_eq!(WORK.map(costs), WORK.map(wanted));
}

#[test]
fn to_lay_out_a_guest_costs_it_nothing() {
    let bench = Bench::new();
    let text = "x".repeat(100_000);
    let module = format!(r#"(memory (export "memory") 2) (data (i32.const 0) "{text}") (func (export "_start"))"#);
    let mut spec = spec();
    spec.limits.fuel = Some(Fuel::new(10));

    let report = bench.run(Form::Core, spec, &module);

    report.assert_finished();
    assert_eq!(report.ending.usage.fuel, Fuel::new(1));
}

#[test]
fn a_budget_of_exactly_what_the_work_costs_is_enough() {
    let bench = Bench::new();
    let (_, work, [cost, _]) = WORK[1];
    let mut spec = spec();
    spec.limits.fuel = Some(Fuel::new(cost));

    bench.run(Form::Core, spec, &module(work)).assert_finished();
}
