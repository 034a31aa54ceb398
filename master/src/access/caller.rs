//! Who makes a call, as its service sees it.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use haggle_core::access::Principal;
use tonic::codegen::http::Extensions;
use tonic::{Request, Status};

use crate::limits::is_limited;

/// In the extensions of every call that the guard has let through. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) who: Option<Principal>,
    /// From where.
    pub(crate) address: Option<SocketAddr>,
    object: Arc<OnceLock<String>>,
}

impl Caller {
    pub(crate) fn new(who: Option<Principal>, address: Option<SocketAddr>) -> Self {
        Self { who, address, object: Arc::default() }
    }

    /// Says what the call is about, for the audit. The first word counts.
    pub(crate) fn about(&self, object: impl Display) {
        self.object.get_or_init(|| object.to_string());
    }

    /// What the call is about; empty when nobody said so.
    pub(crate) fn object(&self) -> &str {
        self.object.get().map_or("", String::as_str)
    }

    /// Whether there are limits to what it may do.
    pub(crate) fn is_limited(&self) -> bool {
        self.who.as_ref().is_some_and(is_limited)
    }

    /// Who it is.
    ///
    /// # Errors
    /// When the call is one that needs nobody, which is a bug of who asks.
    pub(crate) fn principal(&self) -> Result<&Principal, Status> {
        self.who.as_ref().ok_or_else(|| Status::internal("the call has no principal; this is a bug"))
    }
}

/// Who makes a call.
///
/// # Errors
/// When it came by another way than the guard, which is a bug.
pub(crate) fn caller<T>(call: &Request<T>) -> Result<Caller, Status> {
    call.extensions().get::<Caller>().cloned().ok_or_else(past_the_guard)
}

/// The same of a request that is no call of gRPC.
///
/// # Errors
/// As [`caller`].
pub(crate) fn caller_of(extensions: &Extensions) -> Result<Caller, Status> {
    extensions.get::<Caller>().cloned().ok_or_else(past_the_guard)
}

fn past_the_guard() -> Status {
    Status::internal("the call came past the guard; this is a bug")
}
