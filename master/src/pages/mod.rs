//! Pages: what a browser is shown of the cluster, on the master's port.
//!
//! ```text
//! guard ─► Route ─► Look (the driver is asked, as for the operator API) ─► haggle_pages ─► HTML, JSON, or a stream
//! ```
//!
//! Nothing is kept here but how the last hour was. A page is what its verb in the table of rights lists, and one who asks
//! sees of it what that one may see.

mod act;
mod answer;
mod hour;
mod live;
mod log;
mod look;
mod route;
mod scan;
mod session;
mod usage;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use haggle_core::access::{Principal, Verb};
use haggle_pages::layout::{Layout, Section, Viewer};
use haggle_pages::link::Query;
use haggle_pages::views::{TroublePage, View};
use tonic::body::Body;
use tonic::codegen::http::request::Parts;
use tonic::codegen::http::{HeaderValue, Request, Response, StatusCode};
use tonic::{Code, Status};

use crate::access::{Guard, caller_of, plain};
use crate::again::Again;
use crate::artifacts::Store;
use crate::grpc::Whys;
use crate::handle::Handle;
use crate::logs::LogRelay;
use crate::metrics::AgentFigures;
use crate::reach::Reach;
use crate::web::{Area, Entrance};

use answer::Form;
use hour::Hours;
use route::Route;

/// Answers browsers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pages {
    handle: Handle,
    guard: Guard,
    logs: Arc<LogRelay>,
    /// What agents count.
    figures: Arc<AgentFigures>,
    whys: Whys,
    again: Again,
    artifacts: Arc<Store>,
    hours: Hours,
    /// How commands that are shown name this master.
    master: Arc<str>,
    /// Whether it speaks TLS, so that what browsers keep is never sent in plain text.
    is_secured: bool,
}

/// Whom pages ask beside the driver.
pub(crate) struct Asked {
    pub(crate) logs: Arc<LogRelay>,
    pub(crate) figures: Arc<AgentFigures>,
    pub(crate) whys: Whys,
    pub(crate) again: Again,
    pub(crate) artifacts: Arc<Store>,
}

impl Pages {
    pub(crate) fn new(handle: Handle, guard: Guard, asked: Asked, reach: &Reach) -> Self {
        let Asked { logs, figures, whys, again, artifacts } = asked;
        let is_secured = reach.security.is_some();
        let scheme = if is_secured { "https" } else { "http" };
        let address = reach.addresses.first().map_or("127.0.0.1:5050", String::as_str);
        let hours = Hours::start(handle.clone());
        let master = format!("{scheme}://{address}").into();
        Self { handle, guard, logs, figures, whys, again, artifacts, hours, master, is_secured }
    }

    /// The whole page around a view, or the view as data.
    fn shown(&self, view: &dyn View, who: Option<&Principal>, head: &Parts) -> Response<Body> {
        let form = Form::of(head);
        if form == Form::Json {
            return answer::json(&view.json());
        }
        let may = |verb: Verb| who.is_some_and(|who| who.check(verb).is_ok());
        let sections: Vec<Section> = Section::ALL.into_iter().filter(|section| may(route::verb_of(*section))).collect();
        let viewer = who.map(|who| Viewer {
            name: who.name.to_string(),
            kind: who.kind.word(),
            can_leave: session::is_by_cookie(&head.headers, self.is_secured),
        });
        let address = head.uri.path_and_query().map_or("/", |address| address.as_str());
        let is_live = view.is_live() && may(Verb::Watch);
        let title = view.title();
        let layout = Layout {
            title: &title,
            section: view.section(),
            sections: &sections,
            viewer,
            live: is_live.then_some(address),
        };
        answer::html(StatusCode::OK, layout.around(&view.content()))
    }

    async fn answered(self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let (head, body) = request.into_parts();
        let route = Route::of(&head).ok_or_else(|| Status::not_found("there is no such page"))?;
        let query = Query::parse(head.uri.query().unwrap_or_default());
        match route {
            Route::Asset(name) => answer::asset(&name, &head),
            Route::Login if head.method == tonic::codegen::http::Method::POST => self.log_in(&head, body).await,
            Route::Login => Ok(self.login_page(&head, query.get("next"), "", StatusCode::OK)),
            Route::Logout => Ok(self.log_out(&head)),
            route => {
                let caller = caller_of(&head.extensions)?;
                let who = caller.principal()?.clone();
                match route {
                    Route::Act(act) => self.act(act, &caller, &head).await,
                    Route::Log(task, stream) => self.log(task, stream, &query, who, &head).await,
                    Route::Usage(task) => self.usage(task, &who).await,
                    Route::Events if Form::of(&head) == Form::Stream => self.events(who),
                    route if Form::of(&head) == Form::Stream => self.live(route, query, who).await,
                    route => {
                        let view = self.look(&route, &query, &who).await?;
                        Ok(self.shown(&*view, Some(&who), &head))
                    }
                }
            }
        }
    }
}

impl Area for Pages {
    fn entrance(&self, head: &Parts) -> Option<Entrance> {
        let route = Route::of(head)?;
        if let Some(refused) = route.check_method(&head.method) {
            return Some(Entrance::Closed(Box::new(refused)));
        }
        let is_live =
            Form::of(head) == Form::Stream && !matches!(route, Route::Log(..) | Route::Usage(_) | Route::Act(_));
        Some(match route.verb() {
            // A page that stays open holds a watch, and no list. What it lists is checked as well.
            Some(_) if is_live => Entrance::For(Verb::Watch),
            Some(verb) => Entrance::For(verb),
            None => Entrance::Open,
        })
    }

    fn credentials(&self, head: &Parts) -> Option<HeaderValue> {
        session::credentials(head, self.is_secured)
    }

    fn answer(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, Status>> {
        self.clone().answered(request).boxed()
    }

    fn refused(&self, head: &Parts, status: &Status) -> Response<Body> {
        if Form::of(head) != Form::Html {
            return plain(status.clone().into_http());
        }
        if status.code() == Code::Unauthenticated {
            let address = head.uri.path_and_query().map_or("/", |address| address.as_str());
            return answer::see_other(&Query::default().with("next", address).on("/login"));
        }
        let title = match status.code() {
            Code::NotFound => "It is not there",
            Code::PermissionDenied => "That is not for you",
            Code::ResourceExhausted => "Too much at once",
            Code::Unavailable => "The master cannot answer now",
            _ => "That was not done",
        };
        let trouble = TroublePage::new(title, status.message());
        let layout = Layout { title, section: None, sections: &[], viewer: None, live: None };
        answer::html(plain(status.clone().into_http()).status(), layout.around(&trouble.content()))
    }
}
