//! What a connection to a master is made with: how the master is known, and what is shown to it.

use std::fmt;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use tower::Service;

use crate::{Connector, Credentials, Fingerprint, Identity, Loopback, OwnerTokens, Token, Trust, TrustError};

/// How a master is known, and as whom to come. `Debug` shows no secret. Two are equal when they know the same masters and
/// show the same token; a certificate may have been renewed meanwhile.
#[derive(Clone)]
pub struct Pass {
    trust: Trust,
    identity: Option<Identity>,
    authorization: Option<HeaderValue>,
}

impl Pass {
    /// In plain text and as nobody.
    pub fn nobody() -> Self {
        Self { trust: Trust::Plain, identity: None, authorization: None }
    }

    /// As who has this token, to the masters that it tells of.
    pub fn token(token: &Token) -> Self {
        let value = HeaderValue::from_str(&token.bearer().authorization());
        let mut authorization = value.expect("it is made of letters, digits and signs of ASCII");
        authorization.set_sensitive(true);
        Self { trust: token.trust(), identity: None, authorization: Some(authorization) }
    }

    /// As the user that runs the master there, on this machine; as nobody, where it is another user that does.
    pub fn owner(tokens: &OwnerTokens, master: Loopback) -> Self {
        let token = master.addresses().find_map(|address| tokens.find(address));
        token.map_or_else(Self::nobody, |token| Self::token(&token))
    }

    /// As an agent, by the certificate that `identity` shows.
    pub fn certified(credentials: &Credentials, identity: Identity) -> Self {
        Self { trust: credentials.trust(), identity: Some(identity), authorization: None }
    }

    /// As nobody, to masters that are known.
    pub fn trusting(trust: Trust) -> Self {
        Self { trust, ..Self::nobody() }
    }

    /// The authority that this one's token would name if it were made now; `None` when that is the one which it names.
    pub fn followed(&self) -> Option<Fingerprint> {
        match &self.trust {
            Trust::Pinned { authorities, .. } => authorities.followed(),
            Trust::Plain | Trust::Authorities { .. } => None,
        }
    }

    /// Whether nothing is shown.
    pub fn is_nobodys(&self) -> bool {
        self.identity.is_none() && self.authorization.is_none()
    }

    /// Whether the master is known by its certificate.
    pub fn is_secure(&self) -> bool {
        self.trust != Trust::Plain
    }

    /// Makes connections.
    ///
    /// # Errors
    /// When there is no authority to believe, or none that can be read.
    pub fn connector(&self) -> Result<Connector, TrustError> {
        Connector::new(&self.trust, self.identity.clone())
    }

    /// A connection on which every call shows the token, if there is one.
    pub fn show<S>(&self, connection: S) -> Authorized<S> {
        Authorized { connection, authorization: self.authorization.clone() }
    }
}

impl PartialEq for Pass {
    fn eq(&self, other: &Self) -> bool {
        (&self.trust, &self.authorization) == (&other.trust, &other.authorization)
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass").field("trust", &self.trust).finish_non_exhaustive()
    }
}

/// A connection on which every call shows a token. `Debug` does not.
#[derive(Clone)]
pub struct Authorized<S> {
    connection: S,
    authorization: Option<HeaderValue>,
}

impl<S, B> Service<Request<B>> for Authorized<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.connection.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        self.connection.call(request)
    }
}

impl<S> fmt::Debug for Authorized<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{Ready, ready};
    use std::time::{Duration, SystemTime};

    use haggle_core::ClusterId;

    use super::*;
    use crate::{Bearer, Fingerprint, Secret, TokenId, TokenKind};

    fn token() -> Token {
        Token {
            kind: TokenKind::Operator,
            cluster: ClusterId(1),
            addresses: Vec::new(),
            authority: Some(Fingerprint([7; 32])),
            id: TokenId([1; 8]),
            secret: Secret::random(),
            expires: SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 32),
        }
    }

    /// Answers with what a call showed.
    struct Mirror;

    impl Service<Request<()>> for Mirror {
        type Response = Option<HeaderValue>;
        type Error = Infallible;
        type Future = Ready<Result<Option<HeaderValue>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<()>) -> Self::Future {
            ready(Ok(request.headers().get(AUTHORIZATION).cloned()))
        }
    }

    #[test]
    fn every_call_shows_the_token_and_no_log_does() {
        let token = token();
        let pass = Pass::token(&token);

        let shown = pass.show(Mirror).call(Request::new(())).into_inner().unwrap().unwrap();

        assert_eq!(Bearer::from_authorization(shown.to_str().unwrap()).unwrap(), token.bearer());
        assert!(shown.is_sensitive());
        let secret = shown.to_str().unwrap().rsplit('.').next().unwrap();
        assert!(!format!("{pass:?} {:?} {:?}", pass.show(Mirror), token).contains(secret));
    }

    #[test]
    fn nobody_shows_nothing() {
        let pass = Pass::nobody();

        assert_eq!(pass.show(Mirror).call(Request::new(())).into_inner().unwrap(), None);
        assert!(!pass.is_secure() && pass.is_nobodys() && !Pass::token(&token()).is_nobodys());
    }

    #[test]
    fn another_token_is_another_pass() {
        let first = token();

        assert_eq!(Pass::token(&first), Pass::token(&first));
        assert_ne!(Pass::token(&first), Pass::token(&token()));
        assert_ne!(Pass::token(&first), Pass::nobody());
    }
}
