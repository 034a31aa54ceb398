//! What each page asks the driver: the same lists as the operator API, page by page, and of them what one may see.

use std::sync::Arc;

use haggle_core::access::{Principal, Verb};
use haggle_core::cluster::{AgentView, Cluster, FrameworkView, Page, RoleView, TaskView};
use haggle_core::{AgentId, Digest, FrameworkId, Now, TaskId, TaskState};
use haggle_pages::link::Query;
use haggle_pages::views::{
    AboutAgent, AgentPage, AgentsPage, AuditPage, ClusterPage, EventsPage, FrameworkPage, FrameworksPage, LogTail, May,
    OffersPage, RolesPage, Seen, Shortened, TaskFilter, TaskPage, TasksPage, TokensPage, View, Whole,
};
use haggle_proto::v1::OutputStream;
use tokio::task::spawn_blocking;
use tonic::Status;

use super::route::Route;
use super::{Pages, scan};
use crate::access::wall_clock_ms;
use crate::grpc::is_live;
use crate::handle::Stopping;

/// Items that the driver looks at at once, as lists of the operator API do.
const PAGE: usize = 1_000;

/// Items of one list that a page chooses from.
const LIST_MAX: usize = 100_000;

/// Tasks beside an agent or a framework.
const TASKS_BESIDE: usize = 20;

/// A view that can be handed on.
pub(super) type Boxed = Box<dyn View + Send + Sync>;

/// A list, and whether it has more than was looked at.
struct Listed<V> {
    items: Vec<V>,
    is_cut: bool,
}

fn boxed(view: impl View + Send + Sync + 'static, is_cut: bool) -> Boxed {
    if is_cut { Box::new(Shortened { view, most: LIST_MAX }) } else { Box::new(view) }
}

impl Pages {
    /// What somebody is shown at an address.
    ///
    /// # Errors
    /// `NOT_FOUND` when it is not there or not for it to see, `UNAVAILABLE` when the master is stopping,
    /// `RESOURCE_EXHAUSTED` when too many lists are read.
    pub(super) async fn look(&self, route: &Route, query: &Query, who: &Principal) -> Result<Boxed, Status> {
        let _place = self.handle.house().list()?;
        let master = || self.master.to_string();
        Ok(match *route {
            Route::Cluster => self.cluster(who).await?,
            Route::Agents => {
                let Listed { items, is_cut } = self.agents(who).await?;
                boxed(AgentsPage::new(query, items, master()), is_cut)
            }
            Route::Agent(id) => Box::new(self.agent(id, who).await?),
            Route::Roles => {
                let may_set = who.check(Verb::SetWeight).is_ok();
                let Listed { items, is_cut } = self.roles(who).await?;
                boxed(RolesPage::new(query, items, may_set), is_cut)
            }
            Route::Frameworks => {
                let Listed { items, is_cut } = self.frameworks(who).await?;
                boxed(FrameworksPage::new(query, items), is_cut)
            }
            Route::Framework(id) => Box::new(self.framework(id, who).await?),
            Route::Offers => {
                let of = who.clone();
                let page = move |cluster: &Cluster, now, after| cluster.offers_page(now, &of, after, PAGE);
                let Listed { items, is_cut } = self.all(page).await?;
                boxed(OffersPage::new(query, items), is_cut)
            }
            Route::Tasks => {
                let (tasks, numbers) = scan::page(&self.handle, who, &TaskFilter::new(query), query).await?;
                Box::new(TasksPage::new(query, tasks, (numbers.wanted(), numbers.known()), master()))
            }
            Route::Task(id) => Box::new(self.task(id, who).await?),
            Route::Events => Box::new(EventsPage),
            Route::Tokens => {
                let tokens = self.all(|cluster, _, after| cluster.tokens_page(after, PAGE)).await?;
                let Listed { items: mut tokens, is_cut } = tokens;
                tokens.retain(is_live);
                let may_revoke = who.check(Verb::RevokeToken).is_ok();
                boxed(TokensPage::new(query, tokens, may_revoke, wall_clock_ms()), is_cut)
            }
            Route::Audit => Box::new(AuditPage::new(query, self.audit().await)),
            Route::Asset(_) | Route::Login | Route::Logout | Route::Log(..) | Route::Usage(_) | Route::Act(_) => {
                return Err(Status::not_found("there is no such page"));
            }
        })
    }

    /// A whole list, looked at page by page, so that the driver does something else in between.
    async fn all<V, C>(
        &self,
        page: impl Fn(&Cluster, Now, Option<C>) -> Page<V, C> + Clone + Send + 'static,
    ) -> Result<Listed<V>, Stopping>
    where
        V: Send + 'static,
        C: Send + 'static,
    {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = page.clone();
            let (found, next) = self.handle.ask(move |cluster, now| page(cluster, now, after)).await?;
            all.extend(found);
            after = next;
            if after.is_none() || all.len() >= LIST_MAX {
                return Ok(Listed { items: all, is_cut: after.is_some() });
            }
        }
    }

    async fn agents(&self, who: &Principal) -> Result<Listed<AgentView>, Stopping> {
        let who = who.clone();
        self.all(move |cluster, now, after| cluster.agents_page(now, &who, after, PAGE)).await
    }

    async fn frameworks(&self, who: &Principal) -> Result<Listed<FrameworkView>, Stopping> {
        let who = who.clone();
        self.all(move |cluster, _, after| cluster.frameworks_page(&who, after, PAGE)).await
    }

    async fn roles(&self, who: &Principal) -> Result<Listed<RoleView>, Stopping> {
        let who = who.clone();
        self.all(move |cluster, _, after: Option<String>| cluster.roles_page(&who, after.as_deref(), PAGE)).await
    }

    async fn cluster(&self, who: &Principal) -> Result<Boxed, Status> {
        let (agents, frameworks, roles) =
            (self.agents(who).await?, self.frameworks(who).await?, self.roles(who).await?);
        let whole = if who.may_all(Verb::ReadMetrics) {
            let look = |cluster: &Cluster, _| (cluster.figures(), cluster.counts(), cluster.tally().clone());
            let (figures, counts, tally) = self.handle.ask(look).await?;
            let hour = self.hours.until(tally.start_latency());
            Some(Whole { figures, counts, tally, hour })
        } else {
            None
        };
        let reign = self.handle.reign();
        let about = (reign.cluster.to_string(), env!("CARGO_PKG_VERSION"), reign.epoch.0);
        let is_cut = agents.is_cut || frameworks.is_cut || roles.is_cut;
        let master = self.master.to_string();
        Ok(boxed(ClusterPage::new(about, master, whole, &agents.items, &frameworks.items, &roles.items), is_cut))
    }

    async fn agent(&self, id: AgentId, who: &Principal) -> Result<AgentPage, Status> {
        let of = who.clone();
        let before = id.0.checked_sub(1).map(AgentId);
        let look = move |cluster: &Cluster, now| cluster.agents_page(now, &of, before, 1).0;
        let found = self.handle.ask(look).await?.into_iter().find(|agent| agent.id == id);
        let agent = found.ok_or_else(|| Status::not_found(format!("there is no {id}")))?;
        let session = self.handle.ask(move |cluster, _| cluster.session_of_agent(id)).await?;
        let about = session.and_then(|session| self.figures.of(session)).map(|counted| AboutAgent {
            version: counted.version,
            engine: counted.engine,
            executors: counted.executors,
            cache: (counted.artifacts, counted.artifact_bytes, counted.artifact_bytes_max),
            artifacts: (counted.artifacts_found, counted.artifacts_fetched, counted.artifacts_failed),
            modules: (counted.modules_found, counted.modules_compiled, counted.modules_failed),
        });
        let (tasks, is_cut) = self.beside(who, &format!("agent={id}")).await?;
        let may_withdraw = who.check(Verb::DrainAgent).is_ok();
        Ok(AgentPage::new(agent, about.as_ref(), tasks, is_cut, may_withdraw))
    }

    async fn framework(&self, id: FrameworkId, who: &Principal) -> Result<FrameworkPage, Status> {
        let of = who.clone();
        let before = id.0.checked_sub(1).map(FrameworkId);
        let look = move |cluster: &Cluster, _| cluster.frameworks_page(&of, before, 1).0;
        let found = self.handle.ask(look).await?.into_iter().find(|framework| framework.id == id);
        let framework = found.ok_or_else(|| Status::not_found(format!("there is no {id}")))?;
        let mut whys = Vec::new();
        // Each looks at every agent.
        for role in framework.info.roles.iter().take(4) {
            whys.extend(self.whys.ask(who.clone(), id, Some(role.clone())).await?);
        }
        let (tasks, _) = self.beside(who, &format!("framework={id}")).await?;
        Ok(FrameworkPage::new(framework, whys, tasks))
    }

    /// The first tasks that a filter selects, and whether there are more.
    async fn beside(&self, who: &Principal, filter: &str) -> Result<(Vec<TaskView>, bool), Stopping> {
        let query = Query::parse(filter);
        let (mut tasks, numbers) = scan::page(&self.handle, who, &TaskFilter::new(&query), &query).await?;
        tasks.truncate(TASKS_BESIDE);
        Ok((tasks, numbers.wanted() > TASKS_BESIDE))
    }

    async fn task(&self, id: TaskId, who: &Principal) -> Result<TaskPage, Status> {
        let of = who.clone();
        let look = move |cluster: &Cluster, now| {
            let task = cluster.task_for(&of, Verb::ListTasks, id)?;
            let may_kill = cluster.task_for(&of, Verb::KillTask, id).is_some();
            let may_run =
                cluster.task_for(&of, Verb::RunAgain, id).is_some() && of.may_use(Verb::Subscribe, &task.role);
            let session = cluster.session_of_agent(task.agent);
            Some((task, session, cluster.life_of(id), (may_kill, may_run), now))
        };
        let found = self.handle.ask(look).await?;
        let unknown =
            || Status::not_found(format!("there is no {id}: it ended long ago, was never launched, or is not yours"));
        let (task, session, life, (may_kill, may_run), now) = found.ok_or_else(unknown)?;
        let again = may_run.then(|| self.handle.specs().check(id).map_err(|why| why.to_string()));
        let may = May { kill: may_kill, again: again.filter(|_| !task.is_allocation) };
        let why = match task.status.state {
            TaskState::Staging | TaskState::Starting | TaskState::Unreachable => {
                self.whys.ask(who.clone(), id.framework, Some(task.role.clone())).await?
            }
            _ => None,
        };
        let shows_logs = !task.is_allocation && who.check(Verb::ReadLog).is_ok();
        let tail = async |stream| if shows_logs { Some(self.tail(id, stream, who).await) } else { None };
        let (stdout, stderr, so_far, origins) = tokio::join!(
            tail(OutputStream::Stdout),
            tail(OutputStream::Stderr),
            self.usage_so_far(&task, session),
            self.origins(task.module, who)
        );
        let logs: Vec<LogTail> = [stdout, stderr].into_iter().flatten().collect();
        let seen = Seen { life, why, so_far, origins, now, wall_ms: wall_clock_ms() };
        Ok(TaskPage::new(task, seen, &logs, may))
    }

    /// Where a module was fetched from; nothing where its store cannot say that.
    async fn origins(&self, module: Option<Digest>, who: &Principal) -> Vec<String> {
        let Some(module) = module else { return Vec::new() };
        let (artifacts, who) = (Arc::clone(&self.artifacts), who.clone());
        let found = spawn_blocking(move || artifacts.origins_for(module, &who)).await;
        found.ok().and_then(Result::ok).unwrap_or_default()
    }

    async fn audit(&self) -> Result<Vec<String>, String> {
        let audit = self.guard.audit().clone();
        match spawn_blocking(move || audit.last()).await {
            Ok(Some(lines)) => lines.map_err(|error| format!("the audit cannot be read: {error}")),
            Ok(None) => Err("this master writes no audit: start it with --audit FILE".to_owned()),
            Err(_) => Err("the audit could not be read".to_owned()),
        }
    }
}
