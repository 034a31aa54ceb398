//! Keys and words.

use ratatui::style::Stylize;
use ratatui::text::{Line, Span};

use crate::top::words::WORDS;

const KEYS: [(&str, &str); 12] = [
    ("1 2 3 4 5", "the whole, agents, roles, frameworks, tasks"),
    ("enter", "closer: its tasks, the frameworks of a role, one task"),
    ("esc", "back: without the filter first, then to the page before"),
    ("q, ctrl-c", "back, and out of the whole; out at once"),
    (": WORD", "go there; see below"),
    ("/ TEXT", "only rows with it, or with ! before it those without"),
    ("shift-letter", "sort by a column with that letter; again: the other way"),
    ("j k g G", "down, up, to the first, to the last; also the arrows"),
    ("ctrl-f ctrl-b", "a page down, up"),
    ("a", "tasks: also the last that ended"),
    ("tab", "a task: its other output"),
    ("ctrl-k", "kill a task, once you have said y"),
];

pub(super) fn lines() -> Vec<Line<'static>> {
    let line = |(name, what): (String, &'static str)| {
        Line::from(vec![Span::from(format!("{name:<16}")).bold(), Span::from(what)])
    };
    let keys = KEYS.iter().map(|&(key, what)| (key.to_owned(), what));
    let words = WORDS.iter().map(|&(words, what)| (format!(":{}", words[0]), what));
    keys.map(line).chain([Line::default()]).chain(words.map(line)).collect()
}
