//! The keys that end a program there.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use haggle_kit::guests;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::haggle;

/// Presses Ctrl-C: what Wine makes of this signal.
fn ctrl_c(child: &Child) {
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a process id");
    kill_process(pid, Signal::INT).expect("the process runs");
}

#[test]
#[ignore = "needs haggle.exe and Wine: cargo xtask windows"]
fn ctrl_c_ends_the_tasks_first() {
    let dir = TempDir::new().unwrap();
    let guest = dir.path().join("ticker.wat");
    std::fs::write(&guest, guests::ticker(u32::MAX)).unwrap();
    let mut run = haggle(&["run", &guest.display().to_string()]);
    let mut run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(run.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();

    ctrl_c(&run);

    std::io::copy(&mut stdout, &mut std::io::sink()).unwrap();
    let mut said = String::new();
    run.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130), "{said}");
    assert!(said.contains("ticker KILLED, KILL_REQUESTED"), "{said}");
}
