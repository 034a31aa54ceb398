//! What the command says of a cluster: in lines of JSON, in words, or why it refuses.

use std::process::Output;

use haggle_kit::Cluster;
use serde_json::Value;

use crate::run::{assert_success, text};

/// Each line of what a command that did well has printed with `--json`.
#[track_caller]
pub(crate) fn lines(output: &Output) -> Vec<Value> {
    assert_success(output);
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a command prints that does well.
pub(crate) async fn said(cluster: &Cluster, args: &[&str]) -> String {
    let output = cluster.haggle(args).await;
    assert_success(&output);
    text(&output.stdout).to_owned()
}

/// Why a command is refused.
pub(crate) async fn refused(cluster: &Cluster, args: &[&str]) -> String {
    let output = cluster.haggle(args).await;
    assert!(!output.status.success(), "{}", text(&output.stdout));
    text(&output.stderr).to_owned()
}
