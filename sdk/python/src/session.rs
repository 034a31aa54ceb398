//! Tasks that are driven to their end, one session of the SDK.

use std::sync::Arc;

use haggle_sdk::{Client, OutputStream, Progress, RunError, Runner, TaskHandle, TaskStatus};
use pyo3::types::PyBytes;
use pyo3::{Bound, IntoPyObject, PyAny, PyResult, Python, pyclass, pymethods};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, RwLock, Semaphore};

use crate::error::OrRaise;
use crate::spec::Spec;
use crate::told::{StatusRecord, told};
use crate::wait::{spawn, wait};

/// Outputs read at once. One waits for an agent's answer, and computes nothing.
const READERS_MAX: usize = 16;

/// Events handed over at once.
const EVENTS_AT_ONCE: usize = 1024;

/// Something that a task came to. There are a few for each task, so what waits is bounded by what was submitted.
enum Event {
    Launched {
        index: u64,
        task: String,
        agent: String,
        attempt: u32,
    },
    /// Where it was launched it has begun.
    Running {
        index: u64,
    },
    Waiting {
        index: u64,
        why: String,
    },
    Ended {
        index: u64,
        status: Box<TaskStatus>,
        output: Option<Vec<u8>>,
    },
    /// It was never launched, or nobody knows how it ended.
    Refused {
        index: u64,
        why: String,
        is_session: bool,
    },
    /// There will be no more than the ends of what was submitted.
    Closed,
}

/// As Python hears of it.
#[derive(IntoPyObject)]
pub(crate) struct EventRecord<'py> {
    kind: &'static str,
    index: u64,
    task: Option<String>,
    agent: Option<String>,
    attempt: Option<u32>,
    why: Option<String>,
    status: Option<Bound<'py, PyAny>>,
    output: Option<Bound<'py, PyBytes>>,
}

/// A framework that takes one task after another.
#[pyclass(frozen)]
pub(crate) struct Session {
    inner: Arc<Inner>,
    events: Mutex<UnboundedReceiver<Event>>,
}

struct Inner {
    client: Client,
    /// `None` once it is closed.
    session: RwLock<Option<haggle_sdk::Session>>,
    readers: Semaphore,
    told: UnboundedSender<Event>,
}

impl Session {
    pub(crate) fn start(
        py: Python<'_>,
        client: &Client,
        name: String,
        role: Option<String>,
        retries: u32,
    ) -> PyResult<Self> {
        let (told, events) = unbounded_channel();
        let mut runner = Runner::new(client).name(name).retries(retries);
        if let Some(role) = role {
            runner = runner.role(role);
        }
        let progress = told.clone();
        let tell = move |news: &Progress| drop(Event::of(news).map(|event| progress.send(event)));
        let session = wait(py, runner.start_with(tell))?;
        let inner = Inner {
            client: client.clone(),
            session: RwLock::new(Some(session.or_raise()?)),
            readers: Semaphore::new(READERS_MAX),
            told,
        };
        Ok(Self { inner: Arc::new(inner), events: Mutex::new(events) })
    }
}

#[pymethods]
impl Session {
    /// Hands a task over, and gives back its number. With `collect`, its standard output comes along with its end.
    fn submit(&self, py: Python<'_>, spec: Spec, collect: bool) -> PyResult<u64> {
        let task = spec.task()?;
        let inner = Arc::clone(&self.inner);
        let handle = wait(py, async move {
            match &*inner.session.read().await {
                Some(session) => session.submit(task).await,
                None => Err(RunError::Over),
            }
        })?
        .or_raise()?;
        let index = handle.index();
        spawn(follow(Arc::clone(&self.inner), handle, collect));
        Ok(index)
    }

    /// Asks for a task's end. One that has ended already is left as it is.
    fn kill(&self, py: Python<'_>, index: u64) -> PyResult<()> {
        wait(py, async {
            match &*self.inner.session.read().await {
                Some(session) => session.kill(index).await,
                None => Ok(()),
            }
        })?
        .or_raise()
    }

    /// What happened since the last time; waits for something.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Vec<EventRecord<'py>>> {
        let mut events = Vec::new();
        wait(py, async { self.events.lock().await.recv_many(&mut events, EVENTS_AT_ONCE).await })?;
        events.into_iter().map(|event| event.record(py)).collect()
    }

    /// Ends it: kills what has not ended, waits a little for that, and leaves the master.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let inner = Arc::clone(&self.inner);
        wait(py, async move {
            let session = inner.session.write().await.take();
            if let Some(session) = session {
                session.close().await;
                let _ = inner.told.send(Event::Closed);
            }
        })
    }
}

impl Inner {
    async fn output(&self, status: &TaskStatus) -> Option<Vec<u8>> {
        let _reader = self.readers.acquire().await.ok()?;
        // What cannot be read any more is missing to who asked, who says so.
        self.client.log(status.task, OutputStream::Stdout, true).read_to_end().await.ok()
    }
}

/// Waits for a task's end, and tells of it.
async fn follow(inner: Arc<Inner>, handle: TaskHandle, collect: bool) {
    let index = handle.index();
    let event = match handle.ended().await {
        Ok(status) => {
            let output = if collect && status.usage.is_some() { inner.output(&status).await } else { None };
            Event::Ended { index, status: Box::new(status), output }
        }
        Err(error) => {
            let is_session = matches!(error, RunError::Master(_) | RunError::Over | RunError::Call(_));
            Event::Refused { index, why: error.to_string(), is_session }
        }
    };
    let _ = inner.told.send(event);
}

impl Event {
    /// What is worth telling before the end. Ends are told by who waits for them.
    fn of(progress: &Progress) -> Option<Self> {
        match progress {
            Progress::Launched { index, task, agent_name, attempt, .. } => Some(Self::Launched {
                index: *index,
                task: task.to_string(),
                agent: agent_name.clone(),
                attempt: *attempt,
            }),
            Progress::Waiting { index, why, .. } => Some(Self::Waiting { index: *index, why: why.to_string() }),
            Progress::Running { index, .. } => Some(Self::Running { index: *index }),
            Progress::Retrying { .. } | Progress::Ended(_) => None,
        }
    }

    fn record(self, py: Python<'_>) -> PyResult<EventRecord<'_>> {
        let record = |kind, index| EventRecord {
            kind,
            index,
            task: None,
            agent: None,
            attempt: None,
            why: None,
            status: None,
            output: None,
        };
        Ok(match self {
            Self::Launched { index, task, agent, attempt } => EventRecord {
                task: Some(task),
                agent: Some(agent),
                attempt: Some(attempt),
                ..record("launched", index)
            },
            Self::Running { index } => record("running", index),
            Self::Waiting { index, why } => EventRecord { why: Some(why), ..record("waiting", index) },
            Self::Ended { index, status, output } => EventRecord {
                status: Some(told(py, &StatusRecord::from(&*status))?),
                output: output.map(|output| PyBytes::new(py, &output)),
                ..record("ended", index)
            },
            Self::Closed => record("closed", 0),
            Self::Refused { index, why, is_session } => {
                EventRecord { why: Some(why), ..record(if is_session { "over" } else { "refused" }, index) }
            }
        })
    }
}
