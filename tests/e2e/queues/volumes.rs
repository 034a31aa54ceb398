//! Tasks in queues that mount the volumes of their allocation.

use haggle_core::{Reason, TaskState, VolumeId};
use haggle_kit::{AgentFlags, Cluster};
use haggle_sdk::Task;

use super::{Owner, task, upload};
use crate::said::said;
use crate::volumes::{READER, WRITER, with_volume_on};

/// An agent with a volume of `eng`'s.
async fn with_volume() -> (Cluster, VolumeId) {
    let (cluster, volume) = with_volume_on(AgentFlags { cpus: "2", mem: "1GiB" }).await;
    (cluster, volume.parse().unwrap())
}

/// The same, which mounts a volume.
fn mounts(task: Task, volume: VolumeId, writable: bool) -> Task {
    task.volume("/data", volume, writable)
}

#[tokio::test]
async fn tasks_of_a_queue_write_and_read_the_volume_of_their_allocation() {
    let (cluster, volume) = with_volume().await;
    let client = cluster.client().await;
    let (writer, reader) = (upload(&client, WRITER).await, upload(&client, READER).await);
    let mut owner = Owner::open_with(&client, "eng", vec![volume.into()]).await;

    owner.enqueue(mounts(task(writer), volume, true), 10, 1, false).await;
    // A batch whose module is compiled may overtake one whose module is not.
    owner.hear(1, false).await;
    owner.enqueue(mounts(task(reader), volume, false), 20, 20, false).await;
    owner.enqueue(mounts(task(writer), volume, true), 50, 1, false).await;
    owner.hear(22, false).await;

    assert_eq!(owner.states(), [(TaskState::Finished, 22)].into(), "{:?}", owner.ends);
    let read = cluster.haggle(&["logs", &owner.id(29).to_string()]).await;
    assert_eq!(String::from_utf8_lossy(&read.stdout), "kept\n");
    let listed = said(&cluster, &["volume", "ls"]).await;
    assert!(listed.contains(&owner.id(1).to_string()), "its allocation uses it: {listed}");
    owner.leave().await;
}

#[tokio::test]
async fn a_task_of_a_queue_mounts_no_volume_but_those_of_its_allocation_and_writes_none_that_is_shared() {
    let (cluster, volume) = with_volume().await;
    said(&cluster, &["volume", "share", &volume.to_string()]).await;
    let client = cluster.client().await;
    let reader = upload(&client, READER).await;
    let mut owner = Owner::open_with(&client, "eng", vec![volume.into()]).await;
    let other = VolumeId { number: 77, ..volume };

    owner.enqueue(mounts(task(reader), volume, true), 10, 1, false).await;
    owner.enqueue(mounts(task(reader), other, false), 20, 1, false).await;
    owner.hear(2, false).await;

    let end = |number| &owner.ends[&number][0];
    assert_eq!((end(10).state, end(10).reason), (TaskState::Error, Some(Reason::TaskInvalid)), "{}", end(10).message);
    assert_eq!(
        (end(20).state, end(20).reason),
        (TaskState::Dropped, Some(Reason::InvalidOffers)),
        "{}",
        end(20).message
    );
    owner.leave().await;
}
