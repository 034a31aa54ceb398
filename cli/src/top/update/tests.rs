//! What keys come to.

use haggle_core::{AgentId, FrameworkId};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::top::fixture::{id, state as cluster, task};
use crate::top::pace::Feed;
use haggle_core::TaskState;

/// A terminal on which these were pressed, one after the other: a letter for itself, `^` before one for control, `\n`
/// enter, `\x1b` escape, `\t` tab, `\x08` backspace.
fn after(keys: &str) -> State {
    let mut state = cluster(24);
    assert_eq!(press(&mut state, keys), None, "{keys:?}");
    state
}

fn press(state: &mut State, keys: &str) -> Option<Effect> {
    let mut effect = None;
    let mut letters = keys.chars();
    while let Some(letter) = letters.next() {
        let (code, modifiers) = match letter {
            '^' => (KeyCode::Char(letters.next().unwrap()), KeyModifiers::CONTROL),
            '\n' => (KeyCode::Enter, KeyModifiers::NONE),
            '\u{1b}' => (KeyCode::Esc, KeyModifiers::NONE),
            '\t' => (KeyCode::Tab, KeyModifiers::NONE),
            '\u{8}' => (KeyCode::Backspace, KeyModifiers::NONE),
            letter => (KeyCode::Char(letter), KeyModifiers::NONE),
        };
        assert_eq!(effect, None, "it was to be over before {letter:?}");
        effect = update(state, Event::Key(KeyEvent::new(code, modifiers)));
    }
    effect
}

fn page(keys: &str) -> Page {
    after(keys).view().page.clone()
}

#[test]
fn digits_and_words_lead_to_pages() {
    assert_eq!(page(""), Page::Cluster);
    assert_eq!([page("2"), page(":agents\n"), page(":a\n")], [Page::Agents, Page::Agents, Page::Agents]);
    assert_eq!(page("3"), Page::Roles);
    assert_eq!(page(":fw\n"), Page::Frameworks(None));
    assert_eq!(page("5"), Page::Tasks(Whose::Everybody));
    assert_eq!(page(":task task-1.2\n"), Page::Task(id(1, 2)));
    assert_eq!(page("?"), Page::Help);
}

#[test]
fn enter_looks_closer_and_escape_leads_back_to_where_one_was() {
    assert_eq!(page("2\n"), Page::Tasks(Whose::Agent(AgentId(1))));
    assert_eq!(page("3\n"), Page::Frameworks(Some("default".into())));
    assert_eq!(page("4\n"), Page::Tasks(Whose::Framework(FrameworkId(1))));
    assert_eq!(page("4\n\n"), Page::Task(id(1, 1)));
    assert_eq!(page("4\n\n\u{1b}\u{1b}"), Page::Frameworks(None));
    assert_eq!(page("4\n\nqqq"), Page::Cluster);

    let mut state = after("2j\n\u{1b}");
    let keys = state.keys();
    assert_eq!(state.chosen(&keys), Some(1));
    assert_eq!(press(&mut state, "j\n"), None);
    assert_eq!(state.view().page, Page::Tasks(Whose::Agent(AgentId(10))));
}

#[test]
fn one_leaves_from_the_whole_by_a_word_or_at_once() {
    for keys in ["q", "2qq", ":q\n", ":quit\n", "5^c", "/x^c", ":x^c"] {
        assert_eq!(press(&mut cluster(24), keys), Some(Effect::Quit), "{keys:?}");
    }
    assert_eq!(page("\u{1b}"), Page::Cluster, "escape never leaves");
}

#[test]
fn a_filter_acts_while_it_is_typed_and_escape_takes_it_away_before_the_page() {
    let keys = |keys: &str| after(keys).keys();

    assert_eq!(keys("5").len(), 4);
    assert_eq!(keys("5/primes").len(), 2);
    assert_eq!(keys("5/PRIMES\n").len(), 2);
    assert_eq!(keys("5/!primes\n").len(), 2);
    assert_eq!(keys("5/primesx\u{8}\n").len(), 2);
    assert_eq!(keys("5/nothing\u{1b}").len(), 4);
    let state = after("5/failed\n\u{1b}");
    assert_eq!((state.view().page.clone(), state.view().filter.as_str()), (Page::Tasks(Whose::Everybody), ""));
    assert_eq!(keys(":tasks FAILED\n"), [Key::Task(id(1, 10))]);
}

#[test]
fn rows_are_sorted_by_the_column_of_a_letter_and_the_same_again_turns_them_around() {
    let agents = |keys: &str| -> Vec<u64> {
        let ids = after(keys).keys().into_iter();
        ids.map(|key| if let Key::Agent(agent) = key { agent.0 } else { panic!("{key:?}") }).collect()
    };

    assert_eq!(agents("2"), [1, 2, 10]);
    assert_eq!(agents("2I"), [10, 2, 1]);
    assert_eq!(agents("2U"), [1, 2, 10], "the largest first");
    assert_eq!(agents("2UU"), [10, 2, 1]);
    assert_eq!(agents("2Z"), [1, 2, 10], "there is no such column");
}

#[test]
fn what_is_chosen_stays_chosen_when_others_come_and_go() {
    let mut state = after("5jj");
    let chosen = |state: &State| {
        let keys = state.keys();
        state.chosen(&keys).map(|place| keys[place].clone())
    };
    assert_eq!(chosen(&state), Some(Key::Task(id(1, 10))));

    let tasks = |numbers: &[u64]| numbers.iter().map(|&number| task(1, number, "t", TaskState::Running)).collect();
    update(&mut state, Event::Fetched(Fetched::Tasks(tasks(&[10, 11, 12]))));
    assert_eq!(chosen(&state), Some(Key::Task(id(1, 10))));

    update(&mut state, Event::Fetched(Fetched::Tasks(tasks(&[11, 12]))));
    assert_eq!(chosen(&state), Some(Key::Task(id(1, 12))), "whoever has its place");
    update(&mut state, Event::Fetched(Fetched::Tasks(Vec::new())));
    assert_eq!(chosen(&state), None);
    assert_eq!(press(&mut state, "jkgG\n"), None);
}

#[test]
fn one_moves_up_and_down_and_no_further_than_there_is() {
    let place = |keys: &str| {
        let state = after(keys);
        let keys = state.keys();
        state.chosen(&keys)
    };

    assert_eq!(
        [place("5"), place("5j"), place("5jjjjjjj"), place("5jjk"), place("5kk")].map(Option::unwrap),
        [0, 1, 3, 1, 0]
    );
    assert_eq!([place("5G"), place("5Gg"), place("5^f"), place("5^f^b")].map(Option::unwrap), [3, 0, 3, 0]);
}

#[test]
fn a_task_is_killed_once_one_has_said_so() {
    let asked = after("5j^k");
    assert_eq!(asked.input, Input::Kill(id(1, 2)));
    assert_eq!(press(&mut cluster(24), "5j^ky"), Some(Effect::Kill(id(1, 2))));
    assert_eq!(press(&mut cluster(24), ":task task-1.2\n^ky"), Some(Effect::Kill(id(1, 2))));
    assert_eq!(after("5j^kn").input, Input::Keys);
    assert!(matches!(after("2^k").notice, Some(Notice::Wrong(_))));
}

#[test]
fn a_word_that_is_none_is_told_and_the_next_key_takes_that_away() {
    let mut state = after(":pods\n");
    assert!(matches!(&state.notice, Some(Notice::Wrong(text)) if text.starts_with("\"pods\" is none of")));

    press(&mut state, "j");

    assert_eq!(state.notice, None);
    assert_eq!(after(":x\u{8}\u{8}").input, Input::Keys);
}

#[test]
fn what_went_wrong_while_the_master_was_away_is_over_once_it_is_back() {
    let mut state = after("");
    update(&mut state, Event::Linked(Link::Down("it hung up".into())));
    update(&mut state, Event::Told(Notice::Wrong("no master answers".into())));
    assert!(state.notice.is_some());

    update(&mut state, Event::Linked(Link::Up));

    assert_eq!((state.notice, state.data.link), (None, Link::Up));
}

#[test]
fn only_what_is_shown_is_asked_for() {
    let wants = |keys: &str| after(keys).wants();

    assert!(!wants("").feeds.contains(&Feed::Tasks));
    assert_eq!(wants("2").feeds, [Feed::Agents, Feed::Master]);
    assert_eq!(wants("2?").feeds, [Feed::Agents, Feed::Master], "it goes on below the help");
    assert_eq!((wants("5").all_tasks, wants("5a").all_tasks), (false, true));
    assert_eq!(wants("5\n").task, Some((id(1, 1), OutputStream::Stdout)));
    assert_eq!(wants("5\n\t").task, Some((id(1, 1), OutputStream::Stderr)));
    assert_eq!(wants("5\n\u{1b}").task, None);
}

#[test]
fn what_is_late_of_another_output_is_not_shown() {
    let mut state = after("5\n");
    let wrote = |task, stream| Event::Wrote(task, stream, b"line\n".to_vec());

    update(&mut state, wrote(id(1, 2), OutputStream::Stdout));
    update(&mut state, wrote(id(1, 1), OutputStream::Stderr));
    assert_eq!(state.log.len(), 0);
    update(&mut state, wrote(id(1, 1), OutputStream::Stdout));
    assert_eq!(state.log.len(), 1);
    press(&mut state, "\t");
    assert_eq!((state.log.len(), state.log.stream), (0, OutputStream::Stderr));
}

#[test]
fn a_log_is_scrolled_from_its_end() {
    let mut state = after("5\n");
    update(&mut state, Event::Wrote(id(1, 1), OutputStream::Stdout, b"1\n2\n3\n".to_vec()));
    let mut below = |keys: &str| {
        press(&mut state, keys);
        state.view().below
    };

    assert_eq!([below("k"), below("k"), below("j"), below("g"), below("G")], [1, 2, 1, 3, 0]);
}

#[test]
fn what_is_typed_has_a_bound_and_so_has_how_deep_one_goes() {
    let long = "x".repeat(500);
    assert_eq!(after(&format!("5/{long}")).view().filter.len(), TYPED_MAX);

    let mut state = after(&":task task-1.2\n".repeat(100));
    let mut back = 0;
    while state.back() {
        back += 1;
    }
    assert!(back < 20, "{back}");
}
