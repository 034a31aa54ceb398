//! What can go wrong between a program and its master: one line each, for the person who must act.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use haggle_core::Digest;
use haggle_inspect::NotAProgram;
use haggle_proto::LIMIT;
use haggle_proto::convert::Malformed;
use haggle_tls::{distrust, untimely};
use tonic::{Code, Status};

/// Why there is no connection to a master.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The text is no address of a master.
    #[error("{url:?} is not a master's address: wanted http://HOST:PORT, https://HOST:PORT or HOST:PORT, {got}")]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        got: String,
    },
    /// Nobody answers there.
    #[error("no master answers at {url}, tried for {patience:?}: {reason}")]
    Unanswered {
        /// Where.
        url: String,
        /// For how long it was tried.
        patience: Duration,
        /// What came back in place of an answer.
        reason: String,
    },
    /// Somebody answers there who is not believed, or who does not believe this program.
    #[error("{0}")]
    Untrusted(String),
    /// Without a token, only a master of this machine's user is spoken to.
    #[error(
        "the master at {url} is not spoken to without a token of its cluster (hgl1.…), by which it is known: `haggle token \
         create` makes one"
    )]
    NoToken {
        /// Where it is.
        url: String,
    },
    /// A variable of the environment holds no token.
    #[error("{variable}: {reason}")]
    Environment {
        /// Which.
        variable: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a master did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The connection was lost and did not come back in time.
    #[error("lost the master at {url}: {reason}")]
    Unreachable {
        /// Where it was.
        url: String,
        /// What the system says.
        reason: String,
    },
    /// Somebody answers who is not believed to be the master, or who does not believe this program.
    #[error("{0}")]
    Untrusted(String),
    /// The master does not know who this program is: it has no token, or one that is no longer good; in its words.
    #[error("{0}")]
    Unauthenticated(String),
    /// The master knows who this program is, and that it may not do this; in its words.
    #[error("{0}")]
    NotAllowed(String),
    /// The master does not know what was asked for; in its words.
    #[error("{0}")]
    NotFound(String),
    /// This program, or the master, is at a limit; in the master's words.
    #[error("{why}")]
    AtLimit {
        /// The limit's name, as `haggle master` takes it and `haggle limits` lists it.
        limit: String,
        /// Which limit it is, how high, how much there is, and what helps.
        why: String,
    },
    /// The master said no; in its words.
    #[error("{0}")]
    Refused(String),
    /// This instance of a framework no longer holds its store, and so did not subscribe: see
    /// [`StoreError::Lost`](crate::StoreError::Lost), whose words these are.
    #[error("{0}")]
    NotHeld(String),
    /// The reader of a stream was too slow, and was cut off.
    #[error("cut off by the master for reading too slowly: {0}")]
    FellBehind(String),
    /// The answer breaks the contract: most likely master and program are of different versions.
    #[error("the master at {url} answered what haggle.v1 does not allow: {source}")]
    Garbled {
        /// Where it is.
        url: String,
        /// Which field.
        source: Malformed,
    },
}

/// Why an artifact was not stored or fetched.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The file on this side.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A module that no agent would run.
    #[error("{} cannot be a task: {why}", path.display())]
    NotAProgram {
        /// Which file.
        path: PathBuf,
        /// As far as that shows before it is compiled.
        why: NotAProgram,
    },
    /// The bytes that arrived are not the ones that were asked for.
    #[error("wanted {wanted}, but the bytes that came are {got}")]
    WrongDigest {
        /// What was asked for.
        wanted: Digest,
        /// What came.
        got: Digest,
    },
    /// The master.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A framework whose session is over for good: it was torn down, or the master had the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the framework's session with the master is over")]
pub struct SessionOver;

/// Whether trying again may help: the connection failed, not the request. What a master says has no source; what
/// tonic makes of a broken connection has.
pub(crate) fn is_connection_trouble(status: &Status) -> bool {
    match status.code() {
        _ if distrust(status).is_some() => false,
        Code::Unavailable => true,
        Code::Unknown | Code::Internal | Code::Cancelled => status.source().is_some(),
        _ => false,
    }
}

pub(crate) fn call_error(url: &str, status: &Status) -> CallError {
    let said = || status.message().to_owned();
    if is_connection_trouble(status) {
        return CallError::Unreachable { url: url.to_owned(), reason: status_reason(status) };
    }
    if let Some(why) = distrust(status) {
        return CallError::Untrusted(why);
    }
    if let Some(limit) = limit_of(status) {
        return CallError::AtLimit { limit, why: said() };
    }
    match status.code() {
        Code::NotFound => CallError::NotFound(said()),
        Code::Unauthenticated => CallError::Unauthenticated(said()),
        Code::PermissionDenied => CallError::NotAllowed(said()),
        Code::InvalidArgument | Code::FailedPrecondition | Code::AlreadyExists | Code::ResourceExhausted => {
            CallError::Refused(said())
        }
        code => CallError::Refused(format!("the master failed ({code:?}): {}", status_reason(status))),
    }
}

/// The limit that a refusal tells of.
fn limit_of(status: &Status) -> Option<String> {
    let limit = status.metadata().get(LIMIT).filter(|_| status.code() == Code::ResourceExhausted)?;
    Some(limit.to_str().ok()?.to_owned())
}

/// Whether the master, or the way to it, does not let this program in: with another token it might.
pub(crate) fn is_turned_away(status: &Status) -> bool {
    status.code() == Code::Unauthenticated || distrust(status).is_some()
}

pub(crate) fn status_reason(status: &Status) -> String {
    status.source().map_or_else(|| status.message().to_owned(), root_cause)
}

/// The innermost of a chain of errors: "connection refused" rather than "transport error". Of a certificate that does not
/// hold at this time, what to do about it.
pub(crate) fn root_cause(error: &(dyn Error + 'static)) -> String {
    if let Some(why) = untimely(error) {
        return why;
    }
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
