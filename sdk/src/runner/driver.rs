//! Carries what is heard to a runner's state, and what that decides to the master.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, OptionFuture};
use haggle_core::cluster::{AgentView, FrameworkInfo};
use haggle_core::{FrameworkId, Now, TraceContext, Want};
use tokio::time::{Instant, sleep_until};

use super::RunError;
use super::state::{News, Policy, RunnerState};
use crate::client::Client;
use crate::error::CallError;
use crate::events::{Event, Events};
use crate::framework::Framework;
use crate::task::Task;

/// Messages taken in before the next decision, as long as they are there already: one answer to all of them.
const MESSAGES_AT_ONCE: usize = 64;

/// One framework and what it knows.
pub(super) struct Driver {
    client: Client,
    framework: Framework,
    events: Events,
    state: RunnerState,
    started: Instant,
    survey: Option<BoxFuture<'static, Result<Vec<AgentView>, CallError>>>,
    /// The span that this program runs in: its tasks join that trace.
    caller: Option<TraceContext>,
}

impl Driver {
    pub(super) async fn join(
        client: &Client,
        info: FrameworkInfo,
        agents: Vec<AgentView>,
        policy: Policy,
        wants: Vec<Want>,
    ) -> Result<Self, RunError> {
        let (framework, events) = Framework::connect_wanting(client, info, wants.clone()).await?;
        let state = RunnerState::new(framework.id(), agents, policy, wants);
        let (started, caller) = (Instant::now(), crate::caller());
        Ok(Self { client: client.clone(), framework, events, state, started, survey: None, caller })
    }

    pub(super) fn framework(&self) -> FrameworkId {
        self.framework.id()
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn submit(&mut self, index: u64, task: Task) {
        let task = match self.caller {
            Some(caller) => task.called_by(caller),
            None => task,
        };
        self.state.submit(self.now(), index, task);
    }

    pub(super) fn state(&mut self) -> &mut RunnerState {
        &mut self.state
    }

    /// Decides, says what there is to say to the master, and returns the news. Never waits: room in a queue that only
    /// empties while events are read would never come.
    pub(super) fn flush(&mut self) -> Result<Vec<News>, RunError> {
        let decisions = self.state.decide(self.now());
        for command in decisions.commands {
            self.framework.say_now(command).map_err(|_| RunError::Over)?;
        }
        if decisions.survey {
            let client = self.client.clone();
            self.survey = Some(async move { client.agents().await }.boxed());
        }
        Ok(decisions.news)
    }

    /// Waits until there is something to decide. May be dropped at any time: nothing is lost.
    pub(super) async fn wait(&mut self) -> Result<(), RunError> {
        let deadline = self.state.deadline().map(|at| self.started + at.since(Now::ZERO));
        let due = OptionFuture::from(deadline.map(sleep_until));
        tokio::select! {
            batch = self.events.next_batch() => self.hear(batch)?,
            Some(agents) = OptionFuture::from(self.survey.as_mut()) => {
                self.survey = None;
                let now = self.now();
                self.state.surveyed(now, agents.ok());
            }
            Some(()) = due => {}
        }
        Ok(())
    }

    /// Leaves the master for good, with whatever still runs.
    pub(super) async fn leave(self) {
        // A session that is over has been left already.
        let _ = self.framework.teardown(self.events).await;
    }

    fn hear<B: IntoIterator<Item = Event>>(&mut self, first: Option<B>) -> Result<(), RunError> {
        let now = self.now();
        for event in first.ok_or(RunError::Over)? {
            self.hear_one(now, event)?;
        }
        for _ in 1..MESSAGES_AT_ONCE {
            // The end of the stream is seen by the next wait.
            let Some(Some(batch)) = self.events.next_batch().now_or_never() else { break };
            for event in batch {
                self.hear_one(now, event)?;
            }
        }
        Ok(())
    }

    fn hear_one(&mut self, now: Now, event: Event) -> Result<(), RunError> {
        match event {
            Event::Error(why) => Err(RunError::Master(why)),
            event => {
                self.state.hear(now, event);
                Ok(())
            }
        }
    }

    fn now(&self) -> Now {
        Now::ZERO + self.started.elapsed()
    }
}
