//! What is limited, how much of it everybody has, and how often more was wanted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, iter};
use haggle_core::access::{Principal, Right, Verb};
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

/// Asks everybody who counts.
pub(super) struct LimitList {
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
        let clustered = self.clustered((!all).then(|| Arc::clone(&who.name))).await?;
        let mut reports = self.guard.limiter().report(Instant::now());
        reports.retain(|report| all || (report.name == who.name && report.kind == who.kind.word()));
        let mut uses = Vec::new();
        if all {
            uses.extend(self.guard.house().report().map(shared));
        }
        uses.extend(self.merge(reports, clustered));
        let messages: Vec<_> =
            uses.chunks(IN_ONE).map(|limits| Ok(v1::ListLimitsResponse { limits: limits.to_vec() })).collect();
        Ok(iter(messages).boxed())
    }

    /// What the cluster counts, of everybody or of one.
    async fn clustered(&self, only: Option<Arc<str>>) -> Result<HashMap<Arc<str>, PrincipalView>, Status> {
        let mut views = HashMap::new();
        let mut after: Option<Arc<str>> = None;
        loop {
            let from = after.clone();
            let ask = move |cluster: &Cluster, _| cluster.principals_page(from.as_deref(), PAGE);
            let (page, next) = self.handle.ask(ask).await?;
            let wanted = page.into_iter().filter(|view| only.as_ref().is_none_or(|only| *only == view.name));
            views.extend(wanted.map(|view| (Arc::clone(&view.name), view)));
            match next {
                Some(next) => after = Some(next),
                None => return Ok(views),
            }
        }
    }

    /// The same names in one list, sorted. What the cluster and the store count, they count by name alone: it is told with the
    /// framework of that name, if there is one.
    fn merge(&self, mut reports: Vec<Report>, mut clustered: HashMap<Arc<str>, PrincipalView>) -> Vec<v1::LimitUse> {
        reports.sort_by(|one, other| (&one.name, rank(one.kind)).cmp(&(&other.name, rank(other.kind))));
        let mut uses = Vec::new();
        for report in reports {
            let view = clustered.remove(&report.name);
            self.tell(&report, view.as_ref(), &mut uses);
        }
        // They have frameworks, and were not heard of lately.
        let mut rest: Vec<_> = clustered.into_values().collect();
        rest.sort_by(|one, other| one.name.cmp(&other.name));
        for view in rest {
            let kind = if *view.name == *Principal::OWNER { "owner" } else { "framework" };
            let rows = Limit::all().map(|limit| (limit, None, 0)).collect();
            self.tell(&Report { name: Arc::clone(&view.name), kind, rows }, Some(&view), &mut uses);
        }
        uses
    }

    fn tell(&self, report: &Report, view: Option<&PrincipalView>, uses: &mut Vec<v1::LimitUse>) {
        let principal =
            v1::Principal { name: report.name.to_string(), kind: kind(report.kind).into(), roles: Vec::new() };
        let has_no_limits = report.kind == "owner";
        for &(limit, has, refused) in &report.rows {
            let count = |count: fn(&PrincipalView) -> usize| view.map_or(0, |view| count(view) as u64);
            let (has, more_refused) = match limit {
                Limit::Frameworks => (count(|view| view.frameworks), 0),
                Limit::Roles => (count(|view| view.roles), 0),
                Limit::Tasks => (count(|view| view.tasks), view.map_or(0, |view| view.dropped)),
                Limit::UploadBytes => (self.store.brought(&report.name), 0),
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
    let Shared { name, what, most, has, refused } = shared;
    v1::LimitUse {
        principal: None,
        limit: name.to_owned(),
        what: what.to_owned(),
        most: (most != u64::MAX).then_some(most),
        has,
        refused,
        in_bytes: false,
    }
}

/// Frameworks first.
fn rank(kind: &str) -> (bool, &str) {
    (kind != "framework", kind)
}

fn kind(word: &str) -> v1::PrincipalKind {
    match word {
        "owner" => v1::PrincipalKind::Owner,
        "operator" => v1::PrincipalKind::Operator,
        "framework" => v1::PrincipalKind::Framework,
        "viewer" => v1::PrincipalKind::Viewer,
        "agent" | "join token" => v1::PrincipalKind::Agent,
        _ => v1::PrincipalKind::Unspecified,
    }
}
