//! Somebody whom the master knows, and what that somebody may see.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::roles::Roles;
use super::table::{Right, Verb, right};
use super::token::TokenId;
use crate::id::{AgentId, NotAnId};

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
        self.plain().word()
    }

    /// Without what it is confined to.
    pub const fn plain(&self) -> PlainKind {
        match self {
            Self::Owner => PlainKind::Owner,
            Self::Operator => PlainKind::Operator,
            Self::Framework(_) => PlainKind::Framework,
            Self::Viewer(_) => PlainKind::Viewer,
            Self::Agent(_) => PlainKind::Agent,
            Self::Joiner => PlainKind::Joiner,
            Self::Master => PlainKind::Master,
        }
    }
}

/// A [`Kind`] without what it is confined to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlainKind {
    /// [`Kind::Owner`].
    Owner,
    /// [`Kind::Operator`].
    Operator,
    /// [`Kind::Framework`].
    Framework,
    /// [`Kind::Viewer`].
    Viewer,
    /// [`Kind::Agent`].
    Agent,
    /// [`Kind::Joiner`].
    Joiner,
    /// [`Kind::Master`].
    Master,
}

impl PlainKind {
    const ALL: [Self; 7] =
        [Self::Owner, Self::Operator, Self::Framework, Self::Viewer, Self::Agent, Self::Joiner, Self::Master];

    /// One word for people; two for a join token.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Operator => "operator",
            Self::Framework => "framework",
            Self::Viewer => "viewer",
            Self::Agent => "agent",
            Self::Joiner => "join token",
            Self::Master => "master",
        }
    }
}

/// One principal, whichever tokens it comes with: whose something is. Sorted by name. Prints as `framework:ci`, and can be
/// read from that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrincipalId {
    /// As people call it.
    pub name: Arc<str>,
    /// An operator and a framework of one name are two.
    pub kind: PlainKind,
}

impl PrincipalId {
    /// The user that runs the master.
    pub fn owner() -> Self {
        Self { name: Principal::OWNER.into(), kind: PlainKind::Owner }
    }

    /// Whether it is the user that runs the master.
    pub const fn is_owner(&self) -> bool {
        matches!(self.kind, PlainKind::Owner)
    }
}

impl fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.word(), self.name)
    }
}

impl FromStr for PrincipalId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let read = || {
            let (word, name) = text.split_once(':')?;
            let kind = PlainKind::ALL.into_iter().find(|kind| kind.word() == word)?;
            Some(Self { name: name.into(), kind })
        };
        read().ok_or_else(|| NotAnId::new("a principal like framework:ci", text))
    }
}

/// Whose a framework is, or one of its tasks or offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The principal that subscribed it first.
    pub principal: Arc<PrincipalId>,
    /// What it counts towards: all roles of a framework, and the one of a task or an offer.
    pub roles: Arc<[Arc<str>]>,
}

impl Tenant {
    /// Of a principal, in these roles.
    pub fn new(principal: Arc<PrincipalId>, roles: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self { principal, roles: roles.into_iter().collect() }
    }

    /// The first of its roles, which is the only one of a task or an offer.
    pub fn role(&self) -> &str {
        self.roles.first().map_or("", |role| role)
    }
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

    /// Which principal it is, whichever token it came with.
    pub fn id(&self) -> PrincipalId {
        PrincipalId { name: Arc::clone(&self.name), kind: self.kind.plain() }
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
            Kind::Framework(_) => *tenant.principal == self.id(),
            Kind::Viewer(roles) => tenant.roles.iter().any(|role| roles.hold(role)),
            _ => false,
        }
    }
}
