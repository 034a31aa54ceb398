//! The v1 HTTP API of Apache Mesos on the master's port, for clients that nobody here wrote.
//!
//! To the core each of their frameworks is an ordinary session: it is opened, heard and let go as one of gRPC. What their words mean is in
//! `haggle-mesos`; here are the sockets.

mod answer;
mod body;
mod metrics;
mod names;
mod operator;
mod page;
mod scheduler;
mod session;
mod stream;
mod views;
mod watch;

use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use haggle_core::access::Verb;
use haggle_mesos::Ids;
use haggle_mesos::wire::common::MasterInfo;
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::request::Parts;
use tonic::codegen::http::{HeaderValue, Method, Request, Response};

use crate::access::{Known, caller_of, check_method};
use crate::handle::Handle;
use crate::reach::Reach;
use crate::web::{Area, Entrance};
use page::Page;
use session::Sessions;

pub(crate) use page::standby;

/// How often whoever listens is told that the stream lives. Some give a stream up that was silent for ten seconds.
const HEARTBEAT_SECONDS: u64 = 5;

/// Names the session in every call of it but the first.
const STREAM_ID: &str = "mesos-stream-id";

/// Answers them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Mesos(Arc<Inner>);

struct Inner {
    handle: Handle,
    /// Whose tokens still let them in.
    known: Known,
    began: Instant,
    sessions: Sessions,
    /// Large bodies that are being received.
    large: Arc<Semaphore>,
    /// What is said of this master.
    master: MasterInfo,
}

impl Mesos {
    pub(crate) fn new(handle: Handle, known: Known, reach: &Reach) -> Self {
        let master = answer::master_info(handle.reign(), &reach.addresses[0]);
        let large = Arc::new(Semaphore::new(body::LARGE_OF_ALL));
        Self(Arc::new(Inner { handle, known, began: Instant::now(), sessions: Sessions::default(), large, master }))
    }

    fn ids(&self) -> Ids {
        Ids(self.0.handle.reign().cluster)
    }

    async fn reply(self, page: Page, request: Request<Body>) -> Result<Response<Body>, Status> {
        match page {
            Page::Health => Ok(answer::empty(200)),
            Page::Version => Ok(answer::version()),
            Page::Redirect => Ok(answer::redirect(self.0.master.pid.as_deref().unwrap_or_default(), "")),
            Page::Scheduler => {
                let caller = caller_of(request.extensions())?;
                scheduler::answer(self, caller, request).await
            }
            Page::Operator => {
                let caller = caller_of(request.extensions())?;
                operator::answer(self, caller, request).await
            }
            Page::Snapshot => {
                let caller = caller_of(request.extensions())?;
                metrics::answer(&self, caller.principal()?).await
            }
            Page::Look(look) => {
                let caller = caller_of(request.extensions())?;
                views::answer(&self, caller.principal()?, look).await
            }
        }
    }
}

impl Area for Mesos {
    fn entrance(&self, head: &Parts) -> Option<Entrance> {
        let page = Page::of(head.uri.path())?;
        if page.is_call() {
            return Some(match head.method {
                Method::POST if page == Page::Scheduler && head.headers.contains_key(STREAM_ID) => {
                    Entrance::For(Verb::SchedulerCall)
                }
                Method::POST => Entrance::For(page.verb()),
                _ => Entrance::Closed(Box::new(answer::only_post(&head.method))),
            });
        }
        Some(match check_method(&head.method) {
            Some(refused) => Entrance::Closed(Box::new(refused)),
            None if page.is_open() => Entrance::Open,
            None => Entrance::For(page.verb()),
        })
    }

    fn answer(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, Status>> {
        let page = Page::of(request.uri().path());
        let this = self.clone();
        async move {
            let page = page.ok_or_else(|| Status::not_found("there is no such page"))?;
            this.reply(page, request).await
        }
        .boxed()
    }

    fn refused(&self, _: &Parts, status: &Status) -> Response<Body> {
        let mut refused = crate::access::plain(status.clone().into_http());
        if let Some(asks) = refused.headers_mut().get_mut("www-authenticate") {
            *asks = HeaderValue::from_static("Basic realm=\"haggle: the secret is a token\"");
        }
        refused
    }
}
