//! Guests that fill their disk, and guests that want out of it.

use haggle_core::Bytes;

use crate::kit::{Guest, exit, finished, hostile, out_of_disk, start, wat};

const MIB: Bytes = Bytes::from_mib(1);

/// Opens `file` in its scratch folder as `$fd`, and does this with it.
fn with_file(code: &str) -> Guest {
    wat(&format!(
        r#"(memory (export "memory") 32) (data (i32.const 256) "file") (data (i32.const 264) "other")
        (func (export "_start") (local $fd i32) (local $i i32)
            (call $check (call $open (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 1)))
            (local.set $fd (i32.load (i32.const 12)))
            {code})"#
    ))
    .disk(MIB)
}

/// The same for ever.
fn with_file_for_ever(code: &str) -> Guest {
    with_file(&format!("(loop $more {code} (br $more))"))
}

/// Makes things with a new name each, for ever.
fn with_names(code: &str) -> Guest {
    start(&format!(
        "(loop $more (call $name (local.get $i)) {code} (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $more))"
    ))
    .disk(MIB)
}

/// All of this is refused, with this text (at byte 256, so long) as a path: to read, to make, to change, to leave.
fn wants(path: &str) -> Guest {
    let length = path.len();
    let at = format!("(i32.const 256) (i32.const {length})");
    let inside = "(i32.const 8000) (i32.const 4)";
    let code = format!(
        r#"(call $refused (call $open_to_read (local.get $fd) {at}))
        (call $refused (call $open (local.get $fd) {at} (i32.const 0)))
        (call $refused (call $open (local.get $fd) {at} (i32.const 1)))
        (call $refused (call $open (local.get $fd) {at} (i32.const 9)))
        (call $refused (call $path_filestat_get (local.get $fd) (i32.const 1) {at} (i32.const 9000)))
        (call $refused (call $path_filestat_set_times (local.get $fd) (i32.const 1) {at}
            (i64.const 0) (i64.const 0) (i32.const 5)))
        (call $refused (call $mkdir (local.get $fd) {at}))
        (call $refused (call $rmdir (local.get $fd) {at}))
        (call $refused (call $unlink (local.get $fd) {at}))
        (call $refused (call $rename (local.get $fd) {at} (local.get $fd) {inside}))
        (call $refused (call $rename (local.get $fd) {inside} (local.get $fd) {at}))
        (call $refused (call $symlink {at} (local.get $fd) {inside}))
        (call $refused (call $link (local.get $fd) (i32.const 0) {at} (local.get $fd) {inside}))"#
    );
    wat(&format!(
        r#"(memory (export "memory") 1) (data (i32.const 256) "{path}") (data (i32.const 8000) "mine")
        (func (export "_start") (local $fd i32)
            (call $check (call $open (i32.const 3) (i32.const 8000) (i32.const 4) (i32.const 1)))
            (call $check (call $fd_close (i32.load (i32.const 12))))
            (local.set $fd (i32.const 3)) {code}
            ;; The input's folder, then a name that is none.
            (local.set $fd (i32.const 5)) {code}
            (local.set $fd (i32.const 99)) {code})"#
    ))
    .disk(MIB)
    .inputs()
}

/// All of this is refused of the input, whose name is at byte 256.
fn in_inputs(code: &str) -> Guest {
    wat(&format!(
        r#"(memory (export "memory") 1) (data (i32.const 256) "a.txt") (data (i32.const 264) "other")
        (func (export "_start") (local $fd i32)
            (call $check (call $open_to_read (i32.const 5) (i32.const 256) (i32.const 5)))
            (local.set $fd (i32.load (i32.const 12)))
            {code})"#
    ))
    .disk(MIB)
    .inputs()
}

hostile! {
    writes_for_ever: with_file_for_ever("(call $check (call $write (local.get $fd) (i32.const 0) (i32.const 65536)))")
        => out_of_disk();
    writes_for_ever_as_a_component:
        with_file_for_ever("(call $check (call $write (local.get $fd) (i32.const 0) (i32.const 65536)))").component()
        => out_of_disk();
    writes_all_its_memory_at_once:
        with_file_for_ever("(call $check (call $write (local.get $fd) (i32.const 0) (i32.const 2097152)))")
        => out_of_disk();
    writes_behind_many_empty_buffers:
        // The 1,025th buffer is the first that is not empty.
        with_file_for_ever(
            "(call $buffer (i32.const 9192) (i32.const 0) (i32.const 1000000))
            (i32.store (i32.const 256) (i32.const 0)) (i32.store (i32.const 260) (i32.const 0))
            (i32.store (i32.const 264) (i32.const 0)) (i32.store (i32.const 268) (i32.const 0))
            (call $check (call $fd_write (local.get $fd) (i32.const 1000) (i32.const 1025) (i32.const 8)))") => exit(28);
    /// What honest programs do: both are done in parts, and nothing is lost.
    writes_and_reads_twenty_mebibytes_in_one_go:
        wat(r#"(memory (export "memory") 400) (data (i32.const 256) "file")
            (func (export "_start") (local $left i32)
                (call $check (call $open (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 1)))
                (i32.store (i32.const 20000000) (i32.const 77))
                (local.set $left (i32.const 20971520))
                (loop $more
                    (call $check (call $write (i32.load (i32.const 12))
                        (i32.sub (i32.const 20972544) (local.get $left)) (local.get $left)))
                    (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.load (i32.const 8))))))
                (call $check (call $fd_seek (i32.load (i32.const 12)) (i64.const 0) (i32.const 0) (i32.const 16)))
                (i32.store (i32.const 20000000) (i32.const 0))
                (local.set $left (i32.const 20971520))
                (loop $more
                    (call $buffer (i32.const 0) (i32.sub (i32.const 20972544) (local.get $left)) (local.get $left))
                    (call $check (call $fd_read (i32.load (i32.const 12)) (i32.const 0) (i32.const 1) (i32.const 8)))
                    (call $check (i32.ne (i32.load (i32.const 4)) (local.get $left)))
                    (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.load (i32.const 8))))))
                (call $check (i32.ne (i32.load (i32.const 20000000)) (i32.const 77))))"#)
        .mem(Bytes::from_mib(32)).disk(Bytes::from_mib(20)) => finished();
    writes_at_the_end_of_time:
        with_file("(call $buffer (i32.const 0) (i32.const 0) (i32.const 9))
            (call $check (call $fd_pwrite (local.get $fd) (i32.const 0) (i32.const 1) (i64.const -5) (i32.const 8)))")
        => out_of_disk();
    writes_far_away: with_file("(call $buffer (i32.const 0) (i32.const 0) (i32.const 1))
        (call $check (call $fd_pwrite (local.get $fd) (i32.const 0) (i32.const 1) (i64.const 0x10000000000) (i32.const 8)))")
        => out_of_disk();
    seeks_far_away_and_writes:
        with_file("(call $check (call $fd_seek (local.get $fd) (i64.const 0x100000000) (i32.const 0) (i32.const 16)))
            (call $check (call $write (local.get $fd) (i32.const 0) (i32.const 1)))") => out_of_disk();
    makes_its_file_huge_at_once:
        with_file("(call $check (call $fd_filestat_set_size (local.get $fd) (i64.const 0x10000000000)))") => out_of_disk();
    makes_its_file_negative:
        with_file("(call $check (call $fd_filestat_set_size (local.get $fd) (i64.const -1)))") => out_of_disk();
    allocates_a_huge_file:
        with_file("(call $check (call $fd_allocate (local.get $fd) (i64.const 0) (i64.const 0x10000000000)))") => exit(58);
    keeps_deleted_files_open:
        with_names("(call $check (call $open (i32.const 3) (i32.const 256) (i32.const 5) (i32.const 1)))
            (call $check (call $write (i32.load (i32.const 12)) (i32.const 0) (i32.const 60000)))
            (call $check (call $unlink (i32.const 3) (i32.const 256) (i32.const 5)))") => out_of_disk();
    fills_many_files_and_closes_them:
        with_names("(call $check (call $open (i32.const 3) (i32.const 256) (i32.const 5) (i32.const 1)))
            (call $check (call $write (i32.load (i32.const 12)) (i32.const 0) (i32.const 60000)))
            (call $check (call $fd_close (i32.load (i32.const 12))))") => out_of_disk();
    makes_files_without_end:
        with_names("(call $check (call $open (i32.const 3) (i32.const 256) (i32.const 5) (i32.const 1)))
            (call $check (call $fd_close (i32.load (i32.const 12))))") => out_of_disk();
    makes_folders_without_end:
        with_names("(call $check (call $mkdir (i32.const 3) (i32.const 256) (i32.const 5)))") => out_of_disk();
    makes_folders_without_end_as_a_component:
        with_names("(call $check (call $mkdir (i32.const 3) (i32.const 256) (i32.const 5)))").component() => out_of_disk();
    makes_folders_in_folders:
        start("(local.set $fd (i32.const 3)) (i32.store8 (i32.const 256) (i32.const 97))
            (loop $more (call $check (call $mkdir (local.get $fd) (i32.const 256) (i32.const 1)))
                (call $check (call $open_to_read (local.get $fd) (i32.const 256) (i32.const 1)))
                (drop (call $fd_close (local.get $fd)))
                (local.set $fd (i32.load (i32.const 12)))
                (br $more))").disk(MIB) => out_of_disk();
    opens_without_closing:
        with_file_for_ever("(call $check (call $open (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 0)))")
        => exit(33);
    makes_files_without_room_for_a_descriptor:
        // None of those that were refused may be on the disk.
        wat(r#"(memory (export "memory") 1) (data (i32.const 300) "file")
            (func (export "_start") (local $i i32)
                (loop $more (br_if $more (i32.eqz
                    (call $open (i32.const 3) (i32.const 300) (i32.const 4) (i32.const 1)))))
                (loop $more (call $name (local.get $i))
                    (call $refused (call $open (i32.const 3) (i32.const 256) (i32.const 5) (i32.const 1)))
                    (call $refused (call $path_filestat_get
                        (i32.const 3) (i32.const 0) (i32.const 256) (i32.const 5) (i32.const 400)))
                    (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 300)))))"#)
            .disk(MIB) => finished();
    writes_to_a_file_it_only_reads:
        with_file("(call $check (call $open_to_read (i32.const 3) (i32.const 256) (i32.const 4)))
            (call $refused (call $write (i32.load (i32.const 12)) (i32.const 0) (i32.const 9)))
            (call $refused (call $fd_filestat_set_size (i32.load (i32.const 12)) (i64.const 9)))") => finished();
    wants_the_folder_above: wants("..") => finished();
    wants_a_file_above: wants("../input") => finished();
    wants_a_file_far_above: wants("../../../../../../../../etc/passwd") => finished();
    wants_out_by_a_detour: wants("mine/../../input") => finished();
    wants_an_absolute_path: wants("/etc/passwd") => finished();
    wants_the_hosts_processes: wants("/proc/self/environ") => finished();
    wants_a_file_as_a_folder: wants("mine/") => finished();
    wants_a_name_with_a_nul: wants("mi\\00ne") => finished();
    wants_a_name_that_is_no_text: wants("\\ff\\fe") => finished();
    wants_no_name_at_all: wants("") => finished();
    wants_a_name_that_is_too_long: wants(&"n".repeat(300)) => finished();
    wants_a_path_that_is_too_long: wants(&"n/".repeat(3000)) => finished();
    writes_its_input: in_inputs("(call $refused (call $write (local.get $fd) (i32.const 0) (i32.const 9)))
        (call $refused (call $fd_filestat_set_size (local.get $fd) (i64.const 0)))
        (call $refused (call $open (i32.const 5) (i32.const 256) (i32.const 5) (i32.const 0)))
        (call $refused (call $open (i32.const 5) (i32.const 256) (i32.const 5) (i32.const 8)))") => finished();
    dates_its_input: in_inputs("(call $refused (call $fd_filestat_set_times
            (local.get $fd) (i64.const 0) (i64.const 0) (i32.const 5)))
        (call $refused (call $path_filestat_set_times
            (i32.const 5) (i32.const 1) (i32.const 256) (i32.const 5) (i64.const 0) (i64.const 0) (i32.const 5)))")
        => finished();
    moves_its_input: in_inputs("(call $refused (call $unlink (i32.const 5) (i32.const 256) (i32.const 5)))
        (call $refused (call $rename (i32.const 5) (i32.const 256) (i32.const 5) (i32.const 3) (i32.const 264) (i32.const 5)))
        (call $refused (call $rename (i32.const 5) (i32.const 256) (i32.const 5) (i32.const 5) (i32.const 264) (i32.const 5)))
        (call $refused (call $link (i32.const 5) (i32.const 0) (i32.const 256) (i32.const 5)
            (i32.const 3) (i32.const 264) (i32.const 5)))
        (call $refused (call $mkdir (i32.const 5) (i32.const 264) (i32.const 5)))") => finished();
    moves_its_input_as_a_component:
        in_inputs("(call $refused (call $unlink (i32.const 5) (i32.const 256) (i32.const 5)))
        (call $refused (call $rename (i32.const 5) (i32.const 256) (i32.const 5) (i32.const 3) (i32.const 264) (i32.const 5)))
        (call $refused (call $link (i32.const 5) (i32.const 0) (i32.const 256) (i32.const 5)
            (i32.const 3) (i32.const 264) (i32.const 5)))").component() => finished();
    moves_its_folder_into_itself:
        start("(i32.store (i32.const 256) (i32.const 0x622f61)) ;; a/b
            (call $check (call $mkdir (i32.const 3) (i32.const 256) (i32.const 1)))
            (call $refused (call $rename (i32.const 3) (i32.const 256) (i32.const 1)
                (i32.const 3) (i32.const 256) (i32.const 3)))").disk(MIB) => finished();
}
