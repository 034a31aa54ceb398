//! Somebody whom the master knows, and what that somebody may see.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::roles::Roles;
use super::table::{Right, Verb, right};
use super::token::TokenId;
use crate::id::AgentId;

/// Who says or asks something. Two of the same name and kind are one principal, whichever tokens they come with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Principal {
    /// For people, for the audit, and for what is bound to it. At most 128 bytes, printable.
    pub name: Arc<str>,
    /// What it is, and so what it may do.
    pub kind: Kind,
    /// What it came with, if that was a token of the cluster's: when that is revoked, its sessions end.
    pub token: Option<TokenId>,
}

/// What somebody is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The user that runs the master, on its machine.
    Owner,
    /// Whoever runs the cluster.
    Operator,
    /// A program that launches tasks, in these roles.
    Framework(Roles),
    /// Somebody who looks, at what is of these roles.
    Viewer(Roles),
    /// An agent, by its certificate.
    Agent(AgentId),
    /// A machine that shall become an agent, by its join token.
    Joiner,
    /// Another master of the cluster.
    Master,
}

impl Kind {
    /// One word for people.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Operator => "operator",
            Self::Framework(_) => "framework",
            Self::Viewer(_) => "viewer",
            Self::Agent(_) => "agent",
            Self::Joiner => "join token",
            Self::Master => "master",
        }
    }
}

/// Whose a framework is, and so its tasks and offers. Shared by all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The name of the principal that subscribed it first.
    pub principal: Arc<str>,
    /// The role that its tasks count towards.
    pub role: Arc<str>,
}

/// Somebody may not do something that it may know of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Denied {
    /// Who.
    pub who: Principal,
    /// What.
    pub verb: Verb,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, verb } = self;
        let able: Vec<_> = verb.who_may().collect();
        let able = match able.split_last() {
            None => "nobody may".to_string(),
            Some((one, [])) => format!("that takes {one}"),
            Some((last, rest)) => format!("that takes {} or {last}", rest.join(", ")),
        };
        write!(f, "{who} may not {verb}: {able}")
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            // Their names say what they are.
            Kind::Owner | Kind::Agent(_) | Kind::Master => f.write_str(&self.name),
            _ => write!(f, "{:?} ({})", self.name, self.kind.word()),
        }
    }
}

impl Principal {
    /// The name of the owner. No token has it.
    pub const OWNER: &str = "owner";
    /// The name of the other masters. No token has it.
    pub const MASTER: &str = "master";

    /// The user that runs the master.
    pub fn owner() -> Self {
        Self { name: Self::OWNER.into(), kind: Kind::Owner, token: None }
    }

    /// Another master of the cluster.
    pub fn master() -> Self {
        Self { name: Self::MASTER.into(), kind: Kind::Master, token: None }
    }

    /// An agent, by its certificate.
    pub fn agent(id: AgentId) -> Self {
        Self { name: id.to_string().into(), kind: Kind::Agent(id), token: None }
    }

    /// Whether it is the user that runs the master.
    pub const fn is_owner(&self) -> bool {
        matches!(self.kind, Kind::Owner)
    }

    /// How far it may do something.
    pub const fn right(&self, verb: Verb) -> Right {
        right(&self.kind, verb)
    }

    /// Makes sure that it may do something, be it to what is its own alone.
    ///
    /// # Errors
    /// When it may not, whatever it would be done to.
    pub fn check(&self, verb: Verb) -> Result<(), Denied> {
        match self.right(verb) {
            Right::All | Right::Own => Ok(()),
            Right::No => Err(Denied { who: self.clone(), verb }),
        }
    }

    /// Whether it may do something to what is of this tenant.
    pub fn may(&self, verb: Verb, tenant: &Tenant) -> bool {
        match self.right(verb) {
            Right::All => true,
            Right::Own => self.owns(tenant),
            Right::No => false,
        }
    }

    /// Whether it may do something to everything there is, so that nothing need be looked at to know it.
    pub fn may_all(&self, verb: Verb) -> bool {
        match self.right(verb) {
            Right::All => true,
            Right::Own => matches!(&self.kind, Kind::Viewer(roles) if roles.is_every()),
            Right::No => false,
        }
    }

    /// Whether it may do something in a role.
    pub fn may_use(&self, verb: Verb, role: &str) -> bool {
        match (self.right(verb), &self.kind) {
            (Right::All, _) => true,
            (Right::Own, Kind::Framework(roles) | Kind::Viewer(roles)) => roles.hold(role),
            _ => false,
        }
    }

    /// The roles that it is confined to, as they are written.
    pub fn roles(&self) -> Vec<String> {
        match &self.kind {
            Kind::Framework(roles) | Kind::Viewer(roles) => roles.to_strings(),
            _ => Vec::new(),
        }
    }

    fn owns(&self, tenant: &Tenant) -> bool {
        match &self.kind {
            Kind::Framework(_) => tenant.principal == self.name,
            Kind::Viewer(roles) => roles.hold(&tenant.role),
            _ => false,
        }
    }
}
