//! Tasks in queues that mount the volumes of their allocation.

use haggle_core::{Reason, TaskState, VolumeId};
use haggle_kit::{AgentFlags, Cluster, until};
use haggle_sdk::Task;

use super::{Owner, task, upload};
use crate::said::{lines, said};
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

#[tokio::test]
async fn short_tasks_of_a_run_write_a_volume_one_after_the_other_in_a_queue_that_has_it() {
    let (cluster, volume) = with_volume().await;
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("writer.wat");
    std::fs::write(&module, WRITER).unwrap();
    let (module, mount) = (module.display().to_string(), format!("{volume}:/data"));
    let run = ["run", &module, "--role", "eng", "--instances", "60", "--cpus", "0.5", "--mem", "16MiB", "--quiet"];

    said(&cluster, &[&run[..], &["--volume", &mount]].concat()).await;

    let client = cluster.client().await;
    until("its allocations have ended", async || client.tasks(false).await.ok()?.is_empty().then_some(())).await;
    let all = lines(&cluster.haggle(&["ps", "--all", "--json"]).await);
    let of = |kind: &str| all.iter().filter(|task| task["kind"] == kind && task["state"] == "FINISHED").count();
    assert_eq!(of("task"), 60, "{all:?}");
    assert!(of("allocation") > 0, "short tasks run in a queue: {all:?}");
    let written = cluster.work_dir(0).join("volumes").join(volume.to_string()).join("data/file");
    assert_eq!(std::fs::read_to_string(written).unwrap(), "kept\n");
}
