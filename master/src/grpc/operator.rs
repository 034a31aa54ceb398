//! What people and their tools ask.

use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, try_unfold};
use haggle_core::cluster::{Cluster, OperatorCommand, Refusal, TaskView};
use haggle_core::{AgentId, SessionId, TaskId};
use haggle_proto::convert::request_id;
use haggle_proto::v1;
use haggle_proto::v1::OutputStream;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tonic::{Request, Response, Status};

use super::lists::{Lists, PAGE, by_id};
use super::read_log;
use crate::handle::{Handle, Happening};
use crate::logs::LogRelay;

pub(super) struct Operator {
    handle: Handle,
    lists: Lists,
    logs: Arc<LogRelay>,
    started: Instant,
}

impl Operator {
    pub(super) fn new(handle: Handle, logs: Arc<LogRelay>, started: Instant) -> Self {
        Self { lists: Lists::new(handle.clone()), handle, logs, started }
    }

    /// Has a request decided. Made again, it has the same answer.
    async fn decide(&self, request: &[u8], command: OperatorCommand) -> Result<(), Status> {
        let request = request_id(request)?;
        match self.handle.decide(request, command).await? {
            Ok(()) => Ok(()),
            Err(refusal @ (Refusal::TaskUnknown(_) | Refusal::AgentUnknown(_))) => {
                Err(Status::not_found(refusal.to_string()))
            }
            Err(refusal) => Err(Status::failed_precondition(refusal.to_string())),
        }
    }
}

/// A list on its way to an operator.
type List<M> = BoxStream<'static, Result<M, Status>>;

#[tonic::async_trait]
impl v1::operator_server::Operator for Operator {
    type ListAgentsStream = List<v1::ListAgentsResponse>;
    type ListFrameworksStream = List<v1::ListFrameworksResponse>;
    type ListRolesStream = List<v1::ListRolesResponse>;
    type ListOffersStream = List<v1::ListOffersResponse>;
    type ListTasksStream = List<v1::ListTasksResponse>;
    type WatchStream = BoxStream<'static, Result<v1::WatchEvent, Status>>;
    type ReadLogStream = BoxStream<'static, Result<v1::LogData, Status>>;

    async fn get_master(&self, _: Request<v1::GetMasterRequest>) -> Result<Response<v1::MasterInfo>, Status> {
        let reign = self.handle.reign();
        Ok(Response::new(v1::MasterInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            cluster: reign.cluster.0.to_be_bytes().to_vec(),
            epoch: reign.epoch.0,
        }))
    }

    async fn list_agents(&self, _: Request<v1::ListAgentsRequest>) -> Result<Response<Self::ListAgentsStream>, Status> {
        let page = |cluster: &Cluster, after| by_id(cluster.agents_after(after), |agent| agent.id);
        let message = |agents| v1::ListAgentsResponse { agents };
        Ok(Response::new(self.lists.stream(page, message)?))
    }

    async fn list_frameworks(
        &self,
        _: Request<v1::ListFrameworksRequest>,
    ) -> Result<Response<Self::ListFrameworksStream>, Status> {
        let page = |cluster: &Cluster, after| by_id(cluster.frameworks_after(after), |framework| framework.id);
        let message = |frameworks| v1::ListFrameworksResponse { frameworks };
        Ok(Response::new(self.lists.stream(page, message)?))
    }

    async fn list_roles(&self, _: Request<v1::ListRolesRequest>) -> Result<Response<Self::ListRolesStream>, Status> {
        let page = |cluster: &Cluster, after: Option<String>| {
            by_id(cluster.roles_after(after.as_deref()), |role| role.name.clone())
        };
        let message = |roles| v1::ListRolesResponse { roles };
        Ok(Response::new(self.lists.stream(page, message)?))
    }

    async fn list_offers(&self, _: Request<v1::ListOffersRequest>) -> Result<Response<Self::ListOffersStream>, Status> {
        let page = |cluster: &Cluster, after| by_id(cluster.offers_after(after), |offer| offer.id);
        let message = |offers| v1::ListOffersResponse { offers };
        Ok(Response::new(self.lists.stream(page, message)?))
    }

    async fn list_tasks(
        &self,
        request: Request<v1::ListTasksRequest>,
    ) -> Result<Response<Self::ListTasksStream>, Status> {
        let v1::ListTasksRequest { ended, only } = request.into_inner();
        let only = only.map(TaskId::from);
        let page = move |cluster: &Cluster, after| match only {
            Some(only) => {
                let wanted = |task: &TaskView| ended || !task.status.state.is_terminal();
                (cluster.task(only).filter(wanted).into_iter().collect(), None)
            }
            None => cluster.tasks_page(after, ended, PAGE),
        };
        let message = |tasks| v1::ListTasksResponse { tasks };
        Ok(Response::new(self.lists.stream(page, message)?))
    }

    async fn watch(&self, _: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(watch(self.handle.watch()?)))
    }

    async fn kill_task(&self, request: Request<v1::KillTaskRequest>) -> Result<Response<v1::KillTaskResponse>, Status> {
        let v1::KillTaskRequest { task, request } = request.into_inner();
        self.decide(&request, OperatorCommand::KillTask(named_task(task)?)).await?;
        Ok(Response::new(v1::KillTaskResponse {}))
    }

    async fn mark_agent_gone(
        &self,
        request: Request<v1::MarkAgentGoneRequest>,
    ) -> Result<Response<v1::MarkAgentGoneResponse>, Status> {
        let v1::MarkAgentGoneRequest { agent, request } = request.into_inner();
        self.decide(&request, OperatorCommand::AgentGone(AgentId(agent))).await?;
        Ok(Response::new(v1::MarkAgentGoneResponse {}))
    }

    async fn read_log(&self, request: Request<v1::ReadLogRequest>) -> Result<Response<Self::ReadLogStream>, Status> {
        let request = request.into_inner();
        let task = named_task(request.task)?;
        if request.stream() == OutputStream::Unspecified {
            return Err(Status::invalid_argument("stream is missing: standard output or standard error"));
        }
        let agent = self.agent_of(task).await?;
        Ok(Response::new(read_log::stream(Arc::clone(&self.logs), agent, request).boxed()))
    }
}

impl Operator {
    /// The session of the agent that has or had the task.
    async fn agent_of(&self, task: TaskId) -> Result<SessionId, Status> {
        let find = move |cluster: &Cluster| {
            let agent = cluster.task(task).map(|task| task.agent);
            agent.map(|agent| (agent, cluster.session_of_agent(agent)))
        };
        match self.handle.ask(find).await? {
            None => Err(Status::not_found(Refusal::TaskUnknown(task).to_string())),
            Some((agent, None)) => {
                Err(Status::unavailable(format!("the output of {task} is on {agent}, which is not connected")))
            }
            Some((_, Some(session))) => Ok(session),
        }
    }
}

fn named_task(task: Option<v1::TaskId>) -> Result<TaskId, Status> {
    task.map(TaskId::from).ok_or_else(|| Status::invalid_argument("task is missing"))
}

fn watch(happenings: broadcast::Receiver<Happening>) -> BoxStream<'static, Result<v1::WatchEvent, Status>> {
    try_unfold(happenings, |mut happenings| async {
        match happenings.recv().await {
            Ok(Happening { time_ms, what }) => {
                Ok(Some((v1::WatchEvent { time_ms, event: Some(what.into()) }, happenings)))
            }
            Err(RecvError::Closed) => Ok(None),
            Err(RecvError::Lagged(missed)) => {
                Err(Status::resource_exhausted(format!("cut off: fell behind by {missed} events")))
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use haggle_core::cluster::Announcement;
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn a_watcher_that_falls_behind_is_cut_off() {
        let (happenings, watched) = broadcast::channel(2);
        for id in 0..3 {
            happenings.send(Happening { time_ms: 0, what: Announcement::AgentUp(AgentId(id)) }).unwrap();
        }

        let mut events = watch(watched);

        assert_eq!(events.next().await.unwrap().unwrap_err().code(), Code::ResourceExhausted);
        assert!(events.next().await.is_none());
    }
}
