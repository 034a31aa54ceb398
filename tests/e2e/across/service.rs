//! An agent that is a service: started by the file that was written for it, with a systemd that is played by a script.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use haggle_kit::Daemon;

use super::{Machine, Master};

/// The words of the line that starts it. They are in quotes, with nothing in them that systemd reads in another way.
fn starts(unit: &str) -> Vec<String> {
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("it starts something");
    line.trim_matches('"').split("\" \"").map(str::to_owned).collect()
}

#[tokio::test]
async fn a_service_joins_by_a_token_in_a_file_and_does_without_it_from_then_on() {
    let master = Master::secure().await;
    let machine = Machine::new();
    let token = master.token(&["--kind", "agent"]);
    let (systemctl, work) = (machine.path("systemctl"), machine.path("work").display().to_string());
    fs::write(&systemctl, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();

    let join = machine.keep(&token);
    let mut install = machine.command(&["service", "install", "agent", "--join", &join, "--work-dir", &work]);
    let installed = install.env("PATH", machine.path("")).output().unwrap();
    assert!(installed.status.success(), "{installed:?}");

    let unit = fs::read_to_string(machine.home().config().join("systemd/user/haggle-agent.service")).unwrap();
    assert!(!unit.contains(&token), "{unit}");
    let words = starts(&unit);
    let start = |log: &str| Daemon::spawn(words[0].as_ref(), &words[1..], machine.path(log));
    let mut agent = start("first.log");
    master.has_agents(1).await;

    agent.kill();
    master.has_agents(0).await;
    fs::remove_file(machine.path("token")).unwrap();
    let again = start("again.log");
    master.has_agents(1).await;
    assert!(again.log().contains("comes back to that without a token"), "{}", again.log());
}
