//! What the pages in `docs` tell people to type is typed here, and does what the pages say.
//!
//! A block of code that begins with a comment that is a file's name is that file. In a block of a console `$ ` begins a
//! command, and the lines below it are what it prints, with `...` for what differs from one machine to the next.

mod blocks;
mod elsewhere;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use blocks::blocks;

use crate::haggle::Place;
use crate::scripts;

/// Pages of which every block is typed that has no reason to be typed elsewhere, or nowhere.
const TYPED_IN_PART: [&str; 2] = ["README.md", "TERMINAL.md"];

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

#[test]
fn every_command_of_the_readme_does_what_it_says() {
    let place = Place::with(&[]);
    for name in ["hello", "primes", "wordcount", "hungry", "spinner", "chatty", "mandelbrot"] {
        example(&place, &format!("{name}.wasm"));
    }
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut typed = 0;
    for block in blocks(&page).filter(|block| block.is_typed()) {
        let is_of_scripts = block.text.contains("--runtime ");
        let cannot = is_of_scripts && !(scripts::has("python") && scripts::has("javascript"));
        if cannot || elsewhere::is_typed_elsewhere("README.md", block.text) {
            continue;
        }
        // Others may listen on the usual port.
        let text = block.text.replace("haggle up ", &format!("haggle up --listen 127.0.0.1:{port} "));
        let said = run(&place, &to_the_end(&text.replace(":5050", &format!(":{port}"))));
        for (code, reason) in block.text.lines().filter_map(|line| line.split_once("# ")?.1.split_once(": ")) {
            assert!(said.contains(&format!("exit code {code}\n")) && said.contains(reason), "{code} {reason}: {said}");
        }
        assert!(said.contains(END), "{}\n{said}", block.text);
        typed += 1;
    }
    assert!(typed >= 4, "{typed} blocks");
}

#[test]
fn every_command_about_the_terminal_does_what_its_page_says() {
    let place = Place::with(&[]);
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/TERMINAL.md")).unwrap();
    let mut typed = 0;
    for block in blocks(&page).filter(|block| block.is_typed()) {
        if elsewhere::is_typed_elsewhere("TERMINAL.md", block.text) {
            continue;
        }
        // Into the home of nobody else, and read without a terminal.
        let text =
            block.text.replace("~/", "./").replace("man haggle-run", "test -s ./.local/share/man/man1/haggle-run.1");
        let said = run(&place, &to_the_end(&text));
        assert!(said.contains(END), "{text}\n{said}");
        typed += 1;
    }
    assert_eq!(typed, 1);
}

/// Is printed when every command of a block did well.
const END: &str = "every command did well\n";

/// A block as one script that ends where a command fails, with all that it has begun.
fn to_the_end(block: &str) -> String {
    format!("set -e; trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n{block}\necho {END}")
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

fn run(place: &Place, command: &str) -> String {
    let haggle = place.command("");
    let mut shell = Command::new("bash");
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
