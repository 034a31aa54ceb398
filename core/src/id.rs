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

impl NotAnId {
    pub(crate) fn new(wanted: &'static str, got: &str) -> Self {
        Self { wanted, got: got.to_string() }
    }
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
    /// An inverse offer: asks a framework to be off an agent in time. Numbered like offers.
    InverseOfferId, "inverse-offer-", "inverse-offer-1"
}
numbered! {
    /// A maintenance window, numbered by the master that made it; kept over failovers of the master.
    MaintenanceId, "maintenance-", "maintenance-1"
}
numbered! {
    /// One connection of one peer, numbered by the driver that holds it. A peer that comes back has a new one.
    SessionId, "session-", "session-1"
}
numbered! {
    /// One status update of one task: 1, 2, 3, … in the order in which the task's agent made them. Updates that the
    /// master makes and keeps until they are acknowledged have the highest bit set. 0 marks an update that is not
    /// kept and must not be acknowledged.
    UpdateId, "update-", "update-1"
}
numbered! {
    #[derive(Default)]
    /// The life of one master: 1, 2, 3, … in the order in which they led the cluster. Whoever has seen a later one
    /// takes no orders of an earlier one.
    Epoch, "epoch-", "epoch-1"
}

impl UpdateId {
    /// The id of updates that nobody waits to see acknowledged.
    pub const UNACKNOWLEDGED: Self = Self(0);
    /// Set in the ids of updates that a master makes.
    const BY_MASTER: u64 = 1 << 63;
    /// Of a master's update, the bits that count within one epoch: more updates than any master makes.
    const EPOCH_SHIFT: u32 = 40;

    /// The `number`th update that the master of this epoch makes. Differs from those of every other epoch and from
    /// those of agents, so that a late acknowledgement settles nothing it was not meant for.
    pub const fn by_master(epoch: Epoch, number: u64) -> Self {
        Self(Self::BY_MASTER | epoch.0 << Self::EPOCH_SHIFT | number)
    }

    /// Whether a master made it.
    pub const fn is_by_master(self) -> bool {
        self.0 & Self::BY_MASTER != 0
    }
}

macro_rules! random {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:032x}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let parse = || {
                    let digits = text.strip_prefix($prefix).filter(|digits| digits.len() == 32)?;
                    u128::from_str_radix(digits, 16).ok()
                };
                parse().map(Self).ok_or_else(|| NotAnId {
                    wanted: concat!("an id like ", $example),
                    got: text.to_string(),
                })
            }
        }
    };
}

random! {
    /// A cluster: 128 random bits, drawn once and kept in the registry. The ids of agents and frameworks mean
    /// something within one cluster only.
    ClusterId, "cluster-", "cluster-<32 hexadecimal digits>"
}
random! {
    /// What an agent proves its id with: 128 random bits that it draws when it first starts in a work folder, and
    /// keeps there. A secret between the agent and its master.
    AgentKey, "key-", "key-<32 hexadecimal digits>"
}
random! {
    /// One request of an operator's: 128 random bits. A request that is made again is carried out once.
    RequestId, "request-", "request-<32 hexadecimal digits>"
}

/// An agent or a framework of a certain cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member<Id> {
    /// Which cluster gave the id.
    pub cluster: ClusterId,
    /// Its name there.
    pub id: Id,
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

/// A volume: the number that the master gave it, on the agent that holds it. Prints as `volume-3.7`: volume 7 of agent 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VolumeId {
    /// The agent on which it was made.
    pub agent: AgentId,
    /// Counts up on each agent from 1; never given twice, as the ids of agents are not.
    pub number: u64,
}

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "volume-{}.{}", self.agent.0, self.number)
    }
}

impl FromStr for VolumeId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let parse = || {
            let (agent, number) = text.strip_prefix("volume-")?.split_once('.')?;
            Some(Self { agent: AgentId(agent.parse().ok()?), number: number.parse().ok()? })
        };
        parse().ok_or_else(|| NotAnId { wanted: "an id like volume-3.7", got: text.to_string() })
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

    /// Its first 12 hexadecimal digits: enough for people to tell one from others, and to find it in a list.
    pub fn short(&self) -> String {
        let mut hex = self.hex();
        hex.truncate(12);
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
