//! What a task has used so far, asked of its agent while somebody looks.

use std::time::Duration;

use haggle_core::access::{Principal, Verb};
use haggle_core::cluster::{Cluster, TaskView};
use haggle_core::{SessionId, TaskId, TaskState, Usage};
use haggle_pages::record::UsageRecord;
use serde_json::json;
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::Response;

use super::{Pages, answer};

/// How long it is waited for: an agent that lives answers within milliseconds.
const WITHIN: Duration = Duration::from_secs(2);

impl Pages {
    /// As data, for a plot: what it has used, whether it is over, and how much of a processor it was given.
    ///
    /// # Errors
    /// `NOT_FOUND` when it is not there or not for `who` to see.
    pub(super) async fn usage(&self, id: TaskId, who: &Principal) -> Result<Response<Body>, Status> {
        let _place = self.handle.house().list()?;
        let of = who.clone();
        let look = move |cluster: &Cluster, _| {
            let task = cluster.task_for(&of, Verb::ListTasks, id)?;
            let session = cluster.session_of_agent(task.agent);
            Some((task, session))
        };
        let found = self.handle.ask(look).await?;
        let (task, session) = found.ok_or_else(|| Status::not_found(format!("there is no {id}")))?;
        let usage = match task.status.usage {
            Some(usage) => Some(usage),
            None => self.usage_so_far(&task, session).await,
        };
        Ok(answer::json(&json!({
            "usage": usage.map(UsageRecord::from),
            "is_over": task.status.state.is_terminal(),
            "cpus": task.resources.cpus.as_cores(),
        })))
    }

    /// Of a task that runs; `None` where nobody can tell in time.
    pub(super) async fn usage_so_far(&self, task: &TaskView, agent: Option<SessionId>) -> Option<Usage> {
        let runs = matches!(task.status.state, TaskState::Running | TaskState::Killing) && !task.is_allocation;
        let asked = self.logs.ask_usage(agent.filter(|_| runs)?, task.id);
        timeout(WITHIN, asked).await.ok()?.ok()?
    }
}
