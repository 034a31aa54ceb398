//! Every page at two sizes, with names that mean harm.

use insta::assert_snapshot;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::top::fixture;
use crate::top::update::{Event, update};

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (120, 40);

fn drawn(state: &State, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(state, frame)).unwrap();
    let text = terminal.backend().to_string();
    let lines = text.lines().map(|line| line.trim_matches('"').trim_end());
    lines.collect::<Vec<_>>().join("\n")
}

/// After these were typed, each for itself, `\n` for enter.
fn typed(keys: &str, height: u16) -> State {
    let mut state = fixture::state(height);
    for letter in keys.chars() {
        let code = if letter == '\n' { KeyCode::Enter } else { KeyCode::Char(letter) };
        update(&mut state, Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }
    state
}

fn page(keys: &str, size: (u16, u16)) -> String {
    drawn(&typed(keys, size.1), size)
}

/// The task that waits, which has written something.
fn task(size: (u16, u16)) -> String {
    let mut state = typed(":task task-1.2\n", size.1);
    state.data.task = Some(fixture::looked());
    state.log.take(b"\x1b[31mred\x1b[0m\nsecond\n");
    drawn(&state, size)
}

#[test]
fn pages_of_a_small_terminal() {
    assert_snapshot!("cluster_small", page("", SMALL));
    assert_snapshot!("agents_small", page("2j", SMALL));
    assert_snapshot!("roles_small", page("3", SMALL));
    assert_snapshot!("frameworks_small", page("4", SMALL));
    assert_snapshot!("tasks_small", page("5/prim", SMALL));
    assert_snapshot!("task_small", task(SMALL));
    assert_snapshot!("help_small", page("?", SMALL));
}

#[test]
fn pages_of_a_large_terminal() {
    assert_snapshot!("cluster_large", page("", LARGE));
    assert_snapshot!("agents_large", page("2U", LARGE));
    assert_snapshot!("roles_large", page("3", LARGE));
    assert_snapshot!("frameworks_large", page("4", LARGE));
    assert_snapshot!("tasks_large", page("5S", LARGE));
    assert_snapshot!("task_large", task(LARGE));
    assert_snapshot!("help_large", page("?", LARGE));
}

#[test]
fn a_cluster_of_which_nothing_is_known_yet_is_drawn_too() {
    for keys in ["", "2", "3", "4", "5", ":task task-1.2\n"] {
        let mut state = typed(keys, 24);
        state.data = Data::of("http://h:5050".into());

        let drawn = drawn(&state, SMALL);

        assert!(drawn.contains("not heard of yet") && drawn.contains("connecting"), "{keys}: {drawn}");
    }
}

#[test]
fn no_size_is_too_small() {
    for keys in ["", "2", "3", "4", "5", ":task task-1.2\n", "?"] {
        for size in [(1, 1), (5, 2), (20, 5), (300, 3)] {
            page(keys, size);
        }
    }
}

#[test]
fn nothing_that_strangers_wrote_reaches_the_terminal_as_it_is() {
    let mut state = typed("", 40);
    state.data.link = Link::Down("\u{1b}[2J".into());
    state.notice = Some(Notice::Wrong("\u{1b}[2J".into()));
    let pages = [drawn(&state, LARGE), page("2", LARGE), page("4", LARGE), page("5", LARGE), task(LARGE)];

    for page in pages {
        assert!(page.contains("\\u{1b}[2J") || page.contains("\\u{1b}[31m"), "{page}");
        assert!(!page.contains(['\u{1b}', '\u{202e}']), "{page}");
    }
}

#[test]
fn the_row_that_is_chosen_is_seen_however_many_there_are() {
    let mut state = typed("5", 24);
    let tasks = (1..=1000).map(|number| fixture::task(1, number, "t", haggle_core::TaskState::Running)).collect();
    state.data.take(crate::top::data::Fetched::Tasks(tasks));
    update(&mut state, Event::Key(KeyEvent::new(KeyCode::Char('G'), KeyModifiers::NONE)));

    let drawn = drawn(&state, SMALL);

    assert!(drawn.contains("task-1.1000") && !drawn.contains("task-1.900 "), "{drawn}");
}
