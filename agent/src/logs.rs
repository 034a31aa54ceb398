//! The output of tasks: kept while there is room, read back by offset.

mod kept;
mod leftovers;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use haggle_core::TaskId;
use haggle_executor::Stream;
use tokio::sync::Notify;
use tokio::time::Instant;

use kept::{Kept, Place};
pub(crate) use leftovers::Leftovers;

/// What all logs together may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes in memory and on disk.
    pub(crate) bytes: u64,
    /// Bytes in memory.
    pub(crate) memory: u64,
    /// Tasks that have ended.
    pub(crate) ended: usize,
}

impl Bounds {
    /// Enough for 256 tasks that fill the output limit that a task has by default; for as many ended tasks as the
    /// master remembers; and in memory for a burst of tasks that each say a few lines.
    pub(crate) const DEFAULT: Self = Self { bytes: 256 << 20, memory: 32 << 20, ended: 10_000 };
}

/// A piece of one output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where it begins; above what was asked for when older output is no longer kept.
    pub(crate) offset: u64,
    pub(crate) data: Bytes,
    /// Whether nothing will ever follow.
    pub(crate) end: bool,
}

/// Why there is no piece.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("no output of {0} is kept here")]
    Unknown(TaskId),
    #[error("cannot read the output of {task}: {source}")]
    Unreadable { task: TaskId, source: io::Error },
}

/// The outputs of all tasks. Shared by the executor's workers, who write, and the link, which reads.
#[derive(Debug)]
pub(crate) struct Logs {
    dir: PathBuf,
    bounds: Bounds,
    tasks: Mutex<Tasks>,
    held: Held,
}

/// What all of it takes up now. Raised and lowered by whoever appends or discards, without a common lock.
#[derive(Debug, Default)]
struct Held {
    bytes: AtomicU64,
    memory: AtomicU64,
}

#[derive(Debug, Default)]
struct Tasks {
    logs: HashMap<TaskId, Arc<TaskLog>>,
    /// Oldest end first.
    ended: VecDeque<TaskId>,
}

#[derive(Debug)]
struct TaskLog {
    outputs: Mutex<Outputs>,
    changed: Notify,
}

#[derive(Debug)]
struct Outputs {
    stdout: Kept,
    stderr: Kept,
    ended: bool,
}

impl Outputs {
    fn of(&mut self, stream: Stream) -> &mut Kept {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    fn bytes(&self) -> u64 {
        self.stdout.bytes() + self.stderr.bytes()
    }

    fn memory(&self) -> u64 {
        self.stdout.memory() + self.stderr.memory()
    }
}

impl TaskLog {
    fn lock(&self) -> MutexGuard<'_, Outputs> {
        self.outputs.lock().expect(NEVER_POISONED)
    }
}

impl Logs {
    /// No output yet; what does not fit in memory will go to files in `dir`.
    pub(crate) fn new(dir: PathBuf, bounds: Bounds) -> Self {
        Self { dir, bounds, tasks: Mutex::default(), held: Held::default() }
    }

    /// From now on the output of this task is kept.
    pub(crate) fn open(&self, task: TaskId) {
        let name = |ending| self.dir.join(format!("{}.{}.{ending}", task.framework.0, task.number));
        let log = || {
            let outputs = Outputs { stdout: Kept::new(name("out")), stderr: Kept::new(name("err")), ended: false };
            Arc::new(TaskLog { outputs: Mutex::new(outputs), changed: Notify::new() })
        };
        self.tasks().logs.entry(task).or_insert_with(log);
    }

    /// The same, for a task that an earlier agent ran: what that one had in files is kept. One that is open goes on.
    pub(crate) fn recover(&self, task: TaskId, files: &Leftovers) {
        if self.find(task).is_some() {
            return;
        }
        self.open(task);
        let Some(log) = self.find(task) else { return };
        self.change(&log, |outputs| {
            for stream in [Stream::Stdout, Stream::Stderr] {
                if let Some((start, len)) = files.of(task, stream) {
                    outputs.of(stream).resume(start, len);
                }
            }
        });
    }

    /// Keeps what the task wrote, from this offset of its output on; what is kept already is not kept twice. Output
    /// of a task that is not open is dropped. Gives the offset before which everything is in a file, or given up.
    pub(crate) fn append(&self, task: TaskId, stream: Stream, offset: u64, bytes: &[u8]) -> u64 {
        let Some(log) = self.find(task) else { return offset + bytes.len() as u64 };
        let crowded = self.held.memory.load(Ordering::Relaxed) + bytes.len() as u64 > self.bounds.memory;
        let mut stored = 0;
        self.change(&log, |outputs| {
            let kept = outputs.of(stream);
            if let Err(error) = kept.append(offset, bytes, crowded) {
                tracing::warn!(%task, %error, "output cannot be kept");
            }
            stored = kept.stored();
        });
        log.changed.notify_waiters();
        if self.held.bytes.load(Ordering::Relaxed) > self.bounds.bytes {
            self.make_room();
        }
        stored
    }

    /// The task has written its last.
    pub(crate) fn end(&self, task: TaskId) {
        let mut tasks = self.tasks();
        let Some(log) = tasks.logs.get(&task).map(Arc::clone) else { return };
        if mem::replace(&mut log.lock().ended, true) {
            return;
        }
        tasks.ended.push_back(task);
        let oldest = if tasks.ended.len() > self.bounds.ended { tasks.forget_oldest() } else { None };
        drop(tasks);
        if let Some(oldest) = oldest {
            self.change(&oldest, discard);
        }
        log.changed.notify_waiters();
    }

    /// What follows `offset`, as far as it is kept; empty when there is nothing yet.
    ///
    /// # Errors
    /// When the task is not known (any more), or its file cannot be read.
    pub(crate) async fn read(&self, task: TaskId, stream: Stream, offset: u64) -> Result<Piece, LogError> {
        let log = self.find(task).ok_or(LogError::Unknown(task))?;
        self.read_from(&log, task, stream, offset).await
    }

    /// The same, but waits for something to tell, until the deadline.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) async fn read_when_there(
        &self,
        task: TaskId,
        stream: Stream,
        offset: u64,
        deadline: Instant,
    ) -> Result<Piece, LogError> {
        let log = self.find(task).ok_or(LogError::Unknown(task))?;
        loop {
            let mut changed = std::pin::pin!(log.changed.notified());
            // Before the look, so that what comes after the look is not missed.
            changed.as_mut().enable();
            let piece = self.read_from(&log, task, stream, offset).await?;
            if !piece.data.is_empty() || piece.end {
                return Ok(piece);
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return Ok(piece);
            }
        }
    }

    async fn read_from(&self, log: &TaskLog, task: TaskId, stream: Stream, offset: u64) -> Result<Piece, LogError> {
        let place = {
            let mut outputs = log.lock();
            let ended = outputs.ended;
            outputs.of(stream).find(offset, ended)
        };
        match place {
            Place::Memory(piece) => Ok(piece),
            Place::File(place) => place.read().await.map_err(|source| LogError::Unreadable { task, source }),
        }
    }

    fn find(&self, task: TaskId) -> Option<Arc<TaskLog>> {
        self.tasks().logs.get(&task).map(Arc::clone)
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().expect(NEVER_POISONED)
    }

    /// Changes what a log holds, and the sums with it.
    fn change(&self, log: &TaskLog, change: impl FnOnce(&mut Outputs)) {
        let mut outputs = log.lock();
        let (bytes, memory) = (outputs.bytes(), outputs.memory());
        change(&mut outputs);
        adjust(&self.held.bytes, bytes, outputs.bytes());
        adjust(&self.held.memory, memory, outputs.memory());
    }

    /// Forgets ended tasks, the oldest first. When no more are left, the task that holds most loses what it wrote
    /// so far: no task can push out more than it filled itself.
    fn make_room(&self) {
        while self.held.bytes.load(Ordering::Relaxed) > self.bounds.bytes {
            let mut tasks = self.tasks();
            let log = tasks.forget_oldest().or_else(|| tasks.largest());
            drop(tasks);
            let Some(log) = log else { return };
            self.change(&log, discard);
        }
    }
}

impl Tasks {
    fn forget_oldest(&mut self) -> Option<Arc<TaskLog>> {
        let oldest = self.ended.pop_front()?;
        self.logs.remove(&oldest)
    }

    fn largest(&self) -> Option<Arc<TaskLog>> {
        let (log, bytes) = self.logs.values().map(|log| (log, log.lock().bytes())).max_by_key(|&(_, bytes)| bytes)?;
        (bytes > 0).then(|| Arc::clone(log))
    }
}

fn discard(outputs: &mut Outputs) {
    outputs.stdout.discard();
    outputs.stderr.discard();
}

/// `sum` holds `before` of one log; it becomes `after`.
fn adjust(sum: &AtomicU64, before: u64, after: u64) {
    if after >= before {
        sum.fetch_add(after - before, Ordering::Relaxed);
    } else {
        sum.fetch_sub(before - after, Ordering::Relaxed);
    }
}

const NEVER_POISONED: &str = "nothing panics while it holds this lock";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use haggle_core::FrameworkId;
    use haggle_proto::LOG_CHUNK;

    use super::*;

    fn task(number: u64) -> TaskId {
        TaskId { framework: FrameworkId(1), number }
    }

    fn logs(bounds: Bounds) -> (Arc<Logs>, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        (Arc::new(Logs::new(dir.path().to_owned(), bounds)), dir)
    }

    /// What an executor would send next.
    fn append(logs: &Logs, task: TaskId, stream: Stream, bytes: &[u8]) {
        let offset = {
            let log = logs.find(task).unwrap();
            let mut outputs = log.lock();
            outputs.of(stream).len()
        };
        logs.append(task, stream, offset, bytes);
    }

    /// Everything that is kept of one output, from `offset`, and where it begins.
    async fn all(logs: &Logs, task: TaskId, stream: Stream, offset: u64) -> (u64, Vec<u8>) {
        let (mut start, mut text) = (None, Vec::new());
        loop {
            let at = start.unwrap_or(offset) + text.len() as u64;
            let piece = logs.read(task, stream, at).await.unwrap();
            let begin = *start.get_or_insert(piece.offset);
            assert_eq!(piece.offset, begin + text.len() as u64, "pieces follow each other");
            assert!(piece.data.len() <= LOG_CHUNK);
            if piece.data.is_empty() {
                return (begin, text);
            }
            text.extend_from_slice(&piece.data);
        }
    }

    fn files(dir: &tempfile::TempDir) -> usize {
        std::fs::read_dir(dir.path()).unwrap().count()
    }

    #[tokio::test]
    async fn small_output_stays_in_memory_and_is_read_by_offset() {
        let (logs, dir) = logs(Bounds::DEFAULT);
        logs.open(task(1));
        append(&logs, task(1), Stream::Stdout, b"hello ");
        append(&logs, task(1), Stream::Stdout, b"world");
        append(&logs, task(1), Stream::Stderr, b"oh");

        assert_eq!(all(&logs, task(1), Stream::Stdout, 0).await, (0, b"hello world".to_vec()));
        assert_eq!(all(&logs, task(1), Stream::Stdout, 6).await, (6, b"world".to_vec()));
        assert_eq!(all(&logs, task(1), Stream::Stderr, 0).await, (0, b"oh".to_vec()));
        assert_eq!(files(&dir), 0);
    }

    #[tokio::test]
    async fn the_end_is_told_with_the_last_byte_and_not_before_the_task_has_ended() {
        let (logs, _dir) = logs(Bounds::DEFAULT);
        logs.open(task(1));
        append(&logs, task(1), Stream::Stdout, b"x");
        assert!(!logs.read(task(1), Stream::Stdout, 0).await.unwrap().end);

        logs.end(task(1));

        let piece = logs.read(task(1), Stream::Stdout, 0).await.unwrap();
        assert_eq!(piece, Piece { offset: 0, data: Bytes::from_static(b"x"), end: true });
        assert!(logs.read(task(1), Stream::Stderr, 0).await.unwrap().end);
    }

    #[tokio::test]
    async fn large_output_goes_to_a_file_and_reads_back_the_same() {
        let (logs, dir) = logs(Bounds::DEFAULT);
        logs.open(task(1));
        let text: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
        for piece in text.chunks(7_001) {
            append(&logs, task(1), Stream::Stdout, piece);
        }
        logs.end(task(1));

        assert_eq!(all(&logs, task(1), Stream::Stdout, 0).await, (0, text.clone()));
        assert_eq!(all(&logs, task(1), Stream::Stdout, 250_123).await, (250_123, text[250_123..].to_vec()));
        assert_eq!(files(&dir), 1);
    }

    #[tokio::test]
    async fn an_offset_beyond_the_output_waits_at_its_end() {
        let (logs, _dir) = logs(Bounds::DEFAULT);
        logs.open(task(1));
        append(&logs, task(1), Stream::Stdout, b"abc");

        let piece = logs.read(task(1), Stream::Stdout, 99).await.unwrap();

        assert_eq!(piece, Piece { offset: 3, data: Bytes::new(), end: false });
    }

    #[tokio::test]
    async fn the_oldest_ended_task_is_forgotten_first() {
        let (logs, _dir) = logs(Bounds { ended: 2, ..Bounds::DEFAULT });
        for number in 1..=3 {
            logs.open(task(number));
        }
        for number in [2, 1, 3] {
            logs.end(task(number));
        }

        assert!(matches!(logs.read(task(2), Stream::Stdout, 0).await, Err(LogError::Unknown(_))));
        assert!(logs.read(task(1), Stream::Stdout, 0).await.unwrap().end);
        assert!(logs.read(task(3), Stream::Stdout, 0).await.unwrap().end);
    }

    #[tokio::test]
    async fn a_full_store_forgets_ended_tasks_and_then_the_past_of_the_largest() {
        let (logs, dir) = logs(Bounds { bytes: 100_000, ..Bounds::DEFAULT });
        logs.open(task(1));
        append(&logs, task(1), Stream::Stdout, &[1; 50_000]);
        logs.end(task(1));
        logs.open(task(2));
        append(&logs, task(2), Stream::Stdout, b"small");
        logs.open(task(3));

        append(&logs, task(3), Stream::Stdout, &[3; 60_000]);
        assert!(matches!(logs.read(task(1), Stream::Stdout, 0).await, Err(LogError::Unknown(_))));
        assert_eq!(all(&logs, task(3), Stream::Stdout, 0).await.0, 0);

        append(&logs, task(3), Stream::Stdout, &[4; 60_000]);
        assert_eq!(all(&logs, task(3), Stream::Stdout, 0).await, (120_000, vec![]));
        assert_eq!(all(&logs, task(2), Stream::Stdout, 0).await, (0, b"small".to_vec()));
        assert_eq!(files(&dir), 0);

        append(&logs, task(3), Stream::Stdout, b"after");
        assert_eq!(all(&logs, task(3), Stream::Stdout, 0).await, (120_000, b"after".to_vec()));
    }

    #[tokio::test]
    async fn memory_is_bounded_apart_from_the_whole() {
        let (logs, dir) = logs(Bounds { memory: 1_000, ..Bounds::DEFAULT });
        for number in 1..=20 {
            logs.open(task(number));
            append(&logs, task(number), Stream::Stdout, &[7; 100]);
        }

        assert!(logs.held.memory.load(Ordering::Relaxed) <= 1_000);
        assert_eq!(files(&dir), 10);
        assert_eq!(all(&logs, task(20), Stream::Stdout, 0).await, (0, vec![7; 100]));
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken_by_output_and_by_the_end() {
        let (logs, _dir) = logs(Bounds::DEFAULT);
        logs.open(task(1));
        let read = |offset| {
            let logs = Arc::clone(&logs);
            let deadline = Instant::now() + Duration::from_secs(60);
            tokio::spawn(async move { logs.read_when_there(task(1), Stream::Stdout, offset, deadline).await.unwrap() })
        };

        let waiting = read(0);
        tokio::task::yield_now().await;
        append(&logs, task(1), Stream::Stdout, b"hi");
        assert_eq!(waiting.await.unwrap().data, "hi");

        let waiting = read(2);
        tokio::task::yield_now().await;
        logs.end(task(1));
        assert_eq!(waiting.await.unwrap(), Piece { offset: 2, data: Bytes::new(), end: true });
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_comes_to_its_deadline() {
        let (logs, _dir) = logs(Bounds::DEFAULT);
        logs.open(task(1));

        let deadline = Instant::now() + Duration::from_secs(10);
        let piece = logs.read_when_there(task(1), Stream::Stdout, 0, deadline).await.unwrap();

        assert_eq!(piece, Piece { offset: 0, data: Bytes::new(), end: false });
        assert!(Instant::now() >= deadline);
    }

    #[tokio::test]
    async fn what_an_earlier_agent_had_in_files_is_kept_and_what_comes_twice_is_not_doubled() {
        let (earlier, dir) = logs(Bounds { memory: 0, ..Bounds::DEFAULT });
        earlier.open(task(1));
        assert_eq!(earlier.append(task(1), Stream::Stdout, 0, b"abcdef"), 6, "all of it is in a file");
        drop(earlier);

        let logs = Logs::new(dir.path().to_owned(), Bounds::DEFAULT);
        logs.recover(task(1), &Leftovers::find(dir.path()).unwrap());
        assert_eq!(logs.append(task(1), Stream::Stdout, 3, b"defghi"), 6, "the rest is in memory");

        assert_eq!(all(&logs, task(1), Stream::Stdout, 0).await, (0, b"abcdefghi".to_vec()));
        logs.append(task(1), Stream::Stdout, 20, b"late");
        assert_eq!(all(&logs, task(1), Stream::Stdout, 0).await, (20, b"late".to_vec()), "nothing fills a gap");
    }
}
