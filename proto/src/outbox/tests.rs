//! What a session's outbox lets out, as sentences.

use futures_util::{FutureExt, StreamExt};
use haggle_core::cluster::FrameworkEvent;
use haggle_core::{AgentId, Offer, OfferId, Resources};
use prost::Message;
use tonic::Code;

use super::*;
use crate::v1;
use crate::v1::framework_event::Event;

/// An item that weighs so many bytes.
#[derive(Debug, PartialEq, Eq)]
struct Item(usize);

impl Weigh for Item {
    fn weight(&self) -> usize {
        self.0
    }
}

const WAITING_MAX: usize = 64 << 20;

const MESSAGE_TARGET: usize = 256 << 10;

const LARGE: usize = WAITING_MAX / 4;

/// A session's outbox with room for so many bytes, however many items.
fn outbox<T: Weigh>() -> (Outbox<T>, Mail<T>) {
    super::outbox(Limits { items: usize::MAX, bytes: WAITING_MAX, message: MESSAGE_TARGET })
}

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

#[test]
fn a_peer_for_which_too_many_items_wait_is_cut_off_and_whoever_watches_hears_of_it() {
    let (outbox, mail) = super::outbox(Limits { items: 2, bytes: usize::MAX, message: MESSAGE_TARGET });
    outbox.push(Item(0)).unwrap();
    assert!(outbox.has_room());
    outbox.push(Item(0)).unwrap();
    assert!(!outbox.has_room());
    assert_eq!(outbox.cut_off().now_or_never(), None);

    assert_eq!(outbox.push(Item(0)), Err(FellBehind));

    assert_eq!(mail.filter_map(|batch| async { batch.ok() }).count().now_or_never(), Some(0));
    assert_eq!(outbox.cut_off().now_or_never(), Some(()), "also once the stream has said its last word");
}

#[test]
fn a_session_that_was_closed_or_whose_peer_has_gone_was_not_cut_off() {
    let ((closed, _mail), (gone, mail)) = (outbox::<Item>(), outbox::<Item>());

    closed.close();
    drop(mail);

    assert_eq!((closed.ended().now_or_never(), gone.ended().now_or_never()), (Some(()), Some(())));
    assert_eq!((closed.cut_off().now_or_never(), gone.cut_off().now_or_never()), (None, None));
    assert!(!closed.has_room() && !gone.has_room());
}
