//! Connections to masters, as this agent.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use haggle_proto::{SIGN_OF_LIFE, SIGN_OF_LIFE_OF_SEVERAL, SignOfLife};
use haggle_tls::{
    Authorized, ConnectError, Credentials, Identity, Loopback, OwnerTokens, Pass, Stream, Token, TrustError,
};
use haggle_upgrade::Upgrading;
use tokio::time::timeout;
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};

/// How long a connection may take to come about. On loopback it takes none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection on which every call shows the agent's token, if it has one.
pub(crate) type Connection = Authorized<Channel>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("{}", reason(.0))]
    Connect(#[from] tonic::transport::Error),
    #[error(transparent)]
    Dial(#[from] ConnectError),
    #[error("cannot connect within {CONNECT_TIMEOUT:?}")]
    Slow,
    #[error("cannot ask for a session: {}", .0.message())]
    Ask(#[from] Status),
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// tonic's own text is "transport error"; what happened is further down the chain.
fn reason(error: &tonic::transport::Error) -> String {
    haggle_tls::explain(error).unwrap_or_else(|| {
        let mut error: &dyn std::error::Error = error;
        while let Some(source) = error.source() {
            error = source;
        }
        format!("cannot connect: {error}")
    })
}

/// Makes connections. Clones are the same agent: what one of them learns to show, all show.
#[derive(Clone, Debug)]
pub(crate) struct Dialer(Arc<RwLock<As>>);

/// As whom.
#[derive(Debug)]
enum As {
    /// As the user who runs the master on this machine: by this token, or by the one that the master has left.
    Owner(Option<Token>, Option<OwnerTokens>),
    /// By its certificate.
    Certified(Box<Credentials>, Identity),
}

impl Dialer {
    pub(crate) fn owner(token: Option<Token>) -> Self {
        Self(Arc::new(RwLock::new(As::Owner(token, OwnerTokens::of_user()))))
    }

    /// Shows this certificate from now on. Connections that are there live on.
    pub(crate) fn certify(&self, credentials: &Credentials) {
        let mut comes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let identity = match &*comes {
            As::Certified(_, identity) => {
                identity.replace(credentials);
                identity.clone()
            }
            As::Owner(..) => Identity::new(credentials),
        };
        *comes = As::Certified(Box::new(credentials.clone()), identity);
    }

    /// What a connection to this master is made with, at this moment.
    pub(crate) fn pass(&self, master: &Uri) -> Pass {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            As::Certified(credentials, identity) => Pass::certified(credentials, identity.clone()),
            As::Owner(Some(token), _) => Pass::token(token),
            As::Owner(None, tokens) => match (tokens, loopback(master)) {
                (Some(tokens), Some(master)) => Pass::owner(tokens, master),
                _ => Pass::nobody(),
            },
        }
    }
}

/// Connects to a master for calls.
///
/// # Errors
/// When nobody answers, or somebody who is not believed.
pub(crate) async fn connect(master: &Uri, pass: &Pass) -> Result<Connection, DialError> {
    Ok(pass.show(endpoint(master).connect_with_connector(pass.connector()?).await?))
}

/// Connects to a master for a session, which has the connection for itself. One that vanishes without a word is given up soon
/// where there are others to ask.
///
/// # Errors
/// When nobody answers, or somebody who is not believed.
pub(crate) async fn connect_for_session(
    master: &Uri,
    pass: &Pass,
    of_several: bool,
) -> Result<Authorized<Upgrading<Stream>>, DialError> {
    let (Some(authority), Some(port)) = (master.authority(), master.port_u16()) else {
        return Err(ConnectError::Url(master.to_string()).into());
    };
    let connector = pass.connector()?.in_http1();
    let stream =
        timeout(CONNECT_TIMEOUT, connector.dial(authority.host(), port)).await.map_err(|_| DialError::Slow)??;
    let mut upgrading = Upgrading::new(stream, authority.as_str())?;
    if of_several {
        let SignOfLife { every, within } = SIGN_OF_LIFE_OF_SEVERAL;
        upgrading = upgrading.with_signs(every, within);
    }
    Ok(pass.show(upgrading))
}

/// Connects to a master when the connection is first used. One that carries calls in silence is given up: a router between
/// the two may have forgotten it while nothing was said, and then each call would wait until the system gives up.
///
/// # Errors
/// When it is not known how the master can be believed.
pub(crate) fn connect_lazy(master: &Uri, pass: &Pass) -> Result<Connection, DialError> {
    let SignOfLife { every, within } = SIGN_OF_LIFE;
    let endpoint = endpoint(master).http2_keep_alive_interval(every).keep_alive_timeout(within);
    Ok(pass.show(endpoint.connect_with_connector_lazy(pass.connector()?)))
}

fn endpoint(master: &Uri) -> Endpoint {
    Channel::builder(master.clone()).tcp_nodelay(true).connect_timeout(CONNECT_TIMEOUT)
}

/// Where a master is that is on this machine's loopback interface.
pub(crate) fn loopback(master: &Uri) -> Option<Loopback> {
    Loopback::of(master.host()?, master.port_u16()?)
}
