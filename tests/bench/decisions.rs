//! The master's machine alone: what its decisions about one short task cost, beside many idle agents and none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use haggle_core::access::Principal;
use haggle_core::cluster::{
    Acknowledgement, AgentCommand, AgentIdentity, Cluster, Command, Config, Effect, FrameworkCommand, FrameworkEvent,
    FrameworkInfo, Recovered,
};
use haggle_core::{
    AgentInfo, AgentKey, Bytes, Digest, FrameworkId, Grants, Limits, MilliCpu, Now, OfferId, Resources, SessionId,
    Sharing, Source, TaskId, TaskSpec, TaskState, TaskStatus, UpdateId,
};

use crate::figure::{Figure, Goal};

const TASKS: u64 = 10_000;
const SAMPLES: usize = 9;
const FRAMEWORK: SessionId = SessionId(1);
const AGENT: SessionId = SessionId(2);
const AN_HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    let crowd = Beside { agents: 20_000, frameworks: 2_000 };
    let beside = [Beside { agents: 0, frameworks: 0 }, Beside { agents: 1_000, frameworks: 0 }, crowd];
    let mut figures = Vec::new();
    for beside in beside {
        for at_once in [1, 20] {
            let samples = (0..SAMPLES).map(|_| short_tasks(at_once, beside)).collect::<anyhow::Result<_>>()?;
            let Beside { agents, frameworks } = beside;
            let name = format!(
                "decisions about one short task, {at_once} at once, {agents} idle agents and {frameworks} frameworks beside"
            );
            let goal = if (at_once, frameworks) == (20, 2_000) { Goal::Below(3.0) } else { Goal::Reported };
            figures.push(Figure::new(name, "µs", goal, samples));
        }
    }
    let samples = (0..3).map(|_| accepts()).collect::<anyhow::Result<Vec<_>>>()?.concat();
    let name = "from an accept to its launches, 50,000 agents and 200 frameworks that launch on all of them";
    figures.push(Figure::new(name, "µs", Goal::P99Below(1_000.0), samples));
    Ok(figures)
}

/// However many agents change, one allocation looks at all of them.
fn config() -> Config {
    Config { agents_at_once: usize::MAX, ..Config::default() }
}

/// What is there and does nothing.
#[derive(Clone, Copy)]
struct Beside {
    agents: u64,
    frameworks: u64,
}

/// Microseconds for each accept, when 200 frameworks have 50,000 agents in their offers and launch one task on each.
fn accepts() -> anyhow::Result<Vec<f64>> {
    let mut cluster = Cluster::new(config(), Recovered::default(), Now::ZERO);
    let mut effects = Vec::new();
    for framework in 1..=200 {
        let info = FrameworkInfo {
            name: "bench".into(),
            roles: vec![format!("role{}", framework % 20)],
            failover_timeout: AN_HOUR,
        };
        cluster.apply(Now::ZERO, Command::Connected(SessionId(framework), Principal::owner()), &mut effects)?;
        let subscribe = FrameworkCommand::Subscribe { member: None, info };
        cluster.apply(Now::ZERO, Command::Framework(SessionId(framework), subscribe.into()), &mut effects)?;
    }
    for agent in 0..50_000 {
        let session = SessionId(1_000 + agent);
        cluster.apply(Now::ZERO, Command::Connected(session, Principal::owner()), &mut effects)?;
        cluster.apply(Now::ZERO, Command::Agent(session, register(session)), &mut effects)?;
    }
    effects.clear();
    cluster.allocate(Now::ZERO, &mut effects);
    let offers: Vec<_> = effects
        .iter()
        .flat_map(|effect| match effect {
            Effect::ToFramework(session, FrameworkEvent::Offers(offers)) => {
                offers.iter().map(|offer| (*session, offer.id)).collect()
            }
            _ => Vec::new(),
        })
        .collect();
    anyhow::ensure!(offers.len() == 50_000, "{} agents were offered", offers.len());
    let mut samples = Vec::with_capacity(offers.len());
    for (number, (session, offer)) in offers.into_iter().enumerate() {
        let id = TaskId { framework: FrameworkId(session.0), number: number as u64 };
        let accept = FrameworkCommand::Accept {
            offers: vec![offer],
            operations: Vec::new(),
            tasks: vec![Arc::new(spec(id))],
            refuse: AN_HOUR,
        };
        effects.clear();
        let began = Instant::now();
        cluster.apply(Now::ZERO, Command::Framework(session, accept.into()), &mut effects)?;
        cluster.allocate(Now::ZERO, &mut effects);
        samples.push(began.elapsed().as_secs_f64() * 1e6);
        anyhow::ensure!(matches!(effects.first(), Some(Effect::ToAgent(..))), "nothing was launched: {effects:?}");
    }
    Ok(samples)
}

fn register(session: SessionId) -> AgentCommand {
    let resources = Resources::new(MilliCpu::from_cores(2), Bytes::from_mib(4096), Bytes::ZERO);
    let identity = AgentIdentity { member: None, key: AgentKey(u128::from(session.0)), run: 1 };
    let info = AgentInfo { name: session.to_string(), resources, ..AgentInfo::default() };
    AgentCommand::Register { identity, info, tasks: Vec::new(), complete: true }
}

/// Microseconds for each of many tasks that end at once, in rounds of accept, end and acknowledgement, each a batch
/// of its own with an allocation after it.
fn short_tasks(at_once: u64, beside: Beside) -> anyhow::Result<f64> {
    let mut machine = Machine { cluster: Cluster::new(config(), Recovered::default(), Now::ZERO), offers: Vec::new() };
    machine.apply(Command::Connected(FRAMEWORK, Principal::owner()))?;
    let info = FrameworkInfo { name: "bench".into(), roles: vec!["bench".into()], failover_timeout: AN_HOUR };
    machine.apply(Command::Framework(FRAMEWORK, FrameworkCommand::Subscribe { member: None, info }.into()))?;
    for other in 1..=beside.frameworks {
        let session = SessionId(1_000_000 + other);
        let info = FrameworkInfo {
            name: "other".into(),
            roles: vec![format!("other/{}", other % 50)],
            failover_timeout: AN_HOUR,
        };
        machine.apply(Command::Connected(session, Principal::owner()))?;
        machine.apply(Command::Framework(session, FrameworkCommand::Subscribe { member: None, info }.into()))?;
        machine.apply(Command::Framework(session, FrameworkCommand::Suppress { role: None }.into()))?;
    }
    for agent in 0..beside.agents {
        machine.join(SessionId(AGENT.0 + 1 + agent))?;
    }
    let offers = std::mem::take(&mut machine.offers);
    machine.apply(Command::Framework(FRAMEWORK, FrameworkCommand::Decline { offers, refuse: AN_HOUR }.into()))?;
    machine.join(AGENT)?;

    let began = Instant::now();
    for round in 0..TASKS / at_once {
        let ids =
            || (round * at_once..(round + 1) * at_once).map(|number| TaskId { framework: FrameworkId(1), number });
        let offers = std::mem::take(&mut machine.offers);
        let tasks = ids().map(|id| Arc::new(spec(id))).collect();
        let ended = |id| TaskStatus::new(id, UpdateId(1), TaskState::Finished, Source::Executor);
        let accept = FrameworkCommand::Accept { offers, operations: Vec::new(), tasks, refuse: AN_HOUR };
        machine.apply(Command::Framework(FRAMEWORK, accept.into()))?;
        machine.apply(Command::Agent(AGENT, AgentCommand::Updates(ids().map(ended).collect())))?;
        let seen = ids().map(|task| Acknowledgement { task, update: UpdateId(1), agent: None }).collect();
        machine.apply(Command::Framework(FRAMEWORK, FrameworkCommand::Acknowledge(seen).into()))?;
    }
    let took = began.elapsed();
    // To list them takes longer than some of their decisions.
    anyhow::ensure!(machine.cluster.tasks().len() as u64 == TASKS, "not every task was launched");
    Ok(took.as_secs_f64() * 1e6 / TASKS as f64)
}

struct Machine {
    cluster: Cluster,
    /// Open offers to the framework.
    offers: Vec<OfferId>,
}

impl Machine {
    /// One command as a batch of its own.
    fn apply(&mut self, command: Command) -> anyhow::Result<()> {
        let mut effects = Vec::new();
        self.cluster.apply(Now::ZERO, command, &mut effects)?;
        self.cluster.allocate(Now::ZERO, &mut effects);
        for effect in effects {
            if let Effect::ToFramework(_, FrameworkEvent::Offers(offers)) = effect {
                self.offers.extend(offers.into_iter().map(|offer| offer.id));
            }
        }
        Ok(())
    }

    fn join(&mut self, session: SessionId) -> anyhow::Result<()> {
        self.apply(Command::Connected(session, Principal::owner()))?;
        self.apply(Command::Agent(session, register(session)))
    }
}

fn spec(id: TaskId) -> TaskSpec {
    TaskSpec {
        id,
        name: "noop".into(),
        role: String::new(),
        module: Digest([1; 32]),
        args: Vec::new(),
        env: Vec::new(),
        stdin: Vec::new(),
        resources: Resources::new(MilliCpu::new(100), Bytes::from_mib(64), Bytes::ZERO),
        sharing: Sharing::default(),
        limits: Limits::default(),
        inputs: Vec::new(),
        grants: Grants::default(),
        group: None,
        waited: None,
        trace: None,
    }
}
