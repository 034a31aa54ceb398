//! Lists as streams: the driver is asked for one page after another, as the reader takes them.

use std::sync::Arc;
use std::vec::IntoIter;

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, try_unfold};
use haggle_core::cluster::Cluster;
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use crate::handle::Handle;
use crate::outbox::MESSAGE_TARGET;

/// Items that the driver copies at once: tens of microseconds, in which no task waits.
pub(super) const PAGE: usize = 1_000;

/// Lists that may be read at once. Each holds a page, however slowly it is read.
const LISTS: usize = 256;

/// What the driver copies at once, and where to read on; `None` at the end.
pub(super) type Page<V, C> = (Vec<V>, Option<C>);

/// Hands out lists.
pub(super) struct Lists {
    handle: Handle,
    room: Arc<Semaphore>,
}

impl Lists {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, room: Arc::new(Semaphore::new(LISTS)) }
    }

    /// Streams what `page` gives, called with `None` first and then with where the last page ended. `message` wraps as
    /// many items as go into one message.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when too many lists are being read.
    pub(super) fn stream<V, C, W, M>(
        &self,
        page: impl Fn(&Cluster, Option<C>) -> Page<V, C> + Clone + Send + 'static,
        message: fn(Vec<W>) -> M,
    ) -> Result<BoxStream<'static, Result<M, Status>>, Status>
    where
        V: Send + 'static,
        C: Send + 'static,
        W: From<V> + Message + 'static,
        M: Send + 'static,
    {
        let place = Arc::clone(&self.room)
            .try_acquire_owned()
            .map_err(|_| Status::resource_exhausted(format!("{LISTS} lists are being read, more are not taken")))?;
        let reader = Reader {
            handle: self.handle.clone(),
            page,
            next: Next::First,
            rest: Vec::new().into_iter(),
            _place: place,
        };
        let messages = try_unfold(reader, move |mut reader| async move {
            let items = reader.items().await?;
            Ok((!items.is_empty()).then(|| (message(items), reader)))
        });
        Ok(messages.boxed())
    }
}

/// Which page comes next.
enum Next<C> {
    First,
    Behind(C),
    None,
}

struct Reader<P, V, C> {
    handle: Handle,
    page: P,
    next: Next<C>,
    /// Of the last page, what was not sent.
    rest: IntoIter<V>,
    _place: OwnedSemaphorePermit,
}

impl<P, V, C> Reader<P, V, C>
where
    P: Fn(&Cluster, Option<C>) -> Page<V, C> + Clone + Send + 'static,
    V: Send + 'static,
    C: Send + 'static,
{
    /// For one message; empty at the end.
    async fn items<W: From<V> + Message>(&mut self) -> Result<Vec<W>, Status> {
        while self.rest.len() == 0 {
            let after = match std::mem::replace(&mut self.next, Next::None) {
                Next::First => None,
                Next::Behind(cursor) => Some(cursor),
                Next::None => break,
            };
            let page = self.page.clone();
            let (views, next) = self.handle.ask(move |cluster| page(cluster, after)).await?;
            self.rest = views.into_iter();
            self.next = next.map_or(Next::None, Next::Behind);
        }
        let mut items = Vec::new();
        let mut bytes = 0;
        // The last may go beyond the target: no item is nearly as large as what a message may exceed it by.
        while bytes < MESSAGE_TARGET
            && let Some(view) = self.rest.next()
        {
            let item = W::from(view);
            bytes += item.encoded_len();
            items.push(item);
        }
        Ok(items)
    }
}

/// A page of a list that is ordered by id.
pub(super) fn by_id<V, C>(rest: impl Iterator<Item = V>, id: impl FnOnce(&V) -> C) -> Page<V, C> {
    let page: Vec<V> = rest.take(PAGE).collect();
    let next = if page.len() < PAGE { None } else { page.last().map(id) };
    (page, next)
}
