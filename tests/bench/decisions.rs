//! The master's machine alone: what its decisions about one short task cost, beside many idle agents and none.

use std::collections::BTreeMap;
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
    [(1, 0), (20, 0), (1, 1000), (20, 1000)]
        .into_iter()
        .map(|(at_once, idle)| {
            let samples = (0..SAMPLES).map(|_| short_tasks(at_once, idle)).collect::<anyhow::Result<_>>()?;
            let name = format!("decisions about one short task, {at_once} at once, {idle} idle agents beside");
            Ok(Figure::new(name, "µs", Goal::Reported, samples))
        })
        .collect()
}

/// Microseconds for each of many tasks that end at once, in rounds of accept, end and acknowledgement, each a batch
/// of its own with an allocation after it.
fn short_tasks(at_once: u64, idle: u64) -> anyhow::Result<f64> {
    let mut machine =
        Machine { cluster: Cluster::new(Config::default(), Recovered::default(), Now::ZERO), offers: Vec::new() };
    machine.apply(Command::Connected(FRAMEWORK, Principal::owner()))?;
    let info = FrameworkInfo { name: "bench".into(), role: "bench".into(), failover_timeout: AN_HOUR };
    machine.apply(Command::Framework(FRAMEWORK, FrameworkCommand::Subscribe { member: None, info }.into()))?;
    for agent in 0..idle {
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
        let accept = FrameworkCommand::Accept { offers, tasks, refuse: AN_HOUR };
        machine.apply(Command::Framework(FRAMEWORK, accept.into()))?;
        machine.apply(Command::Agent(AGENT, AgentCommand::Updates(ids().map(ended).collect())))?;
        let seen = ids().map(|task| Acknowledgement { task, update: UpdateId(1), agent: None }).collect();
        machine.apply(Command::Framework(FRAMEWORK, FrameworkCommand::Acknowledge(seen).into()))?;
    }
    anyhow::ensure!(machine.cluster.tasks().len() as u64 == TASKS, "not every task was launched");
    Ok(began.elapsed().as_secs_f64() * 1e6 / TASKS as f64)
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
        let resources = Resources::new(MilliCpu::from_cores(2), Bytes::from_mib(4096), Bytes::ZERO);
        let identity = AgentIdentity { member: None, key: AgentKey(u128::from(session.0)), run: 1 };
        let info = AgentInfo { name: session.to_string(), resources, attributes: BTreeMap::new() };
        self.apply(Command::Connected(session, Principal::owner()))?;
        self.apply(Command::Agent(
            session,
            AgentCommand::Register { identity, info, tasks: Vec::new(), complete: true },
        ))
    }
}

fn spec(id: TaskId) -> TaskSpec {
    TaskSpec {
        id,
        name: "noop".into(),
        module: Digest([1; 32]),
        args: Vec::new(),
        env: Vec::new(),
        stdin: Vec::new(),
        resources: Resources::new(MilliCpu::new(100), Bytes::from_mib(64), Bytes::ZERO),
        sharing: Sharing::default(),
        limits: Limits::default(),
        inputs: Vec::new(),
        grants: Grants::default(),
    }
}
