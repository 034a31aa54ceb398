//! An artifact that was taken in is there under every later leader.

use haggle_master::StartError;
use haggle_proto::v1;
use haggle_proto::v1::masters_client::MastersClient;
use tonic::{Code, Request};

use crate::etcd::Etcd;
use crate::masters::{
    Process, collect, download, leads, master, own_artifacts, plain, stands_by, start_in, start_small, stat, until,
    upload, url,
};

/// More than one chunk.
fn bytes() -> Vec<u8> {
    (0..3_000_000_u32).map(|at| (at % 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_is_there_after_its_leader_was_killed() {
    let etcd = Etcd::start(1);
    let one = Process::start(&etcd.urls());
    leads(&one.url).await;
    let two = master(etcd.urls()).await;
    stands_by(&url(&two)).await;

    let digest = upload(&one.url, &bytes()).await.unwrap();
    one.kill();
    leads(&url(&two)).await;

    assert_eq!(download(&url(&two), &digest).await.unwrap(), bytes());
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_answered_when_every_master_has_it() {
    let etcd = Etcd::start(1);
    let one = master(etcd.urls()).await;
    leads(&url(&one)).await;
    let (two, three) = (master(etcd.urls()).await, master(etcd.urls()).await);
    stands_by(&url(&two)).await;
    stands_by(&url(&three)).await;

    let digest = upload(&url(&one), &bytes()).await.unwrap();

    for standby in [&two, &three] {
        assert_eq!(own_artifacts(&url(standby), &etcd).await.unwrap(), [digest.as_slice()]);
    }
    for master in [one, two, three] {
        master.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_comes_later_fetches_what_the_others_have() {
    let etcd = Etcd::start(1);
    let one = master(etcd.urls()).await;
    leads(&url(&one)).await;
    let digest = upload(&url(&one), &bytes()).await.unwrap();

    let two = master(etcd.urls()).await;
    until("the newcomer has it", async || {
        own_artifacts(&url(&two), &etcd).await.ok().filter(|digests| digests.contains(&digest))
    })
    .await;
    one.stop().await;
    leads(&url(&two)).await;

    assert_eq!(download(&url(&two), &digest).await.unwrap(), bytes());
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_waits_for_a_master_that_was_killed_no_longer_than_for_its_lease() {
    let etcd = Etcd::start(1);
    let one = master(etcd.urls()).await;
    leads(&url(&one)).await;
    let two = Process::start(&etcd.urls());
    stands_by(&two.url).await;

    two.kill();
    let digest = upload(&url(&one), &bytes()).await.unwrap();

    assert_eq!(download(&url(&one), &digest).await.unwrap(), bytes());
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_other_master_could_keep_is_not_said_to_be_there() {
    let etcd = Etcd::start(1);
    let one = master(etcd.urls()).await;
    leads(&url(&one)).await;
    let two = start_small(1_000, &etcd).await;
    stands_by(&url(&two)).await;

    let refused = upload(&url(&one), &bytes()).await.unwrap_err();

    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().starts_with("no other master could keep sha256:"), "{refused}");
    let [digest] = &own_artifacts(&url(&one), &etcd).await.unwrap()[..] else { panic!("one has it") };
    assert_eq!(stat(&url(&one), digest).await.unwrap_err().code(), Code::Unavailable);
    // Alone, it is as good as a master can be.
    two.stop().await;
    assert_eq!(stat(&url(&one), digest).await.unwrap(), bytes().len() as u64);
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_leader_lets_go_the_others_let_go_too() {
    let etcd = Etcd::start(1);
    let one = master(etcd.urls()).await;
    leads(&url(&one)).await;
    let two = master(etcd.urls()).await;
    stands_by(&url(&two)).await;
    upload(&url(&one), &bytes()).await.unwrap();

    let collected = collect(&url(&one)).await.unwrap();

    assert_eq!((collected.artifacts, collected.kept_bytes), (1, 0));
    until("the other has let it go", async || {
        own_artifacts(&url(&two), &etcd).await.ok().filter(|digests| digests.is_empty())
    })
    .await;
    assert!(own_artifacts(&url(&one), &etcd).await.unwrap().is_empty());
    for master in [one, two] {
        master.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_masters_do_not_share_a_folder() {
    let etcd = Etcd::start(1);
    let folder = tempfile::tempdir().unwrap();
    let one = start_in(folder.path(), &etcd).await.unwrap();

    let refused = start_in(folder.path(), &etcd).await.unwrap_err();

    assert!(matches!(&refused, StartError::StateInUse(state) if state == folder.path()), "{refused}");
    one.stop().await;
    let again = start_in(folder.path(), &etcd).await.unwrap();
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_masters_ask_each_other_nobody_else_is_answered() {
    let etcd = Etcd::start(1);
    let one = master(etcd.urls()).await;
    leads(&url(&one)).await;
    upload(&url(&one), &bytes()).await.unwrap();
    let wrong = format!("Haggle-Master {}", "00".repeat(32));
    let owner = one.owner_token().bearer().authorization().to_string();

    for shown in [None, Some(wrong), Some(owner)] {
        let mut call = Request::new(v1::ListArtifactsRequest {});
        if let Some(shown) = &shown {
            call.metadata_mut().insert("authorization", shown.parse().unwrap());
        }
        let refused = MastersClient::new(plain(&url(&one))).list_artifacts(call).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{shown:?}");
    }
    one.stop().await;
}
