//! What keys and news change.

use haggle_core::TaskId;
use haggle_sdk::{OutputStream, WatchEvent};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::data::{Fetched, Link};
use super::lists::{Column, Key, Row};
use super::log::Log;
use super::state::{Input, Notice, Page, Sort, State, Whose};
use super::words::{self, Meaning};

/// Letters that can be typed behind a `:` or `/`.
const TYPED_MAX: usize = 128;

/// Something that happened, here or there.
pub(super) enum Event {
    Key(KeyEvent),
    /// The terminal has this many rows by now.
    Resized(u16),
    Fetched(Fetched),
    Happened(WatchEvent),
    Linked(Link),
    /// A piece of what this task writes.
    Wrote(TaskId, OutputStream, Vec<u8>),
    /// All was read of it, or nothing more can be.
    Silent(TaskId, OutputStream, Result<(), String>),
    /// What became of an effect, or why something is not known.
    Told(Notice),
}

/// What is to be done, elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Quit,
    Kill(TaskId),
}

/// Takes in what happened.
pub(super) fn update(state: &mut State, event: Event) -> Option<Effect> {
    match event {
        Event::Key(key) if key.kind == KeyEventKind::Release => {}
        Event::Key(key) => return pressed(state, key),
        Event::Resized(height) => state.height = height,
        Event::Fetched(fetched) => state.data.take(fetched),
        Event::Happened(event) => state.data.hear(&event),
        Event::Linked(link) => {
            // What went wrong meanwhile is over.
            if link == Link::Up {
                state.notice.take_if(|notice| matches!(notice, Notice::Wrong(_)));
            }
            state.data.link = link;
        }
        Event::Wrote(task, stream, piece) if is_read(state, task, stream) => state.log.take(&piece),
        Event::Silent(task, stream, ended) if is_read(state, task, stream) => state.log.ended = Some(ended),
        Event::Wrote(..) | Event::Silent(..) => {}
        Event::Told(notice) => state.notice = Some(notice),
    }
    None
}

/// Whether that output is the one that is shown. What is late is of another one.
fn is_read(state: &State, task: TaskId, stream: OutputStream) -> bool {
    state.wants().task == Some((task, stream))
}

fn pressed(state: &mut State, key: KeyEvent) -> Option<Effect> {
    let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
    if has_control && key.code == KeyCode::Char('c') {
        return Some(Effect::Quit);
    }
    match state.input.clone() {
        Input::Keys => in_page(state, key, has_control),
        Input::Command(text) => in_command(state, key, text),
        Input::Filter(before) => {
            in_filter(state, key, before);
            None
        }
        Input::Kill(task) => {
            state.input = Input::Keys;
            (key.code == KeyCode::Char('y')).then_some(Effect::Kill(task))
        }
    }
}

fn in_page(state: &mut State, key: KeyEvent, has_control: bool) -> Option<Effect> {
    state.notice = None;
    let page = isize::try_from(state.height.saturating_sub(6).max(1)).unwrap_or(1);
    match key.code {
        KeyCode::Char('f') if has_control => step(state, page),
        KeyCode::Char('b') if has_control => step(state, -page),
        KeyCode::Char('k' | 'd') if has_control => ask_to_kill(state),
        KeyCode::Char(_) if has_control => {}
        KeyCode::Char(':') => state.input = Input::Command(String::new()),
        KeyCode::Char('/') => state.input = Input::Filter(state.view().filter.clone()),
        KeyCode::Char('?') if state.view().page != Page::Help => state.open(Page::Help),
        KeyCode::Char('q') | KeyCode::Esc | KeyCode::Backspace => return back(state, key.code),
        KeyCode::Enter => enter(state),
        KeyCode::Down | KeyCode::Char('j') => step(state, 1),
        KeyCode::Up | KeyCode::Char('k') => step(state, -1),
        KeyCode::PageDown => step(state, page),
        KeyCode::PageUp => step(state, -page),
        KeyCode::Home | KeyCode::Char('g') => step(state, isize::MIN),
        KeyCode::End | KeyCode::Char('G') => step(state, isize::MAX),
        KeyCode::Char('1') => state.go_to(Page::Cluster),
        KeyCode::Char('2') => state.go_to(Page::Agents),
        KeyCode::Char('3') => state.go_to(Page::Roles),
        KeyCode::Char('4') => state.go_to(Page::Frameworks(None)),
        KeyCode::Char('5') => state.go_to(Page::Tasks(Whose::Everybody)),
        KeyCode::Char('a') if matches!(state.view().page, Page::Tasks(_)) => state.all_tasks = !state.all_tasks,
        KeyCode::Tab | KeyCode::Char('l') if matches!(state.view().page, Page::Task(_)) => other_output(state),
        KeyCode::Char(letter) => sort_by(state, letter),
        _ => {}
    }
    None
}

/// Takes away what is in front: the filter, the page, and in the end all of it.
fn back(state: &mut State, code: KeyCode) -> Option<Effect> {
    let view = state.view_mut();
    if code == KeyCode::Esc && !view.filter.is_empty() {
        view.filter.clear();
    } else if !state.back() {
        if state.view().page != Page::Cluster {
            state.go_to(Page::Cluster);
        } else if code == KeyCode::Char('q') {
            return Some(Effect::Quit);
        }
    }
    None
}

/// Looks closer at what is chosen.
fn enter(state: &mut State) {
    let keys = state.keys();
    let chosen = state.chosen(&keys).and_then(|place| keys.get(place).cloned());
    // One comes back to this one, also if others come before it meanwhile.
    state.view_mut().chosen = chosen.clone();
    match chosen {
        Some(Key::Agent(agent)) => state.open(Page::Tasks(Whose::Agent(agent))),
        Some(Key::Role(role)) => state.open(Page::Frameworks(Some(role))),
        Some(Key::Framework(framework)) => state.open(Page::Tasks(Whose::Framework(framework))),
        Some(Key::Task(task)) => state.open(Page::Task(task)),
        None => {}
    }
}

/// Moves so far down, or up.
fn step(state: &mut State, by: isize) {
    if matches!(state.view().page, Page::Task(_)) {
        let most = state.log.len();
        let view = state.view_mut();
        // What is further up has more below it.
        view.below = view.below.saturating_add_signed(by.saturating_neg()).min(most);
        return;
    }
    let keys = state.keys();
    let Some(place) = state.chosen(&keys) else { return };
    let place = place.saturating_add_signed(by).min(keys.len() - 1);
    let view = state.view_mut();
    view.place = place;
    view.chosen = keys.into_iter().nth(place);
}

fn other_output(state: &mut State) {
    let other = match state.log.stream {
        OutputStream::Stdout => OutputStream::Stderr,
        OutputStream::Stderr => OutputStream::Stdout,
    };
    state.log = Log::new(other);
    state.view_mut().below = 0;
}

fn ask_to_kill(state: &mut State) {
    let keys = state.keys();
    let chosen = state.chosen(&keys).and_then(|place| keys.get(place));
    match (&state.view().page, chosen) {
        (Page::Task(id), _) | (_, Some(Key::Task(id))) => state.input = Input::Kill(*id),
        _ => state.notice = Some(Notice::Wrong("only a task can be killed; :tasks lists them".to_owned())),
    }
}

/// Sorts by the column of a letter; the same again turns the order around.
fn sort_by(state: &mut State, letter: char) {
    let columns: &[Column] = match state.view().page {
        Page::Agents => haggle_core::cluster::AgentView::COLUMNS,
        Page::Roles => haggle_sdk::RoleInfo::COLUMNS,
        Page::Frameworks(_) => haggle_core::cluster::FrameworkView::COLUMNS,
        Page::Tasks(_) => haggle_core::cluster::TaskView::COLUMNS,
        Page::Cluster | Page::Task(_) | Page::Help => return,
    };
    let Some(column) = columns.iter().position(|column| column.key == letter) else { return };
    let sort = &mut state.view_mut().sort;
    // Of numbers, the largest are looked for.
    let descending = if sort.column == column { !sort.descending } else { columns[column].is_number };
    *sort = Sort { column, descending };
}

fn in_command(state: &mut State, key: KeyEvent, mut text: String) -> Option<Effect> {
    state.input = Input::Keys;
    match key.code {
        KeyCode::Esc => {}
        KeyCode::Enter if text.trim().is_empty() => {}
        KeyCode::Enter => match words::read(&text) {
            Ok(Meaning::Quit) => return Some(Effect::Quit),
            Ok(Meaning::Go(page @ (Page::Task(_) | Page::Help), _)) => state.open(page),
            Ok(Meaning::Go(page, filter)) => {
                state.go_to(page);
                state.view_mut().filter = filter;
            }
            Err(wrong) => state.notice = Some(Notice::Wrong(wrong)),
        },
        KeyCode::Backspace if text.is_empty() => {}
        code => {
            typed(&mut text, code);
            state.input = Input::Command(text);
        }
    }
    None
}

/// The filter acts while it is typed.
fn in_filter(state: &mut State, key: KeyEvent, before: String) {
    let filter = &mut state.view_mut().filter;
    match key.code {
        KeyCode::Enter => state.input = Input::Keys,
        KeyCode::Esc => {
            *filter = before;
            state.input = Input::Keys;
        }
        KeyCode::Backspace if filter.is_empty() => state.input = Input::Keys,
        code => typed(filter, code),
    }
}

fn typed(text: &mut String, code: KeyCode) {
    match code {
        KeyCode::Backspace => drop(text.pop()),
        KeyCode::Char(letter) if text.chars().count() < TYPED_MAX => text.push(letter),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
