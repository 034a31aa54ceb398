//! Any bytes, through everything that looks at a module before it is compiled: it answers, within libFuzzer's bounds on
//! time and memory, and its answers agree with each other.

#![no_main]

use std::borrow::Cow;

use arbitrary::{Arbitrary, Unstructured};
use haggle_executor::inspect::{inspect, to_binary};
use haggle_executor::{IntakeError, admit, rewrite};
use wasm_smith::{Component, Config, Module};
use wasmparser::Validator;

/// Changes to one module at most: with more, nothing of it is left.
const CHANGES_MAX: usize = 16;

// A binary starts with 0 and text with ASCII, so seeds are plain files, and the upper half is free to say that the bytes
// are random numbers to make a module of.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((0x80..0xc0, rest)) => made(rest, |random| {
            let config = Config::arbitrary(random)?;
            Ok(Module::new(config, random)?.to_bytes())
        }),
        Some((0xc0.., rest)) => made(rest, |random| Ok(Component::arbitrary(random)?.to_bytes())),
        _ => look(bytes),
    }
});

/// Looks at a module that is right, and at the same module with a few changes.
fn made(rest: &[u8], make: impl FnOnce(&mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>>) {
    let mut random = Unstructured::new(rest);
    let Ok(mut module) = make(&mut random) else { return };
    let answer = admit(&module);
    assert!(!matches!(answer, Err(IntakeError::NotAModule(_))), "a module is not called one: {answer:?}");
    look(&module);
    for _ in 0..CHANGES_MAX.min(random.len() / 3) {
        let (Ok(at), Ok(to)) = (random.choose_index(module.len()), random.arbitrary()) else { break };
        module[at] = to;
    }
    look(&module);
    if let Ok(length) = random.choose_index(module.len()) {
        look(&module[..length]);
    }
}

fn look(bytes: &[u8]) {
    let Ok(kind) = admit(bytes) else { return };
    let inspection = inspect(bytes).expect("what is admitted can be inspected");
    assert_eq!(inspection.kind, kind);
    let binary = to_binary(bytes).expect("what is admitted has a binary form");
    assert_eq!(inspect(&binary), Ok(inspection), "text and binary are the same module");
    assert_eq!(admit(&binary), Ok(kind));
    if let Cow::Owned(rewritten) = rewrite(&binary) {
        for module in [&rewritten[..], &binary] {
            Validator::new().validate_all(module).expect("only what is valid is rewritten, and it stays so");
        }
    }
}
