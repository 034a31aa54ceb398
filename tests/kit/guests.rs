//! Small guests in WebAssembly text, for what the compiled examples are too large or too polite for.

/// Ends at once, with exit code 0.
pub const NOOP: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;

/// Never ends and never calls the host.
pub const LOOP: &str = r#"(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))"#;

/// Counts down from `rounds` with a little arithmetic in each round, then ends.
pub fn work(rounds: u64) -> String {
    format!(
        r#"(module (memory (export "memory") 1)
  (global $sink (mut i64) (i64.const 1))
  (func (export "_start") (local $left i64)
    (local.set $left (i64.const {rounds}))
    (loop $again
      (global.set $sink (i64.rotl (i64.mul (global.get $sink) (i64.const 6364136223846793005)) (i64.const 7)))
      (local.set $left (i64.sub (local.get $left) (i64.const 1)))
      (br_if $again (i64.ne (local.get $left) (i64.const 0))))))"#
    )
}

/// A module in the binary format.
///
/// # Panics
/// When the text is wrong.
pub fn compile(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the guest's text is right")
}
