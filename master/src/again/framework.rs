//! The framework of a task that runs again: it takes an offer, launches, hears of the end, and leaves.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use haggle_core::cluster::{Acknowledgement, Command, FrameworkCommand, FrameworkEvent, FrameworkInfo, Question};
use haggle_core::trace::TRACEPARENT;
use haggle_core::{Constraint, FrameworkId, Offer, Reason, TaskId, TaskSpec, TaskState, TaskStatus, UpdateId, Want};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, timeout_at};
use tonic::Status;

use super::Stage;
use crate::access::Caller;
use crate::grpc::share;
use crate::handle::{Handle, Peer};
use crate::inbox::{Kind, Speaker};
use crate::outbox::{Mail, outbox};

/// How long it waits for room before it leaves.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// How long its task lives on when this master leads no more: nobody comes back for it, so it ends in peace.
const FAILOVER_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// What a message of its is counted as, in bytes, beside the spec's content. It has one task.
const MESSAGE: usize = 1 << 10;

pub(super) struct Framework {
    speaker: Speaker,
    mail: Mail<FrameworkEvent>,
    place: OwnedSemaphorePermit,
    spec: TaskSpec,
    role: String,
    stage: watch::Sender<Stage>,
    asked: Instant,
    /// The task that was launched last.
    number: u64,
    /// Whether that was refused, or none was launched.
    waits: bool,
}

/// Whether the session goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Hear,
    /// It has said its last word.
    Leaves,
}

impl Framework {
    /// Begins a session of the caller's.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when there are too many, `UNAVAILABLE` when the master is stopping.
    pub(super) async fn open(
        handle: &Handle,
        caller: Caller,
        mut spec: TaskSpec,
        role: String,
        stage: watch::Sender<Stage>,
    ) -> Result<Self, Status> {
        let (outbox, mail) = outbox();
        let who = caller.who.clone();
        let (mut speaker, place) = handle.open(caller, Peer::Framework(outbox), handle.intake(Kind::Framework)).await?;
        speaker.introduce(&share(who.as_ref(), &role));
        // It is alone now, and whoever asked for the first one is not its caller.
        spec.group = None;
        spec.env.retain(|(name, _)| name != TRACEPARENT);
        Ok(Self { speaker, mail, place, spec, role, stage, asked: Instant::now(), number: 0, waits: true })
    }

    /// Until the task has ended, there was no room for it in time, or the master ends the session.
    pub(super) async fn run(mut self) {
        let first = self.subscription();
        if self.say(first).await.is_ok() {
            self.hear().await;
        }
        // A driver that has stopped has ended every session.
        let _ = self.speaker.end();
        drop(self.place);
    }

    fn subscription(&self) -> Vec<FrameworkCommand> {
        let info = FrameworkInfo {
            name: format!("{} again", self.spec.id),
            roles: vec![self.role.clone()],
            failover_timeout: FAILOVER_TIMEOUT,
        };
        vec![FrameworkCommand::Subscribe { member: None, info }, self.demand()]
    }

    fn demand(&self) -> FrameworkCommand {
        let want = Want {
            resources: self.spec.resources.clone(),
            constraints: Constraint::of_grants(&self.spec.grants),
            volumes: self.spec.volumes(),
            waiting: 1,
            spare: 0,
            gang: 0,
        };
        FrameworkCommand::Demand { role: None, wants: vec![want] }
    }

    async fn hear(&mut self) {
        let patience = self.asked + PATIENCE;
        let mut framework = FrameworkId(0);
        loop {
            let batch = match self.waits {
                true => timeout_at(patience, self.mail.next()).await,
                false => Ok(self.mail.next().await),
            };
            let Ok(batch) = batch else {
                self.fail(Status::unavailable("there was no room for it in time"));
                let _ = self.say(vec![FrameworkCommand::Teardown]).await;
                return;
            };
            let events = match batch {
                Some(Ok(events)) => events,
                Some(Err(status)) => return self.fail(status),
                None => return,
            };
            let mut commands = Vec::new();
            for event in events {
                match event {
                    FrameworkEvent::Subscribed { member, .. } => {
                        framework = member.id;
                        self.stage.send_replace(Stage::Waits(framework));
                    }
                    FrameworkEvent::Error(why) => return self.fail(Status::failed_precondition(why)),
                    FrameworkEvent::Offers(offers) => self.take(framework, offers, &mut commands),
                    FrameworkEvent::Update(status) => {
                        let next = self.told(&status, &mut commands);
                        if next == Next::Leaves {
                            let _ = self.say(commands).await;
                            return;
                        }
                    }
                    _ => {}
                }
            }
            if self.say(commands).await.is_err() {
                return;
            }
        }
    }

    /// Launches on the first offer with room for it, while none is launched. All others are declined.
    fn take(&mut self, framework: FrameworkId, offers: Vec<Offer>, commands: &mut Vec<FrameworkCommand>) {
        for Offer { id, agent, resources, .. } in offers {
            if !self.waits || resources.fits(&self.spec.resources).is_err() {
                commands.push(FrameworkCommand::Decline { offers: vec![id], refuse: Duration::ZERO });
                continue;
            }
            self.waits = false;
            self.number += 1;
            let task = TaskId { framework, number: self.number };
            let spec = TaskSpec { id: task, waited: Some(self.asked.elapsed()), ..self.spec.clone() };
            let (offers, operations, refuse) = (vec![id], Vec::new(), Duration::ZERO);
            commands.push(FrameworkCommand::Accept { offers, operations, tasks: vec![Arc::new(spec)], refuse });
            // The answer comes behind the verdict on that.
            commands.push(FrameworkCommand::Reconcile(vec![Question { task, agent: Some(agent) }]));
        }
    }

    fn told(&mut self, status: &TaskStatus, commands: &mut Vec<FrameworkCommand>) -> Next {
        let TaskStatus { task, update, state, reason, .. } = status;
        if task.number != self.number || self.waits {
            return Next::Hear;
        }
        let is_answer = *reason == Some(Reason::Reconciliation);
        if *update == UpdateId::UNACKNOWLEDGED && state.is_terminal() && !is_answer {
            return self.refused(status, commands);
        }
        self.stage.send_if_modified(|stage| {
            let is_new = !matches!(stage, Stage::Launched(_));
            *stage = Stage::Launched(*task);
            is_new
        });
        if *update != UpdateId::UNACKNOWLEDGED {
            commands.push(FrameworkCommand::Acknowledge(vec![Acknowledgement::from(status)]));
            if state.is_terminal() {
                commands.push(FrameworkCommand::Teardown);
                return Next::Leaves;
            }
        }
        Next::Hear
    }

    /// It was not launched. Where the offer alone was gone, another will come.
    fn refused(&mut self, status: &TaskStatus, commands: &mut Vec<FrameworkCommand>) -> Next {
        if status.state == TaskState::Dropped && status.reason == Some(Reason::InvalidOffers) {
            self.waits = true;
            commands.push(self.demand());
            return Next::Hear;
        }
        self.fail(Status::failed_precondition(format!("it is not launched: {}", status.message)));
        commands.push(FrameworkCommand::Teardown);
        Next::Leaves
    }

    fn fail(&self, status: Status) {
        self.stage.send_if_modified(|stage| {
            let is_news = !matches!(stage, Stage::Launched(_));
            if is_news {
                *stage = Stage::Failed(status);
            }
            is_news
        });
    }

    async fn say(&self, commands: Vec<FrameworkCommand>) -> Result<(), crate::handle::Stopping> {
        let launches = commands.iter().any(|command| matches!(command, FrameworkCommand::Accept { .. }));
        let content = if launches { self.spec.stdin.len() } else { 0 };
        let session = self.speaker.session();
        let commands = commands.into_iter().map(|command| Command::Framework(session, command.into())).collect();
        self.speaker.say(commands, MESSAGE + content).await
    }
}
