//! Guests that make links: to fill their disk with them, or to get out of it by them.

use haggle_core::Bytes;

use crate::kit::{Guest, exit, finished, hostile, out_of_disk, wat};

const MIB: Bytes = Bytes::from_mib(1);

/// With `file`, which is open as `$fd`, `other`, which is no name yet, and this text at byte 300, so long.
fn with_text(text: &str, code: &str) -> Guest {
    wat(&format!(
        r#"(memory (export "memory") 2)
        (data (i32.const 256) "file") (data (i32.const 264) "other") (data (i32.const 300) "{text}")
        (data (i32.const 8000) "mine") (data (i32.const 8008) "other/input")
        (func $made (param $errno i32) (call $check (local.get $errno)))
        (func (export "_start") (local $fd i32) (local $i i32)
            (call $check (call $open (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 1)))
            (local.set $fd (i32.load (i32.const 12)))
            {code})"#
    ))
    .disk(MIB)
}

/// `other` becomes a link with this text; then nothing is found behind it, whoever looks and however.
fn leads_to(text: &str) -> Guest {
    let behind = |path: &str| {
        format!(
            r#"(call $refused (call $path_open (i32.const 3) (i32.const 1) {path} (i32.const 0)
                (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 12)))
            (call $refused (call $path_open (i32.const 3) (i32.const 1) {path} (i32.const 9)
                (i64.const 0x42) (i64.const 0) (i32.const 0) (i32.const 12)))
            (call $refused (call $path_filestat_get (i32.const 3) (i32.const 1) {path} (i32.const 9000)))
            (call $refused (call $path_filestat_set_times (i32.const 3) (i32.const 1) {path}
                (i64.const 0) (i64.const 0) (i32.const 5)))"#
        )
    };
    let below = "(i32.const 8008) (i32.const 11)";
    with_text(
        text,
        &format!(
            r#"(call $made (call $symlink (i32.const 300) (i32.const {length}) (i32.const 3) (i32.const 264) (i32.const 5)))
            {itself} {below_it}
            (call $refused (call $mkdir (i32.const 3) {below}))
            (call $refused (call $unlink (i32.const 3) {below}))
            (call $refused (call $rename (i32.const 3) {below} (i32.const 3) (i32.const 8000) (i32.const 4)))
            (call $refused (call $rename (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 3) {below}))
            (call $refused (call $link (i32.const 3) (i32.const 0) {below} (i32.const 3) (i32.const 8000) (i32.const 4)))
            (call $refused (call $link (i32.const 3) (i32.const 1) (i32.const 264) (i32.const 5)
                (i32.const 3) (i32.const 8000) (i32.const 4)))"#,
            length = text.len(),
            itself = behind("(i32.const 264) (i32.const 5)"),
            below_it = behind(below),
        ),
    )
}

/// Makes links with a new name each, for ever.
fn with_names(code: &str) -> Guest {
    with_text(
        &"x".repeat(4000),
        &format!(
            "(loop $more (call $name (local.get $i)) {code}
                (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $more))"
        ),
    )
}

hostile! {
    links_out_of_its_folder: leads_to("../../input") => finished();
    links_to_the_folder_above: leads_to("..") => finished();
    links_to_itself: leads_to("other") => finished();
    links_to_nothing_elsewhere: leads_to("none/of/it") => finished();
    links_to_an_absolute_path: leads_to("/etc/passwd") => exit(63);
    links_with_no_text: leads_to("") => exit(44);
    links_out_as_a_component: leads_to("../../input").component() => finished();
    links_to_its_input: with_text("", "
        (call $refused (call $link (i32.const 5) (i32.const 0) (i32.const 300) (i32.const 5)
            (i32.const 3) (i32.const 264) (i32.const 5)))
        (call $refused (call $symlink (i32.const 256) (i32.const 4) (i32.const 5) (i32.const 264) (i32.const 5)))
        (call $refused (call $link (i32.const 3) (i32.const 0) (i32.const 256) (i32.const 4)
            (i32.const 5) (i32.const 264) (i32.const 5)))").inputs() => finished();
    moves_a_folder_away_from_under_a_link:
        // `other` leads into the folder `mine`, whose place a link to the outside then takes.
        with_text("mine/../../input", "
            (call $check (call $mkdir (i32.const 3) (i32.const 8000) (i32.const 4)))
            (call $check (call $symlink (i32.const 300) (i32.const 16) (i32.const 3) (i32.const 264) (i32.const 5)))
            (call $check (call $rmdir (i32.const 3) (i32.const 8000) (i32.const 4)))
            (call $check (call $symlink (i32.const 305) (i32.const 2) (i32.const 3) (i32.const 8000) (i32.const 4)))
            (call $refused (call $path_open (i32.const 3) (i32.const 1) (i32.const 264) (i32.const 5) (i32.const 0)
                (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 12)))") => finished();
    links_a_folder: with_text("", "
        (call $check (call $mkdir (i32.const 3) (i32.const 8000) (i32.const 4)))
        (call $refused (call $link (i32.const 3) (i32.const 0) (i32.const 8000) (i32.const 4)
            (i32.const 3) (i32.const 264) (i32.const 5)))") => finished();
    makes_symbolic_links_without_end:
        with_names("(call $made (call $symlink (i32.const 264) (i32.const 5) (i32.const 3) (i32.const 256) (i32.const 5)))")
        => out_of_disk();
    makes_long_symbolic_links:
        with_names("(call $made (call $symlink (i32.const 300) (i32.const 4000) (i32.const 3) (i32.const 256) (i32.const 5)))")
        .disk(Bytes::from_kib(100)) => out_of_disk();
    makes_hard_links_without_end:
        with_names("(call $made (call $link (i32.const 3) (i32.const 0) (i32.const 8000) (i32.const 4)
            (i32.const 3) (i32.const 256) (i32.const 5)))
            (call $made (i32.const 0))") => exit(44);
    makes_names_for_a_file_without_end:
        with_names("(if (i32.eqz (local.get $i)) (then (call $check (call $open
                (i32.const 3) (i32.const 8000) (i32.const 4) (i32.const 1)))))
            (call $made (call $link (i32.const 3) (i32.const 0) (i32.const 8000) (i32.const 4)
            (i32.const 3) (i32.const 256) (i32.const 5)))") => out_of_disk();
    hides_bytes_behind_another_name:
        // The file of 600,000 bytes loses its first name and its descriptor, and counts under the second.
        with_text("", "
            (call $check (call $fd_filestat_set_size (local.get $fd) (i64.const 600000)))
            (call $check (call $link (i32.const 3) (i32.const 0) (i32.const 256) (i32.const 4)
                (i32.const 3) (i32.const 264) (i32.const 5)))
            (call $check (call $unlink (i32.const 3) (i32.const 256) (i32.const 4)))
            (call $check (call $fd_close (local.get $fd)))
            (call $check (call $open (i32.const 3) (i32.const 256) (i32.const 4) (i32.const 1)))
            (call $check (call $fd_filestat_set_size (i32.load (i32.const 12)) (i64.const 600000)))") => out_of_disk();
    hides_bytes_behind_a_name_with_a_slash:
        with_text("", "
            (call $check (call $fd_filestat_set_size (local.get $fd) (i64.const 600000)))
            (call $check (call $fd_close (local.get $fd)))
            (call $check (call $symlink (i32.const 256) (i32.const 4) (i32.const 3) (i32.const 264) (i32.const 5)))
            (i32.store8 (i32.const 269) (i32.const 47))
            (drop (call $unlink (i32.const 3) (i32.const 264) (i32.const 6)))
            (drop (call $rename (i32.const 3) (i32.const 8000) (i32.const 4) (i32.const 3) (i32.const 264) (i32.const 6)))
            (call $check (call $open (i32.const 3) (i32.const 8000) (i32.const 4) (i32.const 1)))
            (call $check (call $fd_filestat_set_size (i32.load (i32.const 12)) (i64.const 600000)))") => out_of_disk();
}
