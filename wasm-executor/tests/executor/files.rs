//! Scratch folders: what may be written there, and how much of it.

use haggle_core::{Bytes, Reason, TaskState};

use crate::kit::{BOTH, Bench, Form, spec, with_disk};

/// `ENOSPC` in WASI 0.1.
const NOSPC: i32 = 51;

/// Opens `file` in the scratch folder as `$fd` and does the rest.
fn in_scratch(rest: &str) -> String {
    format!(
        r#"
        (memory (export "memory") 4)
        (data (i32.const 256) "file")
        (data (i32.const 264) "other")
        (func (export "_start")
            (local $fd i32) (local $left i32)
            (local.set $fd (call $open (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 1)))
            {rest})"#
    )
}

#[test]
fn a_task_writes_and_reads_its_scratch_folder_which_goes_with_it() {
    let body = in_scratch(
        r#"
        (call $check (call $write (local.get $fd) (i32.const 256) (i32.const 4)))
        (call $check (call $fd_sync (local.get $fd)))
        (call $check (call $fd_seek (local.get $fd) (i64.const 0) (i32.const 0) (i32.const 16)))
        (call $print (i32.const 1024) (call $read (local.get $fd)))
        (drop (call $open (i32.const 4) (i32.const 256) (i32.const 4) (i32.const 0)))"#,
    );
    let bench = Bench::new();
    for form in BOTH {
        let report = bench.run(form, with_disk(1 << 20), &body);

        report.assert_finished();
        assert_eq!(report.text(), "file");
        assert_eq!(report.ending.usage.peak_disk, Bytes::new(4));
        assert_eq!(std::fs::read_dir(bench.dir.path().join("scratch")).unwrap().count(), 0);
    }
}

#[test]
fn a_task_without_disk_has_no_folder() {
    let bench = Bench::new();
    for form in BOTH {
        let report = bench.run(form, spec(), &in_scratch(""));

        assert_eq!(report.verdict(), (TaskState::Failed, Some(Reason::Exit)));
    }
}

#[test]
fn writing_beyond_the_disk_is_refused_and_a_guest_that_fails_then_ended_by_it() {
    let body = in_scratch(
        r#"
        (loop $more
            (call $check (call $write (local.get $fd) (i32.const 1024) (i32.const 65536)))
            (br $more))"#,
    );
    let bench = Bench::new();
    for form in BOTH {
        let report = bench.run(form, with_disk(1 << 20), &body);

        let exceeded = report.assert_limited(Reason::DiskLimit, 1 << 20);
        assert!(exceeded.used > 1 << 20);
        assert!(report.ending.message.ends_with("disk, is limited to 1 MiB"), "{}", report.ending.message);
        assert!(report.ending.usage.peak_disk <= Bytes::from_mib(1));
    }
    let report = bench.run(Form::Core, with_disk(1 << 20), &body);
    assert_eq!(report.ending.exit_code, Some(NOSPC));
}

#[test]
fn what_the_host_holds_for_a_call_is_memory_of_the_task() {
    // It has five pages, 320 KiB, of which it writes 300 KiB: at once where there is room for a copy, else in parts.
    let body = r#"
        (memory (export "memory") 5)
        (data (i32.const 256) "file")
        (func (export "_start")
            (call $check (call $write
                (call $open (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 1)) (i32.const 1024) (i32.const 307200))))"#;
    let bench = Bench::new();
    for free in [400 << 10, 300 << 10, 100 << 10, 1, 0] {
        let mut spec = with_disk(1 << 20);
        spec.resources.mem = Bytes::new((320 << 10) + free);

        let report = bench.run(Form::Core, spec, body);

        report.assert_finished();
        assert_eq!(report.ending.usage.peak_disk, Bytes::from_kib(300), "with {free} bytes free");
        let copied = free.min(300 << 10);
        assert_eq!(report.ending.usage.peak_mem, Bytes::new((320 << 10) + copied), "with {free} bytes free");
    }
}

#[test]
fn a_guest_may_live_with_a_full_disk() {
    let body = in_scratch(&format!(
        "(call $expect (i32.const {NOSPC}) (call $write (local.get $fd) (i32.const 1024) (i32.const 5000)))"
    ));
    let bench = Bench::new();
    for form in BOTH {
        bench.run(form, with_disk(4096), &body).assert_finished();
    }
}

#[test]
fn a_sparse_file_counts_by_its_length() {
    let by_size =
        format!("(call $expect (i32.const {NOSPC}) (call $set_size (local.get $fd) (i64.const 0x10000000000)))");
    let by_seek = format!(
        "(call $check (call $fd_seek (local.get $fd) (i64.const 0x10000000000) (i32.const 0) (i32.const 16)))
         (call $expect (i32.const {NOSPC}) (call $write (local.get $fd) (i32.const 256) (i32.const 1)))"
    );
    let by_allocation =
        "(call $expect (i32.const 58) (call $fd_allocate (local.get $fd) (i64.const 0) (i64.const 0x10000000000)))";
    let bench = Bench::new();
    for form in BOTH {
        for rest in [&by_size, &by_seek, by_allocation] {
            let report = bench.run(form, with_disk(1 << 20), &in_scratch(rest));

            report.assert_finished();
            assert_eq!(report.ending.usage.peak_disk, Bytes::ZERO);
        }
    }
}

#[test]
fn a_write_at_a_far_position_counts_by_its_end() {
    let body = in_scratch(&format!(
        "(i32.store (i32.const 0) (i32.const 256))
         (i32.store (i32.const 4) (i32.const 1))
         (call $expect (i32.const {NOSPC})
             (call $fd_pwrite (local.get $fd) (i32.const 0) (i32.const 1) (i64.const 0x10000000000) (i32.const 8)))"
    ));
    let bench = Bench::new();
    for form in BOTH {
        bench.run(form, with_disk(1 << 20), &body).assert_finished();
    }
}

#[test]
#[cfg_attr(windows, ignore = "a file that is open cannot be deleted there")]
fn what_is_deleted_and_closed_makes_room_again() {
    let body = in_scratch(
        r#"
        (local.set $left (i32.const 10))
        (loop $more
            (call $check (call $write (local.get $fd) (i32.const 1024) (i32.const 100000)))
            (call $check (call $unlink (i32.const 3) (i32.const 256) (i32.const 4)))
            (call $check (call $fd_close (local.get $fd)))
            (local.set $fd (call $open (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 1)))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $more (local.get $left)))"#,
    );
    let bench = Bench::new();
    for form in BOTH {
        let report = bench.run(form, with_disk(150_000), &body);

        report.assert_finished();
        assert_eq!(report.ending.usage.peak_disk, Bytes::new(100_000));
    }
}

#[test]
#[cfg_attr(windows, ignore = "a file that is open cannot be deleted there")]
fn a_deleted_file_that_is_still_open_keeps_its_room() {
    let body = in_scratch(&format!(
        r#"
        (call $check (call $write (local.get $fd) (i32.const 1024) (i32.const 100000)))
        (call $check (call $unlink (i32.const 3) (i32.const 256) (i32.const 4)))
        (local.set $fd (call $open (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 1)))
        (call $expect (i32.const {NOSPC}) (call $set_size (local.get $fd) (i64.const 100000)))"#
    ));
    let bench = Bench::new();
    for form in BOTH {
        bench.run(form, with_disk(150_000), &body).assert_finished();
    }
}

#[test]
fn a_renamed_file_replaces_what_was_there() {
    let body = in_scratch(
        r#"
        (local.set $left (i32.const 10))
        (loop $more
            (call $check (call $set_size (local.get $fd) (i64.const 60000)))
            (call $check (call $fd_close (local.get $fd)))
            (call $check (call $rename (i32.const 3) (i32.const 256) (i32.const 4)
                (i32.const 4) (i32.const 264) (i32.const 5)))
            (local.set $fd (call $open (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 1)))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $more (local.get $left)))"#,
    );
    let bench = Bench::new();
    for form in BOTH {
        let report = bench.run(form, with_disk(150_000), &body);

        report.assert_finished();
        assert_eq!(report.ending.usage.peak_disk, Bytes::new(120_000));
    }
}

#[test]
fn the_number_of_files_and_folders_is_limited() {
    // Names of one character, as many as there are below 255.
    let body = r#"
        (memory (export "memory") 1)
        (func (export "_start")
            (local $name i32)
            (local.set $name (i32.const 65))
            (loop $more
                (i32.store8 (i32.const 256) (i32.const 95))
                (i32.store8 (i32.const 257) (i32.add (i32.const 65) (i32.rem_u (local.get $name) (i32.const 26))))
                (i32.store8 (i32.const 258) (i32.add (i32.const 65) (i32.div_u (local.get $name) (i32.const 26))))
                (call $check (call $mkdir (i32.const 3) (i32.const 256) (i32.const 3)))
                (i32.store8 (i32.const 256) (i32.const 45))
                (call $check (call $fd_close
                    (call $open (i32.const 3) (i32.const 256) (i32.const 3) (i32.const 1))))
                (local.set $name (i32.add (local.get $name) (i32.const 1)))
                (br $more)))"#;
    let bench = Bench::new();
    for form in BOTH {
        let report = bench.run(form, with_disk(4096), body);

        let exceeded = report.assert_limited(Reason::DiskLimit, 64);
        assert_eq!(exceeded.used, 65);
        assert_eq!(report.ending.message, "wants 65 files and folders, is limited to 64 by its disk");
    }
}

#[test]
fn a_file_with_two_names_counts_once_and_until_the_last_is_gone() {
    let body = in_scratch(&format!(
        r#"
        (call $check (call $set_size (local.get $fd) (i64.const 100000)))
        (call $check (call $fd_close (local.get $fd)))
        (call $check (call $link (i32.const 3) (i32.const 0) (i32.const 256) (i32.const 4)
            (i32.const 4) (i32.const 264) (i32.const 5)))
        (call $check (call $unlink (i32.const 3) (i32.const 256) (i32.const 4)))
        (local.set $fd (call $open (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 1)))
        (call $expect (i32.const {NOSPC}) (call $set_size (local.get $fd) (i64.const 100000)))
        (call $check (call $unlink (i32.const 3) (i32.const 264) (i32.const 5)))
        (call $check (call $set_size (local.get $fd) (i64.const 100000)))"#
    ));
    let bench = Bench::new();
    for form in BOTH {
        let report = bench.run(form, with_disk(150_000), &body);

        report.assert_finished();
        assert_eq!(report.ending.usage.peak_disk, Bytes::new(100_000));
    }
}

#[test]
#[cfg_attr(windows, ignore = "symbolic links take a privilege there")]
fn a_symbolic_link_leads_to_its_file_and_counts_by_its_text() {
    // `other` leads to `file`; what is written through it counts for the file.
    let body = in_scratch(
        r#"
        (call $check (call $symlink (i32.const 256) (i32.const 4) (i32.const 3) (i32.const 264) (i32.const 5)))
        (call $check (call $path_open (i32.const 3) (i32.const 1) (i32.const 264) (i32.const 5) (i32.const 0)
            (i64.const 0x1fffffff) (i64.const 0) (i32.const 0) (i32.const 12)))
        (call $check (call $write (i32.load (i32.const 12)) (i32.const 1024) (i32.const 1000)))
        (call $check (call $unlink (i32.const 3) (i32.const 264) (i32.const 5)))
        (call $check (call $fd_seek (local.get $fd) (i64.const 999) (i32.const 0) (i32.const 16)))
        (call $print (i32.const 1024) (call $read (local.get $fd)))"#,
    );
    let bench = Bench::new();
    for form in BOTH {
        let report = bench.run(form, with_disk(1 << 20), &body);

        report.assert_finished();
        assert_eq!((report.stdout.len(), report.ending.usage.peak_disk), (1, Bytes::new(1004)));
    }
}
