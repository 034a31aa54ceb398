//! A task of the Windows task scheduler at its user's logon, and how the scheduler is told of it.
//! <https://learn.microsoft.com/windows/win32/taskschd/task-scheduler-schema>

use std::ffi::OsStr;

use super::manager::{Place, Plan, Step};
use super::{Service, Unsayable, mark, name, xml};
use crate::args::Daemon;

const MANAGER: &str = "the task scheduler";

pub(super) fn plan(place: &Place, daemon: Daemon) -> Plan {
    let name = name(daemon);
    let file = place.config.join(format!("{name}.xml"));
    let log = place.log(&place.config, daemon);
    let path = file.display().to_string();
    let schtasks = |args: &[&str]| Step::of("schtasks", args);
    Plan {
        ready: schtasks(&["/Query"]),
        unready: "the task scheduler does not answer".to_owned(),
        start: vec![schtasks(&["/Create", "/TN", &name, "/XML", &path, "/F"]), schtasks(&["/Run", "/TN", &name])],
        replace: vec![schtasks(&["/End", "/TN", &name]).or_not()],
        stop: vec![schtasks(&["/End", "/TN", &name]).or_not(), schtasks(&["/Delete", "/TN", &name, "/F"])],
        forget: Vec::new(),
        show: schtasks(&["/Query", "/TN", &name, "/V", "/FO", "LIST"]),
        next: vec![(format!("type \"{}\"", log.display()), "its log".to_owned())],
        log: Some(log),
        file,
    }
}

/// As the scheduler reads files: UTF-16, the lower byte first.
pub(super) fn encoded(text: &str) -> Vec<u8> {
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

/// The task of this user (`DOMAIN\name`).
///
/// # Errors
/// When a word of the service would not reach the daemon as it is.
pub(super) fn xml_of(service: &Service, user: &str) -> Result<String, Unsayable> {
    let Service { daemon, program, words, environment: _ } = service;
    let mut line = String::from("--headless");
    for word in std::iter::once(program.as_os_str()).chain(words.iter().map(AsRef::as_ref)) {
        line.push(' ');
        line.push_str(&quoted(sayable(word)?));
    }
    let (mark, line) = (mark(*daemon), xml(MANAGER, line.as_ref())?);
    let user = xml(MANAGER, user.as_ref())?;
    Ok(format!(
        "\
<?xml version=\"1.0\" encoding=\"UTF-16\"?>
<Task version=\"1.2\" xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\">
  <RegistrationInfo>
    <Description>{mark}. It removes this task, too: `haggle service uninstall {daemon}`.</Description>
  </RegistrationInfo>
  <Triggers>
    <LogonTrigger>
      <UserId>{user}</UserId>
    </LogonTrigger>
  </Triggers>
  <Principals>
    <Principal id=\"Author\">
      <UserId>{user}</UserId>
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <!-- No end: the default is three days. -->
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>255</Count>
    </RestartOnFailure>
    <!-- As any program of the user's; the default is below that. -->
    <Priority>5</Priority>
  </Settings>
  <Actions Context=\"Author\">
    <Exec>
      <!-- So that no window stands open for as long as the user is logged in. -->
      <Command>conhost.exe</Command>
      <Arguments>{line}</Arguments>
    </Exec>
  </Actions>
</Task>
"
    ))
}

/// A word that the scheduler hands on as it is: it would put other text where variables are.
fn sayable(word: &OsStr) -> Result<&str, Unsayable> {
    let refuse = |why| Unsayable { manager: MANAGER, word: word.to_string_lossy().into_owned(), why };
    let text = word.to_str().ok_or_else(|| refuse("it is not Unicode"))?;
    if text.matches('%').count() > 1 {
        return Err(refuse("it would take what is between two % for a variable"));
    }
    if text.contains("$(") {
        return Err(refuse("it would take $( for the beginning of a variable"));
    }
    Ok(text)
}

/// A word as programs on Windows take command lines apart: a backslash is one unless it stands before a quote.
fn quoted(word: &str) -> String {
    if !word.is_empty() && !word.contains([' ', '\t', '"']) {
        return word.to_owned();
    }
    let mut quoted = String::from('"');
    let mut backslashes = 0;
    for letter in word.chars() {
        match letter {
            '\\' => backslashes += 1,
            '"' => {
                quoted.extend(std::iter::repeat_n('\\', backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        quoted.push(letter);
    }
    quoted.extend(std::iter::repeat_n('\\', backslashes));
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::super::tests::{odd, plain};
    use super::*;

    #[test]
    fn the_task_of_a_master_is_as_it_is_written_down() {
        let service = Service { program: r"C:\Program Files\haggle.exe".into(), ..plain(Daemon::Master) };

        let written = xml_of(&service, r"PC\ada").unwrap();

        let lines: Vec<_> = written.lines().map(str::trim).filter(|line| !line.starts_with("<!")).collect();
        assert_eq!(
            lines.join(""),
            "<?xml version=\"1.0\" encoding=\"UTF-16\"?>\
             <Task version=\"1.2\" xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\">\
             <RegistrationInfo><Description>Written by `haggle service install master`. It removes this task, too: \
             `haggle service uninstall master`.</Description></RegistrationInfo>\
             <Triggers><LogonTrigger><UserId>PC\\ada</UserId></LogonTrigger></Triggers>\
             <Principals><Principal id=\"Author\"><UserId>PC\\ada</UserId>\
             <LogonType>InteractiveToken</LogonType><RunLevel>LeastPrivilege</RunLevel></Principal></Principals>\
             <Settings><MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>\
             <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>\
             <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>\
             <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>\
             <RestartOnFailure><Interval>PT1M</Interval><Count>255</Count></RestartOnFailure>\
             <Priority>5</Priority></Settings>\
             <Actions Context=\"Author\"><Exec><Command>conhost.exe</Command>\
             <Arguments>--headless \"C:\\Program Files\\haggle.exe\" master</Arguments></Exec></Actions></Task>"
        );
    }

    #[test]
    fn odd_words_reach_the_daemon_as_they_were_typed() {
        let written = xml_of(&odd(r"C:\Zoë & co\haggle.exe"), "ada").unwrap();

        let arguments = written.lines().map(str::trim).find(|line| line.starts_with("<Arguments>")).unwrap();
        assert_eq!(
            arguments,
            "<Arguments>--headless \"C:\\Zoë &amp; co\\haggle.exe\" agent \"--name=Zoë's \\\"100%\\\" $HOME\" \
             \"--work-dir=/srv/a b\\c\" --attribute=a=&lt;&amp;&gt; --attribute=b=</Arguments>"
        );
    }

    #[test]
    fn backslashes_are_doubled_before_quotes_only() {
        for (word, written) in [
            (r"C:\a\b", r"C:\a\b"),
            ("", r#""""#),
            (r"C:\a b\", r#""C:\a b\\""#),
            (r#"a\"b"#, r#""a\\\"b""#),
            (r#"say "hi""#, r#""say \"hi\"""#),
        ] {
            assert_eq!(quoted(word), written, "{word}");
        }
    }

    #[test]
    fn what_the_scheduler_would_replace_is_refused() {
        for (word, why) in [("--name=%PATH%", "between two %"), ("--name=$(Arg0)", "$(")] {
            let service = Service { words: vec!["agent".into(), word.into()], ..plain(Daemon::Agent) };
            let refused = xml_of(&service, "ada").unwrap_err().to_string();
            assert!(refused.starts_with("the task scheduler cannot be told") && refused.contains(why), "{refused}");
        }
    }
}
