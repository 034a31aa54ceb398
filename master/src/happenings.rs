//! What happens, for whoever watches: each watcher has what it may see in a mailbox of its own, and none waits for another.
//!
//! What is told of the tasks in queues may be a hundred times as much as all else. Whoever does not keep up with that is told how much was left
//! out, and goes on; whoever does not keep up with the rest is cut off.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use haggle_core::QueueNews;
use haggle_core::access::{Principal, Tenant, Verb};
use haggle_core::cluster::Announcement;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tonic::Status;

use crate::access::wall_clock_ms;

/// Entries of news of queues that a watcher may be behind: a fifth of a second of the most that one queue does. An entry holds about
/// 200 bytes, and all watchers that see the same share it.
const QUEUED_ROOM: usize = 1 << 15;

/// Something that happened, for watchers.
#[derive(Clone, Debug)]
pub(crate) struct Happening {
    /// Milliseconds since 1970.
    pub(crate) time_ms: u64,
    /// What.
    pub(crate) what: What,
    /// Whose it is, when it is about a framework or a task.
    pub(crate) tenant: Option<Arc<Tenant>>,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// One thing.
    Said(Announcement),
    /// Tasks in the queue of an allocation stand elsewhere, many of them at once.
    Queued(QueueNews),
}

/// A watcher was behind by more than is kept: by so many happenings.
#[derive(Debug)]
pub(crate) struct FellBehind(u64);

impl From<FellBehind> for Status {
    fn from(FellBehind(missed): FellBehind) -> Self {
        Self::resource_exhausted(format!("cut off: fell behind by {missed} events"))
    }
}

/// Tells every watcher. With the last of it, all of them have heard the last.
#[derive(Debug)]
pub(crate) struct Happenings {
    /// Happenings that a watcher may be behind, beside those of queues.
    room: usize,
    mailboxes: Mailboxes,
}

type Mailboxes = Arc<Mutex<Vec<Arc<Mailbox>>>>;

/// What one watcher is to be told.
#[derive(Debug)]
struct Mailbox {
    who: Principal,
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    happened: VecDeque<Arc<Happening>>,
    /// Entries of news of queues among that.
    entries: usize,
    /// How many of the rest there are.
    said: usize,
    /// News of tasks in queues that were left out since it read last.
    left_out: u64,
    /// Happenings beyond its room. It is cut off.
    missed: u64,
    is_over: bool,
}

/// Somebody who watches, until this is dropped.
#[derive(Debug)]
pub(crate) struct Watcher {
    mailbox: Arc<Mailbox>,
    mailboxes: Mailboxes,
    _place: OwnedSemaphorePermit,
}

impl Happenings {
    pub(crate) fn new(room: usize) -> Self {
        Self { room, mailboxes: Mailboxes::default() }
    }

    /// How many watch.
    pub(crate) fn watchers(&self) -> usize {
        lock(&self.mailboxes).len()
    }

    /// Everything that happens from now on and that `who` may see. The place is held until the end.
    pub(crate) fn watch(&self, who: Principal, place: OwnedSemaphorePermit) -> Watcher {
        let mailbox = Arc::new(Mailbox { who, waiting: Mutex::default(), news: Notify::new() });
        lock(&self.mailboxes).push(Arc::clone(&mailbox));
        Watcher { mailbox, mailboxes: Arc::clone(&self.mailboxes), _place: place }
    }

    pub(crate) fn tell(&self, happening: Happening) {
        let happening = Arc::new(happening);
        for mailbox in lock(&self.mailboxes).iter().filter(|mailbox| sees(&mailbox.who, &happening)) {
            lock(&mailbox.waiting).take(&happening, self.room);
            mailbox.news.notify_one();
        }
    }
}

impl Drop for Happenings {
    fn drop(&mut self) {
        for mailbox in lock(&self.mailboxes).drain(..) {
            lock(&mailbox.waiting).is_over = true;
            mailbox.news.notify_one();
        }
    }
}

impl Waiting {
    fn take(&mut self, happening: &Arc<Happening>, room: usize) {
        match &happening.what {
            What::Queued(news) if self.missed == 0 => {
                let entries = news.entries();
                if self.left_out > 0 || (self.entries > 0 && self.entries + entries > QUEUED_ROOM) {
                    return self.leave_out(news.tasks());
                }
                self.entries += entries;
            }
            What::Queued(_) => return,
            What::Said(_) if self.missed > 0 || self.said >= room => {
                *self = Self { missed: self.missed + 1, is_over: self.is_over, ..Self::default() };
                return;
            }
            What::Said(_) => self.said += 1,
        }
        self.happened.push_back(Arc::clone(happening));
    }

    /// It is told nothing more of queues before it has read that. What waits is let go as well: so whoever reads nothing holds
    /// nothing.
    fn leave_out(&mut self, tasks: u64) {
        self.left_out = self.left_out.saturating_add(tasks);
        if mem::take(&mut self.entries) > 0 {
            let left_out = &mut self.left_out;
            self.happened.retain(|happening| match &happening.what {
                What::Queued(news) => {
                    *left_out = left_out.saturating_add(news.tasks());
                    false
                }
                What::Said(_) => true,
            });
        }
    }

    fn next(&mut self) -> Result<Option<Arc<Happening>>, FellBehind> {
        if self.missed > 0 {
            return Err(FellBehind(self.missed));
        }
        if self.left_out > 0 {
            let what = What::Said(Announcement::LeftOut(mem::take(&mut self.left_out)));
            return Ok(Some(Arc::new(Happening { time_ms: wall_clock_ms(), what, tenant: None })));
        }
        let next = self.happened.pop_front();
        match next.as_ref().map(|happening| &happening.what) {
            Some(What::Queued(news)) => self.entries -= news.entries(),
            Some(What::Said(_)) => self.said -= 1,
            None => {}
        }
        Ok(next)
    }
}

impl Watcher {
    /// The next thing; `None` at the end.
    pub(crate) async fn next(&self) -> Result<Option<Arc<Happening>>, FellBehind> {
        loop {
            {
                let mut waiting = lock(&self.mailbox.waiting);
                match waiting.next()? {
                    None if !waiting.is_over => {}
                    next => return Ok(next),
                }
            }
            self.mailbox.news.notified().await;
        }
    }

    /// The next thing, if it has happened.
    pub(crate) fn next_now(&self) -> Result<Option<Arc<Happening>>, FellBehind> {
        lock(&self.mailbox.waiting).next()
    }

    /// Goes on from here: what waits is of no interest.
    pub(crate) fn skip(&self) {
        let mut waiting = lock(&self.mailbox.waiting);
        *waiting = Waiting { is_over: waiting.is_over, ..Waiting::default() };
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        lock(&self.mailboxes).retain(|mailbox| !Arc::ptr_eq(mailbox, &self.mailbox));
    }
}

/// What is of no tenant, as agents are, is for those who see everything.
fn sees(who: &Principal, happening: &Happening) -> bool {
    match &happening.tenant {
        Some(tenant) => who.may(Verb::Watch, tenant),
        None => who.may_all(Verb::Watch),
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
