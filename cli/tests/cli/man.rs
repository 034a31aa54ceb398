//! `haggle man`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::haggle::Place;

fn written(place: &Place) -> Vec<PathBuf> {
    let ran = place.haggle("man pages/man1");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let pages = fs::read_dir(place.path("pages/man1")).unwrap();
    pages.map(|page| page.unwrap().path()).collect()
}

#[test]
fn the_page_of_the_program_is_printed_and_those_of_all_commands_are_written() {
    let place = Place::with(&[]);

    let printed = place.haggle("man");
    let pages = written(&place);

    assert_eq!(printed.code, 0);
    assert_eq!(fs::read_to_string(place.path("pages/man1/haggle.1")).unwrap(), printed.stdout);
    let help = place.haggle("--help").stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Lines that go on are indented further.
    let names = commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|name| !name.is_empty());
    for command in names.filter(|command| *command != "help") {
        let page = place.path(&format!("pages/man1/haggle-{command}.1"));
        assert!(pages.contains(&page), "{}", page.display());
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    Place::with(&[("file", "")]).haggle("man file/man1").assert_refused(125, "file/man1 cannot be written: ");
}

/// By mandoc's linter, or by all of groff's warnings; where there is neither there is nobody to complain.
#[test]
fn no_formatter_complains_of_a_page() {
    let place = Place::with(&[]);
    let pages = written(&place);
    let linters: [&[&str]; 2] = [&["mandoc", "-T", "lint", "-W", "error"], &["groff", "-man", "-ww", "-z", "-Tutf8"]];

    for linter in linters {
        let [program, flags @ ..] = linter else { unreachable!("none is empty") };
        match Command::new(program).args(flags).args(&pages).output() {
            Ok(output) => {
                let said = [output.stdout, output.stderr].concat();
                assert_eq!(String::from_utf8_lossy(&said), "", "{program}");
            }
            Err(error) => eprintln!("{program} was not asked: {error}"),
        }
    }
}
