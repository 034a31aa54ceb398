//! Small guests in WebAssembly text, for what the compiled examples are too large or too polite for.

/// Ends at once, with exit code 0.
pub const NOOP: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;

/// Never ends and never calls the host.
pub const LOOP: &str = r#"(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))"#;

/// Copies standard input to standard output, as it is.
pub const CAT: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (loop $again
      (i32.store (i32.const 0) (i32.const 64))
      (i32.store (i32.const 4) (i32.const 4096))
      (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then (unreachable)))
      (if (i32.load (i32.const 8))
        (then
          (i32.store (i32.const 4) (i32.load (i32.const 8)))
          (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)) (then (unreachable)))
          (br $again))))))"#;

/// Never ends as the first task of its framework, and ends at once as any other.
pub const FIRST_FOR_EVER: &str = r#"(module
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $variable i32) (local $at i32)
    ;; The addresses of all variables from 16 on, their texts from 4096 on.
    (if (call $sizes (i32.const 0) (i32.const 4)) (then (unreachable)))
    (if (call $environ (i32.const 16) (i32.const 4096)) (then (unreachable)))
    (local.set $variable (i32.const 16))
    (loop $next
      (local.set $at (i32.load (local.get $variable)))
      ;; What follows HAGGLE_ is TASK_ID=.
      (if (i64.eq (i64.load offset=7 (local.get $at)) (i64.const 0x3d44495f4b534154))
        (then
          (loop $letter
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br_if $letter (i32.load8_u (local.get $at))))
          ;; It ends with .1, as in task-7.1.
          (if (i32.eq (i32.load16_u (i32.sub (local.get $at) (i32.const 2))) (i32.const 0x312e))
            (then (loop $ever (br $ever))))
          (return)))
      (local.set $variable (i32.add (local.get $variable) (i32.const 4)))
      (br $next))))"#;

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

/// Sleeps for an hour again and again, until it is killed.
pub const SLEEPER: &str = r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    ;; A subscription to the monotonic clock.
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 3600000000000))
    (loop $again
      (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
      (br $again))))"#;

/// Writes so many lines of 256 bytes, one every ten milliseconds: the letters of the alphabet in turn.
pub fn ticker(lines: u32) -> String {
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $line i32)
    ;; A subscription to the monotonic clock: ten milliseconds from now.
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 10000000))
    ;; What is written: 256 bytes from 1024 on.
    (i32.store (i32.const 200) (i32.const 1024))
    (i32.store (i32.const 204) (i32.const 256))
    (loop $again
      (memory.fill (i32.const 1024)
        (i32.add (i32.const 97) (i32.rem_u (local.get $line) (i32.const 26))) (i32.const 255))
      (i32.store8 (i32.const 1279) (i32.const 10))
      (drop (call $write (i32.const 1) (i32.const 200) (i32.const 1) (i32.const 208)))
      (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 208)))
      (local.set $line (i32.add (local.get $line) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $line) (i32.const {lines}))))))"#
    )
}

/// What [`ticker`] writes.
pub fn ticks(lines: u32) -> Vec<u8> {
    let line = |line: u32| {
        let letter = b'a' + u8::try_from(line % 26).expect("there are 26 letters");
        [letter].into_iter().cycle().take(255).chain([b'\n'])
    };
    (0..lines).flat_map(line).collect()
}

/// A module in the binary format.
///
/// # Panics
/// When the text is wrong.
pub fn compile(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the guest's text is right")
}
