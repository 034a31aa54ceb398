//! Asks agents for pieces of tasks' output and for what tasks use, and brings each answer to who asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use haggle_core::{SessionId, TaskId, Usage};
use haggle_proto::{LOG_CHUNK, v1};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::Status;

use crate::agent_mail::AgentMail;
use crate::outbox::Outbox;

/// Questions that one agent may have open: each may bring a [`LOG_CHUNK`] into memory.
const OPEN_MAX: usize = 256;

/// An agent answers within 10 s, also when it waits for output. Twice that is silence.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// The agent's connection is lost.
    #[error("the task's agent is not connected, and its output is there")]
    Disconnected,
    /// Too many ask.
    #[error("{OPEN_MAX} questions to the task's agent are open, more are not taken")]
    TooMany,
    /// The agent does not answer.
    #[error("the task's agent did not answer within {} s", ANSWER_WITHIN.as_secs())]
    Silent,
}

impl From<NoAnswer> for Status {
    fn from(no_answer: NoAnswer) -> Self {
        let message = no_answer.to_string();
        match no_answer {
            NoAnswer::Disconnected => Self::unavailable(message),
            NoAnswer::TooMany => Self::resource_exhausted(message),
            NoAnswer::Silent => Self::deadline_exceeded(message),
        }
    }
}

/// Open questions, by agent.
#[derive(Default)]
pub(crate) struct LogRelay {
    agents: Mutex<HashMap<SessionId, Line>>,
    last_request: AtomicU64,
}

struct Line {
    outbox: Outbox<AgentMail>,
    open: HashMap<u64, Asked>,
}

/// Where an answer goes.
enum Asked {
    Log(oneshot::Sender<v1::LogChunk>),
    Usage(oneshot::Sender<Option<Usage>>),
}

impl LogRelay {
    /// An agent can be asked from now on.
    pub(crate) fn joined(&self, session: SessionId, outbox: Outbox<AgentMail>) {
        self.lock().insert(session, Line { outbox, open: HashMap::new() });
    }

    /// An agent's connection is lost, and with it every answer.
    pub(crate) fn left(&self, session: SessionId) {
        self.lock().remove(&session);
    }

    /// An agent answers. An answer that nobody waits for any more is dropped.
    pub(crate) fn answered(&self, session: SessionId, chunk: v1::LogChunk) {
        if let Some(Asked::Log(asked)) = self.close(session, chunk.request) {
            let _ = asked.send(checked(chunk));
        }
    }

    /// The same, of what a task uses.
    pub(crate) fn told_usage(&self, session: SessionId, told: v1::UsageSoFar) {
        if let Some(Asked::Usage(asked)) = self.close(session, told.request) {
            let _ = asked.send(told.usage.map(Usage::from));
        }
    }

    fn close(&self, session: SessionId, request: u64) -> Option<Asked> {
        self.lock().get_mut(&session)?.open.remove(&request)
    }

    /// Asks the agent behind `session`. The request's number is given here.
    pub(crate) async fn ask(&self, session: SessionId, order: v1::ReadLogOrder) -> Result<v1::LogChunk, NoAnswer> {
        let (asked, heard) = oneshot::channel();
        let mail = |request| AgentMail::ReadLog(v1::ReadLogOrder { request, ..order });
        let request = self.send(session, Asked::Log(asked), mail)?;
        self.wait(session, request, heard).await
    }

    /// Asks the agent behind `session` what a task has used so far; `None`: it does not know, or does not run it any more.
    pub(crate) async fn ask_usage(&self, session: SessionId, task: TaskId) -> Result<Option<Usage>, NoAnswer> {
        let (asked, heard) = oneshot::channel();
        let mail = |request| AgentMail::ReadUsage(v1::ReadUsageOrder { request, task: Some(task.into()) });
        let request = self.send(session, Asked::Usage(asked), mail)?;
        self.wait(session, request, heard).await
    }

    async fn wait<T>(&self, session: SessionId, request: u64, heard: oneshot::Receiver<T>) -> Result<T, NoAnswer> {
        // Also when whoever asks goes away while waiting.
        let _open = Open { relay: self, session, request };
        match timeout(ANSWER_WITHIN, heard).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(NoAnswer::Disconnected),
            Err(_) => Err(NoAnswer::Silent),
        }
    }

    fn send(&self, session: SessionId, asked: Asked, mail: impl FnOnce(u64) -> AgentMail) -> Result<u64, NoAnswer> {
        let mut agents = self.lock();
        let line = agents.get_mut(&session).ok_or(NoAnswer::Disconnected)?;
        if line.open.len() >= OPEN_MAX {
            return Err(NoAnswer::TooMany);
        }
        let request = self.last_request.fetch_add(1, Ordering::Relaxed) + 1;
        line.open.insert(request, asked);
        line.outbox.put(&mut vec![mail(request)]).map_err(|_| NoAnswer::Disconnected)?;
        Ok(request)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Line>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer waits in memory until it is read, so one that is too large is not kept.
fn checked(chunk: v1::LogChunk) -> v1::LogChunk {
    if chunk.data.len() <= LOG_CHUNK {
        return chunk;
    }
    let error = format!("the agent answered with {} bytes at once, at most {LOG_CHUNK} are taken", chunk.data.len());
    v1::LogChunk { data: Default::default(), error, ..chunk }
}

struct Open<'a> {
    relay: &'a LogRelay,
    session: SessionId,
    request: u64,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(line) = self.relay.lock().get_mut(&self.session) {
            line.open.remove(&self.request);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;
    use crate::outbox::{Mail, outbox};

    const AGENT: SessionId = SessionId(7);

    fn relay_with_agent() -> (LogRelay, Mail<AgentMail>) {
        let (relay, (outbox, mail)) = (LogRelay::default(), outbox());
        relay.joined(AGENT, outbox);
        (relay, mail)
    }

    #[tokio::test]
    async fn each_answer_reaches_who_asked() {
        let (relay, mut mail) = relay_with_agent();

        let first = relay.ask(AGENT, v1::ReadLogOrder { offset: 11, ..Default::default() });
        let second = relay.ask(AGENT, v1::ReadLogOrder { offset: 22, ..Default::default() });
        let agent = async {
            let asked = mail.next().await.unwrap().unwrap();
            for question in asked.into_iter().rev() {
                let AgentMail::ReadLog(order) = question else { panic!("{question:?}") };
                let answer = v1::LogChunk { request: order.request, offset: order.offset, ..Default::default() };
                relay.answered(AGENT, answer);
            }
        };
        let (first, second, ()) = tokio::join!(first, second, agent);

        assert_eq!((first.unwrap().offset, second.unwrap().offset), (11, 22));
    }

    #[tokio::test]
    async fn an_answer_of_another_kind_is_none() {
        let (relay, mut mail) = relay_with_agent();
        let task = TaskId { framework: haggle_core::FrameworkId(1), number: 2 };

        let question = relay.ask_usage(AGENT, task);
        let agent = async {
            let asked = mail.next().await.unwrap().unwrap();
            let [AgentMail::ReadUsage(order)] = asked.as_slice() else { panic!("{asked:?}") };
            let usage = Some(v1::Usage { cpu_ns: 5, ..v1::Usage::default() });
            relay.told_usage(AGENT, v1::UsageSoFar { request: order.request + 1, usage });
            relay.told_usage(AGENT, v1::UsageSoFar { request: order.request, usage });
        };
        let (answer, ()) = tokio::join!(question, agent);

        assert_eq!(answer.unwrap().unwrap().cpu, Duration::from_nanos(5));
        let wrong = relay.ask_usage(AGENT, task);
        let agent = async {
            let asked = mail.next().await.unwrap().unwrap();
            let [AgentMail::ReadUsage(order)] = asked.as_slice() else { panic!("{asked:?}") };
            relay.answered(AGENT, v1::LogChunk { request: order.request, ..v1::LogChunk::default() });
        };
        let (answer, ()) = tokio::join!(wrong, agent);
        assert_eq!(answer, Err(NoAnswer::Disconnected));
    }

    #[tokio::test]
    async fn an_answer_that_is_too_large_is_told_instead_of_kept() {
        let (relay, mut mail) = relay_with_agent();

        let question = relay.ask(AGENT, v1::ReadLogOrder::default());
        let agent = async {
            let asked = mail.next().await.unwrap().unwrap();
            let [AgentMail::ReadLog(order)] = asked.as_slice() else { panic!("{asked:?}") };
            let data = vec![0; LOG_CHUNK + 1].into();
            relay.answered(AGENT, v1::LogChunk { request: order.request, data, ..Default::default() });
        };
        let (answer, ()) = tokio::join!(question, agent);

        let answer = answer.unwrap();
        assert!(answer.data.is_empty() && answer.error.contains("at most 65536"), "{}", answer.error);
    }

    #[tokio::test]
    async fn an_agent_that_leaves_takes_its_answers_along() {
        let (relay, mut mail) = relay_with_agent();

        let question = relay.ask(AGENT, v1::ReadLogOrder::default());
        let agent = async {
            mail.next().await.unwrap().unwrap();
            relay.left(AGENT);
        };
        let (answer, ()) = tokio::join!(question, agent);

        assert_eq!(answer, Err(NoAnswer::Disconnected));
    }

    #[tokio::test]
    async fn questions_that_nobody_waits_for_make_room_again() {
        let (relay, _mail) = relay_with_agent();
        let mut open: Vec<_> = (0..OPEN_MAX).map(|_| Box::pin(relay.ask(AGENT, v1::ReadLogOrder::default()))).collect();
        assert!(open.iter_mut().all(|question| question.now_or_never().is_none()));

        let one_more = relay.ask(AGENT, v1::ReadLogOrder::default()).await;
        assert_eq!(one_more, Err(NoAnswer::TooMany));

        open.clear();
        assert_eq!(relay.ask(AGENT, v1::ReadLogOrder::default()).now_or_never(), None);
    }
}
