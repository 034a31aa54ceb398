//! Lists of things: their columns, and which of them are shown in which order.

mod agents;
mod frameworks;
mod roles;
mod tasks;

use std::cmp::Ordering;

use haggle_core::{AgentId, FrameworkId, TaskId};

use super::state::Sort;

pub(super) use tasks::tone_of;

/// Something that a list has a row for.
pub(super) trait Row {
    /// Its columns, that of its name first.
    const COLUMNS: &'static [Column];

    /// Which one it is, whatever becomes of it.
    fn key(&self) -> Key;

    /// What stands in a column.
    fn cell(&self, column: usize) -> String;

    /// What a column is sorted by.
    fn worth(&self, column: usize) -> Worth<'_>;

    fn tone(&self) -> Tone;
}

/// A column of a list.
pub(super) struct Column {
    pub(super) title: &'static str,
    /// The letter that sorts by it.
    pub(super) key: char,
    /// In letters of a terminal.
    pub(super) width: Width,
    /// Whether numbers stand in it, at the right.
    pub(super) is_number: bool,
    /// Terminals that are narrower than this have no room for it.
    pub(super) from: u16,
}

pub(super) enum Width {
    Fixed(u16),
    /// A part of what the others leave.
    Rest,
}

impl Column {
    const fn text(title: &'static str, key: char, width: Width) -> Self {
        Self { title, key, width, is_number: false, from: 0 }
    }

    const fn number(title: &'static str, key: char, width: u16) -> Self {
        Self { title, key, width: Width::Fixed(width), is_number: true, from: 0 }
    }

    const fn from(mut self, width: u16) -> Self {
        self.from = width;
        self
    }
}

/// Which of all things a row stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Agent(AgentId),
    Role(String),
    Framework(FrameworkId),
    Task(TaskId),
}

/// What rows are compared by.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth<'a> {
    Number(u64),
    Id(TaskId),
    Text(&'a str),
    Path(Vec<&'a str>),
}

/// How a row is to be taken. What waits is never an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Busy,
    Bad,
    Over,
}

/// The rows that are shown, in their order: those in which the filter is found, by the column that is sorted by, and those
/// alike as they came.
pub(super) fn arranged<'a, R: Row>(rows: impl Iterator<Item = &'a R>, filter: &str, sort: Sort) -> Vec<&'a R> {
    let mut shown: Vec<&R> = rows.filter(|row| is_meant(*row, filter)).collect();
    let column = sort.column.min(R::COLUMNS.len() - 1);
    let order = |one: &&R, other: &&R| -> Ordering {
        let order = one.worth(column).cmp(&other.worth(column));
        let order = if sort.descending { order.reverse() } else { order };
        order.then_with(|| one.worth(0).cmp(&other.worth(0)))
    };
    shown.sort_by(order);
    shown
}

/// Whether a filter lets a row through: its words in any column, in whatever case; with `!` before them those without.
fn is_meant<R: Row>(row: &R, filter: &str) -> bool {
    let (words, is_without) = match filter.strip_prefix('!') {
        Some(words) => (words, true),
        None => (filter, false),
    };
    let words = words.trim().to_lowercase();
    let found = || (0..R::COLUMNS.len()).any(|column| row.cell(column).to_lowercase().contains(&words));
    words.is_empty() || found() != is_without
}
