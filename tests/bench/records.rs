//! What the master's machine holds for each agent, framework and running task.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::access::Principal;
use haggle_core::cluster::{
    Acknowledgement, AgentCommand, Cluster, Command, Config, Effect, FrameworkCommand, FrameworkEvent, FrameworkInfo,
    Recovered,
};
use haggle_core::{
    AgentId, Bytes, Digest, FrameworkId, Grants, Limits, MilliCpu, Now, OfferId, Resources, SessionId, Sharing, Source,
    TaskId, TaskSpec, TaskState, TaskStatus, UpdateId, Want,
};
use haggle_kit::{registration, small_machine};

use crate::Effort;
use crate::executor::proc;
use crate::figure::{Figure, Goal};

/// Launches all tasks.
const FRAMEWORK: SessionId = SessionId(1);
/// Above the sessions of frameworks.
const AGENTS: u64 = 1_000_000;
/// On each agent.
const TASKS: u64 = 5;
const AN_HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let (agents, frameworks) = (effort.of(20_000, 2_000), effort.of(5_000, 500));
    let mut machine = Machine { cluster: Cluster::new(Config::default(), Recovered::default(), Now::ZERO) };
    machine.subscribe(FRAMEWORK)?;
    let held = || Ok::<_, anyhow::Error>(proc::held(std::process::id())?.get());
    let each = |before: u64, after: u64, count: u64| after.saturating_sub(before) as f64 / count as f64;

    let nothing = held()?;
    for number in 0..agents {
        machine.connect(SessionId(AGENTS + number))?;
        for piece in registration(small_machine(number), []) {
            machine.apply(Command::Agent(SessionId(AGENTS + number), piece))?;
        }
    }
    let with_agents = held()?;
    for number in 0..frameworks {
        machine.subscribe(SessionId(FRAMEWORK.0 + 1 + number))?;
    }
    let with_frameworks = held()?;
    for round in 0..agents {
        machine.launch(round * TASKS)?;
    }
    let with_tasks = held()?;
    anyhow::ensure!(machine.cluster.counts().tasks as u64 == agents * TASKS, "not every task was launched");

    let agent = each(nothing, with_agents, agents) / 1024.0;
    let framework = each(with_agents, with_frameworks, frameworks) / 1024.0;
    let task = each(with_frameworks, with_tasks, agents * TASKS);
    Ok(vec![
        Figure::new(
            format!("{agents} agents: what the master's machine holds for each"),
            "KiB",
            Goal::Below(2.0),
            vec![agent],
        ),
        Figure::new(format!("{frameworks} frameworks: for each"), "KiB", Goal::Below(4.0), vec![framework]),
        Figure::new(format!("{} running tasks: for each", agents * TASKS), "bytes", Goal::Below(512.0), vec![task]),
    ])
}

struct Machine {
    cluster: Cluster,
}

impl Machine {
    /// Carries out a command, and gives the offers that it brings about.
    fn apply(&mut self, command: Command) -> anyhow::Result<Vec<(AgentId, OfferId)>> {
        self.apply_all([command])
    }

    /// The same of a batch.
    fn apply_all(&mut self, batch: impl IntoIterator<Item = Command>) -> anyhow::Result<Vec<(AgentId, OfferId)>> {
        let mut effects = Vec::new();
        for command in batch {
            self.cluster.apply(Now::ZERO, command, &mut effects)?;
        }
        self.cluster.allocate(Now::ZERO, &mut effects);
        let offers = effects.into_iter().filter_map(|effect| match effect {
            Effect::ToFramework(_, FrameworkEvent::Offers(offers)) => Some(offers),
            _ => None,
        });
        Ok(offers.flatten().map(|offer| (offer.agent, offer.id)).collect())
    }

    fn connect(&mut self, session: SessionId) -> anyhow::Result<()> {
        self.apply(Command::Connected(session, Principal::owner())).map(drop)
    }

    /// A framework that wants nothing. Ten have a role together.
    fn subscribe(&mut self, session: SessionId) -> anyhow::Result<()> {
        self.connect(session)?;
        let (name, role) = (format!("pipeline-{}", session.0), format!("team-{}/nightly", session.0 / 10));
        let info = FrameworkInfo { name, roles: [role].into(), failover_timeout: AN_HOUR };
        let subscribe = FrameworkCommand::Subscribe { member: None, info };
        let suppress = FrameworkCommand::Suppress { role: None };
        let batch = [subscribe, suppress].map(|command| Command::Framework(session, command.into()));
        self.apply_all(batch).map(drop)
    }

    /// Some tasks, from the wish for them until they run.
    fn launch(&mut self, first: u64) -> anyhow::Result<()> {
        let resources = Resources::new(MilliCpu::new(800), Bytes::from_mib(64), Bytes::ZERO);
        let waiting = u32::try_from(TASKS)?;
        let want = Want {
            resources: resources.clone(),
            constraints: Vec::new(),
            volumes: Vec::new(),
            waiting,
            spare: 0,
            gang: 0,
        };
        let offers = self
            .apply(Command::Framework(FRAMEWORK, FrameworkCommand::Demand { role: None, wants: vec![want] }.into()))?;
        let [(agent, offer)] = offers[..] else { anyhow::bail!("not one offer, but {}", offers.len()) };
        let ids = || (first..first + TASKS).map(|number| TaskId { framework: FrameworkId(1), number });
        let tasks = ids().map(|id| Arc::new(spec(id, &resources))).collect();
        let accept =
            FrameworkCommand::Accept { offers: vec![offer], tasks, operations: Vec::new(), refuse: Duration::ZERO };
        self.apply(Command::Framework(FRAMEWORK, accept.into()))?;
        let runs = |id| TaskStatus::new(id, UpdateId(1), TaskState::Running, Source::Executor);
        let session = SessionId(AGENTS + agent.0 - 1);
        self.apply(Command::Agent(session, AgentCommand::Updates(ids().map(runs).collect())))?;
        let seen = ids().map(|task| Acknowledgement { task, update: UpdateId(1), agent: None }).collect();
        self.apply(Command::Framework(FRAMEWORK, FrameworkCommand::Acknowledge(seen).into())).map(drop)
    }
}

fn spec(id: TaskId, resources: &Resources) -> TaskSpec {
    TaskSpec {
        id,
        name: format!("part-{}", id.number),
        role: String::new(),
        module: Digest([1; 32]),
        args: Vec::new(),
        env: Vec::new(),
        stdin: Vec::new(),
        resources: resources.clone(),
        sharing: Sharing::default(),
        limits: Limits::default(),
        inputs: Vec::new(),
        grants: Grants::default(),
        group: None,
        waited: None,
        trace: None,
    }
}
