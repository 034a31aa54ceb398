//! `.netrc`: logins for web servers, as curl and git read them.

use std::path::Path;

use super::{Login, text_of};
use crate::error::SourceError;

pub(super) fn login(file: &Path, host: &str) -> Result<Option<Login>, SourceError> {
    Ok(text_of(file)?.and_then(|text| find(&text, host)))
}

/// The first entry that is of the host, or of everybody.
fn find(text: &str, host: &str) -> Option<Login> {
    let mut words =
        text.lines().map(|line| line.split(" #").next().unwrap_or_default()).flat_map(str::split_whitespace);
    let mut is_its = false;
    let (mut name, mut password) = (None, None);
    while let Some(word) = words.next() {
        match word {
            "machine" | "default" => {
                if is_its {
                    break;
                }
                is_its = word == "default" || words.next() == Some(host);
            }
            "login" => name = words.next().filter(|_| is_its).or(name),
            "password" => password = words.next().filter(|_| is_its).or(password),
            // A macro runs to the next empty line, which is not seen here: nothing behind it is read.
            "macdef" => break,
            _ => {}
        }
    }
    Some(Login { name: name?.to_owned(), password: password.unwrap_or_default().to_owned() }).filter(|_| is_its)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "machine a.example login ada password one # a comment\nmachine b.example\n  login bob\n  password two\n";

    fn name_and_password(text: &str, host: &str) -> Option<(String, String)> {
        find(text, host).map(|login| (login.name, login.password))
    }

    #[test]
    fn each_machine_has_its_own() {
        let of = |host| name_and_password(TEXT, host);

        assert_eq!(of("a.example"), Some(("ada".into(), "one".into())));
        assert_eq!(of("b.example"), Some(("bob".into(), "two".into())));
        assert_eq!(of("c.example"), None);
    }

    #[test]
    fn a_default_is_for_everybody_else() {
        let text = format!("{TEXT}default login anonymous password x");

        assert_eq!(name_and_password(&text, "c.example"), Some(("anonymous".into(), "x".into())));
        assert_eq!(name_and_password(&text, "a.example"), Some(("ada".into(), "one".into())));
    }
}
