//! A daemon as a service of its user: described once, written for the service manager of each system.
//!
//! What is written is a pure function of a [`Service`], so that every system's file is tested on any.

pub(crate) mod flags;
mod launchd;
mod manager;
mod systemd;
mod task;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::args::Daemon;
pub(crate) use manager::{Manager, ManagerError, Place};

/// What a service manager has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) daemon: Daemon,
    /// This program, by its absolute path.
    pub(crate) program: PathBuf,
    /// What follows the program's name; every path in them is absolute.
    pub(crate) words: Vec<OsString>,
    /// Variables that say where its folders are.
    pub(crate) environment: Vec<(&'static str, OsString)>,
}

/// Something that a service manager's file has no way to say.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{manager} cannot be told {word:?}: {why}")]
pub(crate) struct Unsayable {
    manager: &'static str,
    word: String,
    why: &'static str,
}

/// What every file begins with. A file without it is somebody else's, and is left alone.
fn mark(daemon: Daemon) -> String {
    format!("Written by `haggle service install {daemon}`")
}

/// The name of the service, wherever one is shown.
fn name(daemon: Daemon) -> String {
    format!("haggle-{daemon}")
}

/// Escapes what XML would take for its own. A word that XML cannot hold is refused.
fn xml(manager: &'static str, word: &std::ffi::OsStr) -> Result<String, Unsayable> {
    let refuse = |why| Unsayable { manager, word: word.to_string_lossy().into_owned(), why };
    let text = word.to_str().ok_or_else(|| refuse("it is not Unicode"))?;
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                return Err(refuse("it holds a control character"));
            }
            letter => escaped.push(letter),
        }
    }
    Ok(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent whose paths and flags have all that a file could take for its own.
    pub(super) fn odd(program: &str) -> Service {
        Service {
            daemon: Daemon::Agent,
            program: program.into(),
            words: [
                "agent",
                "--name=Zoë's \"100%\" $HOME",
                r"--work-dir=/srv/a b\c",
                "--attribute=a=<&>",
                "--attribute=b=",
            ]
            .map(OsString::from)
            .into(),
            environment: vec![("XDG_STATE_HOME", "/srv/state of %u".into())],
        }
    }

    pub(super) fn plain(daemon: Daemon) -> Service {
        Service {
            daemon,
            program: "/opt/haggle/bin/haggle".into(),
            words: vec![daemon.to_string().into()],
            environment: Vec::new(),
        }
    }

    #[test]
    fn xml_holds_text_and_no_control_characters() {
        assert_eq!(xml("x", "a<b>&\"ü".as_ref()), Ok("a&lt;b&gt;&amp;\"ü".to_owned()));
        let refused = xml("launchd", "a\u{1}".as_ref()).unwrap_err().to_string();
        assert_eq!(refused, r#"launchd cannot be told "a\u{1}": it holds a control character"#);
    }
}
