//! A master's place among the masters: a lease that is kept alive for as long as the process lives.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::sleep_until;
use tracing::{debug, warn};

use super::client::{Client, EtcdError};
use super::ops::{Keys, put_under};
use super::rpc::TxnRequest;
use crate::election::{Lease, Moment};

/// How long a lease is. The least that etcd grants by default (one and a half times its election timeout): with a
/// master that is killed, this is most of the time without service. Where etcd's own timeout is longer, it grants more.
const TTL: Duration = Duration::from_secs(2);

/// Renewals in the life of a lease.
const RENEWALS: u32 = 4;

/// How long a lease may be in doubt before it is given up. With one of three etcd members dead the others elect a
/// leader within about three seconds, and that shall not end a master's lead.
const DOUBT_MAX: Duration = Duration::from_secs(3);

/// How long the first calls of a session, and the last, may take.
const CALL_WITHIN: Duration = Duration::from_secs(2);

/// Holds a lease, and under it this master's URL among the masters. Dropped, the lease is not renewed any more.
pub(crate) struct Session {
    client: Arc<Client>,
    id: i64,
    lease: Arc<Lease>,
    keeper: JoinHandle<()>,
}

impl Session {
    /// Takes a lease, and says that this master is up.
    pub(crate) async fn begin(client: &Arc<Client>, keys: &Keys, url: &str) -> Result<Self, EtcdError> {
        let asked = Moment::now();
        let (id, ttl) = client.grant(TTL, CALL_WITHIN).await?;
        let lease = Arc::new(Lease::until(asked + ttl));
        let keeper = tokio::spawn(keep(Arc::clone(client), id, ttl, Loser(Arc::clone(&lease))));
        let session = Self { client: Arc::clone(client), id, lease, keeper };
        let success = vec![put_under(id, &keys.master(id), url)];
        client.txn(TxnRequest { success, ..Default::default() }, CALL_WITHIN).await?;
        Ok(session)
    }

    /// The lease's name in etcd.
    pub(crate) fn id(&self) -> i64 {
        self.id
    }

    pub(crate) fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    /// Gives the lease back, so that nobody need wait for its end. When that fails, its id is owed: it is to be
    /// revoked when etcd answers again.
    pub(crate) async fn end(self) -> Result<(), i64> {
        self.keeper.abort();
        self.lease.lose();
        self.client.revoke(self.id, CALL_WITHIN).await.map_err(|error| {
            debug!("the lease was not given back: {error}");
            self.id
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Whatever ends the keeper, the lease is lost then: nobody must wait for a renewal that never comes.
struct Loser(Arc<Lease>);

impl Drop for Loser {
    fn drop(&mut self) {
        self.0.lose();
    }
}

/// Renews a lease until it is over.
async fn keep(client: Arc<Client>, id: i64, ttl: Duration, Loser(ref lease): Loser) {
    let every = ttl / RENEWALS;
    let mut next = Instant::now() + every;
    loop {
        sleep_until(next.into()).await;
        let asked = Moment::now();
        next = Instant::now() + every;
        match client.keep_alive(id, every).await {
            Ok(Duration::ZERO) => {
                warn!("the lease has ended in etcd");
                return;
            }
            Ok(left) => lease.renewed(asked + left),
            Err(error) => match lease.doubted_for() {
                Some(doubt) if doubt < DOUBT_MAX => debug!("the lease was not renewed: {error}"),
                _ => {
                    warn!("the lease is given up: {error}");
                    return;
                }
            },
        }
    }
}
