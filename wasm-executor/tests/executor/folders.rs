//! What a task finds at its start: inputs to read, copies to change, folders by name.

use std::path::PathBuf;

use haggle_core::{Bytes, Exceeded, Folder, FolderSource, Reason, TaskSpec, TaskState};

use crate::kit::{BOTH, Bench, Form, guest, spec, with_disk};

fn inputs(bench: &Bench) -> Vec<(String, PathBuf)> {
    let file = bench.dir.path().join("input");
    std::fs::write(&file, "to be read").unwrap();
    vec![("/data/a.txt".to_owned(), file.clone()), ("/data/b.txt".to_owned(), file)]
}

#[test]
fn inputs_are_found_at_their_paths() {
    // One of them lies in the root, so that is the one folder, and the others are found in it.
    let body = r#"
        (memory (export "memory") 1)
        (data (i32.const 256) "data/b.txt")
        (data (i32.const 272) "c.txt")
        (func (export "_start")
            (call $check (call $try_open (i32.const 3) (i32.const 256) (i32.const 10) (i32.const 0) (i64.const 2)))
            (call $print (i32.const 1024) (call $read (i32.load (i32.const 12))))
            (call $check (call $try_open (i32.const 3) (i32.const 272) (i32.const 5) (i32.const 0) (i64.const 2)))
            (call $print (i32.const 1024) (call $read (i32.load (i32.const 12)))))"#;
    let bench = Bench::new();
    let mut inputs = inputs(&bench);
    inputs.push(("/c.txt".to_owned(), inputs[0].1.clone()));
    for form in BOTH {
        let id = bench.launch_bytes(spec(), &guest(form, body), &inputs);
        let report = bench.report(id);

        report.assert_finished();
        assert_eq!(report.text(), "to be readto be read");
    }
}

#[test]
fn inputs_cannot_be_changed_and_nothing_else_can_be_reached() {
    let body = r#"
        (memory (export "memory") 1)
        (data (i32.const 256) "a.txt")
        (data (i32.const 272) "new")
        (data (i32.const 288) "../input")
        (data (i32.const 304) "/etc/passwd")
        (func $refused (param $errno i32)
            (if (i32.eqz (local.get $errno)) (then (call $exit (i32.const 91)))))
        (func (export "_start")
            (call $refused (call $try_open (i32.const 3) (i32.const 256) (i32.const 5) (i32.const 0) (i64.const 64)))
            (call $refused (call $try_open (i32.const 3) (i32.const 256) (i32.const 5) (i32.const 8) (i64.const 2)))
            (call $refused (call $try_open (i32.const 3) (i32.const 272) (i32.const 3) (i32.const 1) (i64.const 2)))
            (call $refused (call $unlink (i32.const 3) (i32.const 256) (i32.const 5)))
            (call $refused (call $mkdir (i32.const 3) (i32.const 272) (i32.const 3)))
            (call $refused (call $rename (i32.const 3) (i32.const 256) (i32.const 5)
                (i32.const 3) (i32.const 272) (i32.const 3)))
            (call $refused (call $symlink (i32.const 304) (i32.const 11) (i32.const 3) (i32.const 272) (i32.const 3)))
            (call $refused (call $try_open (i32.const 3) (i32.const 288) (i32.const 8) (i32.const 0) (i64.const 2)))
            (call $refused (call $try_open (i32.const 3) (i32.const 304) (i32.const 11) (i32.const 0) (i64.const 2))))"#;
    let bench = Bench::new();
    for form in BOTH {
        let id = bench.launch_bytes(spec(), &guest(form, body), &inputs(&bench));

        bench.report(id).assert_finished();
        assert_eq!(std::fs::read_to_string(bench.dir.path().join("input")).unwrap(), "to be read");
    }
}

/// In `file` of the folder in descriptor 3: appends what is there to itself, and prints it.
const DOUBLES: &str = r#"
    (memory (export "memory") 2)
    (data (i32.const 256) "file")
    (func (export "_start") (local $fd i32) (local $length i32)
        (local.set $fd (call $open (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 0)))
        (local.set $length (call $read (local.get $fd)))
        (call $check (call $write (local.get $fd) (i32.const 1024) (local.get $length)))
        (call $check (call $fd_seek (local.get $fd) (i64.const 0) (i32.const 0) (i32.const 16)))
        (call $print (i32.const 1024) (call $read (local.get $fd))))"#;

fn with_folder(disk: u64, path: &str) -> TaskSpec {
    let mut spec = with_disk(disk);
    let source = FolderSource::Scratch(path.to_owned());
    spec.grants.folders.push(Folder { guest_path: "/work".to_owned(), source });
    spec
}

#[test]
fn an_input_in_the_scratch_folder_is_a_copy_that_the_guest_may_change() {
    let bench = Bench::new();
    for form in BOTH {
        let mut inputs = inputs(&bench);
        inputs[0].0 = "/scratch/sub/file".to_owned();

        let id = bench.launch_bytes(with_folder(1 << 20, "sub"), &guest(form, DOUBLES), &inputs);
        let report = bench.report(id);

        report.assert_finished();
        assert_eq!(report.text(), "to be readto be read");
        assert_eq!(report.ending.usage.peak_disk, Bytes::new(20));
        assert_eq!(std::fs::read_to_string(&inputs[0].1).unwrap(), "to be read");
    }
}

#[test]
fn copies_count_from_the_start() {
    let bench = Bench::new();
    for (form, disk, used) in [(Form::Core, 9, 10), (Form::Core, 19, 20), (Form::Component, 19, 20)] {
        let mut inputs = inputs(&bench);
        inputs[0].0 = "/scratch/file".to_owned();
        let mut spec = with_disk(disk);
        spec.resources.disk = Bytes::new(disk);

        let id = bench.launch_bytes(spec, &guest(form, DOUBLES), &inputs);

        let exceeded = bench.report(id).assert_limited(Reason::DiskLimit, disk);
        assert_eq!(exceeded, Exceeded { limit: disk, used });
    }
}

#[test]
fn folders_in_the_scratch_folder_are_made_and_found_by_their_names() {
    let body = r#"
        (memory (export "memory") 1)
        (data (i32.const 256) "file")
        (data (i32.const 272) "a/b/file")
        (func (export "_start")
            (drop (call $open (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 1)))
            (drop (call $open (i32.const 4) (i32.const 272) (i32.const 8) (i32.const 0))))"#;
    let bench = Bench::new();
    for form in BOTH {
        bench.report(bench.launch(form, with_folder(1, "a/b"), body)).assert_finished();
    }
}

#[test]
fn a_folder_where_an_input_lies_is_the_tasks_fault() {
    let bench = Bench::new();
    let mut inputs = inputs(&bench);
    inputs[0].0 = "/scratch/a".to_owned();

    let id = bench.launch_bytes(with_folder(1 << 20, "a"), &guest(Form::Core, DOUBLES), &inputs);

    let report = bench.report(id);
    assert_eq!(report.verdict(), (TaskState::Failed, Some(Reason::TaskInvalid)));
    assert_eq!(report.ending.message, r#"folder "a" in the scratch folder is a file: an input lies there"#);
}
