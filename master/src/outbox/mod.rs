//! What waits to be sent on one session: bounded in bytes, taken by the session's stream as it can send.

mod weight;

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::vec::IntoIter;

use futures_util::Stream;
use tonic::Status;

pub(crate) use weight::Weigh;

/// What may wait for one peer, in bytes. A peer that reads at all is never this far behind: the largest message
/// fits four times.
pub(crate) const WAITING_MAX: usize = 64 << 20;

/// About how much goes into one message, in bytes: some hundred offers. It is written at once, and whoever else has something to say
/// waits for that. Well below what a peer takes, so that only a single item which came in as large can go out
/// as large.
pub(crate) const MESSAGE_TARGET: usize = 256 << 10;

/// How much waits for one peer, or for several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) items: usize,
    pub(crate) bytes: usize,
    /// What waits for the one for which most waits; at most [`WAITING_MAX`], unless it is one batch.
    pub(crate) longest: usize,
}

impl Level {
    pub(crate) fn add(&mut self, other: Self) {
        self.items += other.items;
        self.bytes += other.bytes;
        self.longest = self.longest.max(other.longest);
    }
}

/// The peer does not read what it is sent, and was cut off.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FellBehind;

/// A new session's outbox and the stream that empties it.
pub(crate) fn outbox<T: Weigh>() -> (Outbox<T>, Mail<T>) {
    let shared =
        Arc::new(Mutex::new(State { waiting: Vec::new(), weight: 0, end: End::Open, reader: None, watcher: None }));
    (Outbox(Arc::clone(&shared)), Mail { shared, rest: Vec::new().into_iter() })
}

/// Where items for one peer are put. Clones put them into the same one.
pub(crate) struct Outbox<T>(Arc<Mutex<State<T>>>);

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Weigh> Outbox<T> {
    /// Puts in a whole batch, which leaves as one message unless it is very large. When the session has ended
    /// already, the batch is forgotten.
    ///
    /// # Errors
    /// When too much waits already. The session is then over, and what waited is dropped.
    pub(crate) fn put(&self, batch: &mut Vec<T>) -> Result<(), FellBehind> {
        let mut heaviest = 0;
        let weigh = |item: &T| {
            let weight = item.weight();
            heaviest = heaviest.max(weight);
            weight
        };
        let weight: usize = batch.iter().map(weigh).sum();
        if heaviest > MESSAGE_TARGET {
            let whole = mem::take(batch);
            batch.extend(whole.into_iter().flat_map(|item| item.split(MESSAGE_TARGET)));
        }
        let mut state = lock(&self.0);
        if !matches!(state.end, End::Open) || batch.is_empty() {
            batch.clear();
            return Ok(());
        }
        // Who has read everything so far is not behind, however large the batch.
        if !state.waiting.is_empty() && state.weight + weight > WAITING_MAX {
            batch.clear();
            finish(state, End::Failed(Status::resource_exhausted("cut off: what was sent was not read in time")));
            return Err(FellBehind);
        }
        state.weight += weight;
        if state.waiting.is_empty() {
            mem::swap(&mut state.waiting, batch);
        } else {
            state.waiting.append(batch);
        }
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        Ok(())
    }
}

impl<T> Outbox<T> {
    /// Ends the session after what was put in before.
    pub(crate) fn close(&self) {
        finish(lock(&self.0), End::Closed);
    }

    /// Ends the session at once; what waits is dropped, and `status` is the last word.
    pub(crate) fn fail(&self, status: Status) {
        finish(lock(&self.0), End::Failed(status));
    }

    /// What was put in and not taken yet.
    pub(crate) fn level(&self) -> Level {
        let state = lock(&self.0);
        Level { items: state.waiting.len(), bytes: state.weight, longest: state.weight }
    }

    /// Resolves when the session is over from this side, or the peer has gone. One caller at a time.
    pub(crate) async fn ended(&self) {
        poll_fn(|context| {
            let mut state = lock(&self.0);
            if matches!(state.end, End::Open) {
                state.watcher = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }
}

/// The other end of an [`Outbox`]: a stream of batches.
pub(crate) struct Mail<T> {
    shared: Arc<Mutex<State<T>>>,
    /// What was taken out and is too much for one message.
    rest: IntoIter<T>,
}

impl<T: Weigh + Unpin> Stream for Mail<T> {
    type Item = Result<Vec<T>, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.rest.len() == 0 {
            let mut state = lock(&self.shared);
            if state.waiting.is_empty() {
                return match mem::replace(&mut state.end, End::Gone) {
                    End::Open => {
                        state.end = End::Open;
                        state.reader = Some(context.waker().clone());
                        Poll::Pending
                    }
                    End::Closed | End::Gone => Poll::Ready(None),
                    End::Failed(status) => Poll::Ready(Some(Err(status))),
                };
            }
            let weight = mem::take(&mut state.weight);
            let waiting = mem::take(&mut state.waiting);
            drop(state);
            if weight <= MESSAGE_TARGET {
                return Poll::Ready(Some(Ok(waiting)));
            }
            self.rest = waiting.into_iter();
        }
        Poll::Ready(Some(Ok(one_message(&mut self.rest))))
    }
}

impl<T> Drop for Mail<T> {
    fn drop(&mut self) {
        finish(lock(&self.shared), End::Gone);
    }
}

struct State<T> {
    waiting: Vec<T>,
    weight: usize,
    end: End,
    reader: Option<Waker>,
    watcher: Option<Waker>,
}

enum End {
    Open,
    /// After what waits.
    Closed,
    Failed(Status),
    /// Nobody reads any more.
    Gone,
}

fn lock<T>(shared: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    // No code that can panic runs under this lock but allocation.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first end counts, so that a last word which waits is still said; but nothing is said to a peer that has
/// gone.
fn finish<T>(mut state: MutexGuard<'_, State<T>>, end: End) {
    let dropped = match (&state.end, &end) {
        (End::Open, End::Closed) => Vec::new(),
        (End::Open, End::Failed(_)) | (_, End::Gone) => {
            state.weight = 0;
            mem::take(&mut state.waiting)
        }
        _ => return,
    };
    state.end = end;
    let wakers = [state.reader.take(), state.watcher.take()];
    drop(state);
    drop(dropped);
    wakers.into_iter().flatten().for_each(Waker::wake);
}

fn one_message<T: Weigh>(rest: &mut IntoIter<T>) -> Vec<T> {
    let mut weight = 0;
    let fits = rest
        .as_slice()
        .iter()
        .take_while(|item| {
            weight += item.weight();
            weight <= MESSAGE_TARGET
        })
        .count();
    rest.take(fits.max(1)).collect()
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use haggle_core::cluster::{AgentOrder, FrameworkEvent};
    use haggle_core::{AgentId, FrameworkId, Offer, OfferId, Resources, TaskId, UpdateId};
    use haggle_proto::v1;
    use haggle_proto::v1::framework_event::Event;
    use prost::Message;
    use tonic::Code;

    use super::*;
    use crate::agent_mail::AgentMail;

    /// An item that weighs so many bytes.
    #[derive(Debug, PartialEq, Eq)]
    struct Item(usize);

    impl Weigh for Item {
        fn weight(&self) -> usize {
            self.0
        }

        fn split(self, _: usize) -> Vec<Self> {
            vec![self]
        }
    }

    const LARGE: usize = WAITING_MAX / 4;

    #[tokio::test]
    async fn batches_that_wait_leave_as_one_message() {
        let (outbox, mut mail) = outbox();

        outbox.put(&mut vec![Item(1), Item(2)]).unwrap();
        outbox.put(&mut vec![Item(3)]).unwrap();

        assert_eq!(mail.next().await.unwrap().unwrap(), [Item(1), Item(2), Item(3)]);
    }

    #[tokio::test]
    async fn what_waits_is_counted_until_it_is_taken_or_dropped() {
        let ((one, mut mail), (other, _unread)) = (outbox(), outbox());
        one.put(&mut vec![Item(10), Item(20)]).unwrap();
        one.put(&mut vec![Item(5)]).unwrap();
        other.put(&mut vec![Item(40)]).unwrap();

        let mut both = one.level();
        both.add(other.level());
        assert_eq!(one.level(), Level { items: 3, bytes: 35, longest: 35 });
        assert_eq!(both, Level { items: 4, bytes: 75, longest: 40 });
        mail.next().await.unwrap().unwrap();
        other.fail(Status::aborted("over"));
        assert_eq!((one.level(), other.level()), (Level::default(), Level::default()));
    }

    #[tokio::test]
    async fn a_message_does_not_grow_beyond_what_a_peer_takes() {
        let (outbox, mut mail) = outbox();

        outbox.put(&mut vec![Item(LARGE), Item(1), Item(MESSAGE_TARGET - 1), Item(5)]).unwrap();

        let sizes: Vec<usize> =
            [mail.next().await, mail.next().await, mail.next().await].map(|part| part.unwrap().unwrap().len()).into();
        assert_eq!(sizes, [1, 2, 1]);
    }

    fn offer(id: u64) -> Offer {
        Offer {
            id: OfferId(id),
            agent: AgentId(id),
            agent_name: "an agent".to_owned(),
            attributes: [("rack".to_owned(), "b7".to_owned())].into(),
            role: "role".to_owned(),
            reserved: Vec::new(),
            volumes: Vec::new(),
            resources: Resources::default().with_scalar("licences", 1),
            unavailability: None,
        }
    }

    #[tokio::test]
    async fn a_hundred_thousand_offers_leave_in_messages_that_a_peer_takes() {
        const OFFERS: u64 = 100_000;
        let (outbox, mut mail) = outbox();

        let rescinded = FrameworkEvent::Rescinded((0..10 * OFFERS).map(OfferId).collect());
        outbox.put(&mut vec![FrameworkEvent::Offers((0..OFFERS).map(offer).collect()), rescinded]).unwrap();
        outbox.close();

        let (mut offered, mut rescinded) = (Vec::new(), 0);
        while let Some(message) = mail.next().await {
            let events: Vec<v1::FrameworkEvent> = message.unwrap().into_iter().map(Into::into).collect();
            let message = v1::FrameworkEvents { events };
            assert!(message.encoded_len() <= MESSAGE_TARGET, "{} bytes", message.encoded_len());
            for event in message.events {
                match event.event.unwrap() {
                    Event::Offers(offers) => offered.extend(offers.offers.into_iter().map(|offer| offer.id)),
                    Event::Rescinded(offers) => rescinded += offers.offers.len(),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(offered.into_iter().eq(0..OFFERS));
        assert_eq!(rescinded, 1_000_000);
    }

    #[tokio::test]
    async fn a_hundred_thousand_acknowledgements_leave_in_messages_that_an_agent_takes() {
        let (outbox, mut mail) = outbox();
        let task = |number| TaskId { framework: FrameworkId(1), number };
        let acknowledge = |number| AgentMail::Order(AgentOrder::Acknowledge(task(number), UpdateId(u64::MAX)));

        outbox.put(&mut (0..100_000).map(acknowledge).collect()).unwrap();
        outbox.close();

        let mut acknowledged = 0;
        while let Some(message) = mail.next().await {
            let orders: Vec<v1::AgentOrder> = message.unwrap().into_iter().map(Into::into).collect();
            acknowledged += orders.len();
            assert!(v1::AgentOrders { orders, epoch: 1, passes: Vec::new() }.encoded_len() <= MESSAGE_TARGET);
        }
        assert_eq!(acknowledged, 100_000);
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_cut_off() {
        let (outbox, mut mail) = outbox();
        for _ in 0..4 {
            outbox.put(&mut vec![Item(LARGE)]).unwrap();
        }

        let verdict = outbox.put(&mut vec![Item(1)]);

        assert_eq!(verdict, Err(FellBehind));
        outbox.ended().await;
        assert_eq!(mail.next().await.unwrap().unwrap_err().code(), Code::ResourceExhausted);
        assert!(mail.next().await.is_none());
    }

    #[tokio::test]
    async fn closing_lets_out_what_was_put_in_before() {
        let (outbox, mut mail) = outbox();
        outbox.put(&mut vec![Item(1)]).unwrap();

        outbox.close();
        outbox.put(&mut vec![Item(2)]).unwrap();

        outbox.ended().await;
        assert_eq!(mail.next().await.unwrap().unwrap(), [Item(1)]);
        assert!(mail.next().await.is_none());
    }

    #[tokio::test]
    async fn a_peer_that_has_gone_ends_the_session() {
        let (outbox, mail) = outbox::<Item>();

        drop(mail);

        outbox.ended().await;
        assert_eq!(outbox.put(&mut vec![Item(1)]), Ok(()));
    }
}
