//! What an operator decides of the offers to a role: which agents they are made of, and the least that makes one.

use core::fmt;
use core::str::FromStr;

use alloc::string::String;

use serde::{Deserialize, Serialize};

/// Which of the agents that would do an offer is made of, to a framework that said what it wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Placement {
    /// The agent on which the least is free: agents are filled one after the other, and large ones stay free for large tasks.
    #[default]
    Binpack,
    /// The agent on which the most is free: as little as possible is lost with one agent.
    Spread,
}

/// A text that names no placement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of the placements binpack and spread")]
pub struct NotAPlacement(String);

impl Placement {
    /// As it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Binpack => "binpack",
            Self::Spread => "spread",
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Placement {
    type Err = NotAPlacement;

    fn from_str(text: &str) -> Result<Self, NotAPlacement> {
        [Self::Binpack, Self::Spread]
            .into_iter()
            .find(|placement| placement.name() == text)
            .ok_or_else(|| NotAPlacement(text.into()))
    }
}
