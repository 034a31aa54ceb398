//! How a token is written: `hgl1.` and, in base64url, its length, its content and a checksum.

use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use haggle_core::ClusterId;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Secret, Token, TokenId, TokenKind, unix_millis};
use crate::Fingerprint;

/// What a token of this version begins with.
const PREFIX: &str = "hgl1.";

/// Above every token: 8 addresses of the longest kind.
const TEXT_MAX: usize = 8 << 10;

/// The longest name of a host has 253 bytes, and a port 6.
const ADDRESS_MAX: usize = 260;

/// Two bytes of length before the content, four of checksum behind.
const LENGTH: usize = 2;
const CHECKSUM: usize = 4;

/// What stands between them.
#[derive(Serialize, Deserialize)]
struct Content {
    kind: u8,
    cluster: [u8; 16],
    id: [u8; 8],
    secret: [u8; 32],
    expires_ms: u64,
    authority: Option<[u8; 32]>,
    addresses: Vec<String>,
}

impl Token {
    /// Addresses of one token, at most: more masters than a cluster has.
    pub const ADDRESSES_MAX: usize = 8;

    /// The token as people copy it, one word. It is as secret as the token is.
    ///
    /// # Panics
    /// With more than 8 addresses, or one of more than 260 bytes.
    pub fn text(&self) -> Zeroizing<String> {
        let most = Self::ADDRESSES_MAX;
        assert!(self.addresses.len() <= most, "a token has {most} addresses at most");
        assert!(self.addresses.iter().all(|address| address.len() <= ADDRESS_MAX), "an address has 260 bytes at most");
        let content = Content {
            kind: self.kind.number(),
            cluster: self.cluster.0.to_be_bytes(),
            id: self.id.0,
            secret: *self.secret.bytes(),
            expires_ms: unix_millis(self.expires),
            authority: self.authority.map(|authority| authority.0),
            addresses: self.addresses.clone(),
        };
        let content = Zeroizing::new(postcard::to_stdvec(&content).expect("it is plain data"));
        let length = u16::try_from(content.len()).expect("its parts are bounded");

        let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH + content.len() + CHECKSUM));
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&content);
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        let encoded = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        Zeroizing::new(format!("{PREFIX}{}", encoded.as_str()))
    }
}

impl FromStr for Token {
    type Err = TokenError;

    /// Reads what [`Token::text`] wrote. Blanks and line breaks, which copying brings, are passed over.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        if text.len() > TEXT_MAX {
            return Err(TokenError::NotAToken);
        }
        let text = Zeroizing::new(text.chars().filter(|char| !char.is_whitespace()).collect::<String>());
        let bytes = decode(without_prefix(&text)?)?;
        let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM);
        if crc32fast::hash(content).to_be_bytes() != checksum {
            return Err(TokenError::Damaged);
        }
        let content: Content = postcard::from_bytes(&content[LENGTH..]).map_err(|_| TokenError::Damaged)?;
        Self::read(content).ok_or(TokenError::Damaged)
    }
}

impl Token {
    /// `None` when it says what no token says.
    fn read(content: Content) -> Option<Self> {
        let bounded = content.addresses.len() <= Self::ADDRESSES_MAX
            && content.addresses.iter().all(|address| address.len() <= ADDRESS_MAX);
        Some(Self {
            kind: TokenKind::numbered(content.kind)?,
            cluster: ClusterId(u128::from_be_bytes(content.cluster)),
            addresses: bounded.then_some(content.addresses)?,
            authority: content.authority.map(Fingerprint),
            id: TokenId(content.id),
            secret: Secret::new(content.secret),
            expires: UNIX_EPOCH.checked_add(Duration::from_millis(content.expires_ms))?,
        })
    }
}

impl TokenKind {
    /// As in `haggle.v1`.
    fn number(self) -> u8 {
        self as u8 + 1
    }

    fn numbered(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

fn without_prefix(text: &str) -> Result<&str, TokenError> {
    if let Some(rest) = text.strip_prefix(PREFIX) {
        return Ok(rest);
    }
    if !text.is_empty() && PREFIX.starts_with(text) {
        return Err(TokenError::CutShort);
    }
    match text.strip_prefix("hgl").and_then(|rest| rest.split_once('.')) {
        Some((version, _)) if version.parse().is_ok_and(|version: u32| version > 1) => {
            Err(TokenError::Newer(format!("hgl{version}")))
        }
        _ => Err(TokenError::NotAToken),
    }
}

/// Length, content and checksum; as long as the length says.
fn decode(encoded: &str) -> Result<Zeroizing<Vec<u8>>, TokenError> {
    /// Characters that hold the length for certain.
    const HEAD: usize = 4;
    let engine = BASE64_URL_SAFE_NO_PAD;
    if !encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
        return Err(TokenError::Damaged);
    }
    let head = encoded.get(..HEAD).ok_or(TokenError::CutShort)?;
    let head = Zeroizing::new(engine.decode(head).map_err(|_| TokenError::Damaged)?);
    let content = usize::from(u16::from_be_bytes([head[0], head[1]]));
    let whole = ((LENGTH + content + CHECKSUM) * 4).div_ceil(3);
    match encoded.len() {
        length if length < whole => Err(TokenError::CutShort),
        length if length > whole => Err(TokenError::Damaged),
        _ => engine.decode(encoded).map(Zeroizing::new).map_err(|_| TokenError::Damaged),
    }
}

/// Why a text is not a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It begins like none.
    #[error("this is no token of Haggle: one begins with hgl1.")]
    NotAToken,
    /// Its end is missing.
    #[error("the token is cut short: copy all of it, it is one word")]
    CutShort,
    /// Its checksum is wrong.
    #[error("the token is damaged, a character or more of it has changed: copy it once more")]
    Damaged,
    /// It was made by a later version.
    #[error("the token is of a later version ({0}) than this haggle reads (hgl1): use a later haggle")]
    Newer(String),
}

#[cfg(test)]
mod tests;
