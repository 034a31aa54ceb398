//! The audit: one line of JSON for each decision that changes something or was refused. Never a secret.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use haggle_core::access::Verb;
use tonic::Code;
use tracing::error;

use crate::access::Caller;

/// Bytes of one file: some 300,000 lines.
const FILE_MAX: u64 = 64 << 20;

/// Files that are kept, the one that is written among them.
const FILES: usize = 5;

/// The longest text of a field, in bytes. Reasons are sentences.
const TEXT_MAX: usize = 1024;

/// Calls of strangers that are written down in a second. Without a bound, anybody who reaches the port could have
/// everything else rotated away.
const STRANGERS: u32 = 100;

/// One decision.
pub(crate) struct Entry<'a> {
    /// Who asked, and from where.
    pub(crate) caller: &'a Caller,
    /// What was asked.
    pub(crate) verb: Verb,
    /// To what it would be done; empty when that is not known.
    pub(crate) object: &'a str,
    /// [`Code::Ok`] when it was done.
    pub(crate) code: Code,
    /// Why not.
    pub(crate) why: &'a str,
}

/// Writes decisions down, or nowhere. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Audit(Option<Arc<Mutex<Log>>>);

struct Log {
    path: PathBuf,
    file: File,
    written: u64,
    limit: u64,
    /// Whether the last line could not be written: that is said once.
    broken: bool,
    strangers: Strangers,
}

/// Counts calls of those who are nobody.
#[derive(Default)]
struct Strangers {
    since: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl Audit {
    /// An audit in this file, which only its user can read, and goes on where it stopped.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::with_limit(path, FILE_MAX)
    }

    fn with_limit(path: &Path, limit: u64) -> io::Result<Self> {
        let file = open(path)?;
        let written = file.metadata()?.len();
        let strangers = Strangers::default();
        let log = Log { path: path.to_owned(), file, written, limit, broken: false, strangers };
        Ok(Self(Some(Arc::new(Mutex::new(log)))))
    }

    /// Writes down a decision. It is with the system when this returns. A disk that is full stops no decision; the log
    /// says so.
    pub(crate) fn write(&self, entry: &Entry<'_>) {
        let Some(log) = &self.0 else { return };
        let line = line(SystemTime::now(), entry);
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        if entry.caller.who.is_none() && !log.strangers.admit(Instant::now()) {
            return;
        }
        let left_out = std::mem::take(&mut log.strangers.left_out);
        if left_out > 0 {
            log.write(&format!(
                "{{\"left_out\":{left_out},\"why\":\"calls of strangers, more than {STRANGERS} a second\"}}\n"
            ));
        }
        log.write(&line);
    }
}

impl Strangers {
    /// Whether one more is written down.
    fn admit(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1)) {
            self.since = Some(now);
            self.written = 0;
        }
        if self.written == STRANGERS {
            self.left_out += 1;
            return false;
        }
        self.written += 1;
        true
    }
}

impl Log {
    fn write(&mut self, line: &str) {
        let outcome = self.try_write(line);
        if let Err(why) = &outcome
            && !self.broken
        {
            error!("the audit {} has gaps from here: {why}", self.path.display());
        }
        self.broken = outcome.is_err();
    }

    fn try_write(&mut self, line: &str) -> io::Result<()> {
        if self.written > 0 && self.written + line.len() as u64 > self.limit {
            self.rotate()?;
        }
        self.file.write_all(line.as_bytes())?;
        self.written += line.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..FILES).rev() {
            let from = if number == 1 { self.path.clone() } else { numbered(&self.path, number - 1) };
            match std::fs::rename(from, numbered(&self.path, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = open(&self.path)?;
        self.written = 0;
        Ok(())
    }
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn line(at: SystemTime, entry: &Entry<'_>) -> String {
    let Entry { caller, verb, object, code, why } = entry;
    let mut line = format!("{{\"time\":\"{}\"", humantime::format_rfc3339_millis(at));
    let mut field = |name: &str, text: &str| {
        let _ = write!(line, ",\"{name}\":\"");
        escape(text, &mut line);
        line.push('"');
    };
    match &caller.who {
        Some(who) => {
            field("principal", &who.name);
            field("kind", who.kind.word());
            if let Some(token) = who.token {
                field("token", &token.to_string());
            }
        }
        None => field("kind", "stranger"),
    }
    if let Some(address) = caller.address {
        field("peer", &address.to_string());
    }
    field("verb", verb.name());
    if !object.is_empty() {
        field("object", object);
    }
    field("verdict", if *code == Code::Ok { "ok" } else { "refused" });
    if *code != Code::Ok {
        field("code", &format!("{code:?}"));
        field("why", why);
    }
    line.push_str("}\n");
    line
}

/// A text within quotes of JSON. Nothing that a terminal would take for a command is left.
fn escape(text: &str, into: &mut String) {
    let text = &text[..text.floor_char_boundary(TEXT_MAX)];
    for letter in text.chars() {
        match letter {
            '"' => into.push_str("\\\""),
            '\\' => into.push_str("\\\\"),
            letter if letter.is_control() || is_bidi(letter) => {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    let _ = write!(into, "\\u{unit:04x}");
                }
            }
            letter => into.push(letter),
        }
    }
}

/// Whether it changes the direction of what follows.
fn is_bidi(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
