//! Messages on their way into a socket: written by whoever has one, while the other side keeps up, and by a thread when
//! it falls behind.
//!
//! So a message wakes one thread, its reader, and nobody who says something waits for anybody.

use std::fmt;
use std::io::Write;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex, MutexGuard};
use serde::Serialize;

use super::socket::Socket;
use super::wire::{self, WireError};

/// So often a caller writes for itself and for those who came meanwhile. After that it has done enough for others.
const ROUNDS: usize = 2;

/// Bytes of an empty buffer that are worth keeping for the next messages.
const KEPT_MAX: usize = 256 << 10;

/// Messages of one kind to one process, which may be pushed before there is a connection to it.
///
/// Bounded by what they are about: some for each task, and output that counts as the memory of its task.
pub struct Writer<T> {
    state: Mutex<State>,
    /// There is something to do for the thread.
    called: Condvar,
    messages: PhantomData<fn(T)>,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// An empty buffer.
    spare: Vec<u8>,
    /// None until there is a connection.
    to: Option<Socket>,
    turn: Turn,
    /// Once there was too much for the other side.
    thread: Option<thread::JoinHandle<()>>,
    closed: bool,
}

/// Who writes now. There is one at a time, so that messages go in the order in which they came.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Turn {
    #[default]
    Nobody,
    /// One of those who have something to say.
    Caller,
    /// The thread, until nothing waits.
    Thread,
}

impl<T: Serialize> Writer<T> {
    /// Adds a message, from any thread. It goes with the next [`Self::flush`].
    ///
    /// # Errors
    /// When a path in it is not Unicode.
    pub fn push(&self, message: &T) -> Result<(), WireError> {
        let mut state = self.state.lock();
        if !state.closed {
            wire::put(message, &mut state.waiting)?;
        }
        Ok(())
    }
}

impl<T: Serialize + 'static> Writer<T> {
    /// There is a connection: what waits goes there, and what will.
    pub(super) fn open(self: &Arc<Self>, to: Socket) {
        self.state.lock().to = Some(to);
        self.flush();
    }

    /// Sends what waits, as far as the other side has room for it; the rest follows by itself. Does not wait, unless there is no
    /// thread to be had for the rest.
    pub fn flush(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let Some(to) = state.to.clone().filter(|_| state.turn == Turn::Nobody) else { return };
        for _ in 0..ROUNDS {
            if state.waiting.is_empty() {
                break;
            }
            state.turn = Turn::Caller;
            let batch = state.take();
            let written = MutexGuard::unlocked(&mut state, || to.try_write(&batch));
            match written {
                Ok(written) if written == batch.len() => state.keep(batch),
                Ok(written) => {
                    state.put_back(&batch[written..]);
                    break;
                }
                Err(_) => {
                    state.lose();
                    break;
                }
            }
        }
        state.turn = if state.waiting.is_empty() { Turn::Nobody } else { Turn::Thread };
        if state.turn == Turn::Thread {
            self.leave_to_thread(&mut state, to);
        }
        if state.closed {
            self.called.notify_one();
        }
    }

    /// Nobody listens any more, or will after what waits now.
    pub fn close(self: &Arc<Self>) {
        self.flush();
        self.state.lock().closed = true;
        self.called.notify_one();
    }

    /// The same, and waits until what waits now is written or the connection is broken.
    pub(super) fn finish(self: &Arc<Self>) {
        self.close();
        let thread = self.state.lock().thread.take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes had panicked");
        }
    }

    /// Has the thread write, which is started when it is needed first: most connections never do.
    fn leave_to_thread(self: &Arc<Self>, state: &mut MutexGuard<'_, State>, mut to: Socket) {
        if state.thread.is_none() {
            let (writer, socket) = (Arc::clone(self), to.clone());
            let thread = thread::Builder::new().name("haggle-writer".to_owned());
            match thread.spawn(move || writer.be_the_thread(socket)) {
                Ok(thread) => state.thread = Some(thread),
                Err(error) => {
                    tracing::warn!(%error, "no thread to write messages; whoever has one waits for the other side");
                    return Self::write(state, &mut to);
                }
            }
        }
        self.called.notify_one();
    }

    fn be_the_thread(&self, mut to: Socket) {
        let mut state = self.state.lock();
        loop {
            if state.turn == Turn::Thread {
                Self::write(&mut state, &mut to);
            }
            if state.closed && state.turn == Turn::Nobody {
                return;
            }
            self.called.wait(&mut state);
        }
    }

    /// Writes until nothing waits, for whose turn it is.
    fn write(state: &mut MutexGuard<'_, State>, to: &mut Socket) {
        while !state.waiting.is_empty() {
            let batch = state.take();
            match MutexGuard::unlocked(state, || to.write_all(&batch)) {
                Ok(()) => state.keep(batch),
                Err(_) => state.lose(),
            }
        }
        state.turn = Turn::Nobody;
    }
}

impl State {
    fn take(&mut self) -> Vec<u8> {
        mem::replace(&mut self.waiting, mem::take(&mut self.spare))
    }

    fn keep(&mut self, mut batch: Vec<u8>) {
        batch.clear();
        batch.shrink_to(KEPT_MAX);
        self.spare = batch;
    }

    fn put_back(&mut self, unwritten: &[u8]) {
        self.waiting.splice(..0, unwritten.iter().copied());
    }

    /// The connection is broken. Who reads from it hears of that as well, and says so.
    fn lose(&mut self) {
        self.closed = true;
        self.waiting.clear();
    }
}

impl<T> Default for Writer<T> {
    fn default() -> Self {
        Self { state: Mutex::default(), called: Condvar::new(), messages: PhantomData }
    }
}

impl<T> fmt::Debug for Writer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::socket::{Listener, connect};
    use super::super::wire::Incoming;
    use super::*;

    impl<T> Writer<T> {
        /// What nobody has begun to write.
        pub(in crate::process) fn take_waiting(&self) -> Vec<u8> {
            self.state.lock().take()
        }
    }

    /// More than any system keeps in a socket.
    const MANY: u32 = 2_000;

    /// A message of a KiB with its number.
    fn message(number: u32) -> Vec<u32> {
        vec![number; 1024]
    }

    /// Both ends of a connection.
    fn connection() -> (Socket, Socket) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = Listener::bind(&path).unwrap();
        (connect(&path).unwrap(), listener.accept().unwrap())
    }

    fn numbers(from: Socket, count: usize) -> Vec<u32> {
        let mut incoming = Incoming::<_, Vec<u32>>::new(from);
        let mut messages = Vec::new();
        while messages.len() < count && incoming.read(&mut messages).unwrap() {}
        messages.iter().map(|message| message[0]).collect()
    }

    #[test]
    fn what_was_said_before_there_is_a_connection_goes_first() {
        let (here, there) = connection();
        let writer = Arc::<Writer<Vec<u32>>>::default();
        writer.push(&message(1)).unwrap();
        writer.flush();

        writer.open(here);
        writer.push(&message(2)).unwrap();
        writer.flush();

        assert_eq!(numbers(there, 2), [1, 2]);
        writer.close();
    }

    #[test]
    fn nobody_waits_for_who_does_not_read_and_nothing_is_lost() {
        let (here, there) = connection();
        let writer = Arc::<Writer<Vec<u32>>>::default();
        writer.open(here);

        for number in 0..MANY {
            writer.push(&message(number)).unwrap();
            writer.flush();
        }
        writer.close();

        assert_eq!(numbers(there, MANY as usize), (0..MANY).collect::<Vec<_>>());
        writer.finish();
    }

    #[test]
    fn many_threads_speak_and_each_is_heard_in_its_order() {
        const EACH: u32 = 2_000;
        let (here, there) = connection();
        let writer = Arc::<Writer<Vec<u32>>>::default();
        writer.open(here);

        let heard = thread::scope(|scope| {
            for speaker in 0..4 {
                let writer = &writer;
                scope.spawn(move || {
                    for number in 0..EACH {
                        writer.push(&message(speaker * EACH + number)).unwrap();
                        writer.flush();
                    }
                });
            }
            numbers(there, 4 * EACH as usize)
        });

        for speaker in 0..4 {
            let own: Vec<u32> = heard.iter().copied().filter(|number| number / EACH == speaker).collect();
            assert_eq!(own, (speaker * EACH..(speaker + 1) * EACH).collect::<Vec<_>>());
        }
        writer.close();
    }

    #[cfg(unix)]
    #[test]
    fn nobody_starts_a_thread_for_who_keeps_up() {
        let (here, there) = connection();
        let writer = Arc::<Writer<Vec<u32>>>::default();
        writer.open(here);

        writer.push(&message(1)).unwrap();
        writer.flush();

        assert_eq!(numbers(there, 1), [1]);
        assert!(writer.state.lock().thread.is_none());
    }

    #[test]
    fn the_thread_ends_when_the_other_side_is_gone() {
        let (here, there) = connection();
        let writer = Arc::<Writer<Vec<u32>>>::default();
        writer.open(here);
        for number in 0..MANY {
            writer.push(&message(number)).unwrap();
        }
        writer.flush();

        drop(there);

        writer.finish();
    }
}
