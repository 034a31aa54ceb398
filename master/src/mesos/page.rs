//! Which paths there are, and what a master that stands by answers there.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use haggle_core::access::Verb;
use tokio::time::sleep;
use tonic::body::Body;
use tonic::codegen::http::Response;

use super::answer;
use crate::election::Standby;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// Calls of schedulers.
    Scheduler,
    /// Calls of operators.
    Operator,
    /// One of the old endpoints.
    Look(Look),
    /// Metrics by Mesos's names.
    Snapshot,
    /// Whether the master is up.
    Health,
    /// What is spoken.
    Version,
    /// Where the master is that leads.
    Redirect,
}

/// What is shown by the old endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    State,
    Summary,
    Agents,
    Frameworks,
    Tasks,
    Roles,
}

impl Page {
    /// `None` where somebody else answers. Lists of which there are pages for people are below `/master` alone.
    pub(super) fn of(path: &str) -> Option<Self> {
        let (own, below_master) = match path.strip_prefix("/master/") {
            Some(rest) => (rest, true),
            None => (path.strip_prefix('/')?, false),
        };
        Some(match own {
            "api/v1/scheduler" => Self::Scheduler,
            "api/v1" => Self::Operator,
            // The longest path that is served answers for those below it.
            below if below.starts_with("api/v1/") => Self::Operator,
            "state" | "state.json" => Self::Look(Look::State),
            "state-summary" => Self::Look(Look::Summary),
            "slaves" => Self::Look(Look::Agents),
            "frameworks" if below_master => Self::Look(Look::Frameworks),
            "tasks" if below_master => Self::Look(Look::Tasks),
            "roles" if below_master => Self::Look(Look::Roles),
            "metrics/snapshot" => Self::Snapshot,
            "health" => Self::Health,
            "version" => Self::Version,
            "redirect" => Self::Redirect,
            _ => return None,
        })
    }

    /// Whether something is posted there.
    pub(super) fn is_call(self) -> bool {
        matches!(self, Self::Scheduler | Self::Operator)
    }

    /// Whether anybody may read it: nothing of the cluster is there.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Health | Self::Version | Self::Redirect)
    }

    /// What one must be allowed to be let in at all.
    pub(super) fn verb(self) -> Verb {
        match self {
            Self::Scheduler => Verb::FrameworkSession,
            Self::Snapshot => Verb::ReadMetrics,
            Self::Operator | Self::Look(_) | Self::Health | Self::Version | Self::Redirect => Verb::ListTasks,
        }
    }
}

/// How late it is told that nobody leads: some clients ask again at once.
const VACANT: Duration = Duration::from_secs(1);

/// What a master that stands by answers, when the path is one of these: where the one is that leads, from the path alone.
pub(crate) fn standby(path: &str, standby: &Standby) -> Option<BoxFuture<'static, Response<Body>>> {
    let page = Page::of(path)?;
    let response = match (page, standby) {
        (Page::Health, _) => answer::empty(200),
        (Page::Version, _) => answer::version(),
        (Page::Redirect, Standby::Behind(url)) => answer::redirect(host(url), ""),
        (_, Standby::Behind(url)) => answer::redirect(host(url), path),
        (_, Standby::Vacant | Standby::Blind(_)) => {
            let vacant = answer::text(503, "no master leads at the moment");
            return Some(sleep(VACANT).map(|()| vacant).boxed());
        }
    };
    Some(async { response }.boxed())
}

fn host(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, host)| host).trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_mesos_with_and_without_its_prefix() {
        for (path, page) in [
            ("/api/v1/scheduler", Page::Scheduler),
            ("/master/api/v1/scheduler", Page::Scheduler),
            ("/api/v1", Page::Operator),
            ("/api/v1/operator", Page::Operator),
            ("/state", Page::Look(Look::State)),
            ("/master/tasks", Page::Look(Look::Tasks)),
            ("/metrics/snapshot", Page::Snapshot),
            ("/master/redirect", Page::Redirect),
        ] {
            assert_eq!(Page::of(path), Some(page), "{path}");
        }
        for path in ["/", "/tasks", "/metrics", "/api", "/redirect/x", "/master", "state", "/api/v1x"] {
            assert_eq!(Page::of(path), None, "{path}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_stands_by_says_where_the_one_is_that_leads() {
        let location = async |path: &str, role: &Standby| {
            let answer = standby(path, role).unwrap().await;
            let location = answer.headers().get("location").map(|location| location.to_str().unwrap().to_owned());
            (answer.status().as_u16(), location)
        };
        let behind = Standby::Behind("https://b:5051".to_owned());

        assert_eq!(location("/api/v1/scheduler", &behind).await, (307, Some("//b:5051/api/v1/scheduler".to_owned())));
        assert_eq!(location("/redirect", &behind).await, (307, Some("//b:5051".to_owned())));
        assert_eq!(location("/health", &behind).await, (200, None));
        assert_eq!(location("/api/v1", &Standby::Vacant).await, (503, None));
        assert!(standby("/haggle.v1.Operator/WhoAmI", &behind).is_none());
    }
}
