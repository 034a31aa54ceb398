//! What operators reserve on agents, and the volumes that they make of it.

use haggle_master::{Config, Master};
use haggle_proto::v1;
use tempfile::TempDir;
use tonic::Code;

use crate::peers::{Agent, loopback, operator};

fn cpus(milli_cpus: u64) -> v1::Resources {
    v1::Resources { milli_cpus, ..Default::default() }
}

fn reserve(agent: u64, role: &str, within: &str, milli_cpus: u64) -> v1::ReserveRequest {
    let (role, within) = (role.to_owned(), within.to_owned());
    let reserve = v1::Reserve { role, within, resources: Some(cpus(milli_cpus)) };
    v1::ReserveRequest { agent, reserve: Some(reserve), request: Vec::new() }
}

fn unreserve(agent: u64, role: &str, milli_cpus: u64) -> v1::UnreserveRequest {
    let unreserve = v1::Unreserve { role: role.to_owned(), resources: Some(cpus(milli_cpus)) };
    v1::UnreserveRequest { agent, unreserve: Some(unreserve), request: Vec::new() }
}

#[tokio::test]
async fn what_is_reserved_is_in_the_audit() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("audit.jsonl");
    let master = Master::start(Config { audit: Some(file.clone()), ..Config::new(loopback()) }).await.unwrap();
    let agent = Agent::register(&master, None).await;
    let mut operator = operator(&master).await;
    operator.reserve(reserve(agent.id, "eng", "", 1_000)).await.unwrap();
    operator.reserve(reserve(agent.id, "eng/batch", "eng", 500)).await.unwrap();
    operator.unreserve(unreserve(agent.id, "eng/batch", 500)).await.unwrap();
    master.stop().await;

    let audit = std::fs::read_to_string(&file).unwrap();
    for parts in [
        ["\"verb\":\"Reserve\"", "agent-1: 1.000 cpu, 0 B mem for role \\\"eng\\\""],
        ["\"verb\":\"Reserve\"", "of role \\\"eng\\\" for role \\\"eng/batch\\\""],
        ["\"verb\":\"Unreserve\"", "of role \\\"eng/batch\\\""],
    ] {
        let is_there = audit.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(is_there, "{parts:?} in:\n{audit}");
    }
}

fn create(agent: u64, role: &str, mib: u64) -> v1::CreateVolumeRequest {
    let volume = v1::CreateVolume { role: role.to_owned(), name: "data".to_owned(), size_bytes: mib << 20 };
    v1::CreateVolumeRequest { agent, volume: Some(volume), request: Vec::new() }
}

#[tokio::test]
async fn what_is_done_to_volumes_is_in_the_audit_and_what_cannot_be_is_refused_with_the_reason() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("audit.jsonl");
    let master = Master::start(Config { audit: Some(file.clone()), ..Config::new(loopback()) }).await.unwrap();
    let disk = v1::Resources { disk_bytes: 8 << 20, ..cpus(1_000) };
    let agent = Agent::register_with(&master, None, disk.clone()).await;
    let mut operator = operator(&master).await;
    let disk = v1::Resources { milli_cpus: 0, ..disk };
    let wanted = v1::Reserve { role: "eng".to_owned(), within: String::new(), resources: Some(disk) };
    let reserve = v1::ReserveRequest { agent: agent.id, reserve: Some(wanted), request: Vec::new() };
    operator.reserve(reserve).await.unwrap();

    let made = operator.create_volume(create(agent.id, "eng", 5)).await.unwrap().into_inner().volume.unwrap();
    assert_eq!((made.agent, made.number), (agent.id, 1));
    for (wrong, code, why) in [
        (create(agent.id, "eng", 1), Code::FailedPrecondition, "is called \"data\" already"),
        (create(agent.id, "web", 1), Code::FailedPrecondition, "reserve more disk for that role first"),
        (create(agent.id, "eng", 0), Code::InvalidArgument, "give it some bytes"),
        (create(9, "eng", 1), Code::NotFound, "agent-9 is not known"),
        (v1::CreateVolumeRequest::default(), Code::InvalidArgument, "the volume to make is missing"),
    ] {
        let refused = operator.create_volume(wrong).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert!(refused.message().contains(why), "{refused}");
    }
    let share = v1::ShareVolume { volume: Some(made), shared: true };
    operator.share_volume(v1::ShareVolumeRequest { share: Some(share), request: Vec::new() }).await.unwrap();
    let destroy = || v1::DestroyVolumeRequest { volume: Some(made), request: Vec::new() };
    operator.destroy_volume(destroy()).await.unwrap();
    let refused = operator.destroy_volume(destroy()).await.unwrap_err();
    assert_eq!((refused.code(), refused.message().contains("volume-1.1 is not known")), (Code::NotFound, true));
    master.stop().await;

    let audit = std::fs::read_to_string(&file).unwrap();
    for parts in [
        ["\"verb\":\"CreateVolume\"", "agent-1: 5 MiB for role \\\"eng\\\", called \\\"data\\\""],
        ["\"verb\":\"ShareVolume\"", "volume-1.1: shared"],
        ["\"verb\":\"DestroyVolume\"", "volume-1.1"],
    ] {
        let is_there = audit.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(is_there, "{parts:?} in:\n{audit}");
    }
}

#[tokio::test]
async fn what_cannot_be_reserved_is_refused_with_the_reason() {
    let master = Master::start(Config::new(loopback())).await.unwrap();
    let agent = Agent::register(&master, None).await;
    let mut operator = operator(&master).await;
    for (wrong, code, why) in [
        (reserve(agent.id, "a//b", "", 1), Code::InvalidArgument, "\"a//b\" is no role"),
        (reserve(agent.id, "web", "eng", 1), Code::InvalidArgument, "cannot be refined for \"web\""),
        (reserve(agent.id, "eng", "", 0), Code::InvalidArgument, "needs an amount"),
        (reserve(agent.id, "eng", "", 3_000), Code::FailedPrecondition, "there is 2.000 cpu"),
        (reserve(9, "eng", "", 1), Code::NotFound, "agent-9 is not known"),
        (
            v1::ReserveRequest { agent: agent.id, ..Default::default() },
            Code::InvalidArgument,
            "what to reserve is missing",
        ),
    ] {
        let refused = operator.reserve(wrong).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert!(refused.message().contains(why), "{refused}");
    }
    let refused = operator.unreserve(unreserve(agent.id, "eng", 1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
}
