//! By what a program is known to the masters of its cluster, and they to it.

use haggle_tls::{Authorized, OwnerTokens, Pass, Token};
use tonic::transport::Channel;

use crate::address::{endpoint, loopback};
use crate::error::ConnectError;

/// A connection on which every call says who makes it.
pub(crate) type Connection = Authorized<Channel>;

#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    /// The same token for every master, and what follows the authority that it names.
    Token(Box<Token>, Pass),
    /// The user who runs a master on this machine: it has left a token for that user's programs, another one at each of
    /// its starts. `None`: a user without a home.
    Owner(Option<OwnerTokens>),
}

impl Credentials {
    /// By a token.
    pub(crate) fn token(token: Token) -> Self {
        let pass = Pass::token(&token);
        Self::Token(Box::new(token), pass)
    }

    /// The token as it would be made now, when the masters have another authority by now than it names.
    pub(crate) fn followed(&self) -> Option<Token> {
        let Self::Token(token, pass) = self else { return None };
        let authority = Some(pass.followed()?);
        Some(Token { authority, ..(**token).clone() })
    }

    /// What a connection to the master at `url` is made with, at this moment.
    pub(crate) fn pass(&self, url: &str) -> Pass {
        match self {
            Self::Token(_, pass) => pass.clone(),
            Self::Owner(tokens) => match (tokens, loopback(url)) {
                (Some(tokens), Some(master)) => Pass::owner(tokens, master),
                _ => Pass::nobody(),
            },
        }
    }
}

/// Connects to the master at `url`, the only one or one of several.
///
/// # Errors
/// The outer one when that is no address; the inner one when there is no connection.
pub(crate) async fn connect(
    url: &str,
    pass: &Pass,
    of_several: bool,
) -> Result<Result<Connection, tonic::transport::Error>, ConnectError> {
    let connector = pass.connector().map_err(|error| ConnectError::Untrusted(error.to_string()))?;
    let channel = endpoint(url, of_several)?.connect_with_connector(connector).await;
    Ok(channel.map(|channel| pass.show(channel)))
}

/// Connects to the master at `url` when the connection is first used.
///
/// # Errors
/// When that is no address.
pub(crate) fn connect_lazy(url: &str, pass: &Pass, of_several: bool) -> Result<Connection, ConnectError> {
    let connector = pass.connector().map_err(|error| ConnectError::Untrusted(error.to_string()))?;
    Ok(pass.show(endpoint(url, of_several)?.connect_with_connector_lazy(connector)))
}
