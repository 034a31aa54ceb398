//! What people and their tools ask.

use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, try_unfold};
use haggle_core::cluster::{Cluster, Command, Refusal};
use haggle_core::{SessionId, TaskId};
use haggle_proto::v1;
use haggle_proto::v1::OutputStream;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tonic::{Request, Response, Status};

use super::read_log;
use crate::handle::{Handle, Happening};
use crate::logs::LogRelay;

pub(super) struct Operator {
    handle: Handle,
    logs: Arc<LogRelay>,
    started: Instant,
}

impl Operator {
    pub(super) fn new(handle: Handle, logs: Arc<LogRelay>, started: Instant) -> Self {
        Self { handle, logs, started }
    }

    /// Views, copied on the driver's thread and translated on this one.
    async fn list<V: Send + 'static, W: From<V>>(
        &self,
        views: impl FnOnce(&Cluster) -> Vec<V> + Send + 'static,
    ) -> Result<Vec<W>, Status> {
        Ok(self.handle.ask(views).await?.into_iter().map(W::from).collect())
    }
}

#[tonic::async_trait]
impl v1::operator_server::Operator for Operator {
    type WatchStream = BoxStream<'static, Result<v1::WatchEvent, Status>>;
    type ReadLogStream = BoxStream<'static, Result<v1::LogData, Status>>;

    async fn get_master(&self, _: Request<v1::GetMasterRequest>) -> Result<Response<v1::MasterInfo>, Status> {
        let uptime_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Response::new(v1::MasterInfo { version: env!("CARGO_PKG_VERSION").to_owned(), uptime_ms }))
    }

    async fn list_agents(&self, _: Request<v1::ListAgentsRequest>) -> Result<Response<v1::ListAgentsResponse>, Status> {
        Ok(Response::new(v1::ListAgentsResponse { agents: self.list(Cluster::agents).await? }))
    }

    async fn list_frameworks(
        &self,
        _: Request<v1::ListFrameworksRequest>,
    ) -> Result<Response<v1::ListFrameworksResponse>, Status> {
        Ok(Response::new(v1::ListFrameworksResponse { frameworks: self.list(Cluster::frameworks).await? }))
    }

    async fn list_roles(&self, _: Request<v1::ListRolesRequest>) -> Result<Response<v1::ListRolesResponse>, Status> {
        Ok(Response::new(v1::ListRolesResponse { roles: self.list(Cluster::roles).await? }))
    }

    async fn list_offers(&self, _: Request<v1::ListOffersRequest>) -> Result<Response<v1::ListOffersResponse>, Status> {
        Ok(Response::new(v1::ListOffersResponse { offers: self.list(Cluster::offers).await? }))
    }

    async fn list_tasks(
        &self,
        request: Request<v1::ListTasksRequest>,
    ) -> Result<Response<v1::ListTasksResponse>, Status> {
        let v1::ListTasksRequest { ended, only } = request.into_inner();
        let only = only.map(TaskId::from);
        let views = move |cluster: &Cluster| {
            let mut tasks = match only {
                Some(only) => cluster.task(only).into_iter().collect(),
                None => cluster.tasks(),
            };
            tasks.retain(|task| ended || !task.status.state.is_terminal());
            tasks
        };
        Ok(Response::new(v1::ListTasksResponse { tasks: self.list(views).await? }))
    }

    async fn watch(&self, _: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(watch(self.handle.watch()?)))
    }

    async fn kill_task(&self, request: Request<v1::KillTaskRequest>) -> Result<Response<v1::KillTaskResponse>, Status> {
        let task = named_task(request.into_inner().task)?;
        match self.handle.decide(Command::KillTask(task)).await? {
            Ok(()) => Ok(Response::new(v1::KillTaskResponse {})),
            Err(refusal @ Refusal::TaskUnknown(_)) => Err(Status::not_found(refusal.to_string())),
            Err(refusal) => Err(Status::failed_precondition(refusal.to_string())),
        }
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
    use haggle_core::AgentId;
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
