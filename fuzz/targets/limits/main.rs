//! Modules that nobody would write, run under small quotas: each ends once, within them, and burns the same fuel again.

#![no_main]

mod thrower;

use std::sync::{LazyLock, Mutex};

use arbitrary::{Arbitrary, Unstructured};
use haggle_core::{Ending, Reason};
use haggle_fuzz::{Bench, PRELUDE, Quotas};
use wasm_smith::{Config, Module};

use thrower::Thrower;

/// Calls whose answers differ from run to run: the time, random numbers, and what the file system makes of them.
const UNSTEADY: [&str; 6] = ["clock_", "random_", "poll_", "filestat", "readdir", "sched_"];

static BENCH: LazyLock<Mutex<Bench>> = LazyLock::new(|| Mutex::new(Bench::start()));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Fewer bytes make no module.
    let Ok(guest) = Guest::arbitrary(&mut Unstructured::new(bytes)) else { return };
    // A target that panicked ends its process, so nobody finds the lock poisoned.
    let mut bench = BENCH.lock().expect("this is the only thread");
    let module = match bench.module(&guest.module, guest.quotas.meter()) {
        Ok(module) => module,
        Err(error) => {
            assert!(!guest.plain, "a module of what every guest may use is not compiled: {error}");
            return;
        }
    };
    let first = bench.run(&module, guest.quotas, b"to be read".to_vec(), |_, _, _| {});
    assert_ne!(first.reason, Some(Reason::ModuleInvalid), "it was compiled: {first:?}");
    if guest.steady && is_steady(&first) {
        let second = bench.run(&module, guest.quotas, b"to be read".to_vec(), |_, _, _| {});
        if is_steady(&second) {
            assert_eq!(
                (first.usage.fuel, first.state, first.reason, &first.message),
                (second.usage.fuel, second.state, second.reason, &second.message),
                "the same module with the same input"
            );
        }
    }
});

/// How far a guest came in its time depends on the machine.
fn is_steady(ending: &Ending) -> bool {
    ending.reason != Some(Reason::TimeLimit)
}

struct Guest {
    module: Vec<u8>,
    quotas: Quotas,
    /// It gets the same answers on every run.
    steady: bool,
    /// It uses nothing that the engine is not configured for.
    plain: bool,
}

impl<'a> Arbitrary<'a> for Guest {
    fn arbitrary(random: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let quotas = Quotas::arbitrary(random)?;
        if random.ratio(1, 3)? {
            let Thrower(text) = Thrower::arbitrary(random)?;
            return Ok(Self { module: parse(&text), quotas, steady: true, plain: true });
        }
        let steady = random.arbitrary()?;
        let memory = random.choose(&["1", "1 1", "2 40", "15", "0 65536"])?;
        // Typed references are more than is compiled, and so may be an exception with many values.
        let (references, exceptions) = (random.ratio(1, 4)?, random.ratio(1, 4)?);
        let config = Config {
            available_imports: Some(parse(&imports(steady))),
            exports: Some(parse(&format!(r#"(module (memory (export "memory") {memory}) (func (export "_start")))"#))),
            reference_types_enabled: references,
            // Beside the one that is exported.
            max_memories: 0,
            max_tables: 4,
            max_table_elements: 20_000,
            max_imports: 50,
            max_funcs: 50,
            max_instructions: 200,
            threads_enabled: false,
            memory64_enabled: false,
            gc_enabled: false,
            exceptions_enabled: exceptions,
            disallow_traps: random.arbitrary()?,
            generate_custom_sections: random.arbitrary()?,
            ..Config::default()
        };
        let module = Module::new(config, random)?.to_bytes();
        Ok(Self { module, quotas, steady, plain: !references && !exceptions })
    }
}

/// A module that imports what a guest may call.
fn imports(steady: bool) -> String {
    let all = PRELUDE.split("\n\n").next().unwrap_or_default().split("(import").skip(1);
    let some = all.filter(|import| !steady || UNSTEADY.iter().all(|name| !import.contains(name)));
    let some: String = some.map(|import| format!("(import{import}")).collect();
    format!("(module {some})")
}

fn parse(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("our own text is right")
}
