//! The part of a token that is shown to a master, and how it stands in a call.

use std::str::FromStr;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{Secret, Token, TokenId};

/// What stands before it in a call's `authorization`.
const SCHEME: &str = "Bearer ";

/// A token's id and secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// Which token.
    pub id: TokenId,
    /// The proof.
    pub secret: Secret,
}

impl Bearer {
    /// What a call's `authorization` says: `Bearer <id>.<secret>`. A secret itself.
    pub fn authorization(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(self.secret.bytes()));
        Zeroizing::new(format!("{SCHEME}{}.{}", self.id, secret.as_str()))
    }

    /// Reads a call's `authorization`, with the short form or a whole token. Programs that know users and passwords alone show it as
    /// the password, of whatever user.
    ///
    /// # Errors
    /// When it is neither.
    pub fn from_authorization(value: &str) -> Result<Self, NotABearer> {
        let (scheme, credentials) = value.split_once(' ').ok_or(NotABearer)?;
        if scheme.eq_ignore_ascii_case("basic") {
            let shown = Zeroizing::new(BASE64_STANDARD.decode(credentials.trim()).map_err(|_| NotABearer)?);
            let (_, password) =
                std::str::from_utf8(&shown).ok().and_then(|shown| shown.split_once(':')).ok_or(NotABearer)?;
            return password.trim().parse();
        }
        if !scheme.eq_ignore_ascii_case(SCHEME.trim_end()) {
            return Err(NotABearer);
        }
        credentials.trim().parse()
    }
}

impl FromStr for Bearer {
    type Err = NotABearer;

    fn from_str(text: &str) -> Result<Self, NotABearer> {
        if let Ok(token) = text.parse::<Token>() {
            return Ok(token.bearer());
        }
        let (id, secret) = text.split_once('.').ok_or(NotABearer)?;
        let id = id.parse().map_err(|_| NotABearer)?;
        let secret = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(secret).map_err(|_| NotABearer)?);
        let secret = <[u8; 32]>::try_from(secret.as_slice()).map_err(|_| NotABearer)?;
        Ok(Self { id, secret: Secret::new(secret) })
    }
}

/// An `authorization` that no token stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call's authorization is no token of Haggle: it is \"Bearer \" and a token (hgl1.…), or its id and secret")]
pub struct NotABearer;
