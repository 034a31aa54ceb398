//! `SUBSCRIBE` of operators: what there is, and then what happens.

use std::collections::VecDeque;
use std::iter;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use haggle_core::access::{Principal, Verb};
use haggle_core::cluster::{AgentView, Announcement, Cluster, FrameworkView, TaskView};
use haggle_core::{AgentId, FrameworkId, Now, TaskId, TaskState, TaskStatus};
use haggle_mesos::Format;
use haggle_mesos::meaning::label_of;
use haggle_mesos::record::record;
use haggle_mesos::wire::common::FrameworkInfo;
use haggle_mesos::wire::master::{
    AgentAdded, AgentRemoved, Event, EventType, FrameworkNews, FrameworkRemoved, Subscribed, TaskAdded, TaskUpdated,
};
use tokio::time::Interval;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::Response;

use super::stream::{heartbeat, of_records};
use super::{HEARTBEAT_SECONDS, Mesos};
use crate::access::wall_clock_ms;
use crate::grpc::announcements;
use crate::happenings::Watcher;

/// Announcements that are looked up at once.
const BATCH: usize = 256;

pub(super) async fn answer(mesos: Mesos, who: Principal, format: Format) -> Result<Response<Body>, Status> {
    // First, so that nothing is lost between the two.
    let watcher = mesos.0.handle.watch(&who)?;
    let get_state = {
        let _place = mesos.0.handle.house().list()?;
        Some(mesos.state(&who).await?)
    };
    let subscribed = Subscribed { get_state, heartbeat_interval_seconds: Some(HEARTBEAT_SECONDS as f64) };
    let known = mesos.0.known.clone();
    let mut teller = Teller {
        mesos,
        who: who.clone(),
        format,
        watcher,
        rest: Box::new(iter::empty()),
        records: VecDeque::new(),
        beat: heartbeat(),
    };
    teller.tell(&Event { subscribed: Some(subscribed), ..of(EventType::Subscribed) });
    teller.tell(&of(EventType::Heartbeat));
    let records = unfold(teller, |mut teller| async { teller.next().await.map(|record| (Ok(record), teller)) });
    // Of whoever is not let in any more the stream ends.
    let valid = known.while_valid(who, records).take_while(|record| futures_util::future::ready(record.is_ok()));
    Ok(of_records(format, valid.filter_map(|record: Result<Bytes, Status>| futures_util::future::ready(record.ok()))))
}

fn of(kind: EventType) -> Event {
    Event { r#type: kind.into(), ..Event::default() }
}

struct Teller {
    mesos: Mesos,
    who: Principal,
    format: Format,
    watcher: Watcher,
    /// Of what was heard last: tasks of a queue are many at once.
    rest: Box<dyn Iterator<Item = Announcement> + Send>,
    records: VecDeque<Bytes>,
    beat: Interval,
}

impl Teller {
    fn tell(&mut self, event: &Event) {
        self.records.push_back(record(&self.format.write(event)).into());
    }

    /// The next record; `None` at the end, and for whoever falls behind.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(record) = self.records.pop_front() {
                return Some(record);
            }
            let mut announced: Vec<_> = self.rest.by_ref().take(BATCH).collect();
            if announced.is_empty() {
                tokio::select! {
                    happening = self.watcher.next() => self.rest = announcements(&*happening.ok()??),
                    _ = self.beat.tick() => self.tell(&of(EventType::Heartbeat)),
                }
                continue;
            }
            while announced.len() < BATCH
                && let Some(happening) = self.watcher.next_now().ok()?
            {
                self.rest = announcements(&happening);
                announced.extend(self.rest.by_ref().take(BATCH - announced.len()));
            }
            // Mesos has no word for it: whoever comes again is told what there is.
            if announced.iter().any(|what| matches!(what, Announcement::LeftOut(_))) {
                return None;
            }
            self.tell_all(announced).await.ok()?;
        }
    }

    async fn tell_all(&mut self, announced: Vec<Announcement>) -> Result<(), Status> {
        let who = self.who.clone();
        let look = move |cluster: &Cluster, now: Now| {
            announced.into_iter().map(|what| Found::of(cluster, now, &who, what)).collect::<Vec<_>>()
        };
        let seconds = wall_clock_ms() as f64 / 1_000.0;
        for found in self.mesos.0.handle.ask(look).await? {
            for event in self.events(found, seconds) {
                self.tell(&event);
            }
        }
        self.tell(&of(EventType::Heartbeat));
        Ok(())
    }

    fn events(&self, found: Found, seconds: f64) -> Vec<Event> {
        let (seen, ids) = (self.mesos.seen(), self.mesos.ids());
        match found {
            Found::Agent(view) => {
                let added = AgentAdded { agent: seen.agent(&view) };
                vec![Event { agent_added: Some(added), ..of(EventType::AgentAdded) }]
            }
            Found::AgentGone(id) => {
                let removed = AgentRemoved { agent_id: ids.agent(id).into() };
                vec![Event { agent_removed: Some(removed), ..of(EventType::AgentRemoved) }]
            }
            Found::Framework(view, true) => {
                let news = FrameworkNews { framework: seen.framework(&view) };
                vec![Event { framework_added: Some(news), ..of(EventType::FrameworkAdded) }]
            }
            Found::Framework(view, false) => {
                let news = FrameworkNews { framework: seen.framework(&view) };
                vec![Event { framework_updated: Some(news), ..of(EventType::FrameworkUpdated) }]
            }
            Found::FrameworkGone(id) => {
                let framework_info = FrameworkInfo { id: Some(ids.framework(id).into()), ..FrameworkInfo::default() };
                let removed = FrameworkRemoved { framework_info };
                vec![Event { framework_removed: Some(removed), ..of(EventType::FrameworkRemoved) }]
            }
            Found::Task(status, view) if status.state == TaskState::Staging => {
                let Some(view) = view else { return Vec::new() };
                let task = seen.task(&TaskView { status, ..*view }, seconds);
                vec![Event { task_added: Some(TaskAdded { task }), ..of(EventType::TaskAdded) }]
            }
            Found::Task(status, view) => {
                let name = label_of(status.task, view.as_ref().map(|view| view.name.as_str()));
                let told = seen.status(&status, name, seconds);
                let updated = TaskUpdated {
                    framework_id: ids.framework(status.task.framework).into(),
                    state: told.state,
                    status: told,
                };
                vec![Event { task_updated: Some(updated), ..of(EventType::TaskUpdated) }]
            }
            Found::Nothing => Vec::new(),
        }
    }
}

/// What happened, with what there is to be seen of it.
enum Found {
    Agent(Box<AgentView>),
    AgentGone(AgentId),
    /// Whether it has just come.
    Framework(Box<FrameworkView>, bool),
    FrameworkGone(FrameworkId),
    Task(TaskStatus, Option<Box<TaskView>>),
    Nothing,
}

impl Found {
    fn of(cluster: &Cluster, now: Now, who: &Principal, what: Announcement) -> Self {
        let agent = |id: AgentId| {
            let (views, _) = cluster.agents_page(now, who, before(id.0).map(AgentId), 1);
            let found = views.into_iter().find(|view| view.id == id);
            found.map_or(Self::Nothing, |view| Self::Agent(Box::new(view)))
        };
        let framework = |id: FrameworkId, is_new| {
            let (views, _) = cluster.frameworks_page(who, before(id.0).map(FrameworkId), 1);
            let found = views.into_iter().find(|view| view.id == id);
            found.map_or(Self::Nothing, |view| Self::Framework(Box::new(view), is_new))
        };
        let task = |id: TaskId| cluster.task_for(who, Verb::ListTasks, id).map(Box::new);
        match what {
            Announcement::AgentUp(id) | Announcement::AgentReactivated(id) => agent(id),
            // Mesos has no word for an agent whose state changed but one.
            Announcement::AgentWithdrawn(id, _) => agent(id),
            Announcement::AgentDown(_) | Announcement::LeftOut(_) => Self::Nothing,
            Announcement::AgentRemoved(id) => Self::AgentGone(id),
            Announcement::FrameworkUp(id) => framework(id, true),
            Announcement::FrameworkUpdated(id) | Announcement::FrameworkDown(id) => framework(id, false),
            Announcement::FrameworkRemoved(id) => Self::FrameworkGone(id),
            Announcement::Task(status) => {
                let view = task(status.task);
                match view.as_ref().is_some_and(|view| view.is_allocation) {
                    true => Self::Nothing,
                    false => Self::Task(status, view),
                }
            }
        }
    }
}

fn before(number: u64) -> Option<u64> {
    number.checked_sub(1)
}
