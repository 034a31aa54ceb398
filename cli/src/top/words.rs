//! What can be typed behind a `:`.

use super::state::{Page, Whose};

/// What a word means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A page, and what to filter it by.
    Go(Page, String),
    Quit,
}

/// Words, and what they are for; the first of each is whole.
pub(super) const WORDS: [(&[&str], &str); 7] = [
    (&["cluster", "c"], "the whole"),
    (&["agents", "agent", "a", "ag"], "agents"),
    (&["roles", "role", "r"], "roles"),
    (&["frameworks", "framework", "f", "fw"], "frameworks"),
    (&["tasks", "task", "t", "ps", "why", "logs"], "tasks; with an id, that one"),
    (&["help", "h", "?"], "keys and words"),
    (&["quit", "q", "q!", "exit"], "leave"),
];

/// Reads a word, and what stands behind it: a filter, or the id of a task.
///
/// # Errors
/// Says what it may be.
pub(super) fn read(line: &str) -> Result<Meaning, String> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).map_or((line, ""), |(word, rest)| (word, rest.trim()));
    let whole = WORDS.iter().find(|(words, _)| words.contains(&word)).map(|(words, _)| words[0]);
    let page = match whole {
        Some("cluster") => Page::Cluster,
        Some("agents") => Page::Agents,
        Some("roles") => Page::Roles,
        Some("frameworks") => Page::Frameworks(None),
        Some("tasks") => match rest.parse() {
            Ok(id) => return Ok(Meaning::Go(Page::Task(id), String::new())),
            Err(_) => Page::Tasks(Whose::Everybody),
        },
        Some("help") => Page::Help,
        Some("quit") => return Ok(Meaning::Quit),
        _ => {
            let known: Vec<&str> = WORDS.iter().map(|(words, _)| words[0]).collect();
            return Err(format!("{word:?} is none of {}", known.join(", ")));
        }
    };
    Ok(Meaning::Go(page, rest.to_owned()))
}

#[cfg(test)]
mod tests {
    use haggle_core::{FrameworkId, TaskId};

    use super::*;

    #[test]
    fn a_word_is_a_page_with_a_filter_or_a_task() {
        let go = |page, filter: &str| Ok(Meaning::Go(page, filter.to_owned()));
        let task = Page::Task(TaskId { framework: FrameworkId(3), number: 7 });

        assert_eq!(read("agents"), go(Page::Agents, ""));
        assert_eq!(read(" t  FAILED eng "), go(Page::Tasks(Whose::Everybody), "FAILED eng"));
        assert_eq!(read("task task-3.7"), go(task.clone(), ""));
        assert_eq!(read("logs task-3.7"), go(task, ""));
        assert_eq!(read("q"), Ok(Meaning::Quit));
    }

    #[test]
    fn what_is_no_word_is_told_with_those_there_are() {
        assert_eq!(
            read("pods").unwrap_err(),
            "\"pods\" is none of cluster, agents, roles, frameworks, tasks, help, quit"
        );
    }
}
