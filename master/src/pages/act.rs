//! What can be done on a page: each is a command of the operator API, decided by the cluster like any other.

use std::time::Duration;

use haggle_core::TaskId;
use haggle_core::cluster::OperatorCommand;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::Response;
use tonic::codegen::http::request::Parts;

use super::Pages;
use super::answer::{Form, json, see_other};
use super::route::Act;
use crate::access::{Caller, status_of};
use crate::again::Begun;
use crate::driver::object_of;

/// How long the tasks of an agent may still run that is drained on a page.
const GRACE: Duration = Duration::from_secs(10 * 60);

impl Pages {
    /// Does it, and leads back to the page that it was done on.
    pub(super) async fn act(&self, act: Act, caller: &Caller, head: &Parts) -> Result<Response<Body>, Status> {
        let (command, page) = match act {
            Act::Again(task) => return self.run_again(task, caller, head).await,
            Act::Kill(task) => (OperatorCommand::KillTask(task), format!("/tasks/{task}")),
            Act::Deactivate(agent) => (OperatorCommand::Deactivate(agent), format!("/agents/{agent}")),
            Act::Drain(agent) => {
                (OperatorCommand::Drain { agent, grace: GRACE, mark_gone: false }, format!("/agents/{agent}"))
            }
            Act::Reactivate(agent) => (OperatorCommand::Reactivate(agent), format!("/agents/{agent}")),
            Act::Revoke(token) => (OperatorCommand::RevokeToken(token), "/tokens".to_owned()),
        };
        caller.about(object_of(&command));
        let decided = self.handle.decide(caller.principal()?.clone(), None, command).await?;
        decided.map_err(|refusal| status_of(&refusal))?;
        Ok(match Form::of(head) {
            Form::Json => json(&serde_json::json!({ "done": true })),
            Form::Html | Form::Stream => see_other(&page),
        })
    }

    /// Leads to the new task, or while that waits for room to its framework, which says why.
    async fn run_again(&self, task: TaskId, caller: &Caller, head: &Parts) -> Result<Response<Body>, Status> {
        let Begun { framework, task } = self.again.run(caller, task, None).await?;
        let page = task.map_or_else(|| format!("/frameworks/{framework}"), |task| format!("/tasks/{task}"));
        Ok(match Form::of(head) {
            Form::Json => {
                let task = task.map(|task| task.to_string());
                json(&serde_json::json!({ "framework": framework.to_string(), "task": task }))
            }
            Form::Html | Form::Stream => see_other(&page),
        })
    }
}
