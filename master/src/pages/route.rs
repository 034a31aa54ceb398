//! Which page or deed an address is, and which verb of the table of rights that takes.

use haggle_core::access::{TokenId, Verb};
use haggle_core::{AgentId, FrameworkId, TaskId};
use haggle_pages::layout::Section;
use haggle_proto::v1::OutputStream;
use tonic::body::Body;
use tonic::codegen::http::header::ALLOW;
use tonic::codegen::http::request::Parts;
use tonic::codegen::http::{HeaderValue, Method, Response};

use crate::access::check_method;

/// An address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Asset(String),
    Login,
    Logout,
    Cluster,
    Agents,
    Agent(AgentId),
    Roles,
    Frameworks,
    Framework(FrameworkId),
    Offers,
    Tasks,
    Task(TaskId),
    Log(TaskId, OutputStream),
    /// What it has used so far, as data alone.
    Usage(TaskId),
    Events,
    Tokens,
    Audit,
    Act(Act),
}

/// Something that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Kill(TaskId),
    /// Run it again.
    Again(TaskId),
    Deactivate(AgentId),
    Drain(AgentId),
    Reactivate(AgentId),
    Revoke(TokenId),
}

/// What it takes to see a page of the head.
pub(super) const fn verb_of(section: Section) -> Verb {
    match section {
        Section::Cluster => Verb::GetMaster,
        Section::Agents => Verb::ListAgents,
        Section::Roles => Verb::ListRoles,
        Section::Frameworks => Verb::ListFrameworks,
        Section::Offers => Verb::ListOffers,
        Section::Tasks => Verb::ListTasks,
        Section::Events => Verb::Watch,
        Section::Tokens => Verb::ListTokens,
        Section::Audit => Verb::ReadAudit,
    }
}

impl Route {
    /// What a request is for; `None`: no page of ours. An address may end in `.json`.
    pub(super) fn of(head: &Parts) -> Option<Self> {
        let path = head.uri.path();
        let path = path.strip_suffix(".json").unwrap_or(path).strip_prefix('/')?;
        let parts: Vec<&str> = path.split('/').collect();
        let posts = head.method == Method::POST;
        Some(match *parts.as_slice() {
            ["" | "index"] => Self::Cluster,
            ["login"] => Self::Login,
            ["logout"] => Self::Logout,
            ["agents"] => Self::Agents,
            ["roles"] => Self::Roles,
            ["frameworks"] => Self::Frameworks,
            ["offers"] => Self::Offers,
            ["tasks"] => Self::Tasks,
            ["events"] => Self::Events,
            ["tokens"] => Self::Tokens,
            ["audit"] => Self::Audit,
            ["assets", name] => Self::Asset(name.to_owned()),
            ["agents", id] => Self::Agent(id.parse().ok()?),
            ["frameworks", id] => Self::Framework(id.parse().ok()?),
            ["tasks", id] => Self::Task(id.parse().ok()?),
            ["tasks", id, "stdout"] => Self::Log(id.parse().ok()?, OutputStream::Stdout),
            ["tasks", id, "stderr"] => Self::Log(id.parse().ok()?, OutputStream::Stderr),
            ["tasks", id, "usage"] => Self::Usage(id.parse().ok()?),
            ["tasks", id, "kill"] if posts => Self::Act(Act::Kill(id.parse().ok()?)),
            ["tasks", id, "again"] if posts => Self::Act(Act::Again(id.parse().ok()?)),
            ["agents", id, "deactivate"] if posts => Self::Act(Act::Deactivate(id.parse().ok()?)),
            ["agents", id, "drain"] if posts => Self::Act(Act::Drain(id.parse().ok()?)),
            ["agents", id, "reactivate"] if posts => Self::Act(Act::Reactivate(id.parse().ok()?)),
            ["tokens", id, "revoke"] if posts => Self::Act(Act::Revoke(id.parse().ok()?)),
            _ => return None,
        })
    }

    /// What it takes; `None`: nothing of the cluster is told there.
    pub(super) const fn verb(&self) -> Option<Verb> {
        Some(match self {
            Self::Asset(_) | Self::Login | Self::Logout => return None,
            Self::Cluster => Verb::GetMaster,
            Self::Agents | Self::Agent(_) => Verb::ListAgents,
            Self::Roles => Verb::ListRoles,
            Self::Frameworks | Self::Framework(_) => Verb::ListFrameworks,
            Self::Offers => Verb::ListOffers,
            Self::Tasks | Self::Task(_) | Self::Usage(_) => Verb::ListTasks,
            Self::Log(..) => Verb::ReadLog,
            Self::Events => Verb::Watch,
            Self::Tokens => Verb::ListTokens,
            Self::Audit => Verb::ReadAudit,
            Self::Act(Act::Kill(_)) => Verb::KillTask,
            Self::Act(Act::Again(_)) => Verb::RunAgain,
            Self::Act(Act::Deactivate(_)) => Verb::DeactivateAgent,
            Self::Act(Act::Drain(_)) => Verb::DrainAgent,
            Self::Act(Act::Reactivate(_)) => Verb::ReactivateAgent,
            Self::Act(Act::Revoke(_)) => Verb::RevokeToken,
        })
    }

    /// How it may be asked: pages are read, deeds are sent.
    pub(super) fn check_method(&self, method: &Method) -> Option<Response<Body>> {
        let posts = method == Method::POST;
        match self {
            Self::Act(_) => None,
            Self::Login if posts => None,
            Self::Logout if posts => None,
            Self::Logout => check_method(&Method::POST).map(|mut refused| {
                refused.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                refused
            }),
            _ => check_method(method),
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::codegen::http::Request;

    use super::*;

    fn route(method: &str, address: &str) -> Option<Route> {
        Route::of(&Request::builder().method(method).uri(address).body(()).unwrap().into_parts().0)
    }

    #[test]
    fn every_page_of_the_head_has_an_address_and_the_verb_of_what_it_lists() {
        for section in Section::ALL {
            let route = route("GET", section.path()).unwrap();

            assert_eq!(route.verb(), Some(verb_of(section)), "{route:?}");
        }
    }

    #[test]
    fn an_address_may_end_in_json_and_has_a_query() {
        let task = Route::Task(TaskId { framework: FrameworkId(3), number: 7 });

        assert_eq!(route("GET", "/tasks/task-3.7"), Some(task.clone()));
        assert_eq!(route("GET", "/tasks/task-3.7.json?x"), Some(task));
        assert_eq!(
            route("GET", "/tasks/task-3.7/usage.json"),
            Some(Route::Usage(TaskId { framework: FrameworkId(3), number: 7 }))
        );
        assert_eq!(route("GET", "/tasks.json"), Some(Route::Tasks));
        assert_eq!(route("GET", "/index.json"), Some(Route::Cluster));
    }

    #[test]
    fn what_changes_something_is_sent_and_never_read() {
        let kill = Act::Kill(TaskId { framework: FrameworkId(3), number: 7 });

        assert_eq!(route("POST", "/tasks/task-3.7/kill"), Some(Route::Act(kill)));
        assert_eq!(route("GET", "/tasks/task-3.7/kill"), None);
        assert!(route("POST", "/tasks").unwrap().check_method(&Method::POST).is_some());
    }

    #[test]
    fn other_spellings_are_no_pages() {
        for address in [
            "//",
            "/tasks/",
            "//tasks",
            "/TASKS",
            "/%74asks",
            "/tasks/7",
            "/tasks/task-3.7/x",
            "/assets/../x",
            "/assets/",
        ] {
            let found = route("GET", address);
            assert!(matches!(found, None | Some(Route::Asset(_))), "{address}: {found:?}");
        }
    }
}
