//! `GET /metrics`: the cluster and its master in numbers, in the OpenMetrics format.
//!
//! Nothing is kept for it: whoever asks has a look at the cluster between two batches, as every list has.

mod agents;
mod commands;
mod families;
mod page;
mod process;
mod roles;
mod timings;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use haggle_core::access::{Principal, Verb};
use haggle_core::cluster::{Cluster, RoleView};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::task::spawn_blocking;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::header::CONTENT_TYPE;
use tonic::codegen::http::request::Parts;
use tonic::codegen::http::{HeaderValue, Request, Response};

use crate::access::{caller_of, check_method};
use crate::grpc::LimitList;
use crate::handle::Handle;
use crate::pull::Puller;
use crate::web::{Area, Entrance};
use families::{Scrape, Whole};
use process::Process;
use roles::RoleRow;

pub(crate) use agents::AgentFigures;
pub(crate) use commands::{CommandKind, Commands};
pub(crate) use timings::{Measured, Timings};

/// Roles in one answer, by path. An answer with so many has half a MiB.
const ROLES_MAX: usize = 1_000;

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Answers who may ask. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics {
    handle: Handle,
    limits: LimitList,
    agents: Arc<AgentFigures>,
    puller: Arc<Puller>,
}

impl Metrics {
    pub(crate) fn new(handle: Handle, limits: LimitList, agents: Arc<AgentFigures>, puller: Arc<Puller>) -> Self {
        Self { handle, limits, agents, puller }
    }

    /// What `who` may see: everything, or what is of its roles.
    ///
    /// # Errors
    /// `UNAVAILABLE` when the master is stopping, `RESOURCE_EXHAUSTED` when too many read lists.
    async fn page(&self, who: &Principal) -> Result<Response<Body>, Status> {
        let _place = self.handle.house().list()?;
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.scrape(who).await?));
        let mut text = String::new();
        encode(&mut text, &registry).map_err(|_| Status::internal("a metric cannot be written"))?;
        let mut response = Response::new(Body::new(http_body_util::Full::new(bytes::Bytes::from(text))));
        response.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
        Ok(response)
    }

    async fn scrape(&self, who: &Principal) -> Result<Scrape, Status> {
        let of = who.clone();
        let roles = move |cluster: &Cluster, _| {
            // One more, to know whether there is one more.
            (cluster.roles_page(&of, None, ROLES_MAX + 1), cluster.volumes_of_roles())
        };
        let ((roles, next), volumes) = self.handle.ask(roles).await?;
        let row = |view: RoleView| {
            let (volumes, room) = volumes.get(&view.name).copied().unwrap_or_default();
            RoleRow { view, volumes, room }
        };
        let roles = roles.into_iter().take(ROLES_MAX).map(row).collect();
        let whole = if who.may_all(Verb::ReadMetrics) { Some(self.whole().await?) } else { None };
        Ok(Scrape { roles, more_roles: next.is_some(), whole })
    }

    async fn whole(&self) -> Result<Whole, Status> {
        let look = |cluster: &Cluster, _| (cluster.figures(), cluster.counts(), cluster.tally().clone());
        let (figures, counts, tally) = self.handle.ask(look).await?;
        // It reads files.
        let process = spawn_blocking(Process::look).await.ok().flatten();
        Ok(Whole {
            reign: self.handle.reign(),
            figures,
            counts,
            tally,
            measured: self.handle.timings().get(),
            requests_waiting: self.handle.requests_waiting(),
            unheard: self.handle.unheard(),
            levels: self.handle.levels().await?,
            spans: self.handle.spans(),
            each_has: self.limits.each_has(),
            limits: self.limits.uses(None).await?,
            process,
            agents: self.agents.rows(&self.handle).await?,
            pulls: self.puller.counts().clone(),
        })
    }
}

impl Area for Metrics {
    fn entrance(&self, head: &Parts) -> Option<Entrance> {
        let is_its = head.uri.path() == Verb::METRICS;
        is_its.then(|| match check_method(&head.method) {
            Some(refused) => Entrance::Closed(Box::new(refused)),
            None => Entrance::For(Verb::ReadMetrics),
        })
    }

    fn answer(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, Status>> {
        let this = self.clone();
        async move { this.page(caller_of(request.extensions())?.principal()?).await }.boxed()
    }
}
