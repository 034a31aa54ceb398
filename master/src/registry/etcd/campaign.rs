//! Who leads: the master whose URL is under the one key for it.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::{ClusterId, Epoch};
use haggle_etcd::{
    Client, EtcdError, Fence, KeyValue, Session, TxnRequest, changed_at, created_at, found, get, put, put_under, text,
};

use super::keys::Keys;

/// The layout below the prefix. One of a later version is not touched. In version 1 nobody had a principal, a token or a
/// certificate, and the masters no secret; before version 3 no role had a quota; before version 4 none had a placement or a least
/// offer, no agent was drained and none in maintenance; before version 5 no framework had several roles and nothing was reserved,
/// which an older master would not keep. They are read, and become version 5.
const VERSION: u64 = 5;

/// How long a lease is. The least that etcd grants by default (one and a half times its election timeout): with a
/// master that is killed, this is most of the time without service. Where etcd's own timeout is longer, it grants more.
const TTL: Duration = Duration::from_secs(2);

/// How long a lease may be in doubt before it is given up. With one of three etcd members dead the others elect a
/// leader within about three seconds, and that shall not end a master's lead.
const DOUBT_MAX: Duration = Duration::from_secs(3);

/// How long each call may take. What fails is tried again by the caller.
const CALL_WITHIN: Duration = Duration::from_secs(1);

/// The masters of one cluster, and their rules for who leads it.
#[derive(Clone)]
pub(crate) struct Campaign {
    pub(super) client: Arc<Client>,
    pub(super) keys: Keys,
    own: Arc<Announced>,
}

/// What a master says of itself for as long as it is up.
#[derive(Clone, Debug)]
pub(crate) struct Announced {
    /// How others reach it.
    pub(crate) url: String,
    /// All of its addresses, as tokens tell them.
    pub(crate) addresses: Vec<String>,
    /// By which token its user comes: the id and the hash.
    pub(crate) owner: String,
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
    pub(crate) fn new(client: Client, prefix: &str, own: Announced) -> Self {
        Self { client: Arc::new(client), keys: Keys::below(prefix), own: Arc::new(own) }
    }

    /// Becomes one of the masters: takes a lease, and says under it that this master is up.
    pub(crate) async fn join(&self) -> Result<Session, EtcdError> {
        let session = Session::begin(&self.client, TTL, DOUBT_MAX).await?;
        let lease = session.id();
        let success = vec![
            put_under(lease, &self.keys.master(lease), self.own.url.as_str()),
            put_under(lease, &self.keys.addresses_of(lease), self.own.addresses.join("\n")),
            put_under(lease, &self.keys.owner_of(lease), self.own.owner.as_str()),
        ];
        self.client.txn(TxnRequest { success, ..Default::default() }, CALL_WITHIN).await?;
        Ok(session)
    }

    /// Gives back a lease that [`Session::end`] could not.
    pub(crate) async fn give_back(&self, lease: i64) -> Result<(), EtcdError> {
        self.client.revoke(lease, CALL_WITHIN).await
    }

    /// The URL of who leads, if that is somebody else than this session. It may be this one, when it has won and the answer
    /// was lost: then it is to [stand](Self::stand) again.
    pub(crate) async fn leader(&self, session: &Session) -> Result<Option<String>, EtcdError> {
        let leader = self.client.get(&self.keys.leader(), CALL_WITHIN).await?;
        Ok(leader.filter(|leader| leader.lease != session.id()).map(|leader| text(&leader)))
    }

    /// The URLs of all other masters that are up.
    pub(crate) async fn others(&self) -> Result<Vec<String>, EtcdError> {
        let masters = self.client.list(&self.keys.masters(), CALL_WITHIN).await?;
        let urls = masters.iter().map(text);
        let mut others: Vec<_> = urls.filter(|url| *url != self.own.url).collect();
        // A master that was restarted a moment ago may still be there under its old lease.
        others.sort_unstable();
        others.dedup();
        Ok(others)
    }

    /// Where all masters are that are up, each with the best of its addresses first.
    pub(crate) async fn addresses(&self) -> Result<Vec<Vec<String>>, EtcdError> {
        let masters = self.client.list(&self.keys.addresses(), CALL_WITHIN).await?;
        Ok(masters.iter().map(|row| text(row).lines().map(str::to_owned).collect()).collect())
    }

    /// By which tokens the users come that run the masters that are up.
    pub(crate) async fn owners(&self) -> Result<Vec<String>, EtcdError> {
        Ok(self.client.list(&self.keys.owners(), CALL_WITHIN).await?.iter().map(text).collect())
    }

    /// The sealed authorities of the cluster, with the revision at which they were last changed.
    pub(crate) async fn authority(&self) -> Result<Option<(Vec<u8>, i64)>, EtcdError> {
        let row = self.client.get(&self.keys.authority(), CALL_WITHIN).await?;
        Ok(row.map(|row| (row.value, row.mod_revision)))
    }

    /// Puts sealed authorities in the place of those of that revision; 0: where there are none. Gives back their own, or
    /// nothing when others were put there meanwhile.
    pub(crate) async fn put_authority(&self, sealed: Vec<u8>, revision: i64) -> Result<Option<i64>, EtcdError> {
        let key = self.keys.authority();
        let request = TxnRequest {
            compare: vec![changed_at(&key, revision)],
            success: vec![put(&key, sealed.clone())],
            failure: vec![get(&key)],
        };
        let answer = self.client.txn(request, CALL_WITHIN).await?;
        if answer.succeeded {
            return Ok(Some(answer.header.unwrap_or_default().revision));
        }
        // It may have been done by this call, and the answer lost: nothing is sealed twice in the same way.
        let there = answer.responses.into_iter().find_map(found).filter(|row| row.value == sealed);
        Ok(there.map(|row| row.mod_revision))
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
        let row = self.client.get(&version, CALL_WITHIN).await?;
        let changed = row.as_ref().map_or(0, |row| row.mod_revision);
        let found = number(&version, row)?.unwrap_or(0);
        if found > VERSION {
            let why = format!("it is of version {found}, this master knows {VERSION}: run a newer one");
            return Err(EtcdError::Unreadable(version, why));
        }
        if found < VERSION {
            // A master that does not know who may do what must not lead any more.
            let request = TxnRequest {
                compare: vec![changed_at(&version, changed)],
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
        let (leader, epoch_key) = (self.keys.leader(), self.keys.epoch());
        let before = self.client.get(&epoch_key, CALL_WITHIN).await?;
        let changed = before.as_ref().map_or(0, |row| row.mod_revision);
        let epoch = Epoch(number(&epoch_key, before)?.unwrap_or(0) + 1);
        let request = TxnRequest {
            compare: vec![created_at(&leader, 0), changed_at(&epoch_key, changed)],
            success: vec![
                put_under(session.id(), &leader, self.own.url.as_bytes()),
                put(&epoch_key, epoch.0.to_string()),
                Fence::begin(&self.keys.batch(), &epoch.0.to_string()),
            ],
            failure: vec![get(&leader), get(&epoch_key)],
        };
        let answer = self.client.txn(request, CALL_WITHIN).await?;
        if answer.succeeded {
            let revision = answer.header.unwrap_or_default().revision;
            return Ok(Some(Term { epoch, revision }));
        }
        // It may have been done before, by this call or by an earlier one, and the answer lost. Who leads has counted the
        // epoch up, and nobody has since.
        let mut rows = answer.responses.into_iter().map(found);
        let (leader, now) = (rows.next().flatten(), rows.next().flatten());
        match (leader, number(&epoch_key, now)?) {
            (Some(leader), Some(epoch)) if leader.lease == session.id() => {
                Ok(Some(Term { epoch: Epoch(epoch), revision: leader.create_revision }))
            }
            _ => Ok(None),
        }
    }

    /// The right to write in this term.
    pub(super) fn fence(&self, term: &Term) -> Fence {
        Fence::of(self.keys.leader(), term.revision, self.keys.batch(), term.epoch.0.to_string())
    }
}

/// A number that is written in decimal digits.
pub(super) fn number(key: &str, row: Option<KeyValue>) -> Result<Option<u64>, EtcdError> {
    let Some(row) = row else { return Ok(None) };
    let digits = text(&row);
    let wrong = |_| EtcdError::Unreadable(key.to_owned(), format!("{digits:?} is no number"));
    digits.parse().map(Some).map_err(wrong)
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
