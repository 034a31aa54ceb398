//! What the pages in `docs` tell people to type is typed here, and does what the pages say.
//!
//! A block of code that begins with a comment that is a file's name is that file. In a block of a console `$ ` begins a
//! command, and the lines below it are what it prints, with `...` for what differs from one machine to the next.

use std::fs;
use std::process::Command;

use crate::haggle::Place;
use crate::scripts;

#[test]
fn every_command_about_scripts_does_what_its_page_says() {
    if !scripts::has("python") || !scripts::has("javascript") {
        return;
    }
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/SCRIPTS.md")).unwrap();
    let place = Place::with(&[]);
    let mut commands = 0;
    for block in blocks(&page) {
        if let Some(name) = block.file {
            fs::write(place.path(name), block.text).unwrap();
        }
        if block.language != "console" {
            continue;
        }
        for told in block.text.split("$ ").filter(|told| !told.is_empty()) {
            let (command, printed) = told.split_once('\n').unwrap_or((told, ""));
            let found = run(&place, command);
            assert!(matches(printed, &found), "$ {command}\n--- the page says\n{printed}--- it printed\n{found}");
            commands += 1;
        }
    }
    assert!(commands >= 15, "only {commands} commands were found");
}

struct Block<'a> {
    language: &'a str,
    file: Option<&'a str>,
    text: &'a str,
}

fn blocks(page: &str) -> impl Iterator<Item = Block<'_>> {
    page.split("```").skip(1).step_by(2).map(|block| {
        let (language, text) = block.split_once('\n').unwrap_or((block, ""));
        let first = text.lines().next().unwrap_or_default();
        let name = first.strip_prefix("# ").or_else(|| first.strip_prefix("// "));
        let file = name.filter(|name| name.contains('.') && !name.contains(' '));
        Block { language, file, text }
    })
}

fn run(place: &Place, command: &str) -> String {
    let haggle = place.command("");
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{{ {command}\n}} 2>&1")]).current_dir(place.path(""));
    for (name, value) in haggle.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    // It would tell of a new version of itself.
    shell.env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
    let program = std::path::Path::new(haggle.get_program()).parent().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(program.to_path_buf()).chain(std::env::split_paths(&path));
    shell.env("PATH", std::env::join_paths(path).unwrap());
    String::from_utf8(shell.output().unwrap().stdout).unwrap()
}

/// Whether every line is what the page says. How far columns are set apart does not matter.
fn matches(told: &str, found: &str) -> bool {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let fits = |told: &str, found: &str| match told.split_once("...") {
        Some((before, after)) => {
            found.len() >= before.len() + after.len() && found.starts_with(before) && found.ends_with(after)
        }
        None => told == found,
    };
    told.lines().count() == found.lines().count()
        && told.lines().zip(found.lines()).all(|(told, found)| {
            let (told, found) = (words(told).join(" "), words(found).join(" "));
            fits(&told, &found)
        })
}
