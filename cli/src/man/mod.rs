//! Manual pages, made of what `--help` says.

use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::args::{Cli, ManArgs};
use crate::commands::Verdict;
use crate::error::CommandError;
use crate::output;

/// One page: the name of its file, and what is in it.
struct Page {
    file: String,
    text: String,
}

/// Prints the page of the program, or writes all there are.
pub(crate) fn run(args: &ManArgs) -> Verdict {
    let pages = pages();
    match &args.dir {
        Some(dir) => {
            let unwritable = |path: &Path, source| CommandError::Unwritable { path: path.to_owned(), source };
            fs::create_dir_all(dir).map_err(|source| unwritable(dir, source))?;
            for page in &pages {
                let path = dir.join(&page.file);
                fs::write(&path, &page.text).map_err(|source| unwritable(&path, source))?;
            }
            let dir = output::printable(&dir.to_string_lossy());
            output::line(&format!("wrote {} pages into {dir}", pages.len()))?;
        }
        None => output::bytes(pages[0].text.as_bytes())?,
    }
    Ok(0)
}

/// Those of all commands, that of the program first.
fn pages() -> Vec<Page> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    collect(&program, &mut Vec::new(), &mut pages);
    pages
}

fn collect(command: &Command, above: &mut Vec<String>, pages: &mut Vec<Page>) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let text = text(command, above).expect("writing to memory does not fail");
    pages.push(Page { file: format!("{name}.1"), text });
    above.push(name);
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        collect(below, above, pages);
    }
    above.pop();
}

/// A page; `above` are the names of those above it, the nearest last.
fn text(command: &Command, above: &[String]) -> io::Result<String> {
    let source = concat!("haggle ", env!("CARGO_PKG_VERSION"));
    let page = Man::new(command.clone()).manual("Haggle").source(source);
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        page.render_options_section(&mut text)?;
    }
    if command.get_subcommands().any(|below| !below.is_hide_set()) {
        page.render_subcommands_section(&mut text)?;
    }
    let mut rest = Roff::new();
    if let Some(help) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        verbatim(&help.to_string(), &mut rest);
    }
    if let (Some(first), Some(nearest)) = (above.first(), above.last()) {
        rest.control("SH", ["SEE ALSO"]);
        let both = [nearest, first];
        let named = if nearest == first { &both[..1] } else { &both[..] };
        for (place, name) in named.iter().enumerate() {
            let end = if place + 1 < named.len() { "(1)," } else { "(1)" };
            rest.text([bold(name.as_str()), roman(end)]);
        }
    }
    rest.to_writer(&mut text)?;
    Ok(once(&String::from_utf8_lossy(&text)))
}

/// What stands below the options, as it is laid out there: examples and tables. A line like `Examples:` begins a section.
fn verbatim(help: &str, page: &mut Roff) {
    let mut is_open = false;
    for line in help.lines() {
        let title = line.strip_suffix(':').filter(|title| !title.starts_with(' ') && title.len() <= 40);
        if title.is_some() || !is_open {
            if is_open {
                page.control("fi", []);
            }
            page.control("SH", [title.unwrap_or("Notes").to_uppercase().as_str()]);
            page.control("nf", []);
            is_open = true;
        }
        if title.is_none() {
            page.text([roman(line)]);
        }
    }
    if is_open {
        page.control("fi", []);
    }
}

/// Each section begins with the same definitions; a page needs them once.
fn once(text: &str) -> String {
    let definitions = Roff::new().render();
    let rest = text.strip_prefix(&definitions).unwrap_or(text);
    format!("{definitions}{}", spelled(&rest.replace(&definitions, "")))
}

/// The same in ASCII, for formatters that take other bytes for letters of an older alphabet.
fn spelled(text: &str) -> String {
    let spell =
        |letter: char| if letter.is_ascii() { letter.to_string() } else { format!("\\[u{:04X}]", u32::from(letter)) };
    text.chars().map(spell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_of_its_own() {
        let pages = pages();
        let files: Vec<&str> = pages.iter().map(|page| page.file.as_str()).collect();

        assert_eq!(files[0], "haggle.1");
        for file in ["haggle-run.1", "haggle-agents.1", "haggle-agents-gone.1", "haggle-quota-set.1", "haggle-man.1"] {
            assert!(files.contains(&file), "{file}: {files:?}");
        }
        assert!(!files.iter().any(|file| file.contains("help")), "{files:?}");
    }

    #[test]
    fn a_page_is_ascii() {
        assert!(pages().iter().all(|page| page.text.is_ascii()));
        assert_eq!(spelled("hgl1.\u{2026}"), "hgl1.\\[u2026]");
    }

    #[test]
    fn examples_stay_as_they_are_laid_out_in_a_section_of_their_own() {
        let pages = pages();
        let gone = pages.iter().find(|page| page.file == "haggle-agents-gone.1").unwrap();

        let lines: Vec<&str> = gone.text.lines().collect();
        let begin = lines.iter().position(|line| *line == ".SH EXAMPLES").unwrap();
        assert_eq!(lines[begin + 1..begin + 4], [".nf", r"  haggle agents gone agent\-3", ".fi"]);
        assert_eq!(lines[begin + 4..], [".SH \"SEE ALSO\"", r"\fBhaggle\-agents\fR(1),", r"\fBhaggle\fR(1)"]);
        assert_eq!(gone.text.matches(".TH ").count(), 1);
        assert_eq!(gone.text.matches(".ds Aq").count(), 2, "one for each of both kinds of roff");
    }
}
