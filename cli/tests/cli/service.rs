//! `haggle service`, with a systemd that is played by a script.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::haggle::{Place, Ran};

const UNIT: &str = "config/systemd/user/haggle-agent.service";

/// A folder with a `systemctl` that writes down what it is told, and fails at what has the word `failing` in it.
fn place(failing: &str) -> Place {
    let script = format!(
        "#!/bin/sh\necho \"$*\" >> ./told\n\
         case \"$*\" in *\"{failing}\"*) echo \"there is no bus\" >&2; exit 1;; esac\n"
    );
    let place = Place::with(&[("systemctl", &script), ("told", "")]);
    fs::set_permissions(place.path("systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
    place
}

fn command(place: &Place, words: &str) -> Command {
    let mut command = place.command(words);
    command.env("PATH", place.path(".")).env("HOME", place.path(".")).env("USER", "ada");
    command.env("XDG_CONFIG_HOME", place.path("config")).env_remove("XDG_CACHE_HOME").env_remove("XDG_STATE_HOME");
    command
}

fn haggle(place: &Place, words: &str) -> Ran {
    command(place, words).output().unwrap().into()
}

fn told(place: &Place) -> Vec<String> {
    fs::read_to_string(place.path("told")).unwrap().lines().map(ToString::to_string).collect()
}

#[test]
fn an_agent_is_installed_shown_changed_and_uninstalled() {
    let place = place("nothing-at-all");

    let installed = haggle(&place, "service install agent --cpus 0.5 --work-dir w --master 127.0.0.1:5051");

    assert_eq!((installed.code, installed.stderr.as_str()), (0, ""), "{installed:?}");
    let path = place.path(UNIT);
    let first_line = format!("wrote {}", path.display());
    assert_eq!(installed.stdout.lines().next(), Some(first_line.as_str()));
    for hint in
        ["journalctl --user -u haggle-agent.service -f", "loginctl enable-linger ada", "service uninstall agent"]
    {
        assert!(installed.stdout.contains(hint), "{hint}: {installed:?}");
    }
    let unit = fs::read_to_string(&path).unwrap();
    let work_dir = format!("\"--work-dir={}\"", place.path("w").canonicalize().unwrap_or(place.path("w")).display());
    for word in ["\"agent\"", "\"--cpus=0.5\"", "\"--master=127.0.0.1:5051\"", work_dir.as_str()] {
        assert!(unit.contains(word), "{word}: {unit}");
    }
    assert_eq!(
        told(&place),
        ["--user show-environment", "--user daemon-reload", "--user enable --now haggle-agent.service"]
    );

    let status = haggle(&place, "service status agent");
    assert_eq!(status.code, 0, "{status:?}");

    fs::write(place.path("told"), "").unwrap();
    let changed = haggle(&place, "service install agent --cpus 1");
    assert_eq!(changed.code, 0, "{changed:?}");
    assert!(fs::read_to_string(&path).unwrap().contains("\"--cpus=1\""));
    let hang_up = "--user kill --kill-who=main --signal=SIGHUP haggle-agent.service";
    assert!(told(&place).iter().any(|line| line == hang_up), "{:?}", told(&place));

    fs::write(place.path("told"), "").unwrap();
    let uninstalled = haggle(&place, "service uninstall agent");
    assert_eq!(uninstalled.stdout.lines().next(), Some(format!("removed {}", path.display()).as_str()));
    assert!(!path.exists());
    assert_eq!(
        told(&place),
        ["--user show-environment", "--user disable --now haggle-agent.service", "--user daemon-reload"]
    );
    haggle(&place, "service status agent").assert_refused(125, "no agent is installed as a service of yours");
}

#[test]
fn without_a_session_nothing_is_written() {
    let place = place("show-environment");

    let refused = haggle(&place, "service install agent");

    refused.assert_refused(125, "systemd has no session of ada here: log in as ada");
    assert!(refused.stderr.contains("there is no bus") && refused.stderr.contains("loginctl enable-linger ada"));
    assert!(!place.path("config").exists());
}

#[test]
fn what_does_not_start_is_taken_back() {
    let place = place("enable");

    haggle(&place, "service install agent").assert_refused(125, "what was written is taken back");

    assert!(!place.path(UNIT).exists());
    assert_eq!(told(&place).last().map(String::as_str), Some("--user daemon-reload"));
}

#[test]
fn a_version_that_does_not_start_leaves_the_one_before_it() {
    let place = place("enable --now haggle-master");
    let before = "# Written by `haggle service install master`, at some time\n";
    fs::create_dir_all(place.path(UNIT).parent().unwrap()).unwrap();
    let unit = place.path("config/systemd/user/haggle-master.service");
    fs::write(&unit, before).unwrap();

    haggle(&place, "service install master").assert_refused(125, "there is no bus; what was written is taken back");

    assert_eq!(fs::read_to_string(unit).unwrap(), before);
}

#[test]
fn a_unit_of_somebody_else_is_left_alone() {
    let place = place("nothing-at-all");
    fs::create_dir_all(place.path(UNIT).parent().unwrap()).unwrap();
    fs::write(place.path(UNIT), "[Service]\nExecStart=/bin/true\n").unwrap();

    for words in ["service install agent", "service uninstall agent", "service status agent"] {
        haggle(&place, words).assert_refused(125, "was not written by `haggle service`");
    }

    assert_eq!(told(&place), [""; 0]);
}

#[test]
fn a_dry_run_prints_the_unit_and_asks_nobody() {
    let place = place("show-environment");

    let shown = command(&place, "service install --dry-run master --listen 127.0.0.1:6000")
        .env("XDG_STATE_HOME", "/srv/state")
        .env("HAGGLE_MASTER", "127.0.0.1:1")
        .output()
        .map(Ran::from)
        .unwrap();

    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.stdout.starts_with("would write "), "{shown:?}");
    assert!(shown.stdout.contains("\"master\" \"--listen=127.0.0.1:6000\"\n"), "{shown:?}");
    assert!(shown.stdout.contains("Environment=\"XDG_STATE_HOME=/srv/state\"\n"), "{shown:?}");
    assert_eq!(told(&place), [""; 0]);
    assert!(!place.path("config").exists());
}

#[test]
fn what_an_agent_would_have_from_the_environment_is_written_down_and_a_secret_is_not() {
    let place = place("nothing-at-all");
    let install = |join: &str| {
        let mut command = command(&place, "service install agent");
        Ran::from(command.env("HAGGLE_MASTER", "10.0.0.1:5050").env("HAGGLE_JOIN", join).output().unwrap())
    };

    install("hgl1.abc").assert_refused(125, "put it into a file and give --join @FILE");
    haggle(&place, "service install agent --join hgl1.abc").assert_refused(125, "--join is a secret");
    assert!(!place.path("config").exists() && told(&place).is_empty());

    fs::write(place.path("token"), "hgl1.abc").unwrap();
    let installed = install("@token");
    assert_eq!(installed.code, 0, "{installed:?}");
    let unit = fs::read_to_string(place.path(UNIT)).unwrap();
    let file = place.path("token").canonicalize().unwrap();
    assert!(unit.contains("\"--master=10.0.0.1:5050\""), "{unit}");
    assert!(unit.contains(&format!("\"--join=@{}\"", file.display())), "{unit}");
    assert!(!unit.contains("hgl1.") && !installed.stdout.contains("hgl1."), "{unit}");
}

#[test]
fn flags_are_read_as_the_daemon_reads_them_before_anything_is_written() {
    let place = place("nothing-at-all");

    haggle(&place, "service install agent --cpus 0").assert_refused(2, "0 cpus would never run");
    haggle(&place, "service install master --cpus 1").assert_refused(2, "unexpected argument '--cpus'");
    haggle(&place, "service install scheduler").assert_refused(2, "scheduler");

    assert_eq!(told(&place), [""; 0]);
    assert!(!place.path("config").exists());
}
