//! How a row of the registry is written down.
//!
//! Rows are protobuf messages, so that a later version can add to them. What a peer said of itself is kept in
//! the words of the wire, which are bound to stay readable.

use haggle_core::cluster::{AgentRecord, FrameworkInfo};
use haggle_core::{AgentKey, Now};
use haggle_proto::convert::Malformed;
use haggle_proto::v1;
use prost::Message;

/// A row that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadRow {
    /// It is no such message.
    #[error(transparent)]
    Undecodable(#[from] prost::DecodeError),
    /// It lacks something, or has it wrong.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AgentRow {
    #[prost(message, optional, tag = "1")]
    info: Option<v1::AgentInfo>,
    /// 16 bytes. Absent in rows of version 1: then the agent has shown no key yet, and the first that claims its id is
    /// taken for it.
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
    /// The cluster's time, in nanoseconds.
    #[prost(uint64, optional, tag = "3")]
    unreachable_since: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FrameworkRow {
    #[prost(message, optional, tag = "1")]
    info: Option<v1::FrameworkInfo>,
}

pub(super) fn write_agent(agent: &AgentRecord) -> Vec<u8> {
    let AgentRecord { info, key, unreachable_since } = agent.clone();
    let key = if key == AgentKey::default() { Vec::new() } else { key.0.to_be_bytes().to_vec() };
    AgentRow { info: Some(info.into()), key, unreachable_since: unreachable_since.map(Now::as_nanos) }.encode_to_vec()
}

pub(super) fn read_agent(row: &[u8]) -> Result<AgentRecord, BadRow> {
    let AgentRow { info, key, unreachable_since } = AgentRow::decode(row)?;
    let info = info.ok_or(Malformed::Missing("info of an agent"))?.try_into()?;
    let key = match key.as_slice() {
        [] => AgentKey::default(),
        bytes => bytes.try_into().map(|bytes| AgentKey(u128::from_be_bytes(bytes))).map_err(|_| {
            Malformed::Invalid { field: "key of an agent", got: format!("{} bytes", bytes.len()), wanted: "16 bytes" }
        })?,
    };
    Ok(AgentRecord { info, key, unreachable_since: unreachable_since.map(Now::from_nanos) })
}

pub(super) fn write_framework(info: &FrameworkInfo) -> Vec<u8> {
    FrameworkRow { info: Some(info.clone().into()) }.encode_to_vec()
}

pub(super) fn read_framework(row: &[u8]) -> Result<FrameworkInfo, BadRow> {
    let info = FrameworkRow::decode(row)?.info.ok_or(Malformed::Missing("info of a framework"))?;
    Ok(info.into())
}
