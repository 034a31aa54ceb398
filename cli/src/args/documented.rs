//! Every command that a page tells people to type is one that there is, with flags that it has.
//!
//! Commands stand in blocks of code and within lines. That they also do what their page says is tested where they are run:
//! `cli/tests/cli/documents`, `tests/e2e/documents.rs`.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::Cli;

/// What the pages show in place of something that differs.
const OMITTED: &str = "…";

/// What begins no command of people: agents start it.
const NOT_TYPED: &[&str] = &["executor"];

/// Every page: its name and its text.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let pages = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = pages.filter(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages
        .chain([root.join("README.md")])
        .map(|page| (page.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&page).unwrap()))
        .collect()
}

/// The lines of blocks of code, indented or fenced, and what stands in backticks elsewhere.
fn code(page: &str) -> Vec<String> {
    let mut code = Vec::new();
    for (nth, part) in page.split("```").enumerate() {
        if nth % 2 == 1 {
            code.extend(part.lines().skip(1).map(str::to_owned));
            continue;
        }
        let (indented, text): (Vec<&str>, Vec<&str>) = part.lines().partition(|line| line.starts_with("    "));
        code.extend(indented.into_iter().map(str::to_owned));
        code.extend(text.join(" ").split('`').skip(1).step_by(2).map(str::to_owned));
    }
    code
}

/// What a shell would make of it: words, with those that end a command apart.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), letter) => word.push(letter),
            (None, '\'' | '"') => quote = Some(letter),
            (None, ' ' | '|' | ';' | '&' | '>' | '<' | '(' | ')') => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                words.extend((letter != ' ').then(|| letter.to_string()));
            }
            (None, letter) => word.push(letter),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// The commands of ours in a line, each with what follows.
fn commands(line: &str) -> Vec<Vec<String>> {
    let line = line.split(" #").next().unwrap_or_default();
    let words = words(line);
    let mut commands = Vec::new();
    for part in words.split(|word| ["|", ";", "&", "(", ")"].contains(&word.as_str())) {
        let begins = |word: &&String| word.ends_with('$') || ["until", "do", "time", "sudo"].contains(&word.as_str());
        let part: Vec<&String> = part.iter().skip_while(begins).collect();
        let is_any = part.get(1).is_some_and(|name| *name == OMITTED);
        if is_any || part.first().is_none_or(|first| *first != "haggle") {
            continue;
        }
        let typed = part.into_iter().take_while(|word| ![">", "<"].contains(&word.as_str()));
        commands.push(typed.filter(|word| *word != OMITTED && *word != "2").cloned().collect());
    }
    commands
}

/// Why it is no command of ours. What it is about may be left out, and stand for something.
fn wrong(command: &[String]) -> Option<String> {
    if command.get(1).is_some_and(|name| NOT_TYPED.contains(&name.as_str())) {
        return None;
    }
    let error = Cli::command().try_get_matches_from(command).err()?;
    let is_wrong = [ErrorKind::UnknownArgument, ErrorKind::InvalidSubcommand, ErrorKind::ArgumentConflict];
    is_wrong.contains(&error.kind()).then(|| error.to_string())
}

#[test]
fn every_command_of_every_page_is_one_that_there_is() {
    let (mut found, mut faults) = (0, Vec::new());
    for (name, page) in pages() {
        for command in code(&page).iter().flat_map(|line| commands(line)) {
            found += 1;
            faults.extend(wrong(&command).map(|why| format!("{name}: {}\n{why}", command.join(" "))));
        }
    }

    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(found > 200, "{found} commands: they are not seen any more");
}

#[test]
fn a_command_is_found_wherever_it_stands_and_known_for_none() {
    let of = |line| commands(line).into_iter().map(|command| command.join(" ")).collect::<Vec<_>>();

    assert_eq!(of("$ haggle ps --all   # all of them"), ["haggle ps --all"]);
    assert_eq!(of("you$   echo a | haggle run 'a b.py' > b || haggle ps"), ["haggle run a b.py", "haggle ps"]);
    assert_eq!(of("until haggle agents > /dev/null 2>&1; do sleep 1; done"), ["haggle agents"]);
    assert_eq!(of("haggle-bench pages"), [""; 0]);
    assert!(wrong(&["haggle", "ps", "--backwards"].map(str::to_owned)).is_some());
    assert!(wrong(&["haggle", "fly"].map(str::to_owned)).is_some());
    assert_eq!(wrong(&["haggle", "kill"].map(str::to_owned)), None);
}
