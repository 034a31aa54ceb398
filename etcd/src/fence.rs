//! Writes that only the holder of a key can do, each exactly once.

use std::time::Duration;

use crate::client::Client;
use crate::config::EtcdError;
use crate::ops::{created_at, equals, found, get, put, put_under, text};
use crate::rpc::{RequestOp, TxnRequest};
use crate::session::Session;

/// The right to write of who holds a key, the lock. Every write is a transaction which holds when the lock is still that
/// very one, and when the write before it was the last. So a holder that was followed by another one writes nothing,
/// and no write is done twice, however often it must be sent.
#[derive(Clone, Debug)]
pub struct Fence {
    lock: String,
    /// The create revision of the lock. It is another one as soon as anybody else has held it.
    revision: i64,
    /// The key with the name of the last write.
    last: String,
    /// Under which that key is; 0: it stays.
    lease: i64,
    term: String,
    /// Writes of this term that were done.
    done: u64,
}

impl Fence {
    /// Takes the lock for a session, if nobody has it: `lock` then says `who`. `last` is where it keeps the name of its last
    /// write; both are gone with the session.
    ///
    /// # Errors
    /// After [`EtcdError::Unreachable`] it may be called again with the same session, and gives a lock that was taken before.
    pub async fn take(
        client: &Client,
        session: &Session,
        (lock, last): (&str, &str),
        who: &str,
        within: Duration,
    ) -> Result<Option<Self>, EtcdError> {
        let lease = session.id();
        let term = format!("{lease:x}");
        let request = TxnRequest {
            compare: vec![created_at(lock, 0)],
            success: vec![put_under(lease, lock, who), put_under(lease, last, name(&term, 0))],
            failure: vec![get(lock)],
        };
        let answer = client.txn(request, within).await?;
        let revision = if answer.succeeded {
            answer.header.unwrap_or_default().revision
        } else {
            // It may be ours, and the answer was lost.
            match answer.responses.into_iter().find_map(found) {
                Some(row) if row.lease == lease => row.create_revision,
                _ => return Ok(None),
            }
        };
        Ok(Some(Self { lock: lock.to_owned(), revision, last: last.to_owned(), lease, term, done: 0 }))
    }

    /// For who has made `lock` at `revision`, and [begun](Self::begin) the `term` at `last` in the same transaction.
    pub fn of(lock: String, revision: i64, last: String, term: String) -> Self {
        Self { lock, revision, last, lease: 0, term, done: 0 }
    }

    /// Begins a term: the writes of the one before count no more.
    pub fn begin(last: &str, term: &str) -> RequestOp {
        put(last, name(term, 0))
    }

    /// Does one write, all of it or nothing; says whether the lock is still held. After an error it may be done or not: then
    /// the same write must be sent again before any other.
    ///
    /// # Errors
    /// When no member answers `within` that, or it refuses.
    pub async fn write(
        &mut self,
        client: &Client,
        operations: Vec<RequestOp>,
        within: Duration,
    ) -> Result<bool, EtcdError> {
        let this = name(&self.term, self.done + 1);
        let mut success = operations;
        success.push(put_under(self.lease, &self.last, this.as_str()));
        let compare = vec![created_at(&self.lock, self.revision), equals(&self.last, &name(&self.term, self.done))];
        let answer = client.txn(TxnRequest { compare, success, failure: vec![get(&self.last)] }, within).await?;
        // It may have been done at an attempt before, whose answer was lost.
        let already = || answer.responses.into_iter().find_map(found).is_some_and(|last| text(&last) == this);
        let is_done = answer.succeeded || already();
        self.done += u64::from(is_done);
        Ok(is_done)
    }

    /// Whether the lock is still held, right now.
    ///
    /// # Errors
    /// When no member answers `within` that, or it refuses.
    pub async fn is_held(&self, client: &Client, within: Duration) -> Result<bool, EtcdError> {
        let lock = client.get(&self.lock, within).await?;
        Ok(lock.is_some_and(|lock| lock.create_revision == self.revision))
    }
}

/// The name of a write: its term, and its number there.
fn name(term: &str, number: u64) -> String {
    format!("{term}.{number}")
}
