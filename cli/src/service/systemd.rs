//! A user unit of systemd, and how systemd is told of it.
//! <https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html>

use std::ffi::{OsStr, OsString};
use std::fmt::Write;

use super::manager::{Place, Plan, Step};
use super::{Service, Unsayable, mark, name};
use crate::args::Daemon;

pub(super) fn plan(place: &Place, daemon: Daemon) -> Plan {
    let unit = format!("{}.service", name(daemon));
    let systemctl = |args: &[&str]| Step::of("systemctl", &[&["--user"], args].concat());
    let user = &place.user;
    Plan {
        file: place.config.join("systemd").join("user").join(&unit),
        log: None,
        ready: systemctl(&["show-environment"]),
        unready: format!(
            "systemd has no session of {user} here: log in as {user} (not by su or sudo), or have root say `loginctl \
             enable-linger {user}` and set XDG_RUNTIME_DIR to /run/user/ID"
        ),
        start: vec![systemctl(&["daemon-reload"]), systemctl(&["enable", "--now", &unit])],
        // Ends an agent and leaves its tasks to the next one, and systemd starts that.
        replace: match daemon {
            Daemon::Agent => vec![systemctl(&["kill", "--kill-who=main", "--signal=SIGHUP", &unit]).or_not()],
            Daemon::Master => vec![systemctl(&["try-restart", &unit])],
        },
        stop: vec![systemctl(&["disable", "--now", &unit])],
        forget: vec![systemctl(&["daemon-reload"])],
        show: systemctl(&["--no-pager", "--full", "status", &unit]),
        next: vec![
            (format!("journalctl --user -u {unit} -f"), "its log".to_owned()),
            (
                format!("loginctl enable-linger {user}"),
                "so that it also runs while you are not logged in, and from boot on".to_owned(),
            ),
        ],
    }
}

/// The unit's file.
///
/// # Errors
/// When systemd would not start a program in such a place.
pub(super) fn unit(service: &Service) -> Result<String, Unsayable> {
    let Service { daemon, program, words, environment } = service;
    let path = program.to_string_lossy();
    if path.contains(|letter: char| matches!(letter, '"' | '\'' | '\\' | '\u{fffd}') || letter.is_ascii_control()) {
        let why = "it starts no program whose path has quotes, backslashes or what is no text";
        return Err(Unsayable { manager: "systemd", word: path.into_owned(), why });
    }
    // In the path of the program no variable is looked for, and so a dollar is none.
    let mut line = quoted(program.as_os_str(), "$");
    for word in words {
        line.push(' ');
        line.push_str(&quoted(word, "$$"));
    }
    let mut variables = String::new();
    for (name, value) in environment {
        let mut variable = OsString::from(format!("{name}="));
        variable.push(value);
        let _ = writeln!(variables, "Environment={}", quoted(&variable, "$"));
    }
    let mark = mark(*daemon);
    Ok(format!(
        "\
# {mark}. It removes this file, too: `haggle service uninstall {daemon}`.

[Unit]
Description=Haggle {daemon}
# However often it ends, it is tried again.
StartLimitIntervalSec=0

[Service]
ExecStart={line}
{variables}Restart=always
RestartSec=5
# Its own words for flags that it cannot read: they will not get better.
RestartPreventExitStatus=2
# What is printed at a master's first start are secrets, and others may read the journal. The log is on standard error.
StandardOutput=null
StandardError=journal
# Executors outlive an agent that dies, and the next one takes up their tasks.
KillMode=process
# One tenant's tasks may take the memory that there is, and only they end for it.
OOMPolicy=continue
NoNewPrivileges=yes

[Install]
WantedBy=default.target
"
    ))
}

/// One word, whatever is in it, as systemd reads words: in quotes, with specifiers (`%`) doubled.
fn quoted(word: &OsStr, dollar: &str) -> String {
    let mut quoted = String::from('"');
    for chunk in word.as_encoded_bytes().utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' | '\\' => quoted.extend(['\\', letter]),
                '%' => quoted.push_str("%%"),
                '$' => quoted.push_str(dollar),
                letter if letter.is_ascii_control() => escape(letter as u8, &mut quoted),
                letter => quoted.push(letter),
            }
        }
        chunk.invalid().iter().for_each(|&byte| escape(byte, &mut quoted));
    }
    quoted.push('"');
    quoted
}

fn escape(byte: u8, into: &mut String) {
    let _ = write!(into, "\\x{byte:02x}");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::super::tests::{odd, plain};
    use super::*;

    #[test]
    fn the_unit_of_a_master_is_as_it_is_written_down() {
        let written = unit(&plain(Daemon::Master)).unwrap();

        assert!(written.starts_with("# Written by `haggle service install master`. "), "{written}");
        let settings: Vec<_> = written.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        assert_eq!(
            settings,
            [
                "[Unit]",
                "Description=Haggle master",
                "StartLimitIntervalSec=0",
                "[Service]",
                "ExecStart=\"/opt/haggle/bin/haggle\" \"master\"",
                "Restart=always",
                "RestartSec=5",
                "RestartPreventExitStatus=2",
                "StandardOutput=null",
                "StandardError=journal",
                "KillMode=process",
                "OOMPolicy=continue",
                "NoNewPrivileges=yes",
                "[Install]",
                "WantedBy=default.target",
            ]
        );
    }

    #[test]
    fn odd_words_reach_the_daemon_as_they_were_typed() {
        let written = unit(&odd("/srv/100% $new bin/haggle")).unwrap();

        let line = written.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        assert_eq!(
            line,
            r#""/srv/100%% $new bin/haggle" "agent" "--name=Zoë's \"100%%\" $$HOME" "--work-dir=/srv/a b\\c" "--attribute=a=<&>" "--attribute=b=""#
        );
        assert!(written.contains("\nEnvironment=\"XDG_STATE_HOME=/srv/state of %%u\"\n"), "{written}");
    }

    #[test]
    fn a_program_that_systemd_would_not_start_is_refused() {
        for program in ["/srv/\"bin\"/haggle", "/srv/it's/haggle", r"/srv/a\b/haggle", "/srv/a\nb/haggle"] {
            let refused = unit(&odd(program)).unwrap_err().to_string();
            assert!(refused.starts_with("systemd cannot be told"), "{refused}");
        }
    }

    #[test]
    fn what_is_no_text_is_written_byte_by_byte() {
        assert_eq!(quoted("a\nb\u{7f}".as_ref(), "$"), r#""a\x0ab\x7f""#);
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            assert_eq!(quoted(OsStr::from_bytes(b"a\xffb"), "$"), r#""a\xffb""#);
        }
    }

    #[test]
    fn systemd_itself_finds_nothing_wrong_with_the_units() {
        if Command::new("systemd-analyze").arg("--version").output().is_err() {
            eprintln!("not checked: there is no systemd-analyze here");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("100% $odd Zoë");
        fs::create_dir(&program).unwrap();
        let program = program.join("haggle");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();

        for service in
            [Service { program: program.clone(), ..plain(Daemon::Master) }, Service { program, ..odd("haggle") }]
        {
            let file = dir.path().join(format!("haggle-{}.service", service.daemon));
            let unit = unit(&service).unwrap();
            fs::write(&file, &unit).unwrap();

            assert_eq!(verify(&file, dir.path()), "", "{unit}");
        }
    }

    /// What systemd has against a unit.
    fn verify(file: &Path, runtime: &Path) -> String {
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(["--user", "verify"]).arg(file).env("XDG_RUNTIME_DIR", runtime).env("HOME", runtime);
        let output = analyze.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() || !said.is_empty() { said } else { format!("{}", output.status) }
    }
}
