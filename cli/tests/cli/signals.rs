//! Ctrl-C and SIGTERM.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use crate::guests::{HELLO, HELLO_FOR_EVER};
use crate::haggle::Place;

/// Starts `haggle` and reads what it prints until a line has `sign`; gives that line.
fn start(place: &Place, words: &str, sign: &str) -> (Child, String) {
    let mut child = place.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let line = stdout.lines().map_while(Result::ok).find(|line| line.contains(sign));
    let line = line.unwrap_or_else(|| panic!("{words} ended without {sign:?}: {:?}", rest(&mut child)));
    (child, line)
}

fn rest(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn ctrl_c_ends_the_tasks_first() {
    let place = Place::with(&[("guest.wat", HELLO_FOR_EVER)]);
    let (mut child, _) = start(&place, "run guest.wat", "hello");

    signal(&child, "-INT");

    assert_eq!(child.wait().unwrap().code(), Some(130));
    let said = rest(&mut child);
    assert!(said.contains("guest KILLED, KILL_REQUESTED"), "{said}");
}

#[test]
fn a_cluster_ends_with_the_program_that_holds_its_standard_input() {
    let place = Place::with(&[]);
    let mut up = place.command("up --until-stdin-ends --listen 127.0.0.1:0");
    let mut up = up.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let is_up = BufReader::new(up.stdout.take().unwrap()).lines().any(|line| line.unwrap().contains("listens on"));

    drop(up.stdin.take());

    assert!(is_up);
    assert_eq!(up.wait().unwrap().code(), Some(0));
}

#[test]
fn a_cluster_is_up_until_it_is_told_to_end() {
    let place = Place::with(&[("guest.wat", HELLO)]);
    let (mut up, line) = start(&place, "up --agents 2 --listen 127.0.0.1:0 --cpus 0.5 --mem 256MiB", "listens on");
    let url = line.rsplit(' ').next().unwrap();

    let ran = place.haggle(&format!("--master {url} run guest.wat --name greeting"));
    let agents = place.haggle(&format!("agents --json --master {url}"));
    let tasks = place.haggle(&format!("ps --all --master {url}"));
    let log = place.haggle(&format!("logs task-1.1 --master {url}"));
    let unknown = place.haggle(&format!("kill task-9.9 --master {url}"));
    signal(&up, "-TERM");

    assert_eq!((ran.code, ran.stdout.as_str()), (0, "hello\n"), "{ran:?}");
    assert_eq!(agents.stdout.lines().count(), 2, "{agents:?}");
    assert!(agents.stdout.contains(r#""cpus":0.5"#), "{agents:?}");
    assert!(tasks.stdout.contains("greeting") && tasks.stdout.contains("FINISHED"), "{tasks:?}");
    assert_eq!(log.stdout, "hello\n");
    unknown.assert_refused(125, "the master knows no task-9.9");
    assert_eq!(up.wait().unwrap().code(), Some(0));
}
