//! How the masters of a cluster know each other: by a secret. In plain text it is in etcd with the rest of what they share;
//! with TLS it comes of the key that etcd does not have.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use haggle_core::Digest;
use haggle_core::access::{Principal, Verb};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tonic::body::Body;
use tonic::codegen::http::header::AUTHORIZATION;
use tonic::codegen::http::{HeaderValue, Request, Response};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::Service;

use super::Caller;
use super::known::is_same;
use crate::acceptor::Remote;
use crate::audit::{Audit, Entry};
use crate::registry::Campaign;

/// What a call between masters says in its `authorization`, before the secret.
const SCHEME: &str = "Haggle-Master ";

/// The secret, once it was read.
#[derive(Clone)]
pub(crate) struct MastersSecret {
    /// Where it is; `None` when it was read already.
    campaign: Option<Campaign>,
    /// What is believed. The first is shown, of which there is one at least.
    read: Arc<OnceCell<Vec<MetadataValue<Ascii>>>>,
}

impl MastersSecret {
    /// The one in etcd.
    pub(crate) fn shared(campaign: Campaign) -> Self {
        Self { campaign: Some(campaign), read: Arc::default() }
    }

    /// Those that etcd does not have, one at least. While the seal's key is replaced there are two.
    pub(crate) fn sealed(secrets: &[[u8; 32]]) -> Self {
        let values = secrets.iter().map(|secret| value(*secret)).collect();
        Self { campaign: None, read: Arc::new(OnceCell::new_with(Some(values))) }
    }

    /// What a call between masters says in its `authorization`.
    ///
    /// # Errors
    /// `UNAVAILABLE` while etcd cannot be asked.
    pub(crate) async fn authorization(&self) -> Result<&MetadataValue<Ascii>, Status> {
        Ok(self.believed().await?.first().expect("there is one at least"))
    }

    async fn believed(&self) -> Result<&[MetadataValue<Ascii>], Status> {
        let read = async {
            let campaign =
                self.campaign.as_ref().ok_or_else(|| Status::internal("there is no secret; this is a bug"))?;
            let secret = campaign.secret().await.map_err(|error| Status::unavailable(error.to_string()))?;
            Ok::<_, Status>(vec![value(secret)])
        };
        Ok(self.read.get_or_try_init(|| read).await?)
    }
}

fn value(secret: [u8; 32]) -> MetadataValue<Ascii> {
    let text = format!("{SCHEME}{}", Digest(secret).hex());
    let mut value = MetadataValue::try_from(text).expect("hexadecimal digits are metadata");
    value.set_sensitive(true);
    value
}

/// What the masters ask each other, for masters alone.
#[derive(Clone)]
pub(crate) struct BetweenMasters {
    secret: MastersSecret,
    audit: Audit,
    routes: Routes,
}

impl BetweenMasters {
    pub(crate) fn new(secret: MastersSecret, audit: Audit, routes: Routes) -> Self {
        Self { secret, audit, routes }
    }

    async fn admit(&self, shown: Option<HeaderValue>) -> Result<(), Status> {
        let believed = self.secret.believed().await?;
        let hash = |text: &[u8]| Digest(Sha256::digest(text).into());
        let is_one = |shown: HeaderValue| {
            let shown = hash(shown.as_bytes());
            believed.iter().any(|wanted| is_same(&hash(wanted.as_encoded_bytes()), &shown))
        };
        if shown.is_some_and(is_one) {
            return Ok(());
        }
        Err(Status::unauthenticated("only the masters of this cluster may ask this of each other"))
    }
}

impl Service<Request<Body>> for BetweenMasters {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Routes always are.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let mut this = self.clone();
        Box::pin(async move {
            let address = request.extensions().get::<Remote>().map(|remote| remote.address);
            let verb = Verb::of_path(request.uri().path());
            let shown = request.headers_mut().remove(AUTHORIZATION);
            if let Err(status) = this.admit(shown).await {
                if let Some(verb) = verb.filter(|_| status.code() == Code::Unauthenticated) {
                    let caller = Caller::new(None, address);
                    let (code, why) = (status.code(), status.message());
                    this.audit.write(&Entry { caller: &caller, verb, object: "", code, why });
                }
                return Ok(status.into_http());
            }
            if let Some(remote) = request.extensions().get::<Remote>() {
                remote.let_in.note();
            }
            request.extensions_mut().insert(Caller::new(Some(Principal::master()), address));
            this.routes.call(request).await
        })
    }
}
