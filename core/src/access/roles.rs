//! Sets of roles, as people write them.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// Roles by pattern: `a/b` is that role, `a/*` every role below `a`, `*` every one. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Roles(Arc<[Pattern]>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pattern {
    Every,
    /// With its `/` at the end.
    Below(String),
    One(String),
}

/// Why these are no roles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoles {
    /// One of them is no pattern.
    #[error(
        "{0:?} is no role: wanted is a role like a/b, a/* for all below a, or * for every one, of at most 128 bytes"
    )]
    Pattern(String),
    /// There are too many.
    #[error("{0} roles are named, at most {max} are taken", max = Roles::MAX)]
    TooMany(usize),
}

/// The longest role, in bytes: wider than any terminal.
const ROLE_MAX: usize = 128;

/// Whether a role can have this name: names joined by `/`, none empty, `.` or `..`, no spaces, at most 128 bytes.
pub fn is_role(text: &str) -> bool {
    let unprintable = |letter: char| letter.is_whitespace() || letter.is_control();
    let is_no_name = |part: &str| matches!(part, "" | "." | "..");
    text.len() <= ROLE_MAX && !text.contains(unprintable) && !text.split('/').any(is_no_name)
}

impl Roles {
    /// Patterns in one set. Each is compared with the role of what is looked at.
    pub const MAX: usize = 64;

    /// Every role there is.
    pub fn every() -> Self {
        Self(Arc::from([Pattern::Every]))
    }

    /// The roles that these patterns name; none: every one.
    ///
    /// # Errors
    /// When one is no pattern, or when there are more than [`Self::MAX`].
    pub fn parse<T: AsRef<str>>(patterns: &[T]) -> Result<Self, InvalidRoles> {
        if patterns.is_empty() {
            return Ok(Self::every());
        }
        if patterns.len() > Self::MAX {
            return Err(InvalidRoles::TooMany(patterns.len()));
        }
        let parsed: Result<Vec<_>, _> = patterns.iter().map(|pattern| Pattern::parse(pattern.as_ref())).collect();
        Ok(Self(parsed?.into()))
    }

    /// Whether the role is one of them.
    pub fn hold(&self, role: &str) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::Every => true,
            Pattern::Below(parent) => role.len() > parent.len() && role.starts_with(parent.as_str()),
            Pattern::One(one) => role == one,
        })
    }

    /// Whether there is no role outside.
    pub fn is_every(&self) -> bool {
        self.0.contains(&Pattern::Every)
    }

    /// As [`Self::parse`] takes them.
    pub fn to_strings(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, InvalidRoles> {
        match text.strip_suffix("/*") {
            _ if text == "*" => Ok(Self::Every),
            Some(parent) if is_role(parent) => Ok(Self::Below(parent.to_string() + "/")),
            None if is_role(text) => Ok(Self::One(text.to_string())),
            _ => Err(InvalidRoles::Pattern(text.to_string())),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.write_str("*"),
            Self::Below(parent) => write!(f, "{parent}*"),
            Self::One(one) => f.write_str(one),
        }
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_strings().join(", "))
    }
}
