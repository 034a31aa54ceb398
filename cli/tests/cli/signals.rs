//! Ctrl-C, SIGTERM and SIGHUP, and signals that whoever started `haggle` ignores or blocks: programs inherit that.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

#[cfg(target_os = "linux")]
use crate::guests::{EXIT_77, OUT_OF_BOUNDS};
use crate::guests::{HELLO, HELLO_FOR_EVER};
use crate::haggle::Place;

/// Starts `haggle` and reads what it prints until a line has `sign`; gives that line.
fn start(place: &Place, words: &str, sign: &str) -> (Child, String) {
    watched(place.command(words), sign)
}

fn watched(mut command: Command, sign: &str) -> (Child, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let line = stdout.lines().map_while(Result::ok).find(|line| line.contains(sign));
    let line = line.unwrap_or_else(|| panic!("{command:?} ended without {sign:?}: {:?}", rest(&mut child)));
    (child, line)
}

/// `haggle` with these words, as this program starts it.
fn by(launcher: &[&str], place: &Place, words: &str) -> Command {
    let haggle = place.command(words);
    let mut command = Command::new(launcher[0]);
    command.args(&launcher[1..]).arg(haggle.get_program()).args(haggle.get_args()).stdin(Stdio::null());
    command.current_dir(haggle.get_current_dir().unwrap());
    for (name, value) in haggle.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// A shell that ignores these signals, as one does for what runs behind a script.
fn ignoring(signals: &str, place: &Place, words: &str) -> Command {
    by(&["sh", "-c", &format!("trap '' {signals}; exec \"$@\""), "sh"], place, words)
}

/// Somebody who ignores every signal, and has every one blocked.
#[cfg(target_os = "linux")]
fn deaf(place: &Place, words: &str) -> Command {
    by(&["/usr/bin/env", "--ignore-signal", "--block-signal"], place, words)
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
fn a_run_behind_a_script_ends_its_tasks_as_well() {
    let place = Place::with(&[("guest.wat", HELLO_FOR_EVER)]);
    for name in ["-INT", "-TERM"] {
        let (mut child, _) = watched(ignoring("INT QUIT", &place, "run guest.wat"), "hello");

        signal(&child, name);

        assert_eq!(child.wait().unwrap().code(), Some(130), "{name}");
        let said = rest(&mut child);
        assert!(said.contains("guest KILLED, KILL_REQUESTED"), "{name}: {said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_runs_for_somebody_who_is_deaf_to_signals_is_heard_all_the_same() {
    let place = Place::with(&[("guest.wat", HELLO_FOR_EVER)]);
    for name in ["-INT", "-TERM"] {
        let (mut child, _) = watched(deaf(&place, "run guest.wat"), "hello");

        signal(&child, name);

        assert_eq!(child.wait().unwrap().code(), Some(130), "{name}");
    }
}

/// A trap is a signal first, and a compiler's end is told by one.
#[cfg(target_os = "linux")]
#[test]
fn tasks_of_somebody_who_is_deaf_to_signals_end_as_anybodys_do() {
    let place = Place::with(&[("exits.wat", EXIT_77), ("traps.wat", OUT_OF_BOUNDS)]);
    let ran = |words| deaf(&place, words).output().unwrap();

    let exited = ran("run exits.wat");
    let trapped = ran("run traps.wat");

    let said = String::from_utf8_lossy(&trapped.stderr).into_owned();
    assert_eq!(exited.status.code(), Some(77), "{exited:?}");
    assert!(said.contains("TRAP: wasm trap: out of bounds memory access"), "{said}");
}

#[test]
fn an_agent_that_nohup_started_outlives_its_terminal() {
    let place = Place::with(&[]);
    let mut agent = ignoring("HUP", &place, "agent --master http://127.0.0.1:9 --work-dir work");
    let mut agent = agent.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(agent.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(log.any(|line| line.contains("the agent has this to give")));

    signal(&agent, "-HUP");
    signal(&agent, "-TERM");

    assert!(agent.wait().unwrap().success());
    let log: Vec<_> = log.collect();
    assert!(log.iter().any(|line| line.contains("the agent drains")), "{log:?}");
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
