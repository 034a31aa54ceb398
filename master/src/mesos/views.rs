//! What there is, for operators and their dashboards: in the words of the v1 API, and as the old endpoints have it.

use haggle_core::Now;
use haggle_core::access::Principal;
use haggle_core::cluster::{AgentView, Cluster, FrameworkView, Page, RoleView, TaskView};
use haggle_mesos::meaning::{Seen, VERSION};
use haggle_mesos::wire::master::{GetExecutors, GetState};
use serde_json::{Value, json};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::Response;

use super::Mesos;
use super::answer;
use super::page::Look;
use crate::access::wall_clock_ms;

/// Items that the master's thread looks at at once.
const PAGE: usize = 1_000;

/// Items of one answer: it is written down as a whole, in some ten MiB. `haggle ps` shows all.
const MOST: usize = 20_000;

impl Mesos {
    pub(super) fn seen(&self) -> Seen {
        Seen(self.ids())
    }

    async fn all<V: Send + 'static, C: Send + 'static>(
        &self,
        page: impl Fn(&Cluster, Now, Option<C>) -> Page<V, C> + Clone + Send + 'static,
    ) -> Result<Vec<V>, Status> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = page.clone();
            let (items, next) = self.0.handle.ask(move |cluster, now| page(cluster, now, after)).await?;
            all.extend(items);
            if next.is_none() || all.len() >= MOST {
                all.truncate(MOST);
                return Ok(all);
            }
            after = next;
        }
    }

    pub(super) async fn agents(&self, who: &Principal) -> Result<Vec<AgentView>, Status> {
        let who = who.clone();
        self.all(move |cluster, now, after| cluster.agents_page(now, &who, after, PAGE)).await
    }

    pub(super) async fn frameworks(&self, who: &Principal) -> Result<Vec<FrameworkView>, Status> {
        let who = who.clone();
        self.all(move |cluster, _, after| cluster.frameworks_page(&who, after, PAGE)).await
    }

    pub(super) async fn roles(&self, who: &Principal) -> Result<Vec<RoleView>, Status> {
        let who = who.clone();
        self.all(move |cluster, _, after: Option<String>| cluster.roles_page(&who, after.as_deref(), PAGE)).await
    }

    /// Those that go on come first.
    pub(super) async fn tasks(&self, who: &Principal) -> Result<Vec<TaskView>, Status> {
        let who = who.clone();
        self.all(move |cluster, _, after| cluster.tasks_page(&who, after, true, PAGE)).await
    }

    /// All of it.
    pub(super) async fn state(&self, who: &Principal) -> Result<GetState, Status> {
        let seen = self.seen();
        let seconds = wall_clock_ms() as f64 / 1_000.0;
        Ok(GetState {
            get_tasks: Some(seen.tasks(&self.tasks(who).await?, seconds)),
            get_executors: Some(GetExecutors::default()),
            get_frameworks: Some(seen.frameworks(&self.frameworks(who).await?)),
            get_agents: Some(seen.agents(&self.agents(who).await?)),
        })
    }
}

/// One of the old endpoints.
pub(super) async fn answer(mesos: &Mesos, who: &Principal, look: Look) -> Result<Response<Body>, Status> {
    let _place = mesos.0.handle.house().list()?;
    let seen = mesos.seen();
    let listed = |items: Vec<Value>| Value::Array(items);
    let value = match look {
        Look::Agents => {
            let agents = mesos.agents(who).await?;
            json!({ "slaves": listed(agents.iter().map(|agent| seen.old_agent(agent)).collect()), "recovered_slaves": [] })
        }
        Look::Tasks => {
            let tasks = mesos.tasks(who).await?;
            let tasks = tasks.iter().filter(|task| !task.is_allocation).map(|task| seen.old_task(task));
            json!({ "tasks": listed(tasks.collect()) })
        }
        Look::Roles => {
            let (roles, frameworks) = (mesos.roles(who).await?, mesos.frameworks(who).await?);
            json!({ "roles": listed(roles.iter().map(|role| seen.old_role(role, &frameworks)).collect()) })
        }
        Look::Frameworks => {
            let (frameworks, tasks) = (mesos.frameworks(who).await?, mesos.tasks(who).await?);
            let frameworks = frameworks.iter().map(|framework| seen.old_framework(framework, &tasks));
            json!({ "frameworks": listed(frameworks.collect()), "completed_frameworks": [], "unregistered_frameworks": [] })
        }
        Look::State | Look::Summary => whole(mesos, who).await?,
    };
    Ok(answer::value(&value))
}

async fn whole(mesos: &Mesos, who: &Principal) -> Result<Value, Status> {
    let (seen, master) = (mesos.seen(), &mesos.0.master);
    let (agents, frameworks, tasks) = (mesos.agents(who).await?, mesos.frameworks(who).await?, mesos.tasks(who).await?);
    let active = agents.iter().filter(|agent| agent.connected).count();
    Ok(json!({
        "version": VERSION,
        "id": master.id,
        "pid": master.pid,
        "hostname": master.hostname,
        "leader": master.pid,
        "leader_info": master,
        "cluster": haggle_core::ClusterId(mesos.0.handle.reign().cluster.0).to_string(),
        "activated_slaves": active,
        "deactivated_slaves": agents.len() - active,
        "slaves": agents.iter().map(|agent| seen.old_agent(agent)).collect::<Vec<_>>(),
        "frameworks": frameworks.iter().map(|framework| seen.old_framework(framework, &tasks)).collect::<Vec<_>>(),
        "completed_frameworks": [], "orphan_tasks": [], "unregistered_frameworks": [], "flags": {},
    }))
}
