//! Names of things: small, ordered, printed as they read in logs.

use core::fmt;
use core::str::FromStr;

use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};

/// A text that is not the id it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{got:?} is not {wanted}")]
pub struct NotAnId {
    wanted: &'static str,
    got: String,
}

macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                text.strip_prefix($prefix).and_then(|number| number.parse().ok()).map(Self).ok_or_else(|| NotAnId {
                    wanted: concat!("an id like ", $example),
                    got: text.to_string(),
                })
            }
        }
    };
}

numbered! {
    /// An agent, numbered by the master that admitted it; kept over restarts of either.
    AgentId, "agent-", "agent-1"
}
numbered! {
    /// A framework, numbered by the master; kept over failovers of the framework and of the master.
    FrameworkId, "framework-", "framework-1"
}
numbered! {
    /// An offer. Offers do not outlive the master that made them, nor the connection they were sent on.
    OfferId, "offer-", "offer-1"
}
numbered! {
    /// One connection of one peer, numbered by the driver that holds it. A peer that comes back has a new one.
    SessionId, "session-", "session-1"
}
numbered! {
    /// One status update of one task: 1, 2, 3, … in the order in which the task's agent made them. 0 marks an
    /// update made by the master, which is not retried and must not be acknowledged.
    UpdateId, "update-", "update-1"
}

impl UpdateId {
    /// The id of updates that nobody waits to see acknowledged.
    pub const UNACKNOWLEDGED: Self = Self(0);
}

/// A task: the number its framework gave it, within that framework. Prints as `task-3.7`: task 7 of
/// framework 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// The framework that launched it.
    pub framework: FrameworkId,
    /// Chosen by the framework; never used twice in the life of the framework.
    pub number: u64,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task-{}.{}", self.framework.0, self.number)
    }
}

impl FromStr for TaskId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let parse = || {
            let (framework, number) = text.strip_prefix("task-")?.split_once('.')?;
            Some(Self { framework: FrameworkId(framework.parse().ok()?), number: number.parse().ok()? })
        };
        parse().ok_or_else(|| NotAnId { wanted: "an id like task-3.7", got: text.to_string() })
    }
}

/// The SHA-256 of an artifact's bytes, its name in every artifact store and cache. Prints as `sha256:` and 64
/// hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The 64 hexadecimal digits alone, as used in file names.
    pub fn hex(&self) -> String {
        use fmt::Write;
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
        }
        hex
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl FromStr for Digest {
    type Err = NotAnId;

    /// Reads `sha256:` and 64 hexadecimal digits, of either case.
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let parse = || {
            let hex = text.strip_prefix("sha256:")?.as_bytes();
            if hex.len() != 64 {
                return None;
            }
            let mut bytes = [0; 32];
            for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
                let digit = |at: usize| (pair[at] as char).to_digit(16);
                *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
            }
            Some(Self(bytes))
        };
        parse().ok_or_else(|| NotAnId { wanted: "a digest like sha256:<64 hexadecimal digits>", got: text.to_string() })
    }
}
