//! Counts the words of its input files.
//!
//! ```text
//! wordcount FILE…                                totals and the ten most frequent words, for people
//! wordcount map [--share | --part I N] FILE…     word<TAB>count, sorted by word
//! wordcount reduce FILE…                         adds up what map or reduce wrote, in the same form
//! ```
//!
//! `--share` takes this task's share of the files in an array of tasks, `--part I N` share I of N.

mod counts;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::process::ExitCode;

use counts::Counts;
use support::Share;

const USAGE: &str = "usage: wordcount [map [--share | --part I N] | reduce] FILE…";

fn main() -> ExitCode {
    support::run(|args| {
        let mut out = BufWriter::new(io::stdout().lock());
        run(args, &mut out)?;
        out.flush().map_err(|error| format!("standard output: {error}"))
    })
}

fn run(args: &[String], out: &mut impl Write) -> Result<(), String> {
    let mut counts = Counts::default();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let printed = match words[..] {
        [] => return Err(USAGE.to_string()),
        ["reduce", ref files @ ..] => {
            each(files, Share::WHOLE, |file| counts.merge(file))?;
            counts.print(out)
        }
        ["map", "--share", ref files @ ..] => {
            each(files, Share::from_env()?, |file| counts.read(file))?;
            counts.print(out)
        }
        ["map", "--part", index, count, ref files @ ..] => {
            each(files, Share::parse(index, count)?, |file| counts.read(file))?;
            counts.print(out)
        }
        ["map", ref files @ ..] => {
            each(files, Share::WHOLE, |file| counts.read(file))?;
            counts.print(out)
        }
        ref files => {
            each(files, Share::WHOLE, |file| counts.read(file))?;
            counts.summarise(out)
        }
    };
    printed.map_err(|error| format!("standard output: {error}"))
}

fn each(
    files: &[&str],
    share: Share,
    mut take: impl FnMut(&mut BufReader<File>) -> io::Result<()>,
) -> Result<(), String> {
    if files.is_empty() {
        return Err(USAGE.to_string());
    }
    for (_, path) in files.iter().enumerate().filter(|&(at, _)| share.takes(at)) {
        File::open(path)
            .and_then(|file| take(&mut BufReader::new(file)))
            .map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wordcount(args: &[&str]) -> Result<String, String> {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let mut out = Vec::new();
        run(&args, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    /// Files which are gone with the value.
    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("wordcount-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, text: &str) -> String {
            let path = self.0.join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_string()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn mapping_in_parts_and_reducing_equals_mapping_the_whole() {
        let folder = Folder::new("parts");
        let texts = ["to be or not", "to be, that is", "THE question", ""];
        let files: Vec<String> = (0..).zip(texts).map(|(at, text)| folder.file(&format!("in-{at}"), text)).collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();

        let parts: Vec<String> = ["0", "1"]
            .into_iter()
            .map(|part| {
                let counted = wordcount(&[&["map", "--part", part, "2"], &files[..]].concat()).unwrap();
                folder.file(&format!("part-{part}"), &counted)
            })
            .collect();
        let reduced = wordcount(&["reduce", &parts[0], &parts[1]]).unwrap();

        assert_eq!(reduced, "be\t2\nis\t1\nnot\t1\nor\t1\nquestion\t1\nthat\t1\nthe\t1\nto\t2\n");
        assert_eq!(reduced, wordcount(&[&["map"], &files[..]].concat()).unwrap());
    }

    #[test]
    fn a_summary_starts_with_the_most_frequent_words() {
        let folder = Folder::new("summary");
        let file = folder.file("in", "b a b c a b");

        assert_eq!(wordcount(&[&file]).unwrap(), "6 words, 3 different\n3 b\n2 a\n1 c\n");
    }

    #[test]
    fn what_cannot_be_counted_is_named() {
        let folder = Folder::new("bad");
        let bad = folder.file("in", "no tab here\n");

        assert_eq!(wordcount(&[]), Err(USAGE.to_string()));
        assert_eq!(wordcount(&["map"]), Err(USAGE.to_string()));
        assert!(wordcount(&["map", "/no/such/file"]).unwrap_err().starts_with("/no/such/file: "));
        assert_eq!(
            wordcount(&["reduce", &bad]),
            Err(format!("{bad}: wanted a line of word<TAB>count, got \"no tab here\""))
        );
    }
}
