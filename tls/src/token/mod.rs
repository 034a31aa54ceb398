//! The text that lets somebody in: where the masters are, how to know them, and a secret.

mod bearer;
mod secret;
mod text;

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use haggle_core::ClusterId;

use crate::{Fingerprint, Trust};

pub use bearer::{Bearer, NotABearer};
pub use secret::{Secret, TokenId};
pub use text::TokenError;

/// A token, as its holder has it. [`Token::text`] writes it and `parse` reads it. `Debug` does not show the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What its holder may be. The master decides that; this is for clear errors before anything is sent.
    pub kind: TokenKind,
    /// The cluster that it is good for.
    pub cluster: ClusterId,
    /// `host:port` of the masters, the best one first; 8 at most.
    pub addresses: Vec<String>,
    /// The authority that signs the masters' certificates. `None`: they speak plain text, on loopback.
    pub authority: Option<Fingerprint>,
    /// Its name at the master.
    pub id: TokenId,
    /// What proves its holder.
    pub secret: Secret,
    /// When it ends, in whole milliseconds by the master's clock.
    pub expires: SystemTime,
}

impl Token {
    /// The part that is shown to a master.
    pub fn bearer(&self) -> Bearer {
        Bearer { id: self.id, secret: self.secret.clone() }
    }

    /// How its holder knows the masters.
    pub fn trust(&self) -> Trust {
        self.authority.map_or(Trust::Plain, |authority| Trust::pinned(self.cluster, authority))
    }

    /// URLs of the masters, as an endpoint wants them. `http://` also with TLS, which is the connector's part.
    pub fn urls(&self) -> Vec<String> {
        self.addresses.iter().map(|address| format!("http://{address}")).collect()
    }

    /// Whether it has ended. The master's word counts: the clocks of two machines differ.
    pub fn has_expired(&self, now: SystemTime) -> bool {
        now >= self.expires
    }
}

/// What the holder of a token may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Joins as an agent.
    Agent,
    /// Runs tasks in its roles.
    Framework,
    /// Does everything but be an agent.
    Operator,
    /// Looks.
    Viewer,
    /// The user that runs the master, on its machine.
    Owner,
}

impl TokenKind {
    const ALL: [Self; 5] = [Self::Agent, Self::Framework, Self::Operator, Self::Viewer, Self::Owner];
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agent => "agent",
            Self::Framework => "framework",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
            Self::Owner => "owner",
        })
    }
}

/// Milliseconds since 1970; 0 before that.
fn unix_millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
