//! What the tasks write, as they write it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use haggle_core::TaskId;
use haggle_sdk::{Client, OutputStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::output::printer::{Say, Voice};

/// Tasks whose output is read at the same time: enough to keep a terminal busy, few enough for any master.
const READERS: usize = 16;

/// A task of an array that has run for this long is read as it runs; one that is done before, afterwards and only if
/// it wrote anything. So a swarm of short tasks costs nothing here.
const SHORT: Duration = Duration::from_millis(200);

/// How long to wait for another byte of a task that has ended. Its agent may be gone with it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A longer line is broken up.
const LINE_MAX: usize = 16 << 10;

/// Reads what tasks write.
pub(super) struct Outputs {
    client: Client,
    voice: Voice,
    /// Whether lines begin with the index of their task.
    array: bool,
    /// Running and not read yet, with the moment at which that is due.
    running: BTreeMap<TaskId, (u64, Instant)>,
    /// Ended, and waiting for a free reader.
    waiting: VecDeque<(TaskId, u64)>,
    /// Being read, or read while nobody has said yet that they ended.
    reading: BTreeMap<TaskId, Reading>,
    readers: JoinSet<TaskId>,
}

struct Reading {
    /// Tells the readers that the task has ended.
    ended: watch::Sender<bool>,
    /// Whether everything was read. That may be known before the end is.
    done: bool,
}

impl Outputs {
    pub(super) fn new(client: Client, voice: Voice, array: bool) -> Self {
        Self {
            client,
            voice,
            array,
            running: BTreeMap::new(),
            waiting: VecDeque::new(),
            reading: BTreeMap::new(),
            readers: JoinSet::new(),
        }
    }

    /// A task runs.
    pub(super) fn started(&mut self, task: TaskId, index: u64) {
        if self.array {
            self.running.insert(task, (index, Instant::now() + SHORT));
        } else {
            self.read(task, index, false);
        }
    }

    /// A task has ended; `wrote` unless it is known to have written nothing.
    pub(super) fn ended(&mut self, task: TaskId, index: u64, wrote: bool) {
        self.running.remove(&task);
        match self.reading.get(&task) {
            Some(reading) if reading.done => _ = self.reading.remove(&task),
            Some(reading) => _ = reading.ended.send_replace(true),
            None if wrote => {
                self.waiting.push_back((task, index));
                self.assign();
            }
            None => {}
        }
    }

    /// Time has passed, or a reader is done. Never ends by itself while nothing is to do.
    pub(super) async fn advance(&mut self) {
        let due = self.running.values().map(|&(_, due)| due).min().filter(|_| self.readers.len() < READERS);
        tokio::select! {
            Some(done) = self.readers.join_next() => {
                if let Ok(task) = done {
                    self.finished(task);
                }
            }
            () = async { tokio::time::sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {}
            else => std::future::pending().await,
        }
        self.assign();
    }

    /// Waits until everything that was written is on its way to the printer.
    pub(super) async fn finish(mut self) {
        while !(self.waiting.is_empty() && self.readers.is_empty()) {
            self.advance().await;
        }
    }

    fn finished(&mut self, task: TaskId) {
        match self.reading.get_mut(&task) {
            Some(reading) if *reading.ended.borrow() => _ = self.reading.remove(&task),
            Some(reading) => reading.done = true,
            None => {}
        }
    }

    /// Free readers go to ended tasks first: their agents keep what they wrote for a while only.
    fn assign(&mut self) {
        while self.readers.len() < READERS {
            let Some((task, index)) = self.waiting.pop_front() else { break };
            self.read(task, index, true);
        }
        let now = Instant::now();
        while self.readers.len() < READERS {
            let due = self.running.iter().find(|(_, (_, due))| *due <= now).map(|(&task, &(index, _))| (task, index));
            let Some((task, index)) = due else { break };
            self.running.remove(&task);
            self.read(task, index, false);
        }
    }

    fn read(&mut self, task: TaskId, index: u64, has_ended: bool) {
        let (ended, watched) = watch::channel(has_ended);
        self.reading.insert(task, Reading { ended, done: false });
        let prefix = self.array.then(|| format!("[{index}] "));
        let one = |stream| Reader {
            client: self.client.clone(),
            voice: self.voice.clone(),
            task,
            stream,
            prefix: prefix.clone(),
            ended: watched.clone(),
        };
        let (stdout, stderr) = (one(OutputStream::Stdout), one(OutputStream::Stderr));
        self.readers.spawn(async move {
            tokio::join!(stdout.read(), stderr.read());
            task
        });
    }
}

/// Reads one of the two outputs of one task.
struct Reader {
    client: Client,
    voice: Voice,
    task: TaskId,
    stream: OutputStream,
    prefix: Option<String>,
    ended: watch::Receiver<bool>,
}

impl Reader {
    async fn read(mut self) {
        let mut log = self.client.log(self.task, self.stream, true);
        let mut lines = self.prefix.take().map(Lines::new);
        loop {
            let piece = tokio::select! {
                piece = log.next() => piece,
                () = overdue(self.ended.clone()) => {
                    self.note(format!("the output of {} is incomplete: its agent does not answer", self.task)).await;
                    break;
                }
            };
            match piece {
                Some(Ok(piece)) => {
                    let ready = match &mut lines {
                        Some(lines) => lines.push(&piece),
                        None => piece,
                    };
                    self.say(ready).await;
                }
                Some(Err(error)) => {
                    self.note(format!("the output of {} is incomplete: {error}", self.task)).await;
                    break;
                }
                None => break,
            }
        }
        if let Some(rest) = lines.and_then(Lines::finish) {
            self.say(rest).await;
        }
    }

    async fn say(&self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let say = match self.stream {
            OutputStream::Stdout => Say::Out(bytes),
            OutputStream::Stderr => Say::Err(bytes),
        };
        // The printer outlives every reader.
        let _ = self.voice.send(say).await;
    }

    async fn note(&self, text: String) {
        // One word for both of its streams.
        if self.stream == OutputStream::Stdout {
            let _ = self.voice.send(Say::Err(format!("haggle: {text}\n").into())).await;
        }
    }
}

/// Waits until the task has ended, and then as long as it is worth.
async fn overdue(mut ended: watch::Receiver<bool>) {
    if ended.wait_for(|&ended| ended).await.is_ok() {
        sleep(PATIENCE).await;
    } else {
        std::future::pending::<()>().await;
    }
}

/// Whole lines with a prefix, so that those of different tasks do not run into each other.
struct Lines {
    prefix: String,
    begun: BytesMut,
}

impl Lines {
    fn new(prefix: String) -> Self {
        Self { prefix, begun: BytesMut::new() }
    }

    /// The lines that `piece` completes.
    fn push(&mut self, piece: &[u8]) -> Bytes {
        let mut ready = BytesMut::new();
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            self.begun.extend_from_slice(part);
            if part.ends_with(b"\n") || self.begun.len() >= LINE_MAX {
                self.complete(&mut ready);
            }
        }
        ready.freeze()
    }

    /// The last line, if it was begun.
    fn finish(mut self) -> Option<Bytes> {
        if self.begun.is_empty() {
            return None;
        }
        let mut ready = BytesMut::new();
        self.complete(&mut ready);
        Some(ready.freeze())
    }

    fn complete(&mut self, ready: &mut BytesMut) {
        ready.extend_from_slice(self.prefix.as_bytes());
        let line = self.begun.split();
        ready.extend_from_slice(&line);
        if !line.ends_with(b"\n") {
            ready.extend_from_slice(b"\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_prefixed_once_they_are_whole() {
        let mut lines = Lines::new("[7] ".into());

        assert_eq!(lines.push(b"on"), "");
        assert_eq!(lines.push(b"e\ntwo\nthr"), "[7] one\n[7] two\n");
        assert_eq!(lines.finish().unwrap(), "[7] thr\n");
    }

    #[test]
    fn a_line_without_end_is_broken_up() {
        let mut lines = Lines::new("[0] ".into());

        let ready = lines.push(&vec![b'x'; LINE_MAX + 1]);

        assert_eq!(ready.len(), "[0] \n".len() + LINE_MAX + 1);
        assert_eq!(lines.finish(), None);
    }
}
