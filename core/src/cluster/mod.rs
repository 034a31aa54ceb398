//! The master's machine: who is there, what was promised to whom, and where every task stands.
//!
//! [`Cluster::apply`] takes one command; it either refuses it and has changed nothing, or appends to the effects
//! what is to be done. After a batch of commands, [`Cluster::allocate`] offers what became free.

mod accept;
mod agents;
mod command;
mod config;
mod effect;
mod enqueue;
mod enrol;
mod figures;
mod frameworks;
mod groups;
mod guard;
mod history;
mod inventory;
mod inverse;
mod kill;
mod launch_group;
mod maintenance;
mod modules;
mod moments;
mod not_launched;
mod offers;
mod operations;
mod operator;
mod principals;
mod queued;
mod reconcile;
mod record;
mod refusal;
mod register;
mod reserve;
mod revocable;
mod rhythm;
mod roles;
mod sessions;
mod state;
mod tally;
mod task_views;
mod tasks;
mod timers;
mod tokens;
mod told;
mod updates;
mod view;
mod views;
mod volumes;
mod why;
mod withdrawal;

use alloc::vec::Vec;

pub use command::{
    Acknowledgement, AgentCommand, AgentIdentity, Command, FrameworkCall, FrameworkCommand, FrameworkInfo, HeldTask,
    InvalidFramework, OperatorCommand, Question,
};
pub use config::Config;
pub use effect::{
    AgentOrder, AgentRecord, Announcement, Change, Effect, FrameworkEvent, FrameworkRecord, Recovered, Rejection,
};
pub use figures::Figures;
pub use refusal::Refusal;
pub use rhythm::{answers_each, heartbeat_every};
pub use tally::{AgentMove, OfferEnd, Processor, Tally};
pub use task_views::{TaskCursor, TaskGlance};
pub use view::{
    AgentView, AheadView, Counts, FrameworkView, Life, MaintenanceView, OfferView, PhaseView, PrincipalView,
    ReservationView, RoleView, TaskView, VolumeStanding, VolumeView, Why, WithdrawalView,
};
pub use views::Page;

use crate::access::Verb;
use crate::id::SessionId;
use crate::planted::{self, Bug};
use crate::time::Now;
use register::Registration;
use state::State;
use timers::Timer;

/// The master's state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    state: State,
}

impl Cluster {
    /// A cluster as the registry remembers it. Nobody is connected yet: agents and frameworks have their timeouts,
    /// from `now`, to come back.
    pub fn new(config: Config, recovered: Recovered, now: Now) -> Self {
        Self { state: State::new(config, recovered, now) }
    }

    /// Carries out one command, and appends what is to be done.
    ///
    /// What a peer asks for in vain is answered, not refused: a launch on a bad offer with a `DROPPED` update, a
    /// wrong subscription or registration with a last word and the end of the session.
    ///
    /// # Errors
    /// The command is refused. Nothing was changed, and nothing appended.
    pub fn apply(&mut self, now: Now, command: Command, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        let state = &mut self.state;
        match command {
            Command::Agent(session, command) => agent_says(state, now, session, command, out),
            Command::Framework(session, call) => framework_calls(state, now, session, call, out),
            Command::Operator(who, request, command) => operator::decide(state, now, &who, request, command, out),
            Command::Connected(session, principal) => sessions::connect(state, session, principal),
            Command::Disconnected(session) => {
                sessions::disconnect(state, now, session, out);
                Ok(())
            }
            Command::Tick => {
                self.tick(now, out);
                Ok(())
            }
            Command::WallClock(wall_ms) => {
                tokens::wall_clock(state, now, wall_ms, out);
                maintenance::wall_clock(state, now, wall_ms, out);
                Ok(())
            }
        }
    }

    /// Offers what became free since the last call, a slice of [`Config::agents_at_once`] agents at a time, ends what is left of groups of which a task failed, and sees who is drained by now: once, at the end of a batch of
    /// commands.
    pub fn allocate(&mut self, now: Now, out: &mut Vec<Effect>) {
        groups::settle(&mut self.state, out);
        withdrawal::settle(&mut self.state, now, out);
        offers::make(&mut self.state, now, out);
        inverse::make(&mut self.state, out);
    }

    /// Whether more agents changed than the last [`Self::allocate`] looked at. It is to be called again, when whoever waited meanwhile
    /// was heard.
    pub fn is_behind(&self) -> bool {
        self.state.allocator.is_behind()
    }

    /// When to send [`Command::Tick`] at the latest.
    pub fn next_deadline(&self) -> Option<Now> {
        self.state.timers.next().into_iter().chain(self.state.allocator.next_deadline()).min()
    }

    /// Whether to send [`Command::WallClock`] with what the wall clock says now: milliseconds since 1970.
    pub fn wall_clock_is_due(&self, wall_ms: u64) -> bool {
        self.state.tokens.is_due(wall_ms) || self.state.maintenance.is_due(wall_ms)
    }

    fn tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        let state = &mut self.state;
        let mut expired = Vec::new();
        while let Some(timer) = state.timers.pop_due(now) {
            match timer {
                Timer::Offer(id) => expired.push(id),
                Timer::Agent(id) => agents::time_out(state, now, id, out),
                Timer::Framework(id) => frameworks::remove(state, now, id, out),
                Timer::Resend(id) => updates::resend_due(state, now, id, out),
                Timer::Enrolment(id) => agents::end_enrolment(state, id, out),
                Timer::Drain(id) => withdrawal::time_out(state, now, id, out),
                Timer::Inverse(agent, framework) => inverse::time_out(state, agent, framework),
            }
        }
        offers::expire(state, now, &expired, out);
        state.allocator.expire(now);
    }
}

fn agent_says(
    state: &mut State,
    now: Now,
    session: SessionId,
    command: AgentCommand,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    match command {
        AgentCommand::Register { identity, info, tasks, complete } => {
            let registration = Registration { identity, info, tasks, complete };
            register::register(state, now, session, registration, out)
        }
        AgentCommand::Holds { tasks, complete } => register::holds(state, now, session, tasks, complete, out),
        AgentCommand::HoldsQueues { queues, complete } => {
            register::holds_queues(state, now, session, queues, complete, out)
        }
        AgentCommand::Heartbeat => agents::heard_from(state, now, session, Verb::Report).map(|_| ()),
        AgentCommand::Updates(updates) => tasks::update(state, now, session, updates, out),
        AgentCommand::QueueUpdates(updates) => enqueue::update(state, now, session, updates, out),
        AgentCommand::Volumes(volumes) => volumes::held(state, now, session, volumes, out),
        AgentCommand::Unused(cpus) => revocable::measured(state, now, session, cpus, out),
        AgentCommand::Drain => agents::drain(state, now, session, out),
        AgentCommand::Leave => agents::leave(state, now, session, out),
    }
}

/// A call that was heard before is passed over.
fn framework_calls(
    state: &mut State,
    now: Now,
    session: SessionId,
    FrameworkCall { number, command }: FrameworkCall,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    if number != 0
        && !planted::is(Bug::CallRepeated)
        && state.speaks_for(session).is_some_and(|id| number <= state.frameworks[&id].last_call)
    {
        return Ok(());
    }
    framework_says(state, now, session, command, out)?;
    if number != 0
        && let Some(id) = state.speaks_for(session)
        && let Some(framework) = state.frameworks.get_mut(&id)
    {
        framework.last_call = number;
    }
    Ok(())
}

fn framework_says(
    state: &mut State,
    now: Now,
    session: SessionId,
    command: FrameworkCommand,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    match command {
        FrameworkCommand::Subscribe { member, info } => frameworks::subscribe(state, now, session, member, info, out),
        FrameworkCommand::Accept { offers, operations, tasks, refuse } => {
            let accepted = accept::Accepted { operations, tasks, refuse };
            accept::accept(state, now, session, &offers, accepted, out)
        }
        FrameworkCommand::LaunchGroup { offers, operations, tasks, refuse } => {
            let accepted = launch_group::Accepted { operations, tasks, refuse };
            launch_group::launch_group(state, now, session, &offers, accepted, out)
        }
        FrameworkCommand::Open { offers, allocation, refuse } => {
            accept::open(state, now, session, &offers, allocation, refuse, out)
        }
        FrameworkCommand::Enqueue { allocation, tasks, last } => {
            enqueue::enqueue(state, now, session, allocation, tasks, last, out)
        }
        FrameworkCommand::Decline { offers, refuse } => offers::decline(state, now, session, &offers, refuse),
        FrameworkCommand::AcceptInverse(offers) => inverse::accept(state, session, &offers),
        FrameworkCommand::DeclineInverse { offers, refuse } => inverse::decline(state, now, session, &offers, refuse),
        FrameworkCommand::Demand { role, wants } => offers::demand(state, session, role, &wants),
        FrameworkCommand::Revive { role } => offers::revive(state, session, role),
        FrameworkCommand::Suppress { role } => offers::suppress(state, session, role),
        FrameworkCommand::Update(info) => frameworks::update(state, session, info, out),
        FrameworkCommand::Kill(task) => kill::by_framework(state, session, task, out),
        FrameworkCommand::Acknowledge(acknowledgements) => updates::acknowledge(state, session, &acknowledgements, out),
        FrameworkCommand::Reconcile(questions) => reconcile::reconcile(state, session, &questions, out),
        FrameworkCommand::Teardown => frameworks::teardown(state, now, session, out),
    }
}
