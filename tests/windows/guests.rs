//! Guests that try names.

use std::fmt::Write as _;

/// One thing that a guest tries in its scratch folder, and the errno that it must get.
pub(crate) enum Try<'a> {
    /// Opens a file, which is made when it is not there, and closes it.
    Create(&'a str, i32),
    /// Opens one that is there, and leaves it open.
    Open(&'a str, i32),
    Unlink(&'a str, i32),
    Rename(&'a str, &'a str, i32),
    Folder(&'a str, i32),
}

/// Tries one after the other. Its exit code is the number of the first that came out otherwise, from 1 on, or 0.
pub(crate) fn tries(all: &[Try<'_>]) -> String {
    let (mut data, mut steps, mut at) = (String::new(), String::new(), 1024);
    let mut place = |name: &str| {
        let bytes: String = name.bytes().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "\\{byte:02x}");
            text
        });
        let _ = writeln!(data, "  (data (i32.const {at}) \"{bytes}\")");
        let placed = format!("(i32.const {at}) (i32.const {})", name.len());
        at += name.len();
        placed
    };
    for (number, it) in all.iter().enumerate() {
        let open = |name: String, flags: i32| {
            format!(
                "(call $open (i32.const 3) (i32.const 0) {name} (i32.const {flags}) (i64.const 64) (i64.const 0) \
                 (i32.const 0) (i32.const 0))"
            )
        };
        let (call, errno) = match *it {
            Try::Create(name, errno) => (format!("(call $closed {})", open(place(name), 1)), errno),
            Try::Open(name, errno) => (open(place(name), 0), errno),
            Try::Unlink(name, errno) => (format!("(call $unlink (i32.const 3) {})", place(name)), errno),
            Try::Folder(name, errno) => (format!("(call $folder (i32.const 3) {})", place(name)), errno),
            Try::Rename(from, to, errno) => {
                (format!("(call $rename (i32.const 3) {} (i32.const 3) {})", place(from), place(to)), errno)
            }
        };
        let _ = writeln!(
            steps,
            "    (if (i32.ne {call} (i32.const {errno})) (then (call $exit (i32.const {}))))",
            number + 1
        );
    }
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory" (func $folder (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename" (func $rename (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
{data}  (func $closed (param $errno i32) (result i32)
    (if (i32.eqz (local.get $errno)) (then (local.set $errno (call $close (i32.load (i32.const 0))))))
    (local.get $errno))
  (func (export "_start")
{steps}  ))"#
    )
}
