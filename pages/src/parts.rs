//! What several pages have in common: states in five words, bars, times, actions, pages of lists.

use std::time::{Duration, SystemTime};

use haggle_core::{Reason, TaskState};

use crate::link::Query;
use crate::text::{printable, time};
use crate::why::span;

/// Where a task stands, in five words. Whoever waits is never red.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// On its way, or its agent is silent for now.
    Waiting,
    /// Its module and inputs are fetched and compiled.
    Starting,
    /// It runs, or is about to end.
    Running,
    /// It ended by itself and well, or since somebody wanted so.
    Done,
    /// It ended otherwise.
    Failed,
}

impl Word {
    /// Every one, in the order of a task's life.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Starting, Self::Running, Self::Done, Self::Failed];

    /// That of a state.
    pub const fn of(state: TaskState) -> Self {
        match state {
            TaskState::Staging | TaskState::Unreachable => Self::Waiting,
            TaskState::Starting => Self::Starting,
            TaskState::Running | TaskState::Killing => Self::Running,
            TaskState::Finished | TaskState::Killed => Self::Done,
            TaskState::Failed
            | TaskState::Lost
            | TaskState::Error
            | TaskState::Dropped
            | TaskState::Gone
            | TaskState::GoneByOperator
            | TaskState::Unknown => Self::Failed,
        }
    }

    /// As it is read, in addresses too, and how the stylesheet calls its colour.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// A state, as a mark and a word.
#[derive(Clone, Debug)]
pub struct Badge {
    /// The colour.
    pub class: &'static str,
    /// The word.
    pub word: String,
    /// What exactly it means; may be empty.
    pub title: String,
}

impl Badge {
    /// One of five words for a task's state.
    pub fn of_task(state: TaskState, reason: Option<Reason>) -> Self {
        let word = Word::of(state).name();
        let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        Self { class: word, word: word.to_owned(), title: format!("{state}{why}") }
    }

    /// Another word in one of the five colours.
    pub fn new(colour: Word, word: impl Into<String>) -> Self {
        Self { class: colour.name(), word: word.into(), title: String::new() }
    }
}

/// A moment, as "3 min ago", with itself beside it.
#[derive(Clone, Debug)]
pub struct Moment {
    /// For people.
    pub ago: String,
    /// In UTC.
    pub at: String,
}

impl Moment {
    /// So many milliseconds since 1970, seen at such a time.
    pub fn new(at_ms: u64, now_ms: u64) -> Self {
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(at_ms)).unwrap_or(SystemTime::UNIX_EPOCH);
        let ago = match now_ms.checked_sub(at_ms) {
            Some(passed) if passed < 1000 => "now".to_owned(),
            Some(passed) => format!("{} ago", span(Duration::from_millis(passed))),
            None => format!("in {}", span(Duration::from_millis(at_ms - now_ms))),
        };
        Self { ago, at: time(at) }
    }
}

/// How long something took, in the unit in which it has some digits.
pub fn took(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        10_000..1_000_000 => format!("{} ms", time.as_millis()),
        1_000_000..60_000_000 if micros.is_multiple_of(1_000_000) => format!("{} s", time.as_secs()),
        1_000_000..60_000_000 => format!("{:.2} s", time.as_secs_f64()),
        _ => span(time),
    }
}

/// A number with a thin mark every three digits.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of something: `1 task`, `2 tasks`.
pub fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// What of an amount is used, promised and free.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Of what.
    pub label: &'static str,
    /// Parts: their colours, where they begin and how wide they are, in hundredths.
    pub parts: Vec<(&'static str, String, String)>,
    /// What is used, in hundredths of all.
    pub percent: u64,
    /// The same in words.
    pub text: String,
    /// In a few letters.
    pub short: String,
}

impl Bar {
    /// Of an agent, or all: used, offered, and all there is, as numbers of one unit and as `shown`.
    pub fn of_uses(label: &'static str, [used, offered, all]: [u64; 3], shown: impl Fn(u64) -> String) -> Self {
        let offered = offered.min(all.saturating_sub(used));
        let free = all.saturating_sub(used).saturating_sub(offered);
        let text = format!("{} used, {} offered, {} free of {}", shown(used), shown(offered), shown(free), shown(all));
        let short = format!("{} / {}", shown(used), shown(all));
        let percent = percent(used, all);
        Self { label, parts: parts(&[("used", used), ("offered", offered)], all), percent, text, short }
    }

    /// Of a task: what it used of what it was given.
    pub fn of_limit(label: &'static str, used: u64, limit: u64, shown: impl Fn(u64) -> String) -> Self {
        let class = if used >= limit && limit > 0 { "full" } else { "used" };
        let percent = percent(used, limit);
        let text = match limit {
            0 => "none was given".to_owned(),
            _ => format!("{} of {} ({percent} %)", shown(used), shown(limit)),
        };
        Self { label, parts: parts(&[(class, used.min(limit))], limit), percent, text: text.clone(), short: text }
    }

    /// Of a role: its share beside its fair share, both from 0 to 1.
    pub fn of_share(share: f64, fair: f64) -> Self {
        let thousandths = |part: f64| (part.clamp(0.0, 1.0) * 1e6) as u64;
        let mut parts = parts(&[("used", thousandths(share))], 1_000_000);
        parts.push(("mark", format!("{:.2}", (fair.clamp(0.0, 1.0) * 100.0 - 0.4).max(0.0)), "0.8".to_owned()));
        let text = format!("{:.1} % of the cluster; its fair share is {:.1} %", share * 100.0, fair * 100.0);
        Self {
            label: "share",
            parts,
            percent: thousandths(share) / 10_000,
            text,
            short: format!("{:.1} % / {:.1} %", share * 100.0, fair * 100.0),
        }
    }
}

fn percent(used: u64, all: u64) -> u64 {
    u64::try_from((u128::from(used) * 100).checked_div(u128::from(all)).unwrap_or(0)).unwrap_or(u64::MAX)
}

/// One behind the other. What is there is seen.
fn parts(of: &[(&'static str, u64)], all: u64) -> Vec<(&'static str, String, String)> {
    let mut at = 0.0;
    let mut parts = Vec::new();
    for &(class, part) in of.iter().filter(|(_, part)| *part > 0) {
        let width = (part as f64 * 100.0 / all.max(1) as f64).clamp(0.5, 100.0 - f64::min(at, 99.0));
        parts.push((class, format!("{at:.2}"), format!("{width:.2}")));
        at += width;
    }
    parts
}

/// Something that can be done here, and the command that does the same.
#[derive(Clone, Debug)]
pub struct Action {
    /// On the button.
    pub label: &'static str,
    /// Where it is sent.
    pub url: String,
    /// For a shell.
    pub command: String,
    /// What it does.
    pub what: &'static str,
    /// Whether something ends by it.
    pub ends: bool,
}

/// A word to choose in a filter.
#[derive(Clone, Debug)]
pub struct Choice {
    /// As it is read.
    pub label: String,
    /// Where it leads.
    pub url: String,
    /// Whether it is the one.
    pub is_chosen: bool,
    /// The colour; empty: none.
    pub class: &'static str,
}

/// Rows of one page of a list: so many that a page with a map of 1,000 agents above them is still below 120 KB with all that it loads.
pub const PAGE_ROWS: usize = 50;

/// The pages of a list, and what is left out.
#[derive(Clone, Debug)]
pub struct Pager {
    /// `51 to 100 of 1,234 tasks`.
    pub text: String,
    /// The page before; empty: there is none.
    pub before: String,
    /// The page behind.
    pub behind: String,
}

impl Pager {
    /// Of `all` rows, those of this page.
    pub fn new(path: &str, query: &Query, all: usize, what: &str) -> Self {
        let last = all.div_ceil(PAGE_ROWS).max(1);
        let page = query.page().min(last);
        let first = (page - 1) * PAGE_ROWS;
        let end = (first + PAGE_ROWS).min(all);
        let to = |page: usize| query.with("page", &page.to_string()).on(path);
        let text = match all {
            all if all <= PAGE_ROWS => counted(all as u64, what),
            _ => format!("{} to {} of {}", count(first as u64 + 1), count(end as u64), counted(all as u64, what)),
        };
        Self {
            text,
            before: if page > 1 { to(page - 1) } else { String::new() },
            behind: if page < last { to(page + 1) } else { String::new() },
        }
    }

    /// Which rows those are, of `all`.
    pub fn range(query: &Query, all: usize) -> std::ops::Range<usize> {
        let page = query.page().min(all.div_ceil(PAGE_ROWS).max(1));
        let first = (page - 1) * PAGE_ROWS;
        first..(first + PAGE_ROWS).min(all)
    }
}

/// Text of several lines from elsewhere. Colours of terminals are taken out, and all else that would deceive is escaped.
pub fn lines(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (at, line) in without_colours(text).split('\n').enumerate() {
        if at > 0 {
            shown.push('\n');
        }
        for (at, cell) in line.strip_suffix('\r').unwrap_or(line).split('\t').enumerate() {
            if at > 0 {
                shown.push('\t');
            }
            shown.push_str(&printable(cell));
        }
    }
    shown
}

/// Takes out `ESC [ numbers m`.
fn without_colours(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::with_capacity(text.len());
    while let Some(at) = rest.find("\u{1b}[") {
        let behind = &rest[at + 2..];
        let end = behind.find(|letter: char| !letter.is_ascii_digit() && letter != ';').unwrap_or(behind.len());
        if behind[end..].starts_with('m') {
            kept.push_str(&rest[..at]);
            rest = &behind[end + 1..];
        } else {
            kept.push_str(&rest[..at + 2]);
            rest = behind;
        }
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_one_of_five_words_and_who_waits_is_never_failed() {
        let words = TaskState::ALL.map(|state| (state.name(), Word::of(state).name()));

        assert_eq!(words[0], ("STAGING", "waiting"));
        assert_eq!(Word::of(TaskState::Unreachable), Word::Waiting);
        for state in TaskState::ALL {
            assert_eq!(state.is_terminal() || state == TaskState::Unknown, Word::of(state) >= Word::Done, "{state}");
        }
    }

    #[test]
    fn numbers_have_marks_and_times_a_unit() {
        assert_eq!([count(7), count(1_234), count(1_234_567)], ["7", "1,234", "1,234,567"]);
        let said = [3, 1_500, 42_000, 1_230_000, 200_000_000].map(|micros| took(Duration::from_micros(micros)));
        assert_eq!(said, ["3 µs", "1.5 ms", "42 ms", "1.23 s", "3 min"]);
    }

    #[test]
    fn a_moment_is_relative_and_absolute() {
        let moment = Moment::new(1_000, 61_000);

        assert_eq!((&*moment.ago, &*moment.at), ("60 s ago", "1970-01-01T00:00:01Z"));
        assert_eq!(Moment::new(61_000, 1_000).ago, "in 60 s");
        assert_eq!(Moment::new(1_000, 1_500).ago, "now");
        let _ = Moment::new(u64::MAX, 0);
    }

    #[test]
    fn a_list_says_what_it_leaves_out() {
        let pager = |page, all| Pager::new("/tasks", &Query::parse(&format!("page={page}")), all, "task");

        assert_eq!(pager("1", 1).text, "1 task");
        let second = pager("2", 1_234);
        assert_eq!(second.text, "51 to 100 of 1,234 tasks");
        assert_eq!((&*second.before, &*second.behind), ("/tasks?page=1", "/tasks?page=3"));
        assert_eq!(pager("25", 1_234).behind, "");
        assert_eq!(pager("999", 1_234).text, "1,201 to 1,234 of 1,234 tasks");
        assert_eq!(Pager::range(&Query::parse("page=999"), 1_234), 1_200..1_234);
    }

    #[test]
    fn logs_lose_their_colours_and_cannot_turn_a_line_around() {
        assert_eq!(lines("a\u{1b}[1;31mred\u{1b}[0m\tb\r\nc"), "ared\tb\nc");
        assert_eq!(lines("\u{1b}[2J\u{202e}x\u{7}"), "\\u{1b}[2J\\u{202e}x\\u{7}");
        assert_eq!(lines("\u{1b}["), "\\u{1b}[");
    }

    #[test]
    fn bars_fit_whatever_the_numbers() {
        for numbers in [[0, 0, 0], [1, 0, u64::MAX], [u64::MAX, u64::MAX, 1], [5, 5, 10], [10, 0, 10]] {
            let bar = Bar::of_uses("cpu", numbers, |number| number.to_string());
            let end: f64 = bar.parts.iter().map(|(_, _, width)| width.parse::<f64>().unwrap()).sum();
            assert!(end <= 101.0, "{numbers:?}: {end}");
        }
    }
}
