//! A master that others can reach.

use std::io::Read;
use std::process::{Child, Stdio};

use crate::haggle::Place;
use crate::signals::signal;

/// Starts a master in TLS that keeps its state, and ends it when it has said that it listens: what it printed, and its log.
fn printed(place: &Place) -> (String, String) {
    let mut master = place
        .command("master --tls --state kept --listen 127.0.0.1:0 --advertise master.example:7000")
        .env("XDG_STATE_HOME", place.path("home"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = until(&mut master, "what outlasts this master is here");
    signal(&master, "-TERM");
    master.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    let mut printed = String::new();
    master.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert!(master.wait().unwrap().success(), "{log}");
    (printed, log)
}

/// The log up to and with this.
fn until(master: &mut Child, sign: &str) -> String {
    let stderr = master.stderr.as_mut().unwrap();
    let mut log = Vec::new();
    while !String::from_utf8_lossy(&log).contains(sign) {
        let mut piece = [0; 4096];
        let length = stderr.read(&mut piece).unwrap();
        assert!(length > 0, "it ended without {sign:?}: {}", String::from_utf8_lossy(&log));
        log.extend_from_slice(&piece[..length]);
    }
    String::from_utf8(log).unwrap()
}

#[test]
fn a_new_master_says_once_how_others_get_in() {
    let place = Place::with(&[]);

    let (first, log) = printed(&place);
    let (second, _) = printed(&place);

    let commands: Vec<_> = first.lines().filter(|line| !line.starts_with('#')).collect();
    let [agent, login] = commands[..] else { panic!("{first}") };
    let token = agent.strip_prefix("haggle agent --join ").unwrap();
    assert!(token.starts_with("hgl1.") && login.starts_with("haggle login hgl1."), "{first}");
    assert!(!log.contains("hgl1."), "{log}");
    assert_eq!(second, "");
}
