//! What can be done on a page: each is a command of the operator API, decided by the cluster like any other.

use std::time::Duration;

use haggle_core::cluster::OperatorCommand;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::Response;
use tonic::codegen::http::request::Parts;

use super::Pages;
use super::answer::{Form, json, see_other};
use super::route::Act;
use crate::access::{Caller, status_of};
use crate::driver::object_of;

/// How long the tasks of an agent may still run that is drained on a page.
const GRACE: Duration = Duration::from_secs(10 * 60);

impl Pages {
    /// Does it, and leads back to the page that it was done on.
    pub(super) async fn act(&self, act: Act, caller: &Caller, head: &Parts) -> Result<Response<Body>, Status> {
        let (command, page) = match act {
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
}
