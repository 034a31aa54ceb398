//! One leads at a time, everybody knows who, and the next one knows what the last one knew.

use std::time::{Duration, Instant};

use haggle_proto::LEADER;
use tonic::Code;

use crate::etcd::Etcd;
use crate::masters::{Agent, Process, info, leader_and_other, leads, master, stands_by, upload, url};

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_leads_and_the_other_says_who() {
    let etcd = Etcd::start(1);
    let (one, two) = (master(etcd.urls()).await, master(etcd.urls()).await);

    let (leader, other) = leader_and_other(&url(&one), &url(&two)).await;

    let refused = stands_by(&other).await;
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(refused.message(), format!("this master stands by, {leader} leads"));
    assert_eq!(refused.metadata().get(LEADER).unwrap(), leader.as_str());
    // Every call is answered so, sessions and uploads among them.
    let session = Agent::register(&other, None).await.err().unwrap();
    assert_eq!((session.code(), session.message()), (Code::Unavailable, refused.message()));
    let upload = upload(&other, b"bytes").await.unwrap_err();
    assert_eq!((upload.code(), upload.message()), (Code::Unavailable, refused.message()));
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_stops_the_other_leads_the_same_cluster_under_a_higher_epoch() {
    let etcd = Etcd::start(1);
    let one = master(etcd.urls()).await;
    let first = leads(&url(&one)).await;
    let two = master(etcd.urls()).await;
    stands_by(&url(&two)).await;
    let agent = Agent::register_in_time(&url(&one), None).await;
    let member = agent.member.clone();

    let stopped = Instant::now();
    one.stop().await;
    let second = leads(&url(&two)).await;

    // Its lease is given back, so nobody waits for the end of it.
    assert!(stopped.elapsed() < Duration::from_secs(1), "{:?}", stopped.elapsed());
    assert_eq!(second.cluster, first.cluster);
    assert_eq!((first.epoch, second.epoch), (1, 2));
    assert_eq!(agent.last_word().await.code(), Code::Unavailable);
    let back = Agent::register_in_time(&url(&two), Some(member.clone())).await;
    assert_eq!(back.member, member);
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_is_killed_the_other_leads_within_three_seconds() {
    let etcd = Etcd::start(1);
    let one = Process::start(&etcd.urls());
    leads(&one.url).await;
    let two = master(etcd.urls()).await;
    stands_by(&url(&two)).await;

    let killed = Instant::now();
    one.kill();
    let second = leads(&url(&two)).await;

    assert!(killed.elapsed() < Duration::from_secs(3), "{:?}", killed.elapsed());
    assert_eq!(second.epoch, 2);
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_led_before_can_lead_again() {
    let etcd = Etcd::start(1);
    let one = master(etcd.urls()).await;
    leads(&url(&one)).await;
    one.stop().await;

    let again = master(etcd.urls()).await;

    assert_eq!(leads(&url(&again)).await.epoch, 2);
    assert_eq!(info(&url(&again)).await.unwrap().epoch, 2);
    again.stop().await;
}
