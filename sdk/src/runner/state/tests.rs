//! What a runner decides, as sentences.

mod demanding;
mod gang;
mod launching;
mod queues;
mod reconnecting;
mod retrying;
mod silence;
mod waiting;

use haggle_core::cluster::{Acknowledgement, Question};
use haggle_core::{
    AgentId, AgentInfo, Bytes, Digest, MilliCpu, Offer, OfferId, Reason, Resources, Source, TaskState, UpdateId,
};

use super::*;
use crate::events::Event;

const FRAMEWORK: FrameworkId = FrameworkId(1);
const START: Now = Now::from_millis(1000);

fn cpus(milli: u64) -> Resources {
    Resources::new(MilliCpu::new(milli), Bytes::from_mib(64), Bytes::ZERO)
}

fn room(milli: u64) -> Resources {
    Resources::new(MilliCpu::new(milli), Bytes::from_mib(1024), Bytes::ZERO)
}

fn task(milli: u64) -> Task {
    Task::new(Digest([1; 32])).name("t").resources(cpus(milli))
}

fn agent(milli: u64) -> AgentView {
    AgentView {
        id: AgentId(1),
        info: AgentInfo { name: "a1".to_owned(), resources: room(milli), ..AgentInfo::default() },
        connected: true,
        draining: false,
        withdrawal: None,
        unavailability: None,
        used: Resources::default(),
        offered: Resources::default(),
        reserved: Vec::new(),
        volumes: 0,
        kept: Bytes::ZERO,
        revocable: MilliCpu::ZERO,
        tasks: 0,
    }
}

fn offer(id: u64, agent: u64, milli: u64) -> Event {
    Event::Offers(vec![Offer {
        id: OfferId(id),
        agent: AgentId(agent),
        agent_name: format!("a{agent}"),
        attributes: Default::default(),
        role: "role".to_owned(),
        reserved: Vec::new(),
        volumes: Vec::new(),
        resources: room(milli),
        unavailability: None,
    }])
}

/// An offer of exactly what so many tasks of so much processor time want.
fn units(id: u64, agent: u64, milli: u64, count: u64) -> Event {
    Event::Offers(vec![Offer {
        id: OfferId(id),
        agent: AgentId(agent),
        agent_name: format!("a{agent}"),
        attributes: Default::default(),
        role: "role".to_owned(),
        reserved: Vec::new(),
        volumes: Vec::new(),
        resources: Resources::new(MilliCpu::new(count * milli), Bytes::from_mib(count * 64), Bytes::ZERO),
        unavailability: None,
    }])
}

/// So many tasks that wait and so many to keep room for, of so much processor time.
fn want(milli: u64, waiting: u32, spare: u32) -> Want {
    Want { resources: cpus(milli), constraints: Vec::new(), volumes: Vec::new(), waiting, spare, gang: 0 }
}

fn id(number: u64) -> TaskId {
    TaskId { framework: FRAMEWORK, number }
}

fn question(number: u64, agent: u64) -> Question {
    Question { task: id(number), agent: Some(AgentId(agent)) }
}

fn ack(number: u64) -> Acknowledgement {
    Acknowledgement { task: id(number), update: UpdateId(1), agent: None }
}

fn update(number: u64, state: TaskState, reason: Option<Reason>) -> Event {
    Event::Update(TaskStatus { reason, ..TaskStatus::new(id(number), UpdateId(1), state, Source::Agent) })
}

/// How long a silent agent is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A runner of a cluster whose one agent has four cores. The master knows that it wants nothing.
fn runner(retries: u32, linger: Duration) -> RunnerState {
    let policy = Policy { retries, linger, unreachable_patience: PATIENCE, gang: false };
    RunnerState::new(FRAMEWORK, vec![agent(4000)], policy, Vec::new())
}

fn batch() -> RunnerState {
    runner(0, Duration::ZERO)
}

/// How long a session keeps room for more tasks like the last ones.
const LINGER: Duration = Duration::from_secs(5);

fn session() -> RunnerState {
    runner(0, LINGER)
}

/// A runner whose task 0, of one core, was launched as number 1.
fn launched(retries: u32) -> RunnerState {
    let mut runner = runner(retries, Duration::ZERO);
    runner.submit(START, 0, task(1000));
    runner.decide(START);
    runner.hear(START, offer(1, 1, 1000));
    assert_eq!(accepted(&runner.decide(START)), [(vec![1], vec![1])]);
    runner
}

/// Offers and task numbers of each launch.
fn accepted(decisions: &Decisions) -> Vec<(Vec<u64>, Vec<u64>)> {
    let accept = |command: &FrameworkCommand| match command {
        FrameworkCommand::Accept { offers, tasks, .. } => {
            Some((offers.iter().map(|offer| offer.0).collect(), tasks.iter().map(|task| task.id.number).collect()))
        }
        _ => None,
    };
    decisions.commands.iter().filter_map(accept).collect()
}

/// The names of the commands, in order.
fn said(decisions: &Decisions) -> Vec<&'static str> {
    let name = |command: &FrameworkCommand| match command {
        FrameworkCommand::Subscribe { .. } => "subscribe",
        FrameworkCommand::Accept { .. } => "accept",
        FrameworkCommand::LaunchGroup { .. } => "launch group",
        FrameworkCommand::Open { .. } => "open",
        FrameworkCommand::Enqueue { .. } => "enqueue",
        FrameworkCommand::Decline { .. } => "decline",
        FrameworkCommand::AcceptInverse(_) => "accept inverse",
        FrameworkCommand::DeclineInverse { .. } => "decline inverse",
        FrameworkCommand::Revive { .. } => "revive",
        FrameworkCommand::Demand { .. } => "demand",
        FrameworkCommand::Suppress { .. } => "suppress",
        FrameworkCommand::Update(_) => "update",
        FrameworkCommand::Kill(_) => "kill",
        FrameworkCommand::Acknowledge(_) => "acknowledge",
        FrameworkCommand::Reconcile(_) => "reconcile",
        FrameworkCommand::Teardown => "teardown",
    };
    decisions.commands.iter().map(name).collect()
}

/// What the master is told that is wanted.
fn demanded(decisions: &Decisions) -> Vec<Vec<Want>> {
    let demand = |command: &FrameworkCommand| match command {
        FrameworkCommand::Demand { wants, .. } => Some(wants.clone()),
        _ => None,
    };
    decisions.commands.iter().filter_map(demand).collect()
}

fn ends(decisions: &Decisions) -> Vec<(u64, Option<TaskState>, u32)> {
    let end = |news: &News| match news {
        News::Progress(Progress::Ended(outcome)) => {
            Some((outcome.index, outcome.status.as_ref().map(|status| status.state), outcome.attempts))
        }
        _ => None,
    };
    decisions.news.iter().filter_map(end).collect()
}

fn waits(decisions: &Decisions) -> Vec<String> {
    let wait = |news: &News| match news {
        News::Progress(Progress::Waiting { why, .. }) => Some(why.to_string()),
        _ => None,
    };
    decisions.news.iter().filter_map(wait).collect()
}
