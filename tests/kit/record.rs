//! What a recording framework wrote down: one JSON line for each thing that it said or heard, in order.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use haggle_core::{Reason, Source, TaskState};
use serde::{Deserialize, Serialize};

/// One thing that was said or heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Entry {
    /// The recorder's process has started.
    Began,
    /// It is subscribed, as this framework of this cluster.
    Subscribed { cluster: String, framework: u64 },
    /// Written before the launch is said.
    Accept { agent: u64, tasks: Vec<Launch> },
    /// An update was heard.
    Update(Heard),
    /// Written before the acknowledgement is said.
    Acknowledge { task: u64, update: u64 },
    /// So many tasks were asked after.
    Reconcile { tasks: usize },
    /// An agent is gone.
    AgentLost { agent: u64 },
    /// The master was lost.
    Disconnected { why: String },
    /// Back with a master.
    Back,
    /// No more launches from here on.
    Draining,
    /// The last line of a recorder that was asked to end: tasks whose end it has not heard.
    Done { open: usize },
    /// The session is over, and it was not the recorder who ended it.
    Over { why: String },
}

/// A task that is launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Its number in the framework.
    pub task: u64,
    /// When it was to be launched: microseconds since 1970.
    pub due_us: u64,
    /// Whether it runs until it is killed.
    pub lasting: bool,
}

/// An update of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The task's number in the framework.
    pub task: u64,
    /// The update's id.
    pub update: u64,
    /// Where the task stands.
    pub state: TaskState,
    /// Why.
    pub reason: Option<Reason>,
    /// Who says so.
    pub source: Source,
    /// Where the task is or was.
    pub agent: Option<u64>,
    /// For people.
    pub message: String,
}

/// An entry and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Microseconds since 1970.
    pub at_us: u64,
    /// What happened then.
    #[serde(flatten)]
    pub entry: Entry,
}

/// Appends to a record. Each line is one plain write, so that a killed process loses none that was written.
#[derive(Debug)]
pub struct Record(File);

impl Record {
    /// Goes on with the record at `path`, or begins it.
    ///
    /// # Errors
    /// When the file cannot be opened, read or written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let length = file.metadata()?.len();
        if length > 0 {
            file.seek(SeekFrom::Start(length - 1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                // The writer was killed within a write.
                file.write_all(b"\n")?;
            }
        }
        Ok(Self(file))
    }

    /// Writes a line.
    ///
    /// # Errors
    /// When that fails.
    pub fn write(&mut self, entry: Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Line { at_us: now_us(), entry })?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}

/// Everything in a record. A line that was cut off by a kill is left out: what it was to tell was not said yet.
///
/// # Errors
/// When there is no such file.
pub fn read_record(path: &Path) -> io::Result<Vec<Line>> {
    read_record_from(path, 0)
}

/// As [`read_record`], behind the first bytes.
///
/// # Errors
/// When there is no such file.
pub fn read_record_from(path: &Path, bytes: u64) -> io::Result<Vec<Line>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(bytes))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// Microseconds since 1970: the clock that all processes of a machine share.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_passed_over_and_what_follows_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        Record::open(&path).unwrap().write(Entry::Began).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"at_us\":1,\"wh").unwrap();

        Record::open(&path).unwrap().write(Entry::Done { open: u64::MAX as usize }).unwrap();

        let entries: Vec<_> = read_record(&path).unwrap().into_iter().map(|line| line.entry).collect();
        assert_eq!(entries, [Entry::Began, Entry::Done { open: u64::MAX as usize }]);
    }
}
