//! One session of a framework, from the side of a played master.

use std::collections::VecDeque;

use haggle_core::cluster::{FrameworkCall, FrameworkCommand, FrameworkEvent};
use haggle_proto::v1;
use haggle_sdk::{AgentId, Epoch, FrameworkId, Offer, OfferId, Source, TaskId, TaskState, TaskStatus, UpdateId};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::{TOO_LONG, member, resources};

/// One session of one framework, from the master's side.
pub(crate) struct Session {
    pub(super) calls: Streaming<v1::FrameworkCalls>,
    pub(super) heard: VecDeque<FrameworkCall>,
    pub(super) events: mpsc::Sender<Result<v1::FrameworkEvents, Status>>,
}

impl Session {
    /// The next thing that the framework says.
    pub(crate) async fn hear(&mut self) -> FrameworkCommand {
        self.hear_call().await.command
    }

    /// The next thing that the framework says, with its number.
    pub(crate) async fn hear_call(&mut self) -> FrameworkCall {
        loop {
            if let Some(call) = self.heard.pop_front() {
                return call;
            }
            let message = timeout(TOO_LONG, self.calls.message()).await.expect("the framework says something");
            let message = message.unwrap().expect("the framework has not left");
            self.heard.extend(message.calls.into_iter().map(|call| FrameworkCall::try_from(call).unwrap()));
        }
    }

    /// The next command that is neither an acknowledgement nor about which offers are wanted.
    pub(crate) async fn hear_deed(&mut self) -> FrameworkCommand {
        loop {
            match self.hear().await {
                FrameworkCommand::Acknowledge(_)
                | FrameworkCommand::Suppress { .. }
                | FrameworkCommand::Revive { .. }
                | FrameworkCommand::Update(_)
                | FrameworkCommand::Demand { .. } => {}
                deed => return deed,
            }
        }
    }

    /// Waits until the framework ends its side.
    pub(crate) async fn until_left(&mut self) {
        let left = async { while let Ok(Some(_)) = self.calls.message().await {} };
        timeout(TOO_LONG, left).await.expect("the framework leaves");
    }

    pub(crate) async fn tell(&self, events: impl IntoIterator<Item = FrameworkEvent>) {
        let events = events.into_iter().map(Into::into).collect();
        self.events.send(Ok(v1::FrameworkEvents { events })).await.unwrap();
    }

    /// Hears the subscription and takes it; as whom the framework comes.
    pub(crate) async fn welcome(&mut self) -> Option<FrameworkId> {
        self.welcome_by(1, 0).await
    }

    /// As [`Self::welcome`], by the master of this epoch, which has heard calls up to `last_call`.
    pub(crate) async fn welcome_by(&mut self, epoch: u64, last_call: u64) -> Option<FrameworkId> {
        let FrameworkCommand::Subscribe { member: back, .. } = self.hear().await else {
            panic!("wanted a subscription first")
        };
        let member = back.unwrap_or(member(1));
        self.tell([FrameworkEvent::Subscribed { member, epoch: Epoch(epoch), last_call }]).await;
        back.map(|member| member.id)
    }

    /// Offers so much of agent-1.
    pub(crate) async fn offer(&self, id: u64, milli: u64) {
        self.tell([FrameworkEvent::Offers(vec![Offer {
            id: OfferId(id),
            agent: AgentId(1),
            agent_name: "a1".to_owned(),
            attributes: Default::default(),
            role: "role".to_owned(),
            reserved: Vec::new(),
            volumes: Vec::new(),
            resources: resources(milli),
            unavailability: None,
        }])])
        .await;
    }

    pub(crate) async fn update(&self, task: TaskId, state: TaskState) {
        let status = TaskStatus::new(task, UpdateId(1), state, Source::Executor);
        self.tell([FrameworkEvent::Update(status)]).await;
    }

    /// Hears an accept; the tasks in it.
    pub(crate) async fn launched(&mut self) -> Vec<TaskId> {
        match self.hear_deed().await {
            FrameworkCommand::Accept { tasks, .. } => tasks.iter().map(|task| task.id).collect(),
            other => panic!("wanted an accept, got {other:?}"),
        }
    }

    /// Ends the session as a master does that is stopping.
    pub(crate) async fn fail(self, status: Status) {
        self.events.send(Err(status)).await.unwrap();
    }
}
