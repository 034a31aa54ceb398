//! Which cluster a line means that is not finished yet.

use std::ffi::OsString;

use crate::target::{self, Said, Target};

/// The cluster that these words mean, the program's own arguments before the line's with `--` between them; `None` when they
/// mean none that could be asked without asking the user.
pub(super) fn target(arguments: impl IntoIterator<Item = OsString>) -> Option<Target> {
    let line = arguments.into_iter().skip_while(|word| word != "--").skip(1);
    let line = whole(line.filter_map(|word| word.into_string().ok()));
    let flags = Said { master: flag(&line, "--master"), token: flag(&line, target::TOKEN_FLAG) };
    let environment = target::environment();
    // Standard input is the user's terminal here.
    if [&flags, &environment].iter().any(|said| said.token.as_deref() == Some("-")) {
        return None;
    }
    let context = flag(&line, "--context");
    Target::choose(flags, context.as_deref(), environment, target::stored_contexts).ok()
}

/// The value that a flag has in a line; the last one, if it is there again.
fn flag(line: &[String], name: &str) -> Option<String> {
    let own = line.iter().position(|word| word == "--").unwrap_or(line.len());
    let line = &line[..own];
    let joined = |word: &str| word.strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
    let apart = |at: usize| if line[at] == name { line.get(at + 1).cloned() } else { None };
    let said = (0..line.len()).rev().find_map(|at| apart(at).or_else(|| joined(&line[at])));
    said.filter(|value| !value.is_empty())
}

/// Words as they were typed: bash takes each `:` and `=` for a word of its own.
fn whole(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut line: Vec<String> = Vec::new();
    let mut is_open = false;
    for word in words {
        let is_mark = !word.is_empty() && word.chars().all(|letter| matches!(letter, ':' | '='));
        match line.last_mut() {
            Some(last) if is_mark || is_open => last.push_str(&word),
            _ => line.push(word),
        }
        is_open = is_mark;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Vec<String> {
        whole(text.split(' ').map(str::to_owned))
    }

    #[test]
    fn a_flag_is_read_however_the_shell_cuts_its_words() {
        for text in [
            "haggle --master http://h:5050 kill",
            "haggle --master=http://h:5050 kill",
            "haggle kill --master http : //h : 5050",
            "haggle kill --master = http : //h : 5050",
            "haggle --master other kill --master http://h:5050 --json",
        ] {
            assert_eq!(flag(&line(text), "--master").as_deref(), Some("http://h:5050"), "{text}");
        }
    }

    #[test]
    fn what_is_not_said_or_is_the_tasks_own_is_nothing() {
        for text in ["haggle kill", "haggle kill --master", "haggle kill --master ", "haggle run x -- --master h"] {
            assert_eq!(flag(&line(text), "--master"), None, "{text}");
        }
    }
}
