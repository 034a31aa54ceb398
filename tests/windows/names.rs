//! Names that Windows understands in ways of its own, in scratch folders and as inputs.

use std::fs;

use tempfile::TempDir;

use crate::guests::{Try, tries};
use crate::{assert_success, haggle, text};

/// What `EACCES`, `EINVAL` and `ENOENT` are in WASI 0.1.
const ACCES: i32 = 2;
const INVAL: i32 = 28;
const NOENT: i32 = 44;

/// How a guest ends that tries these in a scratch folder of its own.
#[track_caller]
fn assert_all(all: &[Try<'_>]) {
    let dir = TempDir::new().unwrap();
    let module = dir.path().join("tries.wat");
    fs::write(&module, tries(all)).unwrap();

    let output = haggle(&["run", &module.display().to_string(), "--disk", "1MiB"]).output().unwrap();

    let code = output.status.code();
    assert_eq!(code, Some(0), "the number of what came out otherwise, from 1 on: {}", text(&output.stderr));
}

#[test]
#[ignore = "needs haggle.exe and Wine: cargo xtask windows"]
fn a_guest_reaches_no_device_and_no_stream_by_a_name_in_its_scratch_folder() {
    let odd = [
        "NUL",
        "nul.txt",
        "CON",
        "aux.tar.gz",
        "COM1",
        "lpt9.log",
        "CONIN$",
        "file:stream",
        "file::$DATA",
        "C:",
        "C:\\x",
        "..\\x",
        "a\\b",
        "trailing.",
        "trailing ",
        "what?",
        "NUL/x",
        "folder/aux",
    ];
    let mut all = vec![Try::Create("file", 0), Try::Folder("folder", 0)];
    all.extend(odd.map(|name| Try::Create(name, INVAL)));
    all.extend([Try::Folder("con", INVAL), Try::Rename("file", "prn", INVAL), Try::Unlink("nul", INVAL)]);

    assert_all(&all);
}

#[test]
#[ignore = "needs haggle.exe and Wine: cargo xtask windows"]
fn names_that_only_look_like_those_are_names() {
    assert_all(&["null", "console", "com10", ".nul", "größe", "a b", "compact.txt"].map(|name| Try::Create(name, 0)));
}

#[test]
#[ignore = "needs haggle.exe and Wine: cargo xtask windows"]
fn a_scratch_folder_keeps_the_case_of_a_name_and_takes_any_for_it() {
    assert_all(&[
        Try::Create("File", 0),
        Try::Create("fILE", 0),
        Try::Rename("FILE", "other", 0),
        Try::Open("File", NOENT),
        Try::Open("OTHER", 0),
    ]);
}

#[test]
#[ignore = "needs haggle.exe and Wine: cargo xtask windows"]
fn a_file_that_is_open_is_neither_renamed_nor_removed_and_one_that_is_closed_is() {
    assert_all(&[
        Try::Create("closed", 0),
        Try::Rename("closed", "moved", 0),
        Try::Unlink("moved", 0),
        Try::Create("open", 0),
        Try::Open("open", 0),
        Try::Rename("open", "moved", ACCES),
        Try::Unlink("open", ACCES),
        Try::Open("open", 0),
    ]);
}

#[test]
#[ignore = "needs haggle.exe and Wine: cargo xtask windows"]
fn an_input_has_a_name_that_a_file_can_have_and_that_no_other_has() {
    let dir = TempDir::new().unwrap();
    let module = dir.path().join("nothing.wat");
    fs::write(&module, haggle_kit::guests::NOOP).unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "to be read").unwrap();
    let (module, file) = (module.display().to_string(), file.display().to_string());
    let run = |inputs: &[&str]| {
        let mut command = haggle(&["run", &module]);
        for input in inputs {
            command.args(["--input", &format!("{input}={file}")]);
        }
        command.output().unwrap()
    };

    for odd in ["/in/NUL", "/aux/file", "/in/file.", "/in/a:b"] {
        let refused = run(&[odd]);

        let said = text(&refused.stderr);
        assert!(!refused.status.success() && said.contains("no file can have on windows"), "{odd}: {said}");
    }
    let twice = run(&["/in/words", "/in/Words"]);
    assert!(text(&twice.stderr).contains("given twice"), "{}", text(&twice.stderr));
    assert_success(&run(&["/in/words", "/other/Words"]));
}
