//! Tokens as the cluster remembers them: who comes with one, and for how long. Never the secret itself.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use super::principal::{Kind, Principal};
use super::roles::Roles;
use crate::id::{Digest, NotAnId};
use crate::time::Now;

/// A token: 64 random bits. No secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub u64);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "token-{:016x}", self.0)
    }
}

impl FromStr for TokenId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let parse = || {
            let digits = text.strip_prefix("token-").filter(|digits| digits.len() == 16)?;
            // The parser lets a sign through.
            let are_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            are_digits.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
        };
        parse().map(Self).ok_or_else(|| NotAnId::new("an id like token-<16 hexadecimal digits>", text))
    }
}

/// What a token lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Agents that join, so many more.
    Agent {
        /// 0: it is used up.
        uses_left: u32,
    },
    /// Frameworks in these roles.
    Framework(Roles),
    /// An operator.
    Operator,
    /// A viewer of these roles.
    Viewer(Roles),
}

/// What the cluster remembers of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// The name of the principal that comes with it.
    pub name: Arc<str>,
    /// What it lets in.
    pub kind: TokenKind,
    /// The SHA-256 of its secret.
    pub hash: Digest,
    /// When it was made: milliseconds since 1970.
    pub made_ms: u64,
    /// When it ends, in the same way.
    pub expires_ms: u64,
    /// The name of who made it.
    pub made_by: Arc<str>,
    /// Whether it was ended before its time.
    pub revoked: bool,
    /// By which authority its holder knows the masters: the SHA-256 of that one's key. `None` when that is not known, or they
    /// speak plain text.
    pub authority: Option<Digest>,
}

/// Why there is no such token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// The name is of no use to people.
    #[error("the name {0:?} is empty, longer than 128 bytes, or not printable")]
    Name(String),
    /// The name belongs to somebody else.
    #[error("the name {0:?} is taken: owner, master, and agent-1, agent-2, … come without tokens of this kind")]
    Taken(String),
    /// It would have expired when it is made, or live for too long.
    #[error("a token lives for at least a second and at most {} days", TokenRecord::TTL_MAX_MS / (24 * 60 * 60 * 1000))]
    Ttl,
    /// Nobody could join by it, or too many could.
    #[error("{0} uses are wanted: a join token has at least 1 and at most {max}", max = TokenRecord::USES_MAX)]
    Uses(u32),
}

impl TokenRecord {
    /// The longest life of a token, in milliseconds: a year. What lives for longer is forgotten, not used.
    pub const TTL_MAX_MS: u64 = 366 * 24 * 60 * 60 * 1000;
    /// Agents that may join by one token: a data centre that scales by itself.
    pub const USES_MAX: u32 = 10_000;
    /// The longest name, in bytes: wider than any terminal.
    const NAME_MAX: usize = 128;

    /// Whether there can be such a token.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), InvalidToken> {
        let name = &*self.name;
        if name.is_empty() || name.len() > Self::NAME_MAX || name.contains(char::is_control) {
            return Err(InvalidToken::Name(name.to_string()));
        }
        if matches!(name, Principal::OWNER | Principal::MASTER) || name.starts_with("agent-") {
            return Err(InvalidToken::Taken(name.to_string()));
        }
        let ttl = self.expires_ms.saturating_sub(self.made_ms);
        if !(1_000..=Self::TTL_MAX_MS).contains(&ttl) {
            return Err(InvalidToken::Ttl);
        }
        match self.kind {
            TokenKind::Agent { uses_left: uses } if !(1..=Self::USES_MAX).contains(&uses) => {
                Err(InvalidToken::Uses(uses))
            }
            _ => Ok(()),
        }
    }

    /// Who comes with it.
    pub fn principal(&self, id: TokenId) -> Principal {
        let kind = match &self.kind {
            TokenKind::Agent { .. } => Kind::Joiner,
            TokenKind::Framework(roles) => Kind::Framework(roles.clone()),
            TokenKind::Operator => Kind::Operator,
            TokenKind::Viewer(roles) => Kind::Viewer(roles.clone()),
        };
        Principal { name: Arc::clone(&self.name), kind, token: Some(id) }
    }

    /// Why nobody comes in by it any more at that time, in milliseconds since 1970; `None` when somebody does.
    pub fn over(&self, wall_ms: u64) -> Option<Over> {
        if self.revoked {
            Some(Over::Revoked)
        } else if wall_ms >= self.expires_ms {
            Some(Over::Expired)
        } else if matches!(self.kind, TokenKind::Agent { uses_left: 0 }) {
            Some(Over::UsedUp)
        } else {
            None
        }
    }
}

/// Why a token lets nobody in any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Over {
    /// Somebody ended it.
    #[error("was revoked")]
    Revoked,
    /// Its time is over.
    #[error("has expired")]
    Expired,
    /// As many agents have joined by it as may.
    #[error("is used up: as many agents have joined by it as may")]
    UsedUp,
}

/// An agent's id that is kept for whoever holds the certificate: for one that has not registered yet, or was away for so
/// long that its tasks were given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// Until when, by the cluster's time.
    pub until: Now,
    /// By which token it joined, and with which key: the SHA-256 of its public key. The same key that comes again by the
    /// same token, because the answer was lost, has the same id. `None` when it has registered before.
    pub by: Option<(TokenId, Digest)>,
}
