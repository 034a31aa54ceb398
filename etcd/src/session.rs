//! A lease that is kept alive for as long as the process lives.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::sleep_until;
use tracing::{debug, warn};

use crate::client::Client;
use crate::config::EtcdError;
use crate::lease::Lease;
use crate::moment::Moment;

/// Renewals in the life of a lease.
const RENEWALS: u32 = 4;

/// How long the first call of a session, and the last, may take.
const CALL_WITHIN: Duration = Duration::from_secs(2);

/// Holds a lease. Dropped, the lease is not renewed any more.
pub struct Session {
    client: Arc<Client>,
    id: i64,
    lease: Arc<Lease>,
    keeper: JoinHandle<()>,
}

impl Session {
    /// Takes a lease of at least `ttl`, in whole seconds; etcd has a minimum, and may grant more. It is given up when etcd
    /// has not renewed it for `doubt_max` after its end, and as soon as etcd says that it has ended.
    ///
    /// Must be called on the runtime that is to renew it.
    ///
    /// # Errors
    /// When no member answers within two seconds, or it refuses.
    pub async fn begin(client: &Arc<Client>, ttl: Duration, doubt_max: Duration) -> Result<Self, EtcdError> {
        let asked = Moment::now();
        let (id, ttl) = client.grant(ttl, CALL_WITHIN).await?;
        let lease = Arc::new(Lease::until(asked + ttl));
        let keeper = tokio::spawn(keep(Arc::clone(client), id, ttl, doubt_max, Loser(Arc::clone(&lease))));
        Ok(Self { client: Arc::clone(client), id, lease, keeper })
    }

    /// The lease's name in etcd.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// How long it holds.
    pub fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    /// Gives the lease back, so that nobody need wait for its end. When that fails, its id is owed: it is to be
    /// revoked when etcd answers again.
    ///
    /// # Errors
    /// The lease's id, when it was not given back.
    pub async fn end(self) -> Result<(), i64> {
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
async fn keep(client: Arc<Client>, id: i64, ttl: Duration, doubt_max: Duration, Loser(ref lease): Loser) {
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
                Some(doubt) if doubt < doubt_max => debug!("the lease was not renewed: {error}"),
                _ => {
                    warn!("the lease is given up: {error}");
                    return;
                }
            },
        }
    }
}
