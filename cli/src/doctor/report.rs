//! What was found, and how it is told.

use std::fmt;

use serde::Serialize;

use crate::output::printable;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    /// It works, with less.
    Warn,
    /// Something does not work.
    Fail,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: String,
    pub(super) verdict: Verdict,
    /// What there is.
    pub(super) found: String,
    /// What to do; `None` when there is nothing to do.
    pub(super) advice: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Ok, found: found.into(), advice: None }
    }

    pub(super) fn warn(check: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, advice: Some(advice.into()), ..Self::ok(check, found) }
    }

    pub(super) fn fail(check: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, advice: Some(advice.into()), ..Self::ok(check, found) }
    }
}

/// One line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<6}{:<17}{}", self.verdict.name(), printable(&self.check), printable(&self.found))?;
        match &self.advice {
            Some(advice) => write!(f, ". To do: {}", printable(advice)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_whatever_strangers_have_written() {
        let finding = Finding::fail("context a\nb", "the token has \u{1b}[2Jexpired", "log in\r\nagain");

        assert_eq!(
            finding.to_string(),
            "fail  context a\\nb     the token has \\u{1b}[2Jexpired. To do: log in\\r\\nagain"
        );
        assert_eq!(Finding::ok("clock", "it is right").to_string(), "ok    clock            it is right");
    }
}
