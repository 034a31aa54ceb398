//! etcd is away, in part or as a whole, for one master or for all.

use std::time::{Duration, Instant};

use tonic::Code;

use crate::etcd::Etcd;
use crate::masters::{Agent, Process, info, leads, master, stands_by, until, url};
use crate::proxy::Proxy;

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_from_etcd_ends_its_sessions_and_another_leads() {
    let etcd = Etcd::start(1);
    let way = Proxy::to(&etcd.urls()[0]).await;
    let one = master(vec![way.url()]).await;
    leads(&url(&one)).await;
    let two = master(etcd.urls()).await;
    stands_by(&url(&two)).await;
    let agent = Agent::register_in_time(&url(&one), None).await;

    way.cut();

    let second = leads(&url(&two)).await;
    assert_eq!(second.epoch, 2);
    let last_word = agent.last_word().await;
    assert_eq!((last_word.code(), last_word.message()), (Code::Unavailable, "this master no longer leads"));
    until("it does not say that it leads", async || info(&url(&one)).await.is_err().then_some(())).await;

    way.mend();
    let refused = stands_by(&url(&one)).await;
    assert_eq!(refused.message(), format!("this master stands by, {} leads", url(&two)));
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_paused_finds_itself_replaced_before_it_says_a_word() {
    let etcd = Etcd::start(1);
    let one = Process::start(&etcd.urls());
    leads(&one.url).await;
    let two = master(etcd.urls()).await;
    stands_by(&url(&two)).await;
    let agent = Agent::register_in_time(&one.url, None).await;

    one.pause();
    leads(&url(&two)).await;
    one.resume();

    let last_word = agent.last_word().await;
    assert_eq!((last_word.code(), last_word.message()), (Code::Unavailable, "this master no longer leads"));
    stands_by(&one.url).await;
    assert_eq!(leads(&url(&two)).await.epoch, 2);
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loss_of_one_of_three_members_changes_nothing() {
    let mut etcd = Etcd::start(3);
    let one = master(etcd.urls()).await;
    leads(&url(&one)).await;
    let two = master(etcd.urls()).await;
    stands_by(&url(&two)).await;

    // Each in turn: one of them leads the others.
    for member in 0..3 {
        etcd.kill(member);
        // What is to be remembered is written all the same.
        Agent::register_in_time(&url(&one), None).await;
        etcd.restart(member);
    }

    assert_eq!(leads(&url(&one)).await.epoch, 1);
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_nobody_leads_and_with_it_again_nothing_is_lost() {
    let mut etcd = Etcd::start(3);
    let (one, two) = (master(etcd.urls()).await, master(etcd.urls()).await);
    let urls = [url(&one), url(&two)];
    let leader = until("one of them leads", async || leading(&urls).await).await;
    let agent = Agent::register_in_time(&leader, None).await;
    let member = agent.member.clone();

    etcd.kill(0);
    etcd.kill(1);
    assert_eq!(agent.last_word().await.code(), Code::Unavailable);
    until("nobody leads", async || leading(&urls).await.is_none().then_some(())).await;

    etcd.restart(0);
    // Two of three are a majority.
    let back = Instant::now();
    let leader = until("one of them leads again", async || leading(&urls).await).await;
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
    let back = Agent::register_in_time(&leader, Some(member.clone())).await;
    assert_eq!(back.member, member);
    one.stop().await;
    two.stop().await;
}

async fn leading(urls: &[String]) -> Option<String> {
    for url in urls {
        if info(url).await.is_ok() {
            return Some(url.clone());
        }
    }
    None
}
