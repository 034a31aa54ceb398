//! Asks the cluster for what is shown, and hears what happens there.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use haggle_core::cluster::Announcement;
use haggle_core::{TaskId, TaskState};
use haggle_sdk::{CallError, Client, OutputStream, WatchEvent};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinError, JoinHandle};
use tokio::time::{sleep, sleep_until};

use super::data::{Fetched, Link, Looked};
use super::pace::{CALM, Feed, Pace};
use super::state::{Notice, Wants};
use super::update::Event;

/// News that wait to be drawn, and events that wait to be news. A master cuts off whoever is behind by more than it keeps.
const WAITING: usize = 1024;

/// Before what happens is listened to again.
const RETRY: Duration = Duration::from_secs(2);

/// How long the reasons hold for which a task waits.
const WAITING_CALM: Duration = Duration::from_secs(3);

/// What comes of the cluster, and the task that asks for it.
pub(super) struct News {
    pub(super) events: mpsc::Receiver<Event>,
    asker: JoinHandle<()>,
}

impl News {
    /// That nothing more comes.
    ///
    /// # Panics
    /// As the task that asks has, if it has.
    pub(super) async fn over(self) {
        if let Err(Ok(panic)) = self.asker.await.map_err(JoinError::try_into_panic) {
            std::panic::resume_unwind(panic);
        }
    }
}

struct Source {
    client: Client,
    out: mpsc::Sender<Event>,
    pace: Pace,
    /// Tasks whose name and role were told.
    known: HashSet<TaskId>,
    log: Option<Reading>,
}

/// An output that is read.
struct Reading {
    of: (TaskId, OutputStream),
    reader: AbortHandle,
}

/// A question that was asked.
struct Asking {
    feed: Feed,
    began: Instant,
    answer: BoxFuture<'static, Result<Fetched, CallError>>,
}

/// What is heard of what happens.
enum Heard {
    Link(Link),
    Event(WatchEvent),
}

/// Begins to ask for what is wanted, as that changes.
pub(super) fn start(client: Client, wants: watch::Receiver<Wants>) -> News {
    let (out, events) = mpsc::channel(WAITING);
    let source = Source { client, out, pace: Pace::default(), known: HashSet::new(), log: None };
    News { events, asker: tokio::spawn(source.run(wants)) }
}

impl Source {
    async fn run(mut self, mut wants: watch::Receiver<Wants>) {
        let mut heard = listen(self.client.clone());
        let mut wanted = wants.borrow_and_update().clone();
        self.read(wanted.task);
        let mut asking: Option<Asking> = None;
        loop {
            let now = Instant::now();
            let next = self.pace.next(&wanted.feeds, now);
            if asking.is_none()
                && let Some((feed, _)) = next.filter(|(_, at)| *at <= now)
            {
                self.pace.asked(feed);
                asking = Some(Asking { feed, began: now, answer: self.ask(feed, &wanted) });
            }
            let is_asking = asking.is_some();
            let wake = next.map_or(now + CALM, |(_, at)| at);
            tokio::select! {
                changed = wants.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let before = std::mem::replace(&mut wanted, wants.borrow_and_update().clone());
                    let anew = self.want(&before, &wanted);
                    // What is on its way is the answer to another question.
                    asking.take_if(|asking| anew.contains(&asking.feed));
                }
                (feed, answer, took) = answer(&mut asking), if is_asking => {
                    asking = None;
                    if !self.take(feed, answer, took).await {
                        return;
                    }
                }
                said = heard.recv() => {
                    let Some(said) = said else { return };
                    if !self.hear(said).await {
                        return;
                    }
                }
                () = sleep_until(wake.into()), if !is_asking => {}
            }
        }
    }

    /// Something else is looked at: of which feeds something else is wanted than before.
    fn want(&mut self, before: &Wants, now: &Wants) -> Vec<Feed> {
        let task = |wants: &Wants| wants.task.map(|(task, _)| task);
        let tasks = (before.all_tasks != now.all_tasks).then_some(Feed::Tasks);
        let looked = (task(before) != task(now)).then_some(Feed::Task);
        let anew: Vec<Feed> = tasks.into_iter().chain(looked).collect();
        anew.iter().for_each(|feed| self.pace.forget(*feed));
        self.read(now.task);
        anew
    }

    fn ask(&self, feed: Feed, wanted: &Wants) -> BoxFuture<'static, Result<Fetched, CallError>> {
        let client = self.client.clone();
        let (all_tasks, task) = (wanted.all_tasks, wanted.task.map(|(task, _)| task));
        Box::pin(async move {
            match feed {
                Feed::Master => client.master().await.map(Fetched::Master),
                Feed::Agents => client.agents().await.map(Fetched::Agents),
                Feed::Roles => client.roles().await.map(Fetched::Roles),
                Feed::Frameworks => client.frameworks().await.map(Fetched::Frameworks),
                Feed::Tasks => client.tasks(all_tasks).await.map(Fetched::Tasks),
                Feed::Task => {
                    let task = task.expect("where a task's feed is wanted, a task is");
                    look(&client, task).await.map(|looked| Fetched::Task(Box::new(looked)))
                }
            }
        })
    }

    /// Takes an answer in; `false` when nobody wants any more.
    async fn take(&mut self, feed: Feed, answer: Result<Fetched, CallError>, took: Duration) -> bool {
        let mut holds = CALM;
        let news = match answer {
            Ok(fetched) => {
                match &fetched {
                    Fetched::Tasks(tasks) => self.known = tasks.iter().map(|task| task.id).collect(),
                    Fetched::Task(looked) if looked.why.is_some() => holds = WAITING_CALM,
                    _ => {}
                }
                Event::Fetched(fetched)
            }
            Err(error) => Event::Told(Notice::Wrong(error.to_string())),
        };
        self.pace.answered(feed, Instant::now(), took, holds);
        self.out.send(news).await.is_ok()
    }

    async fn hear(&mut self, heard: Heard) -> bool {
        let news = match heard {
            Heard::Link(link) => {
                // Nobody knows what happened meanwhile.
                if link == Link::Up {
                    self.pace.all_changed();
                }
                Event::Linked(link)
            }
            Heard::Event(event) => {
                self.changed_by(&event.what);
                Event::Happened(event)
            }
        };
        self.out.send(news).await.is_ok()
    }

    /// Notes what is not as it was told any more.
    fn changed_by(&mut self, what: &Announcement) {
        let feeds: &[Feed] = match what {
            Announcement::AgentUp(_)
            | Announcement::AgentDown(_)
            | Announcement::AgentRemoved(_)
            | Announcement::AgentWithdrawn(..)
            | Announcement::AgentReactivated(_) => &[Feed::Agents, Feed::Roles, Feed::Task],
            Announcement::FrameworkUp(_)
            | Announcement::FrameworkUpdated(_)
            | Announcement::FrameworkDown(_)
            | Announcement::FrameworkRemoved(_) => &[Feed::Frameworks, Feed::Roles, Feed::Task],
            Announcement::Task(status) => {
                // What was listed is known by what is told of it.
                if !self.known.contains(&status.task) {
                    self.pace.changed(Feed::Tasks);
                }
                &[Feed::Agents, Feed::Frameworks, Feed::Roles, Feed::Task]
            }
            // Nobody knows of which.
            Announcement::LeftOut(_) => &[Feed::Agents, Feed::Frameworks, Feed::Roles, Feed::Tasks, Feed::Task],
        };
        feeds.iter().for_each(|feed| self.pace.changed(*feed));
    }

    /// Reads this output from now on, and no other one.
    fn read(&mut self, wanted: Option<(TaskId, OutputStream)>) {
        if self.log.as_ref().map(|reading| reading.of) == wanted {
            return;
        }
        if let Some(reading) = self.log.take() {
            reading.reader.abort();
        }
        self.log = wanted.map(|of| {
            let reader = tokio::spawn(read(self.client.clone(), of, self.out.clone())).abort_handle();
            Reading { of, reader }
        });
    }
}

/// The answer that is waited for; never one when none is.
async fn answer(asking: &mut Option<Asking>) -> (Feed, Result<Fetched, CallError>, Duration) {
    match asking {
        Some(asking) => {
            let answer = (&mut asking.answer).await;
            (asking.feed, answer, asking.began.elapsed())
        }
        None => std::future::pending().await,
    }
}

/// A task, and why it waits when it does.
async fn look(client: &Client, id: TaskId) -> Result<Looked, CallError> {
    let view = client.task(id).await?;
    let runs = |state: TaskState| state == TaskState::Running || state.is_terminal();
    let why = match &view {
        Some(view) if runs(view.status.state) => None,
        // What it waits for is of its role's.
        view => client.why(id.framework, view.as_ref().map(|view| view.role.as_str())).await?,
    };
    Ok(Looked { id, view, why })
}

/// Hears what happens, again and again.
fn listen(client: Client) -> mpsc::Receiver<Heard> {
    let (out, heard) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        loop {
            let lost = match client.watch().await {
                Ok(mut events) => {
                    if out.send(Heard::Link(Link::Up)).await.is_err() {
                        return;
                    }
                    loop {
                        match events.next().await {
                            Some(Ok(event)) => {
                                if out.send(Heard::Event(event)).await.is_err() {
                                    return;
                                }
                            }
                            Some(Err(error)) => break error.to_string(),
                            None => break "the master has ended".to_owned(),
                        }
                    }
                }
                Err(error) => error.to_string(),
            };
            if out.send(Heard::Link(Link::Down(lost))).await.is_err() {
                return;
            }
            sleep(RETRY).await;
        }
    });
    heard
}

/// Reads an output to its end, as it is written.
async fn read(client: Client, (task, stream): (TaskId, OutputStream), out: mpsc::Sender<Event>) {
    let mut log = client.log(task, stream, true);
    let ended = loop {
        match log.next().await {
            Some(Ok(piece)) => {
                if out.send(Event::Wrote(task, stream, piece.to_vec())).await.is_err() {
                    return;
                }
            }
            Some(Err(error)) => break Err(error.to_string()),
            None => break Ok(()),
        }
    };
    // Nobody may be there any more to hear it.
    let _ = out.send(Event::Silent(task, stream, ended)).await;
}
