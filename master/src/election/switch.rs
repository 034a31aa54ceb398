//! What the port answers: the services of a leading master, or that another one leads.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::Either;
use haggle_proto::LEADER;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::http::{HeaderValue, Request, Response};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tower::Service;

use crate::access::{BetweenMasters, Guarded, plain};
use crate::mesos;
use crate::web::is_grpc;

/// What the masters of a cluster ask each other: answered whether this one leads or not.
const BETWEEN_MASTERS: &str = "/haggle.v1.Masters/";

/// Which part this master plays at the moment.
#[derive(Clone)]
pub(crate) enum Role {
    /// It leads: these are its services.
    Leads(Box<Guarded>),
    /// It waits for its turn.
    StandsBy(Standby),
}

/// What a master that does not lead knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standby {
    /// Who leads, by its URL.
    Behind(String),
    /// Nobody leads at the moment.
    Vacant,
    /// It cannot know, and why.
    Blind(String),
}

impl Standby {
    fn status(&self) -> Status {
        let mut status = Status::new(
            Code::Unavailable,
            match self {
                Self::Behind(url) => format!("this master stands by, {url} leads"),
                Self::Vacant => "this master stands by, and nobody leads yet".to_owned(),
                Self::Blind(why) => format!("this master stands by: {why}"),
            },
        );
        if let Self::Behind(url) = self
            && let Ok(url) = MetadataValue::try_from(url)
        {
            status.metadata_mut().insert(LEADER, url);
        }
        status
    }

    /// The same answer, of which whoever carries requests to masters sees that it is none of the one that leads, and where that is;
    /// empty: nowhere.
    fn marked(&self, mut answer: Response<Body>) -> Response<Body> {
        let leader = if let Self::Behind(url) = self { url } else { "" };
        if let Ok(leader) = HeaderValue::from_str(leader) {
            answer.headers_mut().insert(LEADER, leader);
        }
        answer
    }
}

/// The service behind the port.
#[derive(Clone)]
pub(crate) struct Switch {
    role: watch::Receiver<Role>,
    between_masters: Option<BetweenMasters>,
}

impl Switch {
    pub(crate) fn new(role: watch::Receiver<Role>, between_masters: Option<BetweenMasters>) -> Self {
        Self { role, between_masters }
    }
}

impl Service<Request<Body>> for Switch {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<<Guarded as Service<Request<Body>>>::Future, Ready<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // What is behind it always is.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if let Some(masters) = &mut self.between_masters
            && request.uri().path().starts_with(BETWEEN_MASTERS)
        {
            return Either::Left(masters.call(request));
        }
        let is_grpc = is_grpc(request.headers());
        let role = self.role.borrow().clone();
        match role {
            Role::Leads(mut services) => Either::Left(services.call(request)),
            Role::StandsBy(standby) => {
                if let Some(answer) = mesos::standby(request.uri().path(), &standby) {
                    return Either::Left(Box::pin(answer.map(move |answer| Ok(standby.marked(answer)))));
                }
                let answer = standby.status().into_http();
                Either::Right(ready(Ok(if is_grpc { answer } else { standby.marked(plain(answer)) })))
            }
        }
    }
}
