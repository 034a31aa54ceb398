//! A framework of Python's own: what it hears and says.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use haggle_sdk::{
    Acknowledgement, AgentId, Client, Event, Events, FrameworkInfo, OfferId, Question, TaskId, UpdateId, Want,
};
use pyo3::{IntoPyObject, PyResult, Python, pyclass, pymethods};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::error::{OrRaise, SessionOver, unreadable};
use crate::record::{OfferRecord, StatusRecord};
use crate::spec::Spec;
use crate::wait::wait;

/// A framework that is subscribed to a master.
#[pyclass(frozen)]
pub(crate) struct Framework {
    framework: haggle_sdk::Framework,
    /// `None` once it has left.
    events: Mutex<Option<Events>>,
    /// The number of its next task.
    next: AtomicU64,
}

/// What it hears, with what there is to tell of that kind.
#[derive(IntoPyObject)]
pub(crate) struct EventRecord {
    kind: &'static str,
    offers: Vec<OfferRecord>,
    /// Ids of offers that are gone, or of the agent that is lost.
    ids: Vec<String>,
    status: Option<StatusRecord>,
    why: Option<String>,
}

impl Framework {
    pub(crate) fn subscribe(
        py: Python<'_>,
        client: &Client,
        name: String,
        roles: Vec<String>,
        failover: f64,
    ) -> PyResult<Self> {
        let failover_timeout = Duration::try_from_secs_f64(failover).map_err(unreadable)?;
        let info = FrameworkInfo { name, roles, failover_timeout };
        let (framework, events) = wait(py, haggle_sdk::Framework::connect(client, info))?.or_raise()?;
        Ok(Self { framework, events: Mutex::new(Some(events)), next: AtomicU64::new(1) })
    }
}

#[pymethods]
impl Framework {
    /// The name that the master gave it.
    fn id(&self) -> String {
        self.framework.id().to_string()
    }

    /// The next event; `None` after the last, or when there was none for so many seconds.
    fn next(&self, py: Python<'_>, patience: Option<f64>) -> PyResult<Option<EventRecord>> {
        let patience = patience.map(Duration::try_from_secs_f64).transpose().map_err(unreadable)?;
        let event = wait(py, async {
            let mut events = self.events.lock().await;
            let events = events.as_mut()?;
            match patience {
                Some(patience) => timeout(patience, events.next()).await.ok()?,
                None => events.next().await,
            }
        })?;
        Ok(event.map(record))
    }

    /// Launches tasks on offers of one agent, and gives back their ids.
    fn accept(&self, py: Python<'_>, offers: Vec<String>, tasks: Vec<Spec>, refuse: f64) -> PyResult<Vec<String>> {
        let refuse = Duration::try_from_secs_f64(refuse).map_err(unreadable)?;
        let offers = offer_ids(offers)?;
        let mut specs = Vec::with_capacity(tasks.len());
        for spec in tasks {
            let task = spec.task()?;
            task.check().map_err(haggle_sdk::RunError::from).or_raise()?;
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            specs.push(task.spec(TaskId { framework: self.framework.id(), number }));
        }
        let ids = specs.iter().map(|spec| spec.id.to_string()).collect();
        wait(py, self.framework.accept(offers, specs, refuse))?.or_raise()?;
        Ok(ids)
    }

    /// Takes nothing of these offers.
    fn decline(&self, py: Python<'_>, offers: Vec<String>, refuse: f64) -> PyResult<()> {
        let refuse = Duration::try_from_secs_f64(refuse).map_err(unreadable)?;
        wait(py, self.framework.decline(offer_ids(offers)?, refuse))?.or_raise()
    }

    /// Says of which tasks so many wait: it is offered what fits them, and no more.
    fn demand(&self, py: Python<'_>, waiting: Vec<(Spec, u32)>) -> PyResult<()> {
        let mut wants = Vec::with_capacity(waiting.len());
        for (spec, count) in waiting {
            let resources = spec.task()?.wants().clone();
            let (constraints, volumes) = (Vec::new(), Vec::new());
            wants.push(Want { resources, constraints, volumes, waiting: count, spare: 0, gang: 0 });
        }
        wait(py, self.framework.demand(wants))?.or_raise()
    }

    /// Wants offers again, of whatever there is.
    fn revive(&self, py: Python<'_>) -> PyResult<()> {
        wait(py, self.framework.revive())?.or_raise()
    }

    /// Wants no offers.
    fn suppress(&self, py: Python<'_>) -> PyResult<()> {
        wait(py, self.framework.suppress())?.or_raise()
    }

    /// Asks for a task's end.
    fn kill(&self, py: Python<'_>, task: &str) -> PyResult<()> {
        let task = task.parse::<TaskId>().map_err(unreadable)?;
        wait(py, self.framework.kill(task))?.or_raise()
    }

    /// Takes note of an update.
    fn acknowledge(&self, py: Python<'_>, task: &str, update: u64, agent: Option<&str>) -> PyResult<()> {
        let task = task.parse::<TaskId>().map_err(unreadable)?;
        let agent = agent.map(str::parse::<AgentId>).transpose().map_err(unreadable)?;
        let acknowledgement = Acknowledgement { task, update: UpdateId(update), agent };
        wait(py, self.framework.acknowledge([acknowledgement]))?.or_raise()
    }

    /// Asks where tasks stand, each with the agent that it was launched on if that is known; without any, where all do.
    fn reconcile(&self, py: Python<'_>, tasks: Vec<(String, Option<String>)>) -> PyResult<()> {
        let questions = tasks.into_iter().map(|(task, agent)| {
            let agent = agent.as_deref().map(str::parse::<AgentId>).transpose().map_err(unreadable)?;
            Ok(Question { task: task.parse::<TaskId>().map_err(unreadable)?, agent })
        });
        let questions = questions.collect::<PyResult<Vec<_>>>()?;
        wait(py, self.framework.reconcile(questions))?.or_raise()
    }

    /// Leaves for good: its tasks are killed, its offers given back.
    fn teardown(&self, py: Python<'_>) -> PyResult<()> {
        let left = wait(py, async {
            let events = self.events.lock().await.take();
            match events {
                Some(events) => self.framework.clone().teardown(events).await,
                None => Ok(()),
            }
        })?;
        // A master that ended the session has seen it off already.
        left.or_raise().or_else(|error| if error.is_instance_of::<SessionOver>(py) { Ok(()) } else { Err(error) })
    }
}

fn offer_ids(offers: Vec<String>) -> PyResult<Vec<OfferId>> {
    offers.into_iter().map(|offer| offer.parse().map_err(unreadable)).collect()
}

fn record(event: Event) -> EventRecord {
    let empty = |kind| EventRecord { kind, offers: Vec::new(), ids: Vec::new(), status: None, why: None };
    match event {
        Event::Offers(offers) => EventRecord { offers: offers.iter().map(Into::into).collect(), ..empty("offers") },
        Event::Rescinded(offers) => {
            EventRecord { ids: offers.iter().map(ToString::to_string).collect(), ..empty("rescinded") }
        }
        Event::Update(status) => EventRecord { status: Some((&status).into()), ..empty("update") },
        Event::AgentLost(agent) => EventRecord { ids: vec![agent.to_string()], ..empty("agent_lost") },
        Event::Subscribed(_) => empty("subscribed"),
        Event::Disconnected(why) => EventRecord { why: Some(why), ..empty("disconnected") },
        Event::Error(why) => EventRecord { why: Some(why), ..empty("error") },
        // Of queues, operations and maintenance, which this framework does not take part in.
        other => EventRecord { why: Some(format!("{other:?}")), ..empty("other") },
    }
}
