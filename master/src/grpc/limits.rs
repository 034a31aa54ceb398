//! What is limited, how much of it everybody has, and how often more was wanted.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, iter};
use haggle_core::access::{PlainKind, Principal, PrincipalId, Right, Verb};
use haggle_core::cluster::{Cluster, PrincipalView};
use haggle_proto::v1;
use tonic::Status;

use super::lists::PAGE;
use crate::access::Guard;
use crate::artifacts::Store;
use crate::handle::Handle;
use crate::limits::{Limit, Report, Shared};

/// Uses in one message: some hundred bytes each.
const IN_ONE: usize = 1_000;

/// Asks everybody who counts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LimitList {
    handle: Handle,
    guard: Guard,
    store: Arc<Store>,
}

impl LimitList {
    pub(super) fn new(handle: Handle, guard: Guard, store: Arc<Store>) -> Self {
        Self { handle, guard, store }
    }

    /// What `who` may see: of everybody, or its own.
    pub(super) async fn stream(
        &self,
        who: &Principal,
    ) -> Result<BoxStream<'static, Result<v1::ListLimitsResponse, Status>>, Status> {
        let all = who.right(Verb::ListLimits) == Right::All;
        let uses = self.uses((!all).then(|| who.id())).await?;
        let messages: Vec<_> =
            uses.chunks(IN_ONE).map(|limits| Ok(v1::ListLimitsResponse { limits: limits.to_vec() })).collect();
        Ok(iter(messages).boxed())
    }

    /// Of everybody, and what they share; or of one.
    pub(crate) async fn uses(&self, only: Option<PrincipalId>) -> Result<Vec<v1::LimitUse>, Status> {
        let mut reports = self.guard.limiter().report(Instant::now());
        let mut uses = Vec::new();
        match &only {
            Some(one) => reports.retain(|report| report.id == *one),
            None => uses.extend(self.guard.house().report(Instant::now()).chain([self.store.report()]).map(shared)),
        }
        let clustered = self.clustered(only).await?;
        uses.extend(self.merge(reports, clustered));
        Ok(uses)
    }

    /// Each limit that principals have, and how high it is; `u64::MAX` for none.
    pub(crate) fn each_has(&self) -> Vec<(&'static str, u64)> {
        Limit::all().map(|limit| (limit.name(), self.guard.limiter().limit(limit))).collect()
    }

    /// What the cluster counts, of everybody or of one.
    async fn clustered(&self, only: Option<PrincipalId>) -> Result<HashMap<PrincipalId, PrincipalView>, Status> {
        let mut views = HashMap::new();
        let mut after: Option<PrincipalId> = None;
        loop {
            let from = after.clone();
            let ask = move |cluster: &Cluster, _| cluster.principals_page(from.as_ref(), PAGE);
            let (page, next) = self.handle.ask(ask).await?;
            let wanted = page.into_iter().filter(|view| only.as_ref().is_none_or(|only| *only == view.id));
            views.extend(wanted.map(|view| (view.id.clone(), view)));
            match next {
                Some(next) => after = Some(next),
                None => return Ok(views),
            }
        }
    }

    /// Everybody in one list, sorted.
    fn merge(&self, mut reports: Vec<Report>, mut clustered: HashMap<PrincipalId, PrincipalView>) -> Vec<v1::LimitUse> {
        let heard: HashSet<&PrincipalId> = reports.iter().map(|report| &report.id).collect();
        // They have frameworks, and were not heard of lately.
        let silent = clustered.keys().filter(|id| !heard.contains(id)).cloned();
        let rows: Vec<_> = Limit::all().map(|limit| (limit, None, 0)).collect();
        let silent: Vec<_> = silent.map(|id| Report { id, rows: rows.clone() }).collect();
        reports.extend(silent);
        reports.sort_by(|one, other| one.id.cmp(&other.id));
        let mut uses = Vec::new();
        for report in reports {
            let view = clustered.remove(&report.id);
            self.tell(&report, view.as_ref(), &mut uses);
        }
        uses
    }

    fn tell(&self, report: &Report, view: Option<&PrincipalView>, uses: &mut Vec<v1::LimitUse>) {
        let PrincipalId { name, kind } = &report.id;
        let principal = v1::Principal { name: name.to_string(), kind: wire(*kind).into(), roles: Vec::new() };
        let has_no_limits = report.id.is_owner();
        for &(limit, has, refused) in &report.rows {
            let count = |count: fn(&PrincipalView) -> usize| view.map_or(0, |view| count(view) as u64);
            let (has, more_refused) = match limit {
                Limit::Frameworks => (count(|view| view.frameworks), 0),
                Limit::Roles => (count(|view| view.roles), 0),
                Limit::Tasks => (count(|view| view.tasks), view.map_or(0, |view| view.dropped)),
                Limit::UploadBytes => (self.store.brought(&report.id), 0),
                _ => (has.unwrap_or(0), 0),
            };
            let most = self.guard.limiter().limit(limit);
            uses.push(v1::LimitUse {
                principal: Some(principal.clone()),
                limit: limit.name().to_owned(),
                what: limit.what().to_owned(),
                most: (most != u64::MAX && !has_no_limits).then_some(most),
                has,
                refused: refused + more_refused,
                in_bytes: limit.is_in_bytes(),
            });
        }
    }
}

fn shared(shared: Shared) -> v1::LimitUse {
    let Shared { name, what, most, has, refused, in_bytes } = shared;
    v1::LimitUse {
        principal: None,
        limit: name.to_owned(),
        what: what.to_owned(),
        most: (most != u64::MAX).then_some(most),
        has,
        refused,
        in_bytes,
    }
}

fn wire(kind: PlainKind) -> v1::PrincipalKind {
    match kind {
        PlainKind::Owner => v1::PrincipalKind::Owner,
        PlainKind::Operator => v1::PrincipalKind::Operator,
        PlainKind::Framework => v1::PrincipalKind::Framework,
        PlainKind::Viewer => v1::PrincipalKind::Viewer,
        PlainKind::Agent | PlainKind::Joiner => v1::PrincipalKind::Agent,
        PlainKind::Master => v1::PrincipalKind::Unspecified,
    }
}
