//! A store in etcd: rows that only the instance which holds the lock can write.

mod rows;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use haggle_etcd::{Batch, Client, EtcdConfig, EtcdError, Fence, KeyValue, RequestOp, Session, delete, delete_all, put};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use self::rows::Keys;
use super::{Entry, Hold, Memory, Store, StoreError, line};

/// How long the lock outlives an instance that dies: most of the time until the next one works. Above the pauses of a
/// busy machine, since an instance that is silent for longer has to end.
const TTL: Duration = Duration::from_secs(5);

/// How often an instance that waits looks whether the one before it has died.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long one call may take before it is sent again.
const CALL_WITHIN: Duration = Duration::from_secs(1);

/// How long etcd may be away before an instance gives up: above an election and a restart of its members, below the time
/// for which a framework's tasks outlive it by default.
const AWAY_MAX: Duration = Duration::from_secs(30);

/// Bytes that are added at once. etcd takes 1.5 MiB in a transaction by default.
const APPEND_MAX: usize = 1 << 20;

/// A store in an etcd cluster (3.4 or later), for instances on several machines. The instance that opened it holds it for as
/// long as it renews its lease; another one waits for that, and takes over about five seconds after the first has died. A
/// store needs a prefix of its own.
///
/// An instance that is paused for longer than its lease has lost the store: it cannot write any more, does not subscribe
/// again, and is told so by [`StoreError::Lost`].
///
/// Each launch whose end was not heard has one small row. Up to a MiB can be added at once, the note among it.
pub struct EtcdStore {
    place: Place,
    session: Option<Session>,
    standing: Standing,
    last_number: u64,
}

/// Whether this instance may write.
enum Standing {
    Holds(Fence),
    /// A write was not answered: what is in the store is not known any more.
    InDoubt,
    Lost,
}

impl EtcdStore {
    /// Opens the store below the prefix of `config`. Must be called on the runtime that is to renew its lease.
    ///
    /// # Errors
    /// When another instance holds it, or etcd does not answer within 30 s, or refuses.
    pub async fn open(config: &EtcdConfig) -> Result<Self, StoreError> {
        let place = Place::new(config)?;
        match place.patiently(|| place.take()).await? {
            Some((session, fence)) => Self::enter(place, session, fence).await,
            None => Err(StoreError::Held { store: place.name }),
        }
    }

    /// As [`Self::open`], waiting for as long as another instance holds it, or etcd does not answer.
    ///
    /// # Errors
    /// When etcd refuses.
    pub async fn wait(config: &EtcdConfig) -> Result<Self, StoreError> {
        let place = Place::new(config)?;
        loop {
            match place.take().await {
                Ok(Some((session, fence))) => match Self::enter(place.clone(), session, fence).await {
                    Err(StoreError::Lost { .. }) => {}
                    entered => return entered,
                },
                Ok(None) => {}
                Err(error) if is_passing(&error) => tracing::debug!("cannot look after {}: {error}", place.name),
                Err(error) => return Err(refused(error)),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Ends what the instance before has begun to write.
    async fn enter(place: Place, session: Session, fence: Fence) -> Result<Self, StoreError> {
        let last = place.get(&place.keys.last_number()).await?;
        let last_number = rows::read(last.as_slice()).map_err(refused)?.last_number;
        let pending = place.get(&place.keys.pending()).await?;
        let mut store = Self { place, session: Some(session), standing: Standing::Holds(fence), last_number };
        if let Some(row) = pending {
            store.write_rows(&rows::entries(&row).map_err(refused)?, true).await?;
        }
        Ok(store)
    }

    /// Writes rows in as many transactions as they need; they are pending until the last one is done.
    async fn write_rows(&mut self, entries: &[Entry], mut is_pending: bool) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        rows::add(&mut batch, &self.place.keys, entries, self.last_number);
        let mut transactions = batch.into_transactions(Vec::new());
        let pending = self.place.keys.pending();
        if transactions.len() > 1 && !is_pending {
            self.write(vec![put(&pending, line::write(entries))]).await?;
            is_pending = true;
        }
        if is_pending {
            transactions.push(vec![delete(&pending)]);
        }
        for transaction in transactions {
            self.write(transaction).await?;
        }
        self.last_number = rows::highest(entries, self.last_number);
        Ok(())
    }

    /// One transaction.
    async fn write(&mut self, operations: Vec<RequestOp>) -> Result<(), StoreError> {
        // What a call that is dropped halfway leaves behind is in doubt as well.
        let standing = std::mem::replace(&mut self.standing, Standing::InDoubt);
        let fence = match standing {
            Standing::Holds(fence) => fence,
            Standing::InDoubt => return Err(StoreError::InDoubt { store: self.place.name.clone() }),
            Standing::Lost => return Err(self.lost()),
        };
        let client = &self.place.client;
        let write = || {
            let (mut fence, operations) = (fence.clone(), operations.clone());
            async move {
                let is_held = fence.write(client, operations, CALL_WITHIN).await?;
                Ok(is_held.then_some(fence))
            }
        };
        match self.place.patiently(write).await? {
            Some(fence) => {
                self.standing = Standing::Holds(fence);
                Ok(())
            }
            None => Err(self.lost()),
        }
    }

    fn lost(&mut self) -> StoreError {
        self.standing = Standing::Lost;
        self.place.lost()
    }
}

impl Store for EtcdStore {
    async fn load(&mut self) -> Result<Memory, StoreError> {
        let Place { client, keys, .. } = &self.place;
        let memory = keys.memory();
        let rows = self.place.patiently(|| client.list(&memory, CALL_WITHIN)).await?;
        rows::read(&rows).map_err(refused)
    }

    async fn append(&mut self, entries: Vec<Entry>) -> Result<(), StoreError> {
        let bytes = line::write(&entries).len();
        if bytes > APPEND_MAX {
            return Err(StoreError::TooLarge { store: self.place.name.clone(), bytes, most: APPEND_MAX });
        }
        self.write_rows(&entries, false).await
    }

    async fn clear(&mut self) -> Result<(), StoreError> {
        self.write(vec![delete_all(&self.place.keys.memory())]).await?;
        self.standing = Standing::Lost;
        if let Some(session) = self.session.take() {
            // A lease that is not given back ends by itself.
            let _ = session.end().await;
        }
        Ok(())
    }

    fn hold(&self) -> Hold {
        let fence = match &self.standing {
            Standing::Holds(fence) => Some(fence.clone()),
            Standing::InDoubt | Standing::Lost => None,
        };
        let place = self.place.clone();
        Hold::asking(move || place.clone().confirm(fence.clone()).boxed())
    }
}

impl Drop for EtcdStore {
    /// Gives the lock back, so that nobody need wait for the lease's end.
    fn drop(&mut self) {
        if let (Some(session), Ok(runtime)) = (self.session.take(), Handle::try_current()) {
            runtime.spawn(session.end());
        }
    }
}

impl fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdStore").field("place", &self.place.name).finish_non_exhaustive()
    }
}

/// Where a store is.
#[derive(Clone)]
struct Place {
    client: Arc<Client>,
    keys: Keys,
    /// As messages name it.
    name: String,
}

impl Place {
    fn new(config: &EtcdConfig) -> Result<Self, StoreError> {
        let client = Arc::new(Client::new(config).map_err(refused)?);
        let name = format!("{} in etcd at {}", config.prefix, config.urls.join(","));
        Ok(Self { client, keys: Keys::below(&config.prefix), name })
    }

    /// Takes the lock, under a lease of its own, if nobody has it.
    async fn take(&self) -> Result<Option<(Session, Fence)>, EtcdError> {
        let (lock, last) = (self.keys.lock(), self.keys.last_write());
        if self.client.get(&lock, CALL_WITHIN).await?.is_some() {
            return Ok(None);
        }
        // What etcd does not say has ended is not given up: no write is let through without its word.
        let session = Session::begin(&self.client, TTL, Duration::MAX).await?;
        let who = format!("process {}", std::process::id());
        match Fence::take(&self.client, &session, (&lock, &last), &who, CALL_WITHIN).await {
            Ok(Some(fence)) => Ok(Some((session, fence))),
            other => {
                // A lease that is not given back ends by itself.
                let _ = session.end().await;
                other.map(|_| None)
            }
        }
    }

    async fn confirm(self, fence: Option<Fence>) -> Result<(), StoreError> {
        let Some(fence) = fence else { return Err(self.lost()) };
        match fence.is_held(&self.client, CALL_WITHIN).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.lost()),
            Err(error) => Err(refused(error)),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<KeyValue>, StoreError> {
        self.patiently(|| self.client.get(key, CALL_WITHIN)).await
    }

    /// Tries until etcd answers, but no longer than [`AWAY_MAX`].
    async fn patiently<T, F: Future<Output = Result<T, EtcdError>>>(
        &self,
        call: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        let deadline = Instant::now() + AWAY_MAX;
        loop {
            match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) if is_passing(&error) && Instant::now() < deadline => {
                    tracing::warn!("{} does not answer: {error}", self.name);
                    sleep(LOOK_EVERY).await;
                }
                Err(error) => return Err(refused(error)),
            }
        }
    }

    fn lost(&self) -> StoreError {
        StoreError::Lost { store: self.name.clone() }
    }
}

/// Whether it may work a little later. A lease can end while it is being used, when the machine or etcd was slow.
fn is_passing(error: &EtcdError) -> bool {
    matches!(error, EtcdError::Unreachable { .. } | EtcdError::Full(_) | EtcdError::LeaseEnded)
}

fn refused(error: EtcdError) -> StoreError {
    StoreError::Other(Box::new(error))
}
