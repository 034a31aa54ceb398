//! The audit: one line of JSON for each decision that changes something or was refused. Never a secret.

mod repeats;

use std::convert::Infallible;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::future::pending;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use haggle_core::access::{Principal, PrincipalId, Verb};
use tokio::time::sleep;
use tonic::Code;
use tracing::error;

use crate::access::Caller;

use repeats::{LeftOut, MINUTE, PLENTY, Repeats};

/// Bytes of one file: some 300,000 lines.
const FILE_MAX: u64 = 64 << 20;

/// Files that are kept, the one that is written among them.
const FILES: usize = 5;

/// The longest text of a field, in bytes. Reasons are sentences.
const TEXT_MAX: usize = 1024;

/// How often to see whether something was left out that is to be told.
const LOOK_EVERY: Duration = Duration::from_secs(10);

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
    tail: Tail,
    /// Lines that could not be written since one could. The first is told of in the log of the master.
    lost: u64,
    repeats: Repeats,
}

impl Audit {
    /// An audit in this file, which only its user can read, and goes on where it stopped.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::with_limit(path, FILE_MAX)
    }

    fn with_limit(path: &Path, limit: u64) -> io::Result<Self> {
        let file = open(path)?;
        let written = file.metadata()?.len();
        let tail = Tail { is_cut: ends_within_a_line(path)? };
        let log = Log { path: path.to_owned(), file, written, limit, tail, lost: 0, repeats: Repeats::default() };
        Ok(Self(Some(Arc::new(Mutex::new(log)))))
    }

    /// Writes down a decision. It is with the system when this returns. A disk that is full stops no decision; the log
    /// says so. Of what changes nothing, only so much of each principal is written, and then how much more there was.
    pub(crate) fn write(&self, entry: &Entry<'_>) {
        let Some(mut log) = self.lock() else { return };
        let (at, now) = (SystemTime::now(), Instant::now());
        log.tell_left_out(at, now);
        let who = entry.caller.who.as_ref().map(Principal::id);
        if !entry.changes() && !log.repeats.admit(who, entry.verb, entry.code, now) {
            return;
        }
        log.write(&line(at, entry));
    }

    /// Tells what was left out, for as long as it is polled: not only when something is written the next time.
    pub(crate) async fn keep_up(&self) -> Infallible {
        if self.0.is_none() {
            return pending().await;
        }
        loop {
            sleep(LOOK_EVERY).await;
            if let Some(mut log) = self.lock() {
                log.tell_left_out(SystemTime::now(), Instant::now());
            }
        }
    }

    /// Tells what was left out until now: the master ends.
    pub(crate) fn finish(&self) {
        if let Some(mut log) = self.lock() {
            log.tell_left_out(SystemTime::now(), Instant::now() + MINUTE);
        }
    }

    /// The last lines of the file that is written; `None` when nothing is written down.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn last(&self) -> Option<io::Result<Vec<String>>> {
        let path = self.lock()?.path.clone();
        Some(last_lines(&path))
    }

    fn lock(&self) -> Option<MutexGuard<'_, Log>> {
        Some(self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Entry<'_> {
    /// Whether something is another way for it, be it that this cannot be told. That a session is opened changes nothing yet:
    /// who speaks on it is a decision of its own.
    fn changes(&self) -> bool {
        self.code == Code::Ok && !matches!(self.verb, Verb::AgentSession | Verb::FrameworkSession)
    }
}

impl Log {
    fn tell_left_out(&mut self, at: SystemTime, now: Instant) {
        for left_out in self.repeats.over(now) {
            self.write(&line_of(at, &left_out));
        }
    }

    fn write(&mut self, line: &str) {
        if let Err(why) = self.try_write(line) {
            if self.lost == 0 {
                error!("the audit {} has gaps from here: {why}", self.path.display());
            }
            self.lost += 1;
        }
    }

    fn try_write(&mut self, line: &str) -> io::Result<()> {
        if self.lost > 0 {
            let gap = format!("{{\"left_out\":{},\"why\":\"they could not be written\"}}\n", self.lost);
            self.append(&gap)?;
            self.lost = 0;
        }
        self.append(line)
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        if self.written > 0 && self.written + line.len() as u64 > self.limit {
            self.rotate()?;
        }
        let (written, outcome) = self.tail.append(&mut self.file, line);
        self.written += written;
        outcome
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
        self.tail = Tail::default();
        Ok(())
    }
}

/// The end of a file to which lines are added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tail {
    /// A disk was full in the middle of a line. What follows begins on a line of its own.
    is_cut: bool,
}

impl Tail {
    /// How many bytes there are more, and whether the line is whole.
    fn append(&mut self, file: &mut impl Write, line: &str) -> (u64, io::Result<()>) {
        let text = if self.is_cut { format!("\n{line}") } else { line.to_owned() };
        let (all, mut written) = (text.as_bytes(), 0);
        let outcome = loop {
            match file.write(&all[written..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
            if written == all.len() {
                break Ok(());
            }
        };
        if let Some(last) = all[..written].last() {
            self.is_cut = *last != b'\n';
        }
        (written as u64, outcome)
    }
}

/// Lines that are looked at from the end of the file.
const LAST: usize = 500;

fn last_lines(path: &Path) -> io::Result<Vec<String>> {
    // A line has some 300 bytes.
    const BYTES: u64 = 512 << 10;
    let mut file = File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first may have begun before.
    let lines = text.lines().skip(usize::from(from > 0));
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    Ok(lines[lines.len().saturating_sub(LAST)..].to_vec())
}

/// Whether the file ends in the middle of a line: that of a master which was killed, or whose disk was full.
fn ends_within_a_line(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
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
    let who = caller.who.as_ref();
    let mut line = Line::begin(at, who.map(Principal::id).as_ref());
    if let Some(token) = who.and_then(|who| who.token) {
        line.field("token", &token.to_string());
    }
    if let Some(address) = caller.address {
        line.field("peer", &address.to_string());
    }
    line.field("verb", verb.name());
    if !object.is_empty() {
        line.field("object", object);
    }
    line.verdict(*code);
    if *code != Code::Ok {
        line.field("why", why);
    }
    line.end()
}

/// What is written in the place of lines that are not.
fn line_of(at: SystemTime, left_out: &LeftOut) -> String {
    let LeftOut { who, verb, code, count } = left_out;
    let mut line = Line::begin(at, who.as_ref());
    line.field("verb", verb.name());
    line.verdict(*code);
    let _ = write!(line.0, ",\"left_out\":{count}");
    line.field("why", &format!("more than {PLENTY} lines within a minute that changed nothing"));
    line.end()
}

/// A line under way.
struct Line(String);

impl Line {
    fn begin(at: SystemTime, who: Option<&PrincipalId>) -> Self {
        let mut line = Self(format!("{{\"time\":\"{}\"", humantime::format_rfc3339_millis(at)));
        match who {
            Some(PrincipalId { name, kind }) => {
                line.field("principal", name);
                line.field("kind", kind.word());
            }
            None => line.field("kind", "stranger"),
        }
        line
    }

    fn field(&mut self, name: &str, text: &str) {
        let _ = write!(self.0, ",\"{name}\":\"");
        escape(text, &mut self.0);
        self.0.push('"');
    }

    fn verdict(&mut self, code: Code) {
        self.field("verdict", if code == Code::Ok { "ok" } else { "refused" });
        if code != Code::Ok {
            self.field("code", &format!("{code:?}"));
        }
    }

    fn end(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }
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
