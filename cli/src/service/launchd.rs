//! An agent of launchd: its property list (`man launchd.plist`), and how launchd is told of it.

use std::ffi::OsStr;
use std::fmt::Write;

use super::manager::{Place, Plan, Step};
use super::{Service, Unsayable, mark, name, xml};
use crate::args::Daemon;

const MANAGER: &str = "launchd";

pub(super) fn plan(place: &Place, daemon: Daemon) -> Plan {
    let label = name(daemon);
    let file = place.home.join("Library").join("LaunchAgents").join(format!("{label}.plist"));
    let domain = format!("gui/{}", place.uid);
    let (path, ours) = (file.display().to_string(), format!("{domain}/{label}"));
    let log = place.log(&place.home.join("Library").join("Logs"), daemon);
    let launchctl = |args: &[&str]| Step::of("launchctl", args);
    Plan {
        ready: launchctl(&["print", &domain]),
        unready: "launchd starts agents for whoever is logged in at the screen: do it there".to_owned(),
        start: vec![launchctl(&["bootstrap", &domain, &path])],
        replace: vec![launchctl(&["bootout", &ours]).or_not()],
        stop: vec![launchctl(&["bootout", &ours]).or_not()],
        forget: Vec::new(),
        show: launchctl(&["print", &ours]),
        next: vec![(format!("tail -f '{}'", log.display()), "its log".to_owned())],
        log: Some(log),
        file,
    }
}

/// The property list.
///
/// # Errors
/// When a word of the service is no text that XML can hold.
pub(super) fn plist(service: &Service) -> Result<String, Unsayable> {
    let Service { daemon, program, words, environment } = service;
    let (mark, label) = (mark(*daemon), name(*daemon));
    let text = |word: &OsStr| xml(MANAGER, word);

    let mut arguments = String::new();
    for word in std::iter::once(program.as_os_str()).chain(words.iter().map(AsRef::as_ref)) {
        let _ = writeln!(arguments, "\t\t<string>{}</string>", text(word)?);
    }
    let mut variables = String::new();
    for (name, value) in environment {
        let _ = writeln!(variables, "\t\t<key>{name}</key>\n\t\t<string>{}</string>", text(value)?);
    }
    Ok(format!(
        "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">
<!-- {mark}. It removes this file, too: `haggle service uninstall {daemon}`. -->
<plist version=\"1.0\">
<dict>
\t<key>Label</key>
\t<string>{label}</string>
\t<key>ProgramArguments</key>
\t<array>
{arguments}\t</array>
\t<key>EnvironmentVariables</key>
\t<dict>
{variables}\t</dict>
\t<key>RunAtLoad</key>
\t<true/>
\t<key>KeepAlive</key>
\t<true/>
\t<key>ThrottleInterval</key>
\t<integer>5</integer>
\t<!-- Executors outlive an agent that dies, and the next one takes up their tasks. -->
\t<key>AbandonProcessGroup</key>
\t<true/>
\t<!-- Draining ends tasks, which takes longer than the 20 seconds of the default at worst. -->
\t<key>ExitTimeOut</key>
\t<integer>90</integer>
\t<!-- Anything less has its processor time throttled, on top of its tasks' quotas. -->
\t<key>ProcessType</key>
\t<string>Interactive</string>
\t<!-- The default of 256 is less than a master's connections or an agent's executors. -->
\t<key>SoftResourceLimits</key>
\t<dict>
\t\t<key>NumberOfFiles</key>
\t\t<integer>10240</integer>
\t</dict>
</dict>
</plist>
"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{odd, plain};
    use super::*;

    #[test]
    fn the_list_of_a_master_is_as_it_is_written_down() {
        let written = plist(&plain(Daemon::Master)).unwrap();

        let lines: Vec<_> = written.lines().map(str::trim).filter(|line| !line.starts_with("<!")).collect();
        assert_eq!(
            lines.join(""),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><plist version=\"1.0\"><dict>\
             <key>Label</key><string>haggle-master</string>\
             <key>ProgramArguments</key>\
             <array><string>/opt/haggle/bin/haggle</string><string>master</string></array>\
             <key>EnvironmentVariables</key><dict></dict>\
             <key>RunAtLoad</key><true/>\
             <key>KeepAlive</key><true/>\
             <key>ThrottleInterval</key><integer>5</integer>\
             <key>AbandonProcessGroup</key><true/>\
             <key>ExitTimeOut</key><integer>90</integer>\
             <key>ProcessType</key><string>Interactive</string>\
             <key>SoftResourceLimits</key><dict><key>NumberOfFiles</key><integer>10240</integer></dict>\
             </dict></plist>"
        );
    }

    #[test]
    fn odd_words_reach_the_daemon_as_they_were_typed() {
        let written = plist(&odd("/Users/Zoë & co/haggle")).unwrap();

        for line in [
            "<string>/Users/Zoë &amp; co/haggle</string>",
            "<string>--name=Zoë's \"100%\" $HOME</string>",
            r"<string>--work-dir=/srv/a b\c</string>",
            "<string>--attribute=a=&lt;&amp;&gt;</string>",
            "<string>--attribute=b=</string>",
            "<key>XDG_STATE_HOME</key>",
            "<string>/srv/state of %u</string>",
        ] {
            assert!(written.lines().any(|written| written.trim() == line), "{line}\n{written}");
        }
    }

    #[test]
    fn a_word_that_xml_cannot_hold_is_refused() {
        let service = Service { words: vec!["agent".into(), "--name=a\nb".into()], ..plain(Daemon::Agent) };

        let refused = plist(&service).unwrap_err().to_string();

        assert_eq!(refused, r#"launchd cannot be told "--name=a\nb": it holds a control character"#);
    }
}
