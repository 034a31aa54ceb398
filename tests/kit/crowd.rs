//! A cluster that is full: very many agents with very many tasks of several frameworks, for whoever looks at it. No guest runs.

use std::time::Duration;

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use haggle_core::cluster::{AgentCommand, HeldTask};
use haggle_core::{
    Bytes, Exceeded, FrameworkId, Fuel, MilliCpu, Reason, Resources, Source, TaskId, TaskState, TaskStatus, UpdateId,
    Usage,
};
use haggle_sdk::{Event, Events, Framework, FrameworkInfo, NewToken, TokenKind};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::cluster::Cluster;
use crate::home::Home;
use crate::simulated::{Simulated, registration, small_machine};
use crate::wait::until;

const JOIN_AT_ONCE: usize = 50;

const AN_HOUR: Duration = Duration::from_secs(3600);

/// Updates of one message.
const UPDATES: usize = 500;

const ROLES: [&str; 5] =
    ["eng/batch", "eng/live", "ml/train", "ml/serve/\u{202e}night", "ops/<script>alert(1)</script>"];

/// Of frameworks, tasks and agents: what strangers choose, and what is usual.
const NAMES: [&str; 6] = [
    "nightly",
    "<script>alert(1)</script>",
    "render frames",
    "<img src=x onerror=alert(1)>",
    "\u{202e}gnp.exe \u{1b}[31m",
    "\"'>{{ 7*7 }}&lt;",
];

/// More than one page of them.
const TOKENS: u64 = 150;

/// A master, agents, frameworks and their tasks, gone with its value.
pub struct Crowd {
    /// Its master.
    pub cluster: Cluster,
    agents: Vec<Simulated>,
    frameworks: Vec<Framework>,
    listening: Vec<JoinHandle<()>>,
    _audit: TempDir,
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.listening.iter().for_each(JoinHandle::abort);
    }
}

impl Crowd {
    /// How many frameworks the tasks are of, in turn.
    pub const FRAMEWORKS: u64 = 20;

    /// How many of so many tasks have ended, where these are a multiple of 40. Of the others one in seven begins, the rest runs.
    pub fn ended(tasks: u64) -> u64 {
        tasks / 10
    }

    /// Fills a cluster. Half of the tasks are of the first agent, `agent-1`, the others of all others evenly. The frameworks answer
    /// no offer, so that as many lie as can.
    ///
    /// # Errors
    /// When the master does not take somebody.
    pub async fn start(agents: u64, tasks: u64) -> anyhow::Result<Self> {
        let audit = TempDir::new().context("a temporary folder can be made")?;
        let file = audit.path().join("audit").display().to_string();
        let cluster = Cluster::start_with(&["--audit", &file], &[]).await;
        let client = cluster.client().await;
        let mut crowd =
            Self { cluster, agents: Vec::new(), frameworks: Vec::new(), listening: Vec::new(), _audit: audit };
        for number in 0..TOKENS {
            let new = NewToken {
                kind: TokenKind::Viewer,
                name: format!("{} {number}", of(&NAMES[..4], number)),
                roles: vec![of(&ROLES[..3], number).to_owned()],
                ttl: None,
                uses: None,
            };
            client.create_token(&new).await?;
        }
        for number in 0..Self::FRAMEWORKS {
            let (name, role) = (of(&NAMES[..4], number), of(&ROLES, number));
            let info =
                FrameworkInfo { name: format!("{name} {number}"), roles: vec![role.into()], failover_timeout: AN_HOUR };
            let (framework, events) = Framework::connect(&client, info).await?;
            crowd.listening.push(tokio::spawn(take_note(framework.clone(), events)));
            crowd.frameworks.push(framework);
        }
        let frameworks = crowd.frameworks.iter().map(Framework::id).collect();
        let held = Held { frameworks, agents, tasks };
        let (home, url) = (crowd.cluster.home(), &crowd.cluster.url);
        // The first is to be the first.
        let first = held.join(&home, url, 1).await?;
        let joining = stream::iter(2..=agents).map(|number| held.join(&home, url, number));
        let others: Vec<Simulated> = joining.buffer_unordered(JOIN_AT_ONCE).try_collect().await?;
        crowd.agents.extend([first].into_iter().chain(others));
        let live = usize::try_from(tasks - Self::ended(tasks)).context("so many can be counted")?;
        until("the master knows every task", async || {
            let listed = client.agents().await.ok()?;
            (listed.iter().map(|agent| agent.tasks).sum::<usize>() == live).then_some(())
        })
        .await;
        Ok(crowd)
    }
}

fn of<T: Copy>(choice: &[T], number: u64) -> T {
    choice[number as usize % choice.len()]
}

/// Who holds what.
struct Held {
    frameworks: Vec<FrameworkId>,
    agents: u64,
    tasks: u64,
}

impl Held {
    async fn join(&self, home: &Home, url: &str, number: u64) -> anyhow::Result<Simulated> {
        let (identity, mut info) = small_machine(number);
        if number.is_multiple_of(10) {
            info.name = format!("{} {number}", of(&NAMES, number / 10));
        }
        let tasks: Vec<u64> = self.of_agent(number).collect();
        if number == 1 {
            tasks.iter().for_each(|&nth| info.resources.give(&wants(nth)));
        }
        let held: Vec<HeldTask> = tasks.iter().map(|&nth| task(self.id(nth), nth)).collect();
        let pause = Simulated::pause(number, self.agents);
        let agent = Simulated::join(home, url, registration((identity, info), held), pause).await?;
        let ended: Vec<u64> = tasks.into_iter().filter(|nth| has_ended(*nth)).collect();
        for piece in ended.chunks(UPDATES) {
            let ends = piece.iter().map(|&nth| end(self.id(nth), nth)).collect();
            agent.say(AgentCommand::Updates(ends).into()).await?;
        }
        Ok(agent)
    }

    /// The tasks of an agent: of two neighbours one is of the first agent, the other of one of the others.
    fn of_agent(&self, number: u64) -> impl Iterator<Item = u64> {
        let others = usize::try_from(self.agents - 1).expect("agents can be counted");
        let (first, step) = if number == 1 { (1, 2) } else { ((number - 2) * 2, others * 2) };
        (first..self.tasks).step_by(step)
    }

    fn id(&self, nth: u64) -> TaskId {
        let (pair, frameworks) = (nth / 2, self.frameworks.len() as u64);
        TaskId { framework: of(&self.frameworks, pair), number: pair / frameworks * 2 + nth % 2 + 1 }
    }
}

/// Two of forty neighbours, each time of other frameworks.
fn has_ended(nth: u64) -> bool {
    let pair = nth / 2;
    (pair + pair / Crowd::FRAMEWORKS).is_multiple_of(10)
}

fn wants(nth: u64) -> Resources {
    Resources::new(MilliCpu::new(1 + nth % 64), Bytes::from_mib(1 + nth % 128), Bytes::ZERO)
}

fn task(id: TaskId, nth: u64) -> HeldTask {
    HeldTask {
        id,
        name: format!("{} {nth}", of(&NAMES, nth / 2)),
        role: String::new(),
        volumes: Vec::new(),
        module: None,
        resources: wants(nth),
        state: if nth % 14 < 2 { TaskState::Starting } else { TaskState::Running },
        update: UpdateId(1),
        group: None,
        trace: None,
        life: None,
    }
}

/// Well, or at a limit.
fn end(id: TaskId, nth: u64) -> TaskStatus {
    let mem = wants(nth).mem;
    let usage = Usage {
        cpu: Duration::from_millis(nth),
        wall: Duration::from_millis(nth * 3),
        fuel: Fuel::new(nth * 1_000_000),
        peak_mem: mem,
        ..Usage::default()
    };
    let fails = nth / 2 % Crowd::FRAMEWORKS < Crowd::FRAMEWORKS / 2;
    let state = if fails { TaskState::Failed } else { TaskState::Finished };
    let status = TaskStatus::new(id, UpdateId(2), state, Source::Executor);
    if !fails {
        return TaskStatus { usage: Some(usage), ..status };
    }
    TaskStatus {
        usage: Some(usage),
        reason: Some(Reason::MemoryLimit),
        exceeded: Some(Exceeded { limit: mem.get(), used: mem.get() * 2 }),
        message: "it asked for more than it has".to_owned(),
        ..status
    }
}

/// Acknowledges what it hears, and answers nothing else.
async fn take_note(framework: Framework, mut events: Events) {
    while let Some(batch) = events.next_batch().await {
        let updates = batch.iter().filter_map(|event| match event {
            Event::Update(status) => Some(status),
            _ => None,
        });
        if framework.acknowledge(updates).await.is_err() {
            return;
        }
    }
}
