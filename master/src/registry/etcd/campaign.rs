//! Who leads: the master whose URL is under the one key for it.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::{ClusterId, Epoch};

use super::client::{Client, EtcdError};
use super::ops::{Keys, changed_at, created_at, equals, found, get, put, put_under};
use super::rpc::{KeyValue, TxnRequest};
use super::session::Session;

/// The layout below the prefix. One of a later version is not touched. In version 1 nobody had a principal, a token or a
/// certificate, and the masters no secret: it is read, and becomes version 2.
const VERSION: u64 = 2;

/// How long each call may take. What fails is tried again by the caller.
const CALL_WITHIN: Duration = Duration::from_secs(1);

/// The masters of one cluster, and their rules for who leads it.
#[derive(Clone)]
pub(crate) struct Campaign {
    pub(super) client: Arc<Client>,
    pub(super) keys: Keys,
    /// How others reach this master.
    url: Arc<str>,
}

/// The right to write, won at an election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    /// Which of the cluster's leaders this is.
    pub(crate) epoch: Epoch,
    /// The create revision of the key that says who leads. It is another one as soon as anybody else has led.
    pub(super) revision: i64,
}

impl Campaign {
    pub(crate) fn new(client: Client, prefix: &str, url: &str) -> Self {
        Self { client: Arc::new(client), keys: Keys::below(prefix), url: url.into() }
    }

    /// Becomes one of the masters.
    pub(crate) async fn join(&self) -> Result<Session, EtcdError> {
        Session::begin(&self.client, &self.keys, &self.url).await
    }

    /// Gives back a lease that [`Session::end`] could not.
    pub(crate) async fn give_back(&self, lease: i64) -> Result<(), EtcdError> {
        self.client.revoke(lease, CALL_WITHIN).await
    }

    /// The URL of who leads.
    pub(crate) async fn leader(&self) -> Result<Option<String>, EtcdError> {
        let leader = self.client.get(&self.keys.leader(), CALL_WITHIN).await?;
        Ok(leader.map(|leader| text(&leader)))
    }

    /// The URLs of all other masters that are up.
    pub(crate) async fn others(&self) -> Result<Vec<String>, EtcdError> {
        let masters = self.client.list(&self.keys.masters(), CALL_WITHIN).await?;
        let urls = masters.iter().map(text);
        let mut others: Vec<_> = urls.filter(|url| *url != *self.url).collect();
        // A master that was restarted a moment ago may still be there under its old lease.
        others.sort_unstable();
        others.dedup();
        Ok(others)
    }

    /// Makes sure that there is a cluster, of a version that is known.
    pub(crate) async fn found(&self) -> Result<ClusterId, EtcdError> {
        let (version, cluster) = (self.keys.version(), self.keys.cluster());
        let request = TxnRequest {
            compare: vec![created_at(&cluster, 0)],
            success: vec![put(&cluster, format!("{:032x}", draw())), put(&version, VERSION.to_string())],
            failure: Vec::new(),
        };
        self.client.txn(request, CALL_WITHIN).await?;
        let found = number(&version, self.client.get(&version, CALL_WITHIN).await?)?.unwrap_or(0);
        if found > VERSION {
            let why = format!("it is of version {found}, this master knows {VERSION}: run a newer one");
            return Err(EtcdError::Unreadable(version, why));
        }
        if found < VERSION {
            // A master that does not know who may do what must not lead any more.
            let request = TxnRequest {
                compare: vec![equals(&version, &found.to_string())],
                success: vec![put(&version, VERSION.to_string())],
                failure: Vec::new(),
            };
            self.client.txn(request, CALL_WITHIN).await?;
        }
        let id = self.client.get(&cluster, CALL_WITHIN).await?.map(|row| text(&row)).unwrap_or_default();
        let id = u128::from_str_radix(&id, 16)
            .map_err(|_| EtcdError::Unreadable(cluster, format!("{id:?} is no cluster's id")))?;
        Ok(ClusterId(id))
    }

    /// What the masters of this cluster know each other by: 256 random bits, drawn by the first of them that asks.
    pub(crate) async fn secret(&self) -> Result<[u8; 32], EtcdError> {
        let key = self.keys.secret();
        let request = TxnRequest {
            compare: vec![created_at(&key, 0)],
            success: vec![put(&key, format!("{:032x}{:032x}", draw(), draw()))],
            failure: Vec::new(),
        };
        self.client.txn(request, CALL_WITHIN).await?;
        let digits = self.client.get(&key, CALL_WITHIN).await?.map(|row| text(&row)).unwrap_or_default();
        let halves = digits.split_at_checked(32).filter(|(_, second)| second.len() == 32);
        let read = |half| u128::from_str_radix(half, 16).ok();
        match halves.and_then(|(first, second)| Some([read(first)?, read(second)?])) {
            Some(halves) => Ok(bytes_of(halves)),
            None => Err(EtcdError::Unreadable(key, "it is not what the masters know each other by".to_owned())),
        }
    }

    /// Takes the lead when nobody has it, and counts the epoch up, both in one transaction.
    pub(crate) async fn stand(&self, session: &Session) -> Result<Option<Term>, EtcdError> {
        let (leader, epoch_key, batch) = (self.keys.leader(), self.keys.epoch(), self.keys.batch());
        let before = self.client.get(&epoch_key, CALL_WITHIN).await?;
        let changed = before.as_ref().map_or(0, |row| row.mod_revision);
        let epoch = Epoch(number(&epoch_key, before)?.unwrap_or(0) + 1);
        let request = TxnRequest {
            compare: vec![created_at(&leader, 0), changed_at(&epoch_key, changed)],
            success: vec![
                put_under(session.id(), &leader, self.url.as_bytes()),
                put(&epoch_key, epoch.0.to_string()),
                put(&batch, batch_name(epoch, 0)),
            ],
            failure: vec![get(&leader), get(&epoch_key)],
        };
        let answer = self.client.txn(request, CALL_WITHIN).await?;
        if answer.succeeded {
            let revision = answer.header.unwrap_or_default().revision;
            return Ok(Some(Term { epoch, revision }));
        }
        // It may have been done before, and the answer lost.
        let mut rows = answer.responses.into_iter().map(found);
        let (leader, now) = (rows.next().flatten(), rows.next().flatten());
        match leader {
            Some(leader) if leader.lease == session.id() && number(&epoch_key, now)? == Some(epoch.0) => {
                Ok(Some(Term { epoch, revision: leader.create_revision }))
            }
            _ => Ok(None),
        }
    }

    /// The conditions of a write that comes right after that one.
    pub(super) fn fence(&self, term: &Term, after: u64) -> Vec<super::rpc::Compare> {
        vec![created_at(&self.keys.leader(), term.revision), equals(&self.keys.batch(), &batch_name(term.epoch, after))]
    }
}

/// The name of a transaction: its epoch, and its number there.
pub(super) fn batch_name(epoch: Epoch, number: u64) -> String {
    format!("{}.{number}", epoch.0)
}

/// A number that is written in decimal digits.
pub(super) fn number(key: &str, row: Option<KeyValue>) -> Result<Option<u64>, EtcdError> {
    let Some(row) = row else { return Ok(None) };
    let digits = text(&row);
    let wrong = |_| EtcdError::Unreadable(key.to_owned(), format!("{digits:?} is no number"));
    digits.parse().map(Some).map_err(wrong)
}

pub(super) fn text(row: &KeyValue) -> String {
    String::from_utf8_lossy(&row.value).into_owned()
}

fn bytes_of([first, second]: [u128; 2]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&first.to_be_bytes());
    bytes[16..].copy_from_slice(&second.to_be_bytes());
    bytes
}

fn draw() -> u128 {
    let mut bits = [0; 16];
    // Without random bits the system has no TLS, no process ids worth their name, and no cluster.
    getrandom::fill(&mut bits).expect("the system gives random bits");
    u128::from_be_bytes(bits)
}
