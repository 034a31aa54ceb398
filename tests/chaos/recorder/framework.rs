//! What the recorder says, and when.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use anyhow::Context;
use haggle_kit::record::{Entry, Heard, Launch, Record, now_us, read_record};
use haggle_sdk::{
    Acknowledgement, Client, Event, Events, Framework, FrameworkId, FrameworkInfo, Member, Offer, Task, TaskId,
    TaskStatus,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use crate::Args;
use crate::open::OpenTasks;

/// Between two looks at whether a launch is due.
const TICK: Duration = Duration::from_millis(10);

/// A task of which nothing was heard for so long is asked after.
const SILENT: Duration = Duration::from_secs(3);

/// How often it is looked for such tasks.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How long a recorder looks for a master when it starts.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);

/// Launches that may be due: what could not be launched in a second is given up, so that the load stays what it is.
const BEHIND_MAX: Duration = Duration::from_secs(1);

/// Tasks in one accept, so that not all are on one agent.
const TASKS_PER_ACCEPT: usize = 50;

pub(crate) struct Recorder {
    record: Record,
    framework: Framework,
    events: Events,
    open: OpenTasks,
    offers: VecDeque<Offer>,
    noop: Task,
    sleeper: Task,
    sleepers: usize,
    /// Between two launches.
    every_us: u64,
    /// When the next launch is due.
    next_us: u64,
}

impl Recorder {
    /// Subscribes, under the id of the record if there is one.
    pub(crate) async fn start(args: &Args) -> anyhow::Result<Self> {
        let before = if args.record.exists() { read_record(&args.record)? } else { Vec::new() };
        let mut record = Record::open(&args.record)?;
        record.write(Entry::Began)?;
        let member = before.iter().find_map(|line| match &line.entry {
            Entry::Subscribed { cluster, framework } => Some((cluster.parse(), FrameworkId(*framework))),
            _ => None,
        });
        let member = match member {
            Some((cluster, id)) => Some(Member { cluster: cluster?, id }),
            None => None,
        };
        let open = OpenTasks::read(&before);
        let (framework, events) = join(args, member).await?;
        let cluster = framework.member().cluster.to_string();
        record.write(Entry::Subscribed { cluster, framework: framework.id().0 })?;
        let task = |module| Task::new(module).cpus("0.01").mem("1MiB");
        let sleepers = args.sleepers.saturating_sub(open.lasting().count());
        let every_us = 1_000_000 / u64::from(args.rate.max(1));
        let mut recorder = Self {
            record,
            framework,
            events,
            open,
            offers: VecDeque::new(),
            noop: task(args.noop).name("noop"),
            sleeper: task(args.sleeper).name("sleeper"),
            sleepers,
            every_us,
            next_us: now_us(),
        };
        recorder.ask(None).await?;
        Ok(recorder)
    }

    /// Launches until it is asked to end, then waits for its tasks to end for as long as `patience`.
    pub(crate) async fn run(mut self, patience: Duration) -> anyhow::Result<()> {
        let mut asked_to_end = signal(SignalKind::terminate())?;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut ask = interval(ASK_EVERY);
        ask.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut deadline: Option<Instant> = None;
        while deadline.is_none() || self.open.len() > 0 {
            let patience_is_over = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                batch = self.events.next_batch() => match batch {
                    Some(batch) => self.hear(batch).await?,
                    None => anyhow::bail!("the session is over"),
                },
                _ = tick.tick(), if deadline.is_none() => self.launch().await?,
                _ = ask.tick() => self.ask(Some(SILENT)).await?,
                _ = asked_to_end.recv(), if deadline.is_none() => {
                    self.drain().await?;
                    deadline = Some(Instant::now() + patience);
                }
                () = patience_is_over => break,
            }
        }
        self.record.write(Entry::Done { open: self.open.len() })?;
        self.framework.teardown(self.events).await?;
        Ok(())
    }

    async fn hear(&mut self, batch: VecDeque<Event>) -> anyhow::Result<()> {
        let (mut acknowledged, mut is_back) = (Vec::new(), false);
        for event in batch {
            match event {
                Event::Offers(offers) => self.offers.extend(offers),
                // It asks for none.
                Event::OperationDropped { .. } => {}
                Event::Rescinded(gone) => self.offers.retain(|offer| !gone.contains(&offer.id)),
                Event::InverseOffers(_) | Event::InverseRescinded(_) => {}
                Event::Update(status) => {
                    let heard = heard(&status);
                    self.open.heard(now_us(), &heard);
                    self.record.write(Entry::Update(heard))?;
                    acknowledged.push(Acknowledgement::from(&status));
                }
                // It opens no allocation.
                Event::Queue(_) => {}
                Event::AgentLost(agent) => self.record.write(Entry::AgentLost { agent: agent.0 })?,
                Event::Disconnected(why) => {
                    self.offers.clear();
                    self.record.write(Entry::Disconnected { why })?;
                }
                Event::Subscribed(_) => {
                    self.record.write(Entry::Back)?;
                    is_back = true;
                }
                Event::Error(why) => {
                    self.record.write(Entry::Over { why: why.clone() })?;
                    anyhow::bail!("the master ended the session: {why}");
                }
            }
        }
        for ack in &acknowledged {
            if ack.update != haggle_sdk::UpdateId::UNACKNOWLEDGED {
                self.record.write(Entry::Acknowledge { task: ack.task.number, update: ack.update.0 })?;
            }
        }
        self.framework.acknowledge(acknowledged).await?;
        if is_back {
            // Behind the launches that were never sent: their end was told in the same batch.
            self.ask(None).await?;
        }
        Ok(())
    }

    /// Launches what is due, on the offers of one agent after the other.
    async fn launch(&mut self) -> anyhow::Result<()> {
        let now = now_us();
        let behind = u64::try_from(BEHIND_MAX.as_micros())?;
        self.next_us = self.next_us.max(now.saturating_sub(behind));
        while (self.sleepers > 0 || self.next_us <= now) && !self.offers.is_empty() {
            self.launch_on_one(now).await?;
        }
        Ok(())
    }

    /// Takes every offer of the agent that was offered first: what ended there was offered piece by piece.
    async fn launch_on_one(&mut self, now: u64) -> anyhow::Result<()> {
        let Some(first) = self.offers.pop_front() else { return Ok(()) };
        let (agent, mut room, mut taken) = (first.agent, first.resources, vec![first.id]);
        self.offers.retain(|offer| {
            let is_its = offer.agent == agent;
            if is_its {
                room.give(&offer.resources);
                taken.push(offer.id);
            }
            !is_its
        });
        let (mut launches, mut specs) = (Vec::new(), Vec::new());
        // One on each, so that every agent has some.
        if self.sleepers > 0 && room.take(self.sleeper.wants()).is_ok() {
            self.sleepers -= 1;
            launches.push(Launch { task: self.number(&launches), due_us: now, lasting: true });
            specs.push(&self.sleeper);
        }
        while self.next_us <= now && launches.len() < TASKS_PER_ACCEPT && room.take(self.noop.wants()).is_ok() {
            launches.push(Launch { task: self.number(&launches), due_us: self.next_us, lasting: false });
            specs.push(&self.noop);
            self.next_us += self.every_us;
        }
        let framework = self.framework.id();
        let numbered = launches.iter().zip(&specs);
        let tasks: Vec<_> =
            numbered.map(|(launch, task)| task.spec(TaskId { framework, number: launch.task })).collect();
        launches.iter().for_each(|launch| self.open.launched(now, agent.0, *launch));
        if !launches.is_empty() {
            self.record.write(Entry::Accept { agent: agent.0, tasks: launches })?;
        }
        self.framework.accept(taken, tasks, Duration::ZERO).await?;
        Ok(())
    }

    /// The number after those that were launched before, and these.
    fn number(&self, launches: &[Launch]) -> u64 {
        self.open.last + launches.len() as u64 + 1
    }

    async fn ask(&mut self, silent: Option<Duration>) -> anyhow::Result<()> {
        let questions = self.open.questions(self.framework.id(), now_us(), silent);
        if questions.is_empty() {
            // Without a question, all tasks would be asked after.
            return Ok(());
        }
        self.record.write(Entry::Reconcile { tasks: questions.len() })?;
        self.framework.reconcile(questions).await?;
        Ok(())
    }

    /// Wants nothing more, and no task to run on.
    async fn drain(&mut self) -> anyhow::Result<()> {
        self.record.write(Entry::Draining)?;
        self.framework.suppress().await?;
        self.framework.decline(self.offers.drain(..).map(|offer| offer.id), Duration::ZERO).await?;
        let framework = self.framework.id();
        for number in self.open.lasting() {
            self.framework.kill(TaskId { framework, number }).await?;
        }
        Ok(())
    }
}

/// Tries until a master takes it in.
async fn join(args: &Args, member: Option<Member<FrameworkId>>) -> anyhow::Result<(Framework, Events)> {
    let info = FrameworkInfo {
        name: args.name.clone(),
        roles: vec![args.name.clone()],
        failover_timeout: Duration::from_secs(args.failover_seconds),
    };
    let once = async || -> anyhow::Result<(Framework, Events)> {
        let client = Client::connect_within(&args.master, JOIN_PATIENCE).await?;
        Ok(match member {
            Some(member) => Framework::reconnect(&client, member, info.clone()).await?,
            None => Framework::connect(&client, info.clone()).await?,
        })
    };
    let mut last = None;
    let tries = async {
        let mut pause = interval(Duration::from_millis(200));
        loop {
            pause.tick().await;
            match once().await {
                Ok(joined) => return joined,
                Err(error) => last = Some(error),
            }
        }
    };
    if let Ok(joined) = timeout(JOIN_PATIENCE, tries).await {
        return Ok(joined);
    }
    let why = last.unwrap_or_else(|| io::Error::from(io::ErrorKind::TimedOut).into());
    Err(why).context("no master took the recorder in")
}

fn heard(status: &TaskStatus) -> Heard {
    Heard {
        task: status.task.number,
        update: status.update.0,
        state: status.state,
        reason: status.reason,
        source: status.source,
        agent: status.agent.map(|agent| agent.0),
        message: status.message.clone(),
    }
}
