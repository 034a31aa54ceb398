//! What an agent and an executor's process say to each other, and how it looks on their socket.
//!
//! Both sides greet first, in a form that never changes, so that strangers and other versions know each other for
//! what they are. Messages follow: the length in four bytes, then the message in postcard.

use std::io::{self, Read, Write};
use std::marker::PhantomData;

use bytes::Bytes;
use haggle_core::queue::{Index, Shape};
use haggle_core::{AllocationSpec, Ending, Stop, TaskId, TaskState, TaskSummary, Usage};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::socket::Reader;
use crate::event::{Launch, Stream};

/// Grows with every change of the messages. An agent cannot speak to an executor of another version, and ends it.
const VERSION: u32 = 7;

/// What every greeting begins with.
const MAGIC: [u8; 8] = *b"haggle-x";

/// Bytes of a greeting: the magic, the version, the process's id.
const GREETING: usize = 16;

/// Bytes of one message. The largest is a launch: 1 MiB of input, 1 MiB of words, and a thousand paths.
const MESSAGE_MAX: usize = 32 << 20;

/// Bytes asked for in one read: everything that waits, most of the time.
const READ: usize = 64 << 10;

/// What an agent says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Run this. The executor keeps a record of it until it is told to forget it.
    Launch(Launch),
    /// Hold a queue for this allocation. Kept until it is told to forget it.
    Open(AllocationSpec),
    /// Put tasks into the queue of an allocation.
    Enqueue {
        /// Which one.
        allocation: TaskId,
        /// The first of a batch, from which the others differ by their numbers.
        launch: Launch,
        /// The variable that tells them apart.
        index: Option<Index>,
        /// Of the batch, how many are left out at its begin.
        at: u64,
        /// How many come from there on.
        count: u64,
    },
    /// No more tasks follow for this allocation. Kept for the next agent.
    Close(TaskId),
    /// End this task, if it has not ended; of an allocation, every task in its queue. Why, the first time, is kept.
    Kill(TaskId, Stop),
    /// The first so many ends of those in an allocation's queue were told and acknowledged.
    Settled {
        /// Which allocation.
        allocation: TaskId,
        /// How many more.
        ends: u64,
    },
    /// The end of this task was told and acknowledged: nobody will ask for it again.
    Forget(TaskId),
    /// Output came to the agent.
    Taken {
        /// Of which task.
        task: TaskId,
        /// Which of its outputs.
        stream: Stream,
        /// Every byte before this offset has come.
        received: u64,
        /// Every byte before this offset is in a file, so that the agent may end and it is not lost.
        stored: u64,
    },
    /// Say what this task has used so far.
    TellUsage {
        /// Stands in the answer.
        request: u64,
        /// Which one.
        task: TaskId,
    },
    /// The agent goes, and another will come. Tasks run on.
    Leave,
    /// End every task, and then yourself.
    End,
}

/// What an executor says. First, to an agent that has come, everything that it holds: for each task a `Held`, then
/// what has happened to it; after the last task a `Complete`. From then on, what happens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Report {
    /// A task that an earlier agent launched.
    Held(TaskSummary),
    /// A queue that an earlier agent opened. Its ends follow as news.
    HeldQueue {
        /// What was opened.
        spec: AllocationSpec,
        /// Whether no more tasks follow.
        last: bool,
        /// Tasks that have not ended: first, how many, where they stand, what they have in common.
        runs: Vec<(u64, u64, TaskState, Shape)>,
        /// Which batches these are of.
        batches: Vec<HeldBatch>,
    },
    /// All that it holds is told.
    Complete {
        /// How many agents it had before this one.
        incarnation: u32,
    },
    /// As [`Event::Started`](crate::Event::Started).
    Started(TaskId),
    /// As [`Event::Output`](crate::Event::Output).
    Output {
        /// Which task.
        task: TaskId,
        /// Where to.
        stream: Stream,
        /// Of the first byte. What lies before `stored` was told to an earlier agent, and is not told again.
        offset: u64,
        /// What.
        #[serde(with = "super::blob")]
        bytes: Bytes,
    },
    /// A task, or all that is in an allocation's queue, was told to end by an earlier agent, for this reason.
    Stopped(TaskId, Stop),
    /// As [`Event::Ended`](crate::Event::Ended). A task that was told to end does not say why.
    Ended(TaskId, Ending),
    /// Of tasks in a queue: which have begun and not ended, and which have ended, in that order: first, how many, and how. What was
    /// ended with its allocation says why.
    QueueNews {
        /// In the queue of which allocation.
        allocation: TaskId,
        /// Their numbers.
        started: Vec<u64>,
        /// More than one in a row where none of them began.
        ended: Vec<(u64, u64, Ending)>,
    },
    /// The answer to `TellUsage`.
    Usage {
        /// As it was asked.
        request: u64,
        /// `None`: the task does not run here.
        usage: Option<Usage>,
    },
    /// It has held no task for a while, and may be ended.
    Idle,
}

/// What is left of tasks that were put into a queue together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeldBatch {
    /// The number of the first of them, which may have ended.
    pub first: u64,
    /// How many have not ended.
    pub left: u64,
}

/// Why two processes do not understand each other.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The connection.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Somebody else's socket.
    #[error("the other side is not one of Haggle's processes")]
    Stranger,
    /// An executor that another release of Haggle started, or an agent of another release.
    #[error("process {pid} speaks version {has} of the protocol, and {VERSION} is wanted")]
    Version {
        /// The version of the other side.
        has: u32,
        /// The other side.
        pid: u32,
    },
    /// Not in postcard, or not in this version's words.
    #[error("a message cannot be read: {0}")]
    Malformed(#[from] postcard::Error),
    /// A length that no message has.
    #[error("a message of {has} bytes, and there may be {MESSAGE_MAX}")]
    TooLong {
        /// As announced.
        has: usize,
    },
}

/// Says who this is.
///
/// # Errors
/// When the other side does not listen.
pub(crate) fn greet(mut to: impl Write) -> io::Result<()> {
    let mut greeting = [0; GREETING];
    greeting[..8].copy_from_slice(&MAGIC);
    greeting[8..12].copy_from_slice(&VERSION.to_le_bytes());
    greeting[12..].copy_from_slice(&std::process::id().to_le_bytes());
    to.write_all(&greeting)
}

/// Hears who that is: the id of a process that speaks this version.
///
/// # Errors
/// When it does not, or says nothing.
pub(crate) fn be_greeted(mut by: impl Read) -> Result<u32, WireError> {
    let mut greeting = [0; GREETING];
    by.read_exact(&mut greeting)?;
    let number = |at: usize| u32::from_le_bytes(greeting[at..at + 4].try_into().expect("four bytes are four bytes"));
    if greeting[..8] != MAGIC {
        return Err(WireError::Stranger);
    }
    let (has, pid) = (number(8), number(12));
    if has == VERSION { Ok(pid) } else { Err(WireError::Version { has, pid }) }
}

/// Appends a message to what is about to be written.
///
/// # Errors
/// When a path in it is not Unicode.
pub(crate) fn put<T: Serialize>(message: &T, into: &mut Vec<u8>) -> Result<(), postcard::Error> {
    let start = into.len();
    into.extend_from_slice(&[0; 4]);
    if let Err(error) = postcard::to_io(message, &mut *into) {
        into.truncate(start);
        return Err(error);
    }
    let length = u32::try_from(into.len() - start - 4).map_err(|_| postcard::Error::SerializeBufferFull)?;
    into[start..start + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Messages as they come in.
#[derive(Debug)]
pub struct Incoming<R, T> {
    from: R,
    buffer: Vec<u8>,
    /// Where the first message begins that was not taken yet.
    taken: usize,
    /// How much of the buffer is filled.
    filled: usize,
    messages: PhantomData<fn() -> T>,
}

impl<R: Read, T: DeserializeOwned> Incoming<R, T> {
    /// Waits for at least one message, and appends all that have come. False when the other side has hung up.
    ///
    /// # Errors
    /// When the connection breaks, or what comes is no message.
    pub fn read(&mut self, into: &mut Vec<T>) -> Result<bool, WireError> {
        while !self.take(into)? {
            let at = self.make_room();
            let read = loop {
                match self.from.read(&mut self.buffer[at..]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read?,
                }
            };
            self.filled += read;
            if read == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl<T: DeserializeOwned> Incoming<Reader, T> {
    /// Waits as a task for at least one message, and appends all that have come. False when the other side has hung up.
    ///
    /// # Errors
    /// When the connection breaks, or what comes is no message.
    pub async fn hear(&mut self, into: &mut Vec<T>) -> Result<bool, WireError> {
        while !self.take(into)? {
            let at = self.make_room();
            let read = self.from.read(&mut self.buffer[at..]).await?;
            self.filled += read;
            if read == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl<R, T: DeserializeOwned> Incoming<R, T> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, buffer: Vec::new(), taken: 0, filled: 0, messages: PhantomData }
    }

    /// The same, with what has come already, read in another way from here on.
    pub(super) fn by<S>(self, from: S) -> Incoming<S, T> {
        let Self { buffer, taken, filled, messages, .. } = self;
        Incoming { from, buffer, taken, filled, messages }
    }

    /// Appends the messages that have come whole. False when there is none.
    fn take(&mut self, into: &mut Vec<T>) -> Result<bool, WireError> {
        let before = into.len();
        while let Some(message) = self.next()? {
            into.push(message);
        }
        Ok(into.len() > before)
    }

    fn next(&mut self) -> Result<Option<T>, WireError> {
        let Some(length) = self.length()? else { return Ok(None) };
        let start = self.taken + 4;
        if self.filled < start + length {
            return Ok(None);
        }
        let message = postcard::from_bytes(&self.buffer[start..start + length])?;
        self.taken = start + length;
        Ok(Some(message))
    }

    /// Of the next message, as far as that is known.
    fn length(&self) -> Result<Option<usize>, WireError> {
        let Some(prefix) = self.buffer[self.taken..self.filled].first_chunk::<4>() else { return Ok(None) };
        let has = u32::from_le_bytes(*prefix) as usize;
        if has > MESSAGE_MAX { Err(WireError::TooLong { has }) } else { Ok(Some(has)) }
    }

    /// Where in the buffer the next read belongs. The buffer grows with a message that needs it, and not before its bytes come.
    fn make_room(&mut self) -> usize {
        self.buffer.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.taken = 0;
        let wanted = self.filled + READ;
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        self.filled
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::FrameworkId;

    use super::*;

    /// Gives its bytes in pieces of this size.
    struct Dripping<'a>(&'a [u8], usize);

    impl Read for Dripping<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let size = self.1.min(self.0.len()).min(into.len());
            let (now, later) = self.0.split_at(size);
            into[..size].copy_from_slice(now);
            self.0 = later;
            Ok(size)
        }
    }

    fn task(number: u64) -> TaskId {
        TaskId { framework: FrameworkId(1), number }
    }

    fn output(number: u64, size: usize) -> Report {
        let bytes = vec![u8::try_from(number).unwrap(); size].into();
        Report::Output { task: task(number), stream: Stream::Stderr, offset: 7, bytes }
    }

    fn all(bytes: &[u8], piece: usize) -> Vec<String> {
        let mut incoming = Incoming::<_, Report>::new(Dripping(bytes, piece));
        let mut messages = Vec::new();
        while incoming.read(&mut messages).unwrap() {}
        messages.iter().map(|message| format!("{message:?}")).collect()
    }

    #[test]
    fn messages_come_as_they_went_however_they_are_cut() {
        let sent = [Report::Started(task(1)), output(2, 300), Report::Idle, output(3, 200_000)];
        let mut bytes = Vec::new();
        for message in &sent {
            put(message, &mut bytes).unwrap();
        }
        let sent: Vec<String> = sent.iter().map(|message| format!("{message:?}")).collect();

        for piece in [1, 3, 5, 1000, usize::MAX] {
            assert_eq!(all(&bytes, piece), sent, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_length_that_no_message_has_is_refused_before_it_is_waited_for() {
        let mut incoming = Incoming::<_, Report>::new(&[0xff; 4][..]);

        assert!(matches!(incoming.read(&mut Vec::new()), Err(WireError::TooLong { .. })));
    }

    #[test]
    fn strangers_and_other_versions_are_known_by_their_greeting() {
        let mut greeting = Vec::new();
        greet(&mut greeting).unwrap();
        assert_eq!(be_greeted(&greeting[..]).unwrap(), std::process::id());

        greeting[8] += 1;
        assert!(matches!(be_greeted(&greeting[..]), Err(WireError::Version { has, .. }) if has == VERSION + 1));
        assert!(matches!(be_greeted(&b"GET / HTTP/1.1\r\n"[..]), Err(WireError::Stranger)));
        assert!(matches!(be_greeted(&b"hi"[..]), Err(WireError::Io(_))));
    }
}
