//! What outlives a task: volumes, which count what earlier tasks left in them.

use haggle_core::{AgentId, Bytes, Folder, FolderSource, Reason, TaskSpec, VolumeId};

use crate::kit::{BOTH, Bench, Form, spec, with_disk};

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

/// The bench's volumes are as large as their numbers say.
fn volume(bytes: u64) -> VolumeId {
    VolumeId { agent: AgentId(1), number: bytes }
}

fn mounting(mut spec: TaskSpec, volume: VolumeId, writable: bool) -> TaskSpec {
    let source = FolderSource::Volume { volume, writable };
    spec.grants.folders.push(Folder { guest_path: "/data".to_owned(), source });
    spec
}

#[test]
fn what_a_task_writes_into_a_volume_is_there_for_the_next_one_and_counts() {
    for forms in [[Form::Core, Form::Component], [Form::Component, Form::Core]] {
        let bench = Bench::new();
        let volume = volume(45);
        std::fs::write(bench.volume(volume).join("file"), "to be read").unwrap();
        let spec = || mounting(spec(), volume, true);

        let reports = forms.map(|form| bench.run(form, spec(), DOUBLES));

        reports.iter().for_each(|report| report.assert_finished());
        assert_eq!(reports[1].text(), "to be read".repeat(4));
        assert_eq!(reports[1].ending.usage.peak_disk, Bytes::ZERO, "it is no disk of the task's own");
        let full = bench.run(forms[0], spec(), DOUBLES);
        full.assert_limited(Reason::DiskLimit, 45);
        assert!(full.ending.message.ends_with("in volume-1.45, which has 45 B"), "{}", full.ending.message);
    }
}

#[test]
fn a_volume_that_is_mounted_to_read_is_not_changed() {
    let body = r#"
        (memory (export "memory") 1)
        (data (i32.const 256) "file")
        (data (i32.const 272) "new")
        (func $refused (param $errno i32)
            (if (i32.eqz (local.get $errno)) (then (call $exit (i32.const 91)))))
        (func (export "_start")
            (call $refused (call $try_open (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 0) (i64.const 64)))
            (call $refused (call $try_open (i32.const 3) (i32.const 272) (i32.const 3) (i32.const 1) (i64.const 2)))
            (call $refused (call $unlink (i32.const 3) (i32.const 256) (i32.const 4)))
            (call $refused (call $mkdir (i32.const 3) (i32.const 272) (i32.const 3)))
            (call $check (call $try_open (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 0) (i64.const 2)))
            (call $print (i32.const 1024) (call $read (i32.load (i32.const 12)))))"#;
    let bench = Bench::new();
    let volume = volume(1 << 20);
    std::fs::write(bench.volume(volume).join("file"), "to be read").unwrap();
    for form in BOTH {
        let report = bench.run(form, mounting(spec(), volume, false), body);

        report.assert_finished();
        assert_eq!(report.text(), "to be read");
    }
    assert_eq!(std::fs::read_dir(bench.volume(volume)).unwrap().count(), 1);
}

#[test]
fn nothing_is_moved_between_a_volume_and_the_scratch_folder() {
    // The scratch folder is in descriptors 3 and 4. What is wanted is that EXDEV comes back.
    let body = r#"
        (memory (export "memory") 1)
        (data (i32.const 256) "file")
        (func $other_device (param $errno i32)
            (if (i32.ne (local.get $errno) (i32.const 75)) (then (call $exit (i32.const 91)))))
        (func (export "_start")
            (drop (call $open (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 1)))
            (call $other_device (call $rename (i32.const 3) (i32.const 256) (i32.const 4)
                (i32.const 5) (i32.const 256) (i32.const 4))))"#;
    let bench = Bench::new();
    for form in BOTH {
        bench.run(form, mounting(with_disk(1 << 20), volume(1 << 20), true), body).assert_finished();
    }
}
