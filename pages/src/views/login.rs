//! Before anybody is known, and when something is not there or may not be done.

use askama::Template;
use serde_json::{Value, json};

use super::View;
use crate::layout::Section;
use crate::text::printable;

/// Asks for a token.
#[derive(Template)]
#[template(path = "login.html")]
pub struct LoginPage {
    /// Where to go then.
    next: String,
    /// What was wrong with the token before; empty: nothing.
    trouble: String,
}

impl LoginPage {
    /// Leads to `next`, a path of this master, afterwards.
    pub fn new(next: &str, trouble: &str) -> Self {
        let is_ours = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
        Self { next: if is_ours { next.to_owned() } else { "/".to_owned() }, trouble: printable(trouble) }
    }

    /// Where to go.
    pub fn next(&self) -> &str {
        &self.next
    }
}

impl View for LoginPage {
    fn title(&self) -> String {
        "Log in".to_owned()
    }

    fn section(&self) -> Option<Section> {
        None
    }

    fn content(&self) -> String {
        self.render().unwrap_or_default()
    }

    fn json(&self) -> Value {
        json!({ "login": "POST the form field token, or show it with Authorization: Bearer" })
    }

    fn is_live(&self) -> bool {
        false
    }
}

/// Says why there is nothing to see.
#[derive(Template)]
#[template(path = "trouble.html")]
pub struct TroublePage {
    title: &'static str,
    text: String,
}

impl TroublePage {
    /// What is wrong, and what was said of it.
    pub fn new(title: &'static str, text: &str) -> Self {
        Self { title, text: printable(text) }
    }
}

impl View for TroublePage {
    fn title(&self) -> String {
        self.title.to_owned()
    }

    fn section(&self) -> Option<Section> {
        None
    }

    fn content(&self) -> String {
        self.render().unwrap_or_default()
    }

    fn json(&self) -> Value {
        json!({ "error": self.text })
    }

    fn is_live(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_to_another_site() {
        for (next, led) in [
            ("/tasks?q=a", "/tasks?q=a"),
            ("//evil.example", "/"),
            ("https://evil.example", "/"),
            ("/\\evil", "/"),
            ("", "/"),
        ] {
            assert_eq!(LoginPage::new(next, "").next(), led);
        }
    }
}
