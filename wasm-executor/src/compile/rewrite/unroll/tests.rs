use std::borrow::Cow;
use std::fmt::Write;

use proptest::collection::vec;
use proptest::prelude::*;
use wasmtime::{Config, Engine, Instance, Module, Store, Trap};

use crate::compile::rewrite;
use crate::fuel::costs;

/// A step of a round, in random programs.
#[derive(Clone, Debug)]
enum Step {
    /// Mixes what is there into the result.
    Mix(i64),
    /// Stores and loads, at an address that differs from round to round and may be out of bounds.
    Memory(u32),
    If(u32, Vec<Step>, Vec<Step>),
    /// A block that is left early, now and then.
    Block(u32, Vec<Step>),
    /// Leaves the loop, now and then, to one of three places outside.
    Exit(u32, u8),
    /// A loop of its own, of so many rounds.
    Loop(Box<Repeat>, u32),
}

#[derive(Clone, Debug)]
struct Repeat {
    steps: Vec<Step>,
    /// How it goes on: by a branch that is always taken, and an exit before.
    always: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let plain = prop_oneof![
        any::<i64>().prop_map(Step::Mix),
        (0..40_000_u32).prop_map(Step::Memory),
        (2..12_u32, 0..3_u8).prop_map(|(every, to)| Step::Exit(every, to)),
    ];
    plain.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            (1..5_u32, vec(inner.clone(), 0..3), vec(inner.clone(), 0..3))
                .prop_map(|(mask, a, b)| Step::If(mask, a, b)),
            (1..5_u32, vec(inner.clone(), 0..3)).prop_map(|(every, steps)| Step::Block(every, steps)),
            (repeat(vec(inner, 0..3)), 1..9_u32).prop_map(|(repeat, rounds)| Step::Loop(Box::new(repeat), rounds)),
        ]
    })
}

fn repeat(steps: impl Strategy<Value = Vec<Step>>) -> impl Strategy<Value = Repeat> {
    (steps, any::<bool>()).prop_map(|(steps, always)| Repeat { steps, always })
}

/// The text of programs. Each loop has a counter of its own, in the local of its depth.
struct Text {
    out: String,
    depth: usize,
}

const DEPTH_MAX: usize = 8;

impl Text {
    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
        }
    }

    fn step(&mut self, step: &Step) {
        let counter = format!("$n{}", self.depth);
        match step {
            Step::Mix(number) => self.write(&format!(
                "(local.set $x (i64.add (i64.mul (local.get $x) (i64.const 31)) (i64.xor (i64.const {number}) (i64.extend_i32_u (local.get {counter})))))"
            )),
            Step::Memory(at) => self.write(&format!(
                "(local.set $at (i32.add (local.get $at) (i32.const {at})))
                (i64.store (local.get $at) (i64.add (local.get $x) (i64.load offset=3 (local.get $at))))"
            )),
            Step::If(mask, then, otherwise) => {
                self.write(&format!("(if (i32.and (local.get {counter}) (i32.const {mask})) (then "));
                self.steps(then);
                self.write(") (else ");
                self.steps(otherwise);
                self.write("))");
            }
            Step::Block(every, steps) => {
                self.write("(block $inner ");
                self.write(&format!("(br_if $inner {}) ", now_and_then(*every)));
                self.steps(steps);
                self.write("(local.set $x (i64.add (local.get $x) (i64.const 1))))");
            }
            Step::Exit(every, to) => self.write(&format!("(br_if $out{to} {})", now_and_then(*every))),
            Step::Loop(repeat, rounds) if self.depth + 1 < DEPTH_MAX => {
                self.depth += 1;
                self.repeat(repeat, *rounds);
                self.depth -= 1;
            }
            Step::Loop(..) => {}
        }
    }

    fn repeat(&mut self, Repeat { steps, always }: &Repeat, rounds: u32) {
        let counter = format!("$n{}", self.depth);
        self.write(&format!("(local.set {counter} (i32.const {rounds})) (block $done (loop $more "));
        if *always {
            self.write(&format!("(br_if $done (i32.eqz (local.get {counter}))) "));
        }
        self.write(&format!("(local.set {counter} (i32.sub (local.get {counter}) (i32.const 1))) "));
        self.steps(steps);
        self.write(&if *always { "(br $more)))".to_owned() } else { format!("(br_if $more (local.get {counter}))))") });
    }

    fn write(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }
}

fn now_and_then(every: u32) -> String {
    format!("(i64.eqz (i64.rem_u (local.get $x) (i64.const {every})))")
}

/// A module that runs the loop, for so many rounds, and gives back what it came to.
fn program(repeat: &Repeat, rounds: u32) -> Vec<u8> {
    let mut text = Text { out: String::new(), depth: 0 };
    text.repeat(repeat, rounds);
    let mut counters = String::new();
    (0..DEPTH_MAX).for_each(|depth| _ = write!(counters, "(local $n{depth} i32)"));
    let text = format!(
        r#"(module (memory (export "memory") 1)
            (func (export "run") (result i64) (local $x i64) (local $at i32) {counters}
                (local.set $x (i64.const 1))
                (block $out0 (block $out1 (block $out2 {} (local.set $x (i64.add (local.get $x) (i64.const 5))))
                    (local.set $x (i64.mul (local.get $x) (i64.const 7))))
                    (local.set $x (i64.xor (local.get $x) (i64.const 11))))
                (local.get $x)))"#,
        text.out
    );
    wat::parse_str(text).unwrap()
}

/// What it gives back, with the fuel that it burnt, or how it traps; and what is in its memory then.
fn run(binary: &[u8]) -> (Result<(i64, u64), Trap>, Vec<u8>) {
    let mut config = Config::new();
    config.consume_fuel(true).operator_cost(costs());
    let mut store = Store::new(&Engine::new(&config).unwrap(), ());
    store.set_fuel(u64::MAX).unwrap();
    let module = Module::from_binary(store.engine(), binary).unwrap();
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let result = instance.get_typed_func::<(), i64>(&mut store, "run").unwrap().call(&mut store, ());
    let result = result
        .map(|result| (result, store.get_fuel().unwrap()))
        .map_err(|error| *error.downcast_ref::<Trap>().unwrap());
    (result, instance.get_memory(&mut store, "memory").unwrap().data(&store).to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_guest_cannot_tell_that_its_loops_are_longer(repeat in repeat(vec(step(), 0..5)), rounds in 1..23_u32) {
        let given = program(&repeat, rounds);

        let rewritten = rewrite(&given);

        prop_assert!(run(&given) == run(&rewritten));
    }
}

fn is_unrolled(around: &str) -> bool {
    let text = format!(
        "(module (memory 1) (func $f) (table 1 funcref) (func (param $n i32) (local $x i64) (block $far (block $out {around}))))"
    );
    let given = wat::parse_str(text).unwrap();
    let is_longer = rewrite(&given).len() > given.len();
    assert!(is_longer || matches!(rewrite(&given), Cow::Borrowed(_)));
    is_longer
}

#[test]
fn short_loops_become_longer() {
    const STEP: &str = "(local.set $n (i32.sub (local.get $n) (i32.const 1)))";
    for round in [
        format!("{STEP} (br_if $more (local.get $n))"),
        format!("(br_if $out (i32.eqz (local.get $n))) {STEP} (br $more)"),
        format!("(br_if $far (local.get $n)) {STEP} (br_if $out (local.get $n)) (br_if $more (local.get $n))"),
        format!("(if (local.get $n) (then {STEP}) (else (br $far))) (br_if $more (local.get $n))"),
        format!("(block $in (br_if $in (local.get $n)) {STEP} (br $in)) (br_if $more (local.get $n))"),
        format!("(block (loop $in {STEP} (br_if $in (local.get $n)))) (call $f) (br_if $more (local.get $n))"),
        format!("(i32.store (local.get $n) (i32.trunc_sat_f32_u (f32.const 1))) {STEP} (br_if $more (local.get $n))"),
    ] {
        assert!(is_unrolled(&format!("(loop $more {round})")), "{round}");
    }
}

#[test]
fn other_loops_stay_as_they_are() {
    const STEP: &str = "(local.set $n (i32.sub (local.get $n) (i32.const 1)))";
    for round in [
        // It ends, or goes on in the middle.
        STEP.to_owned(),
        format!("{STEP} (br_if $more (local.get $n)) {STEP}"),
        format!("(if (local.get $n) (then {STEP} (br $more)))"),
        format!("(if (local.get $n) (then (br $more))) {STEP} (br_if $more (local.get $n))"),
        format!("{STEP} (block (br_table $more $out (local.get $n)))"),
        // A look is a small part of it.
        format!("(call $f) {STEP} (br_if $more (local.get $n))"),
        format!("(call_indirect (i32.const 0)) {STEP} (br_if $more (local.get $n))"),
        format!("(drop (memory.grow (i32.const 1))) {STEP} (br_if $more (local.get $n))"),
        format!("(memory.fill (i32.const 0) (i32.const 0) (i32.const 9)) {STEP} (br_if $more (local.get $n))"),
        format!("{} (br_if $more (local.get $n))", STEP.repeat(20)),
    ] {
        assert!(!is_unrolled(&format!("(loop $more {round})")), "{round}");
    }
    assert!(!is_unrolled(&format!(
        "(drop (loop $more (result i32) {STEP} (br_if $more (local.get $n)) (local.get $n)))"
    )));
}

#[test]
fn a_function_grows_within_bounds() {
    let many = "(loop $more (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $more (local.get $n)))";
    let given = wat::parse_str(format!("(module (func (param $n i32) {}))", many.repeat(5000))).unwrap();

    let grown = rewrite(&given).len() - given.len();

    assert!((super::GROWTH_MAX / 2..=super::GROWTH_MAX).contains(&grown), "by {grown} bytes");
}
