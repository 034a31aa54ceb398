//! A task's output as a stream, pulled piece by piece from its agent.

use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::try_unfold;
use haggle_core::access::{Principal, Verb};
use haggle_core::cluster::{Cluster, Refusal};
use haggle_core::{SessionId, TaskId};
use haggle_proto::v1;
use tonic::Status;

use crate::handle::Handle;
use crate::logs::LogRelay;

/// Reads on from `request.offset`: to what there is now, or with `follow` to the task's end. No piece is asked
/// for before the one before it was sent.
pub(crate) fn stream(
    logs: Arc<LogRelay>,
    agent: SessionId,
    request: v1::ReadLogRequest,
) -> impl Stream<Item = Result<v1::LogData, Status>> + use<> {
    let reader = Reader { logs, agent, offset: request.offset, request, done: false };
    try_unfold(reader, |mut reader| async { Ok(reader.next().await?.map(|data| (data, reader))) })
}

/// The session of the agent that has or had the task, if that is one whose output `who` may read.
///
/// # Errors
/// `NOT_FOUND` when it is not, `UNAVAILABLE` when that agent is not connected.
pub(crate) async fn agent_of(handle: &Handle, task: TaskId, who: Principal) -> Result<SessionId, Status> {
    let find = move |cluster: &Cluster, _| {
        let agent = cluster.task_for(&who, Verb::ReadLog, task).map(|task| task.agent);
        agent.map(|agent| (agent, cluster.session_of_agent(agent)))
    };
    match handle.ask(find).await? {
        None => Err(Status::not_found(Refusal::TaskUnknown(task).to_string())),
        Some((agent, None)) => {
            Err(Status::unavailable(format!("the output of {task} is on {agent}, which is not connected")))
        }
        Some((_, Some(session))) => Ok(session),
    }
}

struct Reader {
    logs: Arc<LogRelay>,
    agent: SessionId,
    request: v1::ReadLogRequest,
    /// Everything before it was sent.
    offset: u64,
    done: bool,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<v1::LogData>, Status> {
        while !self.done {
            let order = v1::ReadLogOrder {
                request: 0,
                task: self.request.task,
                stream: self.request.stream,
                offset: self.offset,
                wait: self.request.follow,
            };
            let v1::LogChunk { offset, data, end, error, .. } = self.logs.ask(self.agent, order).await?;
            if !error.is_empty() {
                return Err(Status::not_found(error));
            }
            if offset < self.offset {
                return Err(Status::internal(format!(
                    "the agent answered with output from {offset}, asked was {}",
                    self.offset
                )));
            }
            self.done = end || (data.is_empty() && !self.request.follow);
            self.offset = offset + data.len() as u64;
            if !data.is_empty() {
                return Ok(Some(v1::LogData { offset, data }));
            }
        }
        Ok(None)
    }
}
