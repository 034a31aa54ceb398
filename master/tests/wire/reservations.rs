//! What operators reserve on agents.

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
