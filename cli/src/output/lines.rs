//! Long lists as lines of JSON: made piece by piece, while the rest is on its way.

use std::io::{self, BufWriter, Write};

use serde::Serialize;

use super::OutputError;
use haggle_pages::text::{is_plain, printable_json};

/// Some items of a list, as what is printed of each, which has a key.
pub(crate) struct Lines<K> {
    text: String,
    /// Where in `text` the line of each ends.
    ends: Vec<(K, usize)>,
}

impl<K: Ord + Copy> Lines<K> {
    /// One line for each of `records`.
    ///
    /// # Errors
    /// When one cannot be written as JSON.
    pub(crate) fn of(records: impl IntoIterator<Item = (K, impl Serialize)>) -> Result<Self, OutputError> {
        let mut lines = Self { text: String::new(), ends: Vec::new() };
        let mut text = Vec::new();
        for (key, record) in records {
            text.clear();
            serde_json::to_writer(&mut text, &record).map_err(io::Error::from)?;
            let line = str::from_utf8(&text).map_err(io::Error::other)?;
            if is_plain(line) {
                lines.text.push_str(line);
            } else {
                lines.text.push_str(&printable_json(line.to_owned()));
            }
            lines.text.push('\n');
            lines.ends.push((key, lines.text.len()));
        }
        Ok(lines)
    }

    fn each(&self) -> impl Iterator<Item = (K, &str)> {
        let mut begin = 0;
        self.ends.iter().map(move |&(key, end)| {
            let line = &self.text[begin..end];
            begin = end;
            (key, line)
        })
    }
}

/// Prints the pieces of a list in the order of their keys. What has come twice, because it changed while the list was read, is printed
/// as it came last.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn print<K: Ord + Copy>(
    pieces: impl IntoIterator<Item = Result<Lines<K>, OutputError>>,
) -> Result<(), OutputError> {
    // Long lists have megabytes.
    let mut stdout = BufWriter::with_capacity(64 << 10, io::stdout().lock());
    write(&pieces.into_iter().collect::<Result<Vec<_>, _>>()?, &mut stdout)?;
    Ok(stdout.flush()?)
}

fn write<K: Ord + Copy>(pieces: &[Lines<K>], out: &mut impl Write) -> io::Result<()> {
    let mut lines: Vec<(K, &str)> = pieces.iter().flat_map(Lines::each).collect();
    lines.reverse();
    lines.sort_by_key(|(key, _)| *key);
    lines.dedup_by_key(|(key, _)| *key);
    lines.iter().try_for_each(|(_, line)| out.write_all(line.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pieces: &[&[(u32, &str)]]) -> String {
        let pieces: Vec<_> = pieces.iter().map(|piece| Lines::of(piece.iter().copied()).unwrap()).collect();
        let mut out = Vec::new();
        write(&pieces, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn pieces_are_printed_in_the_order_of_their_keys_and_what_came_twice_as_it_came_last() {
        let lines = written(&[&[(1, "a"), (3, "runs")], &[], &[(2, "b"), (3, "has ended")]]);

        assert_eq!(lines, "\"a\"\n\"b\"\n\"has ended\"\n");
    }

    #[test]
    fn a_line_that_would_do_something_to_a_terminal_is_escaped_and_its_neighbours_are_as_they_were() {
        let lines = written(&[&[(1, "a"), (2, "b\u{9b}2J\u{202e}"), (3, "größer")]]);

        assert_eq!(lines, "\"a\"\n\"b\\u009b2J\\u202e\"\n\"größer\"\n");
    }
}
