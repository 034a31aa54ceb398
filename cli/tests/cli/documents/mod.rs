//! What the pages in `docs` tell people to type is typed here, and does what the pages say.
//!
//! A block of code that begins with a comment that is a file's name is that file. In a block of a console `$ ` begins a
//! command, and the lines below it are what it prints, with `...` for what differs from one machine to the next.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::haggle::Place;
use crate::scripts;

#[test]
fn every_command_about_scripts_does_what_its_page_says() {
    if scripts::has("python") && scripts::has("javascript") {
        assert!(follow("SCRIPTS.md", &Place::with(&[])) >= 15);
    }
}

#[test]
fn every_command_about_quotas_does_what_its_page_says() {
    let place = Place::with(&[]);
    for name in ["hungry.wasm", "spinner.wasm", "chatty.wasm"] {
        example(&place, name);
    }
    assert!(follow("QUOTAS.md", &place) >= 5);
}

#[test]
fn every_command_about_tasks_does_what_its_page_says() {
    let place = Place::with(&[]);
    example(&place, "wordcount.wasm");
    assert!(follow("TASKS.md", &place) >= 5);
}

/// Puts an example task there.
fn example(place: &Place, name: &str) {
    let compiled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/wasm");
    let folder = env::var_os("HAGGLE_TEST_WASM").map_or(compiled, PathBuf::from);
    let why = |error| format!("{name} in {}: {error}; run `cargo xtask wasm`", folder.display());
    fs::copy(folder.join(name), place.path(name)).map_err(why).unwrap();
}

/// Does what a page of `docs` says, in this place. How many commands that were.
fn follow(page: &str, place: &Place) -> usize {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let page = fs::read_to_string(page).unwrap();
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
            let found = run(place, command);
            assert!(matches(printed, &found), "$ {command}\n--- the page says\n{printed}--- it printed\n{found}");
            commands += 1;
        }
    }
    commands
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
    // The one of `cargo xtask test` can compile for WebAssembly, whatever there is on the path.
    shell.envs(env::var_os("HAGGLE_WASM_CARGO").map(|cargo| ("HAGGLE_WASM_CARGO", cargo)));
    // It would tell of a new version of itself.
    shell.env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
    let program = Path::new(haggle.get_program()).parent().unwrap();
    let path = env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(program.to_path_buf()).chain(env::split_paths(&path));
    shell.env("PATH", env::join_paths(path).unwrap());
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
