//! Answers the master's questions for the output of tasks.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::TaskId;
use haggle_executor::Stream;
use haggle_proto::outbox::Outbox;
use haggle_proto::v1;
use haggle_proto::v1::agent_report::Report;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::logs::Logs;

/// How long a question that waits may stay open; the contract of `ReadLogOrder`.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Questions open at once. Each may hold a chunk; beyond these, the answer is an error and the asker comes back.
const OPEN_MAX: usize = 1024;

/// Reads logs in the background.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    logs: Arc<Logs>,
    runtime: Handle,
    permits: Arc<Semaphore>,
}

impl Reads {
    pub(crate) fn new(logs: Arc<Logs>, runtime: Handle) -> Self {
        Self { logs, runtime, permits: Arc::new(Semaphore::new(OPEN_MAX)) }
    }

    /// Answers on `answers`, soon, with exactly one chunk.
    pub(crate) fn answer(&self, order: v1::ReadLogOrder, answers: Outbox<v1::AgentReport>) {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            let busy = failure(order.request, format!("the agent is answering {OPEN_MAX} other questions for output"));
            // When this finds no room either, the link is cut, and every question with it.
            let _ = answers.push(busy);
            return;
        };
        let logs = Arc::clone(&self.logs);
        self.runtime.spawn(async move {
            let answer = read(&logs, &order).await.unwrap_or_else(|error| failure(order.request, error));
            // A link that was lost has nobody who waits for this.
            let _ = answers.push(answer);
            drop(permit);
        });
    }
}

async fn read(logs: &Logs, order: &v1::ReadLogOrder) -> Result<v1::AgentReport, String> {
    let task: TaskId = order.task.ok_or("the question names no task")?.into();
    let stream = match order.stream() {
        v1::OutputStream::Stdout => Stream::Stdout,
        v1::OutputStream::Stderr => Stream::Stderr,
        v1::OutputStream::Unspecified => return Err("the question names neither stdout nor stderr".to_owned()),
    };
    let piece = if order.wait {
        logs.read_when_there(task, stream, order.offset, Instant::now() + WAIT_MAX).await
    } else {
        logs.read(task, stream, order.offset).await
    };
    let piece = piece.map_err(|error| error.to_string())?;
    Ok(report(v1::LogChunk {
        request: order.request,
        offset: piece.offset,
        data: piece.data,
        end: piece.end,
        error: String::new(),
    }))
}

fn failure(request: u64, error: String) -> v1::AgentReport {
    report(v1::LogChunk { request, error, ..v1::LogChunk::default() })
}

fn report(chunk: v1::LogChunk) -> v1::AgentReport {
    v1::AgentReport { report: Some(Report::Log(chunk)) }
}
