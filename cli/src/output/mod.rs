//! How results reach standard output.

mod fetching;
mod lines;
pub(crate) mod printer;
pub(crate) mod record;
mod table;

use std::io::{self, BufWriter, ErrorKind, Write};
use std::time::Duration;

use serde::Serialize;

pub(crate) use fetching::Fetching;
pub(crate) use haggle_pages::text::{printable, time, volume_state, window};
pub(crate) use lines::{Lines, print as lines};
pub(crate) use table::Table;

use haggle_pages::text::printable_json;

/// Why nothing more can be printed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    /// No fault: `haggle ps | head -1` has what it wants.
    #[error("nobody reads standard output any more")]
    Closed,
    /// A full disk, mostly.
    #[error("cannot write to standard output: {0}")]
    Failed(io::Error),
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe { Self::Closed } else { Self::Failed(error) }
    }
}

/// Writes `text` and a newline.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn line(text: &str) -> Result<(), OutputError> {
    bytes(format!("{text}\n").as_bytes())
}

/// Writes `value` as one line of JSON.
///
/// # Errors
/// As [`line()`].
pub(crate) fn json(value: &impl Serialize) -> Result<(), OutputError> {
    line(&json_text(value)?)
}

/// Prints what was done: in words, or as one line of JSON.
///
/// # Errors
/// As [`line()`].
pub(crate) fn said(as_json: bool, record: &impl Serialize, words: &str) -> Result<(), OutputError> {
    if as_json { json(record) } else { line(&printable(words)) }
}

/// `value` as one line of JSON, as it may be shown on a terminal.
///
/// # Errors
/// When it cannot be written as JSON.
pub(crate) fn json_text(value: &impl Serialize) -> Result<String, OutputError> {
    Ok(printable_json(serde_json::to_string(value).map_err(io::Error::from)?))
}

/// Writes `bytes` as they are.
///
/// # Errors
/// As [`line()`].
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    Ok(stdout.write_all(bytes).and_then(|()| stdout.flush())?)
}

/// Prints a list: as a table, or as one JSON object per line.
///
/// # Errors
/// As [`line()`].
pub(crate) fn list(
    records: impl IntoIterator<Item: Serialize>,
    as_json: bool,
    table: impl FnOnce() -> Table,
) -> Result<(), OutputError> {
    if as_json {
        // Long lists have megabytes.
        let mut stdout = BufWriter::with_capacity(64 << 10, io::stdout().lock());
        for record in records {
            let mut line = json_text(&record)?;
            line.push('\n');
            stdout.write_all(line.as_bytes())?;
        }
        Ok(stdout.flush()?)
    } else {
        line(&table().to_string())
    }
}

/// A time as tables show it.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

/// The beginning of a longer message, for a table.
pub(crate) fn shortened(message: &str) -> String {
    /// What leaves a row of `haggle ps` readable on a wide terminal; `--json` has it all.
    const MAX: usize = 60;
    match message.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use haggle_pages::text::is_deceptive;

    use super::*;

    /// Clears the screen, in two ways; turns the line around; hides in it.
    const TRICKS: [(&str, &str); 6] = [
        ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
        ("a\u{9b}2Jb", "a\\u{9b}2Jb"),
        ("a\r\nb", "a\\r\\nb"),
        ("a\u{202e}gpj.exe", "a\\u{202e}gpj.exe"),
        ("a\u{2066}b\u{200b}c", "a\\u{2066}b\\u{200b}c"),
        ("a\u{e0041}b", "a\\u{e0041}b"),
    ];

    #[test]
    fn nothing_from_elsewhere_moves_the_cursor_or_turns_a_line_around() {
        for (text, shown) in TRICKS {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn a_moment_that_nobody_lives_to_see_is_shown_as_well() {
        let after = |seconds| time(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));

        assert_eq!(after(0), "1970-01-01T00:00:00Z");
        // Systems can say moments up to very different years. This one, 19,390 or so, all of them can.
        assert_eq!([after(253_402_300_799), after(1 << 39)], ["9999-12-31T23:59:59Z"; 2]);
    }

    #[test]
    fn letters_of_every_script_are_shown_as_they_are() {
        for text in ["größer", "日本語", "עברית", "👍", "a b"] {
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn json_on_a_terminal_does_no_harm_and_means_the_same() {
        for (text, _) in TRICKS {
            let json = json_text(&text).unwrap();

            assert!(!json.chars().any(is_deceptive), "{json}");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
