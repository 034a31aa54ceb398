//! How results reach standard output.

pub(crate) mod printer;
pub(crate) mod record;
mod table;

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use serde::Serialize;

pub(crate) use table::Table;

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
    line(&serde_json::to_string(value).map_err(io::Error::from)?)
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
pub(crate) fn list<R: Serialize>(
    records: &[R],
    as_json: bool,
    table: impl FnOnce() -> Table,
) -> Result<(), OutputError> {
    if as_json {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record).map_err(io::Error::from)?;
            lines.push(b'\n');
        }
        bytes(&lines)
    } else {
        line(&table().to_string())
    }
}

/// Text from elsewhere (names, messages) as it may be shown on a terminal: what would move the cursor is escaped.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|letter| {
            let escaped = letter.is_control().then(|| letter.escape_default());
            escaped.into_iter().flatten().chain((!letter.is_control()).then_some(letter))
        })
        .collect()
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
