use super::*;
use crate::compile::rewrite::rewrite;
use host::{Folder, WASI};
use record::Ended;

/// Prints whether its memory is the one that it was written with, once.
const GUEST: &str = r#"(module
    (import "WASI" "args_sizes_get" (func (param i32 i32) (result i32)))
    (import "WASI" "args_get" (func (param i32 i32) (result i32)))
    (import "WASI" "environ_sizes_get" (func (param i32 i32) (result i32)))
    (import "WASI" "environ_get" (func (param i32 i32) (result i32)))
    (import "WASI" "fd_prestat_get" (func (param i32 i32) (result i32)))
    (import "WASI" "fd_prestat_dir_name" (func (param i32 i32 i32) (result i32)))
    (import "WASI" "random_get" (func (param i32 i32) (result i32)))
    (import "WASI" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (global $stack (mut i32) (i32.const 512))
    (data (i32.const 600) "cold")
    (data (i32.const 700) "\58\02\00\00\04\00\00\00")
    (func (export "_start")
        (if (i32.load (i32.const 0)) (then unreachable))
        (i32.store (i32.const 0) (i32.const 1))
        (if (i32.ne (global.get $stack) (i32.const 512)) (then (i32.store8 offset=600 (i32.const 3) (i32.const 33))))
        (drop (call $write (i32.const 1) (i32.const 700) (i32.const 1) (i32.const 708)))))"#;

const SECRET: u32 = 1000;
const HASH: u32 = 1100;
const TEXT: u32 = 1200;

/// The guest with a snapshot, compiled.
fn guest() -> Module {
    let binary = wat::parse_str(GUEST.replace("WASI", WASI)).unwrap();
    let shape = Shape::read(&binary).unwrap().unwrap();
    let mut memory = shape.initial_memory();
    memory[600..604].copy_from_slice(b"warm");
    memory[TEXT as usize..][..5].copy_from_slice(b"hello");
    let layout = Layout { texts: vec![[HASH, TEXT, 5]], ..Layout::default() };
    let snapshot = Snapshot { memory: &memory, globals: &[500], secret: SECRET, layout: &layout };
    let written = write::write(&shape, &snapshot).unwrap().unwrap();
    record::quickly_compiled(&rewrite(&written), false).unwrap()
}

type Words = &'static [&'static str];

const SCRIPT: Folder = ("/script", &[]);

fn ended(args: Words, env: Words, folders: &'static [Folder]) -> Ended {
    let ended = run(&guest(), Meter::Fuel, 0, Host::new(Given { args, env, folders, stops_at: None })).unwrap();
    assert_eq!(ended.stop, None);
    ended
}

fn said(args: Words, env: Words) -> String {
    String::from_utf8(ended(args, env, &[SCRIPT]).host.output).unwrap()
}

#[test]
fn a_script_starts_from_the_snapshot() {
    assert_eq!(said(&["task", "/script/a.py"], &[]), "war!");
    assert_eq!(said(&["task", "/script/a.py", "-c"], &["PYTHONPATH=/lib", "A=PYTHON", "PYTHO=1"]), "war!");
    assert_eq!(said(&["task", "/script/a.py"], &["PYTHONUNBUFFERED=1", "PYTHONUNBUFFERED="]), "war!");
}

#[test]
fn a_script_with_several_folders_starts_from_the_snapshot() {
    let warm: [&'static [Folder]; 4] = [
        &[SCRIPT, ("/packages", &[])],
        &[("/data", &[]), SCRIPT, ("/us", &[]), ("us/r", &[]), ("/", &[])],
        &[SCRIPT; FOLDERS],
        &[("", &[])],
    ];
    for folders in warm {
        assert_eq!(ended(&["task", "/script/a.py"], &[], folders).host.output, b"war!", "{folders:?}");
    }
}

#[test]
fn what_the_snapshot_is_not_right_for_starts_without_it() {
    assert_eq!(said(&["task"], &[]), "cold");
    assert_eq!(said(&["task", "-c", "print(1)"], &[]), "cold");
    for env in [
        &["A=1", "PYTHONHASHSEED=7"],
        &["A=1", "PYTHONPATHS=7"],
        &["A=1", "PYTHONUTF8=1"],
        &["A=1", "PYTHONUNBUFFEREDLY=1"],
    ] {
        assert_eq!(said(&["task", "/script/a.py"], env), "cold", "{env:?}");
    }
    let many: Words = vec!["/a"; 2000].leak();
    assert_eq!(said(many, &[]), "cold");
    let cold: [&'static [Folder]; 5] =
        [&[], &[SCRIPT; FOLDERS + 1], &[SCRIPT, ("/usr", &[])], &[("usr/local", &[]), SCRIPT], &[("./usr", &[])]];
    for folders in cold {
        assert_eq!(ended(&["task", "/script/a.py"], &[], folders).host.output, b"cold", "{folders:?}");
    }
}

#[test]
fn each_start_has_a_secret_of_its_own_and_hashes_by_it() {
    let hashed = || {
        let Ended { memory, .. } = ended(&["task", "/script/a.py"], &[], &[SCRIPT]);
        let word = |at: u32| u32::from_le_bytes(memory[at as usize..][..4].try_into().unwrap());
        let step = |hash: u32, word: u32| hash.wrapping_mul(1_000_003) ^ word;
        let first = word(SECRET) ^ u32::from(b'h') << 7;
        let expected = step(step(first, u32::from_le_bytes(*b"hell")), b'o'.into()) ^ 5 ^ word(SECRET + 4);
        assert_eq!(word(HASH), expected);
        memory[SECRET as usize..][..SECRET_SIZE as usize].to_vec()
    };

    assert_ne!(hashed(), hashed());
}

#[test]
fn what_only_looks_like_an_interpreter_has_no_snapshot() {
    let marks = MARKS.map(|mark| String::from_utf8_lossy(mark)).concat();
    let text = GUEST.replace("WASI", WASI).replace("\"cold\"", &format!("\"cold\" \"{marks}\""));

    assert!(take(&wat::parse_str(text).unwrap(), false).is_none());
}

#[test]
fn a_module_that_can_change_more_than_its_memory_has_no_shape() {
    for part in [
        r#"(table 1 funcref) (func (table.set (i32.const 0) (ref.null func)))"#,
        r#"(global (export "g") (mut f32) (f32.const 1))"#,
        r#"(memory 1)"#,
        r#"(data "passive")"#,
        r#"(func $first) (start $first)"#,
    ] {
        let text = GUEST.replace("WASI", WASI);
        let text = format!("{} {part})", text.strip_suffix(')').unwrap());
        assert!(Shape::read(&wat::parse_str(text).unwrap()).unwrap().is_none(), "{part}");
    }
}
