//! Connections on which nobody has been let in yet: how many one source may have, and for how long.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// With so many sources, those that have no such connection any more are forgotten.
const FEW: usize = 1_024;

/// How many connections on which nobody was let in there may be, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrangerBounds {
    /// Of all sources together. Of more, the oldest is closed.
    pub all: usize,
    /// From one source. Of more, its oldest is closed, for whoever has a token shows it at once.
    pub from_one: usize,
    /// Until somebody is let in on it, one lasts so long.
    pub within: Duration,
}

/// How many such connections there are, and how many were closed. Clones count the same.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    now: AtomicU64,
    turned_out: AtomicU64,
}

impl Tally {
    /// Connections on which nobody was let in yet.
    pub fn now(&self) -> u64 {
        self.0.now.load(Ordering::Relaxed)
    }

    /// How many were closed so far, by number or by time.
    pub fn turned_out(&self) -> u64 {
        self.0.turned_out.load(Ordering::Relaxed)
    }
}

/// All of them, by where they come from.
#[derive(Debug)]
pub struct Strangers<Source> {
    bounds: StrangerBounds,
    known: HashMap<Source, VecDeque<Weak<Standing>>>,
    /// Of all sources, the oldest first; also some that are strangers no more.
    order: VecDeque<Weak<Standing>>,
    forget_at: usize,
    tally: Tally,
}

impl<Source: Eq + Hash> Strangers<Source> {
    /// Nobody yet.
    pub fn new(bounds: StrangerBounds, tally: Tally) -> Self {
        Self { bounds, known: HashMap::new(), order: VecDeque::new(), forget_at: FEW, tally }
    }

    /// One more connection. It is a stranger's until its [`LetIn`] says otherwise.
    pub fn watch<S>(&mut self, source: Source, stream: S) -> Visit<S> {
        if self.known.len() >= self.forget_at {
            self.known.retain(|_, its| its.iter().any(is_stranger));
            self.forget_at = (2 * self.known.len()).max(FEW);
        }
        let its = self.known.entry(source).or_default();
        make_room(its, self.bounds.from_one);
        make_room(&mut self.order, self.bounds.all);
        let standing = Arc::new(Standing::new(self.tally.clone()));
        its.push_back(Arc::downgrade(&standing));
        self.order.push_back(Arc::downgrade(&standing));
        Visit {
            stream,
            let_in: LetIn(standing),
            until: Some(Box::pin(sleep(self.bounds.within))),
            within: self.bounds.within,
        }
    }
}

fn is_stranger(standing: &Weak<Standing>) -> bool {
    standing.upgrade().is_some_and(|standing| standing.is_open())
}

/// For one more below `most`: by those that are strangers no more, else by the oldest.
fn make_room(standings: &mut VecDeque<Weak<Standing>>, most: usize) {
    if standings.len() >= most {
        standings.retain(is_stranger);
    }
    while standings.len() >= most
        && let Some(oldest) = standings.pop_front()
    {
        if let Some(oldest) = oldest.upgrade() {
            oldest.turn_out();
        }
    }
}

/// What is thought of whoever is at the other end.
#[derive(Debug)]
struct Standing {
    tally: Tally,
    let_in: AtomicBool,
    out: AtomicBool,
    reader: Mutex<Option<Waker>>,
}

impl Standing {
    fn new(tally: Tally) -> Self {
        tally.0.now.fetch_add(1, Ordering::Relaxed);
        Self { tally, let_in: AtomicBool::new(false), out: AtomicBool::new(false), reader: Mutex::default() }
    }

    fn let_in(&self) {
        if !self.let_in.load(Ordering::Acquire) && !self.let_in.swap(true, Ordering::AcqRel) {
            self.tally.0.now.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Neither let in nor turned out.
    fn is_open(&self) -> bool {
        !self.let_in.load(Ordering::Acquire) && !self.out.load(Ordering::Acquire)
    }

    fn turn_out(&self) {
        if self.is_open() && !self.out.swap(true, Ordering::AcqRel) {
            self.tally.0.turned_out.fetch_add(1, Ordering::Relaxed);
            if let Some(reader) = self.take_reader() {
                reader.wake();
            }
        }
    }

    fn take_reader(&self) -> Option<Waker> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        if !*self.let_in.get_mut() {
            self.tally.0.now.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Tells that somebody was let in on a connection: from then on it lasts. Clones are of the same connection.
#[derive(Clone, Debug)]
pub struct LetIn(Arc<Standing>);

impl LetIn {
    /// Somebody is let in. Said for each call, so it is cheap.
    pub fn note(&self) {
        self.0.let_in();
    }
}

/// A connection that ends with an error of its reads when nobody was let in on it in time, or too many others of its
/// source came after it.
#[derive(Debug)]
pub struct Visit<S> {
    stream: S,
    let_in: LetIn,
    /// When it ends; `None` once it is seen that somebody was let in.
    until: Option<Pin<Box<Sleep>>>,
    within: Duration,
}

impl<S> Visit<S> {
    /// Who is to be told that somebody was let in.
    pub fn let_in(&self) -> LetIn {
        self.let_in.clone()
    }

    /// Why it ends, if it does.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Option<io::Error> {
        let until = self.until.as_mut()?;
        let standing = &self.let_in.0;
        if standing.let_in.load(Ordering::Acquire) {
            self.until = None;
            // Whoever read first may be gone, and would be held by what wakes it.
            standing.take_reader();
            return None;
        }
        if until.as_mut().poll(context).is_ready() {
            standing.turn_out();
        }
        // Before it is looked at, so that whoever turns it out from now on wakes this one.
        let mut reader = standing.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if !reader.as_ref().is_some_and(|reader| reader.will_wake(context.waker())) {
            *reader = Some(context.waker().clone());
        }
        drop(reader);
        let why =
            || format!("nobody was let in on this connection within {:?}, or too many such came after it", self.within);
        standing.out.load(Ordering::Acquire).then(|| io::Error::new(io::ErrorKind::TimedOut, why()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Visit<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(end) = self.poll_end(context) {
            return Poll::Ready(Err(end));
        }
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Visit<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const LONG: StrangerBounds = StrangerBounds { all: 100, from_one: 1, within: Duration::from_secs(3600) };

    /// A connection of a stranger, and its other end.
    fn visit(strangers: &mut Strangers<u8>, source: u8) -> (Visit<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(64);
        (strangers.watch(source, near), far)
    }

    async fn is_open(visit: &mut Visit<DuplexStream>, far: &mut DuplexStream) -> bool {
        far.write_all(b"x").await.unwrap();
        visit.read_u8().await.is_ok()
    }

    #[tokio::test]
    async fn of_too_many_from_one_source_the_oldest_is_closed_and_others_notice_nothing() {
        let mut strangers = Strangers::new(StrangerBounds { from_one: 2, ..LONG }, Tally::default());
        let (mut other, mut other_far) = visit(&mut strangers, 2);
        let (mut first, _far) = visit(&mut strangers, 1);
        let reads = tokio::spawn(async move { first.read_u8().await });
        let (mut second, mut second_far) = visit(&mut strangers, 1);

        let (mut third, mut third_far) = visit(&mut strangers, 1);

        assert_eq!(reads.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(is_open(&mut second, &mut second_far).await && is_open(&mut third, &mut third_far).await);
        assert!(is_open(&mut other, &mut other_far).await);
        assert_eq!((strangers.tally.now(), strangers.tally.turned_out()), (3, 1));
    }

    #[tokio::test]
    async fn whoever_was_let_in_stays_and_makes_room() {
        let mut strangers = Strangers::new(LONG, Tally::default());
        let (mut first, mut first_far) = visit(&mut strangers, 1);
        first.let_in().note();
        let (mut second, mut second_far) = visit(&mut strangers, 1);
        second.let_in().note();

        let (mut third, mut third_far) = visit(&mut strangers, 1);

        assert!(is_open(&mut first, &mut first_far).await && is_open(&mut second, &mut second_far).await);
        assert!(is_open(&mut third, &mut third_far).await);
    }

    #[tokio::test]
    async fn a_connection_on_which_nobody_is_let_in_ends_in_time_and_another_does_not() {
        let mut strangers =
            Strangers::new(StrangerBounds { from_one: 2, within: Duration::from_millis(20), ..LONG }, Tally::default());
        let (mut known, mut known_far) = visit(&mut strangers, 1);
        known.let_in().note();
        let (mut stranger, _far) = visit(&mut strangers, 1);

        assert_eq!(stranger.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);

        assert!(is_open(&mut known, &mut known_far).await);
    }

    #[tokio::test]
    async fn whoever_read_before_somebody_was_let_in_is_held_no_longer() {
        struct Reads;
        impl Wake for Reads {
            fn wake(self: Arc<Self>) {}
        }
        let mut strangers = Strangers::new(LONG, Tally::default());
        let (mut visit, _far) = visit(&mut strangers, 1);
        let poll = |visit: &mut Visit<DuplexStream>, waker: Waker| {
            let mut room = [0; 1];
            let read = Pin::new(visit).poll_read(&mut Context::from_waker(&waker), &mut ReadBuf::new(&mut room));
            assert!(read.is_pending());
        };
        let (first, second) = (Arc::new(Reads), Arc::new(Reads));
        poll(&mut visit, Waker::from(Arc::clone(&first)));
        visit.let_in().note();

        poll(&mut visit, Waker::from(Arc::clone(&second)));

        assert_eq!(Arc::strong_count(&first), 1);
    }

    #[tokio::test]
    async fn what_has_ended_is_not_counted_and_sources_are_forgotten() {
        let mut strangers = Strangers::new(LONG, Tally::default());
        let first = visit(&mut strangers, 1);
        drop(first);
        let (mut second, mut far) = visit(&mut strangers, 1);
        for source in 2..=255 {
            drop(visit(&mut strangers, source));
        }

        assert!(is_open(&mut second, &mut far).await);
        assert_eq!((strangers.tally.now(), strangers.tally.turned_out()), (1, 0));
    }

    #[tokio::test]
    async fn of_too_many_in_all_the_oldest_is_closed() {
        let mut strangers = Strangers::new(StrangerBounds { all: 2, ..LONG }, Tally::default());
        let (mut first, mut first_far) = visit(&mut strangers, 1);
        let (mut second, mut second_far) = visit(&mut strangers, 2);

        let (mut third, mut third_far) = visit(&mut strangers, 3);

        assert!(!is_open(&mut first, &mut first_far).await);
        assert!(is_open(&mut second, &mut second_far).await && is_open(&mut third, &mut third_far).await);
    }
}
