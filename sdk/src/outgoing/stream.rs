//! One session's outgoing stream: everything that is queued goes in one message.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use haggle_core::cluster::{FrameworkCall, FrameworkCommand};
use haggle_proto::{MESSAGE_MAX, v1};
use tokio::time::{Instant, Sleep, sleep};

use super::{Queue, State, command_size};

/// Calls in one message. Above this, latency grows and throughput no longer does.
const BATCH_MAX: usize = 256;

/// A message is closed once it holds this much, so that one more call cannot take it over [`MESSAGE_MAX`].
const MESSAGE_FULL: usize = MESSAGE_MAX / 4;

/// How long acknowledgements wait for another call to go along with: a message of their own costs everybody on the way as
/// much as a launch. Agents repeat what is not acknowledged after a second.
pub(super) const COMPANY_WAIT: Duration = Duration::from_millis(2);

/// The stream of a session. Its first message is the opening; the next one follows when the master has admitted the
/// framework.
pub(crate) struct CallStream {
    queue: Arc<Queue>,
    session: u64,
    opening: Vec<FrameworkCommand>,
    torn_down: bool,
    /// Runs while the queue counts on it, see [`State::looks_again`].
    look: Option<Pin<Box<Sleep>>>,
}

impl CallStream {
    /// Begins the next session, whose first message is `opening` and which offers are wanted.
    pub(crate) fn begin(queue: &Arc<Queue>, mut opening: Vec<FrameworkCommand>) -> Self {
        let (session, wishes) = queue.begin();
        opening.extend(wishes);
        Self { queue: Arc::clone(queue), session, opening, torn_down: false, look: None }
    }
}

/// Ends a session that no master admits, even if the wait for it is given up half way.
pub(crate) struct Attempt {
    queue: Arc<Queue>,
    session: u64,
    is_admitted: bool,
}

impl Attempt {
    pub(crate) fn at(calls: &CallStream) -> Self {
        Self { queue: Arc::clone(&calls.queue), session: calls.session, is_admitted: false }
    }

    pub(crate) fn admitted(mut self) {
        self.is_admitted = true;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.is_admitted {
            self.queue.lost(self.session);
        }
    }
}

impl Drop for CallStream {
    fn drop(&mut self) {
        self.queue.lost(self.session);
    }
}

impl Stream for CallStream {
    type Item = v1::FrameworkCalls;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let mut state = this.queue.locked();
        if this.torn_down || state.session != this.session || state.closed {
            return Poll::Ready(None);
        }
        if !this.opening.is_empty() {
            let opening = std::mem::take(&mut this.opening).into_iter().map(FrameworkCall::from);
            return Poll::Ready(Some(v1::FrameworkCalls { calls: opening.map(Into::into).collect() }));
        }
        let is_time = state.looks_again && this.look.as_mut().is_none_or(|look| look.as_mut().poll(cx).is_ready());
        state.looks_again &= !is_time;
        if !state.admitted || state.is_empty() {
            if state.admitted && state.deserted {
                return Poll::Ready(None);
            }
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if !is_time && state.waits_for_company() {
            if !state.looks_again {
                let look = this.look.get_or_insert_with(|| Box::pin(sleep(COMPANY_WAIT)));
                look.as_mut().reset(Instant::now() + COMPANY_WAIT);
                // It wakes this task from now on.
                state.looks_again = look.as_mut().poll(cx).is_pending();
            }
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        let calls = this.queue.take(this.session);
        this.torn_down = calls.last().is_some_and(|call| call.command == FrameworkCommand::Teardown);
        Poll::Ready(Some(v1::FrameworkCalls { calls: calls.into_iter().map(Into::into).collect() }))
    }
}

/// Takes what fits into one message. Nothing follows a teardown.
pub(super) fn one_message(state: &mut State) -> Vec<FrameworkCall> {
    let mut size = 0;
    let mut calls = Vec::new();
    while calls.len() < BATCH_MAX && size < MESSAGE_FULL {
        let Some(call) = state.next() else { break };
        size += command_size(&call.command);
        let is_last = call.command == FrameworkCommand::Teardown;
        calls.push(call);
        if is_last {
            break;
        }
    }
    calls
}
