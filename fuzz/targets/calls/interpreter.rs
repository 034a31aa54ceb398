//! A guest that makes the calls which it is told to make, so that a program costs no compilation.

use std::fmt::Write;

use haggle_fuzz::PRELUDE;

/// Paths of up to sixteen bytes, few enough that they collide: plain, nested, leaving, odd.
pub(crate) const PATHS: [&str; 16] =
    ["a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", ".", "..", "../a", "d/../a", "/", "", "a/", "./b", "d/../../../a"];

/// What the guest writes when it has done all, before it goes to sleep.
pub(crate) const AT_REST: &[u8] = b"at rest";

/// The descriptor that was opened last.
pub(crate) const OPENED_LAST: i32 = i32::MIN;

/// One call as the guest reads it, in 40 bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Record {
    pub(crate) call: i32,
    pub(crate) fd: i32,
    /// Number of a path.
    pub(crate) path: i32,
    pub(crate) to: i32,
    pub(crate) to_path: i32,
    pub(crate) flags: i32,
    pub(crate) a: i64,
    pub(crate) b: i64,
}

/// How often, how many, and which calls.
pub(crate) fn program(rounds: u8, calls: impl Iterator<Item = Record>) -> Vec<u8> {
    let mut records = Vec::new();
    let mut count = 0_u32;
    for Record { call, fd, path, to, to_path, flags, a, b } in calls {
        for small in [call, fd, path, to, to_path, flags] {
            records.extend(small.to_le_bytes());
        }
        for large in [a, b] {
            records.extend(large.to_le_bytes());
        }
        count += 1;
    }
    let mut program = u32::from(rounds).to_le_bytes().to_vec();
    program.extend(count.to_le_bytes());
    program.extend(records);
    program
}

/// Results of calls come to bytes 8 to 16, the descriptor of an opened file to byte 12. Paths are at 256, their lengths
/// at 512, what is said at the end at 600, what is looked up at 900. The program is at 2,000, and buffers are behind it,
/// at 20,000.
pub(crate) fn module() -> Vec<u8> {
    let mut data = String::new();
    for (number, path) in PATHS.iter().enumerate() {
        let (at, length, bytes) = (256 + 16 * number, 512 + 4 * number, path.len());
        write!(data, r#"(data (i32.const {at}) "{path}") (data (i32.const {length}) "\{bytes:02x}")"#)
            .expect("a string can be written");
    }
    let (rest, length) = (str::from_utf8(AT_REST).expect("it is text"), AT_REST.len());
    let path = "(call $path (i32.load offset=8 (local.get $it))) (call $length (i32.load offset=8 (local.get $it)))";
    let to_path =
        "(call $path (i32.load offset=16 (local.get $it))) (call $length (i32.load offset=16 (local.get $it)))";
    let fd = "(call $fd (i32.load offset=4 (local.get $it)))";
    let to = "(call $fd (i32.load offset=12 (local.get $it)))";
    let flags = "(i32.load offset=20 (local.get $it))";
    let (a, b) = ("(i64.load offset=24 (local.get $it))", "(i64.load offset=32 (local.get $it))");
    let length_a = "(i32.load offset=24 (local.get $it))";
    let buffer = format!("(call $buffer (i32.const 0) (i32.const 20000) {length_a})");
    let calls = [
        format!(
            "(call $path_open {fd} (i32.and (i32.shr_u {flags} (i32.const 8)) (i32.const 1)) {path}
                (i32.and {flags} (i32.const 15)) (i64.const -1) (i64.const -1) (i32.shr_u {flags} (i32.const 16))
                (i32.const 12))"
        ),
        format!("{buffer} (call $fd_write {fd} (i32.const 0) (i32.const 1) (i32.const 8))"),
        format!("{buffer} (call $fd_pwrite {fd} (i32.const 0) (i32.const 1) {b} (i32.const 8))"),
        format!("{buffer} (call $fd_read {fd} (i32.const 0) (i32.const 1) (i32.const 8))"),
        format!("{buffer} (call $fd_pread {fd} (i32.const 0) (i32.const 1) {b} (i32.const 8))"),
        format!("(call $fd_seek {fd} {b} {flags} (i32.const 16))"),
        format!("(call $fd_filestat_set_size {fd} {b})"),
        format!("(call $fd_allocate {fd} {a} {b})"),
        format!("(call $fd_close {fd})"),
        format!("(call $fd_renumber {fd} {to})"),
        format!("(call $fd_sync {fd})"),
        format!("(call $fd_readdir {fd} (i32.const 20000) {length_a} (i64.const 0) (i32.const 8))"),
        format!("(call $mkdir {fd} {path})"),
        format!("(call $rmdir {fd} {path})"),
        format!("(call $unlink {fd} {path})"),
        format!("(call $rename {fd} {path} {to} {to_path})"),
        format!("(call $link {fd} (i32.const 0) {path} {to} {to_path})"),
        format!("(call $symlink {to_path} {fd} {path})"),
        format!("(call $path_filestat_get {fd} {flags} {path} (i32.const 900))"),
        format!("(call $path_filestat_set_times {fd} (i32.const 1) {path} (i64.const 5) (i64.const 6) {flags})"),
        format!("(call $random_get (i32.const 20000) {length_a})"),
        format!("(memory.grow {flags})"),
        format!("(memory.fill (i32.const 20000) (i32.const 7) {length_a}) (i32.const 0)"),
        "(call $sched_yield)".to_owned(),
    ];
    let mut cases = String::new();
    for (number, call) in calls.iter().enumerate() {
        write!(cases, "(if (i32.eq (i32.load (local.get $it)) (i32.const {number})) (then {call} drop))")
            .expect("a string can be written");
    }
    let text = format!(
        r#"(module {PRELUDE} (memory (export "memory") 2) {data} (data (i32.const 600) "{rest}")
        (func $path (param i32) (result i32)
            (i32.add (i32.const 256) (i32.mul (local.get 0) (i32.const 16))))
        (func $length (param i32) (result i32)
            (i32.load (i32.add (i32.const 512) (i32.mul (local.get 0) (i32.const 4)))))
        (func $fd (param i32) (result i32)
            (select (i32.load (i32.const 12)) (local.get 0) (i32.eq (local.get 0) (i32.const {OPENED_LAST}))))
        (func $call (param $it i32) {cases})
        (func (export "_start") (local $round i32) (local $number i32) (local $at i32)
            (local.set $at (i32.const 2000))
            (block $all (loop $more
                (call $buffer (i32.const 0) (local.get $at) (i32.sub (i32.const 20000) (local.get $at)))
                (br_if $all (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
                (local.set $at (i32.add (local.get $at) (i32.load (i32.const 8))))
                (br_if $more (i32.load (i32.const 8)))))
            (loop $rounds
                (local.set $number (i32.const 0))
                (block $done (loop $more
                    (br_if $done (i32.ge_u (local.get $number) (i32.load (i32.const 2004))))
                    (call $call (i32.add (i32.const 2008) (i32.mul (local.get $number) (i32.const 40))))
                    (local.set $number (i32.add (local.get $number) (i32.const 1)))
                    (br $more)))
                (local.set $round (i32.add (local.get $round) (i32.const 1)))
                (br_if $rounds (i32.lt_u (local.get $round) (i32.load (i32.const 2000)))))
            (call $check (call $write (i32.const 1) (i32.const 600) (i32.const {length})))
            (loop $sleep
                (memory.fill (i32.const 700) (i32.const 0) (i32.const 48))
                (i32.store (i32.const 716) (i32.const 1))
                (i64.store (i32.const 724) (i64.const 10000000000))
                (drop (call $poll_oneoff (i32.const 700) (i32.const 800) (i32.const 1) (i32.const 860)))
                (br $sleep))))"#
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("our own text is right: {error}"))
}
