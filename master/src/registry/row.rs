//! How a row of the registry is written down.
//!
//! Rows are protobuf messages, so that a later version can add to them. What a peer said of itself is kept in
//! the words of the wire, which are bound to stay readable.

use haggle_core::AgentInfo;
use haggle_core::cluster::FrameworkInfo;
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
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FrameworkRow {
    #[prost(message, optional, tag = "1")]
    info: Option<v1::FrameworkInfo>,
}

pub(super) fn write_agent(info: &AgentInfo) -> Vec<u8> {
    AgentRow { info: Some(info.clone().into()) }.encode_to_vec()
}

pub(super) fn read_agent(row: &[u8]) -> Result<AgentInfo, BadRow> {
    let info = AgentRow::decode(row)?.info.ok_or(Malformed::Missing("info of an agent"))?;
    Ok(info.try_into()?)
}

pub(super) fn write_framework(info: &FrameworkInfo) -> Vec<u8> {
    FrameworkRow { info: Some(info.clone().into()) }.encode_to_vec()
}

pub(super) fn read_framework(row: &[u8]) -> Result<FrameworkInfo, BadRow> {
    let info = FrameworkRow::decode(row)?.info.ok_or(Malformed::Missing("info of a framework"))?;
    Ok(info.into())
}
