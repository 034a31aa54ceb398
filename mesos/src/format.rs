//! The two formats of a message.

use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::json;

/// How a message is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/json`.
    Json,
    /// `application/x-protobuf`.
    Protobuf,
}

/// Why bytes are no message.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// They are no JSON, or of other fields.
    #[error("the body is no message of the Mesos v1 API in JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// They are no protobuf, or of other fields.
    #[error("the body is no message of the Mesos v1 API in protobuf: {0}")]
    Protobuf(#[from] prost::DecodeError),
}

impl Format {
    /// What HTTP calls it. Clients compare it letter by letter.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }

    /// The one that a content type names, whatever parameters follow it.
    pub fn of_content(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        [Self::Json, Self::Protobuf].into_iter().find(|format| essence.eq_ignore_ascii_case(format.media_type()))
    }

    /// The one that an `accept` allows: JSON when both are. No header allows everything; `application/recordio` stands for a stream of
    /// whatever `message-accept` names.
    pub fn of_accept(accept: Option<&str>, message_accept: Option<&str>) -> Option<Self> {
        let ranges = |value: &str| -> Vec<String> {
            let essence = |range: &str| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            value.split(',').map(essence).collect()
        };
        let Some(accept) = accept else { return Some(Self::Json) };
        let mut allowed = ranges(accept);
        if allowed.iter().any(|range| range == "application/recordio") {
            allowed = message_accept.map_or_else(|| vec!["*/*".to_owned()], ranges);
        }
        let allows = |format: &Self| {
            allowed
                .iter()
                .any(|range| matches!(range.as_str(), "*/*" | "application/*") || range == format.media_type())
        };
        [Self::Json, Self::Protobuf].into_iter().find(allows)
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When it is none.
    pub fn read<T: DeserializeOwned + Message + Default>(self, bytes: &[u8]) -> Result<T, Unreadable> {
        match self {
            Self::Json => Ok(json::read(bytes)?),
            Self::Protobuf => Ok(T::decode(bytes)?),
        }
    }

    /// Writes a message.
    pub fn write(self, message: &(impl Serialize + Message)) -> Vec<u8> {
        match self {
            Self::Json => json::write(message),
            Self::Protobuf => message.encode_to_vec(),
        }
    }
}
