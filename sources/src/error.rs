//! Why nothing comes from a source.

use std::io;
use std::net::IpAddr;

use haggle_core::{Bytes, Digest};

/// Why a source gives nothing. No text of these has a secret in it.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The list does not name the host.
    #[error("{host} is not among the hosts that artifacts are fetched from{}: allow it with --artifact-hosts {host}", because(.by))]
    NotAllowed {
        /// Which one, with its port where that is not the usual one.
        host: String,
        /// Who named it, when that was not the source.
        by: Option<String>,
    },
    /// It would be spoken to in plain text.
    #[error(
        "{host} would be spoken to in plain text, where whoever is on the way can change what comes: use https, or allow it \
         with --artifact-hosts http://{host}"
    )]
    Plain {
        /// Which one.
        host: String,
    },
    /// A name leads to this machine, or to a service of its provider.
    #[error(
        "{host} leads to {address}, which is an address of this machine, its network or its provider: only naming the \
         address itself with --artifact-hosts allows that"
    )]
    Reserved {
        /// The name.
        host: String,
        /// Where it leads.
        address: IpAddr,
    },
    /// There is no connection.
    #[error("cannot connect to {host}: {source}")]
    Connect {
        /// With whom.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever makes connections for us makes none.
    #[error("the proxy {proxy} does not connect to {host}: {why}")]
    Proxy {
        /// Whom the environment names.
        proxy: String,
        /// With whom.
        host: String,
        /// What it said, or the way to it.
        why: String,
    },
    /// The environment names a proxy that is none. What it names is not shown: there may be a password in it.
    #[error(
        "{variable} names no proxy: wanted is a URL like http://proxy.example:3128, or https:// for one that speaks TLS"
    )]
    NoProxy {
        /// Which variable.
        variable: &'static str,
    },
    /// The connection broke.
    #[error("{host} broke off: {why}")]
    Broken {
        /// Who.
        host: String,
        /// How.
        why: String,
    },
    /// It took too long.
    #[error("{host} is too slow: {what}")]
    Slow {
        /// Who.
        host: String,
        /// What was wanted.
        what: String,
    },
    /// It sends one elsewhere, again and again.
    #[error("{host} and those that it names redirect more than {most} times")]
    Redirects {
        /// Who began.
        host: String,
        /// How many are followed.
        most: usize,
    },
    /// It wants to know who asks, or knows and refuses.
    #[error("{host} does not let us in ({status}): {hint}")]
    Unauthorized {
        /// Who.
        host: String,
        /// What it answered.
        status: u16,
        /// Where a login would be looked for.
        hint: &'static str,
    },
    /// It has nothing of that name.
    #[error("{host} has no {what}")]
    NotFound {
        /// Who.
        host: String,
        /// What was asked for.
        what: String,
    },
    /// It answered something else.
    #[error("{host} answered {status} for {what}{}", said_so(.said))]
    Status {
        /// Who.
        host: String,
        /// What it answered.
        status: u16,
        /// What was asked for.
        what: String,
        /// The beginning of what it said beside that, readable.
        said: String,
    },
    /// It is more than is taken.
    #[error("it is larger than the {} that are taken{}", Bytes::new(*.most), has(.size))]
    TooLarge {
        /// How large it says that it is.
        size: Option<u64>,
        /// How much is taken.
        most: u64,
    },
    /// It is not as long as was said.
    #[error("{host} announced {size} bytes and sent {got}")]
    Short {
        /// Who.
        host: String,
        /// What was said.
        size: u64,
        /// What came.
        got: u64,
    },
    /// What a registry names has another digest.
    #[error("{host} sent {got} for {wanted}; it is not used")]
    WrongDigest {
        /// Who.
        host: String,
        /// What was asked for.
        wanted: Digest,
        /// What came.
        got: Digest,
    },
    /// It does not say what it should.
    #[error("{host} sent {what}")]
    Garbled {
        /// Who.
        host: String,
        /// What is wrong.
        what: String,
    },
    /// What was found is nothing that runs.
    #[error("{what} is no WebAssembly artifact: {why}")]
    NoModule {
        /// What.
        what: String,
        /// What it is instead.
        why: String,
    },
    /// A login could not be read.
    #[error("{0}")]
    Login(String),
    /// It cannot be pushed there.
    #[error("{0}")]
    NoTarget(String),
}

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Whoever says which hosts are allowed, and has the logins.
    Operator,
    /// Whoever named the source.
    Caller,
    /// There is no such thing.
    Missing,
    /// It is larger than is taken.
    Size,
    /// The server, or the way to it. It may be better later.
    Server,
}

impl SourceError {
    /// Who has to act.
    pub fn blame(&self) -> Blame {
        match self {
            Self::NotAllowed { .. } | Self::Plain { .. } | Self::Reserved { .. } => Blame::Operator,
            Self::Unauthorized { .. } | Self::Login(_) => Blame::Operator,
            Self::Proxy { .. } | Self::NoProxy { .. } => Blame::Operator,
            Self::NoModule { .. } | Self::NoTarget(_) => Blame::Caller,
            Self::NotFound { .. } => Blame::Missing,
            Self::TooLarge { .. } => Blame::Size,
            Self::Connect { .. } | Self::Broken { .. } | Self::Slow { .. } | Self::Redirects { .. } => Blame::Server,
            Self::Status { .. } | Self::Short { .. } | Self::WrongDigest { .. } | Self::Garbled { .. } => Blame::Server,
        }
    }
}

fn because(by: &Option<String>) -> String {
    by.as_ref().map_or_else(String::new, |by| format!(", and {by} names it"))
}

fn said_so(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

fn has(size: &Option<u64>) -> String {
    size.map_or_else(String::new, |size| format!(": it has {}", Bytes::new(size)))
}

/// The beginning of what a server says, on one line and without what a terminal would obey.
pub(crate) fn readable(said: &[u8]) -> String {
    /// As much as helps.
    const MOST: usize = 200;
    let text = String::from_utf8_lossy(said);
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(MOST).collect()
}
