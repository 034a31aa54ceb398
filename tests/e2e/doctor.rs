//! `haggle doctor` of a cluster that is there.

use haggle_kit::{AgentFlags, Cluster};
use serde_json::Value;

#[tokio::test]
async fn a_master_that_answers_is_told_with_how_far_its_clock_is_away() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;

    let output = cluster.haggle(&["doctor", "--json"]).await;

    let findings: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of =
        |check: &str| findings.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("{check}"));
    assert_eq!(of("master")["verdict"], "ok", "{findings:?}");
    assert!(of("master")["found"].as_str().unwrap().contains(&cluster.url), "{findings:?}");
    assert_eq!(of("clock of master")["verdict"], "ok", "{findings:?}");
}
