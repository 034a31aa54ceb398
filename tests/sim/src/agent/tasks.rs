//! What an agent's node is told, and what it wants done.

use haggle_core::cluster::AgentCommand;
use haggle_core::node::{Command, Effect};
use haggle_core::{Now, TaskId, TaskSummary};

use super::Held;
use crate::plan::{MS, S, Time};
use crate::say;
use crate::world::{AgentEvent, Event, ExecutorEvent, World};

impl World {
    /// One command for the node, and what follows from it.
    pub(super) fn node_does(&mut self, at: usize, command: Command) {
        match &command {
            Command::Launch(spec) => say!(self, "agent {at} is to launch {}", spec.id),
            other => say!(self, "agent {at}: {other:?}"),
        }
        let shows = self.agents[at].clock.read(self.now);
        let now = Now::from_nanos(shows);
        let mut effects = Vec::new();
        let process = self.agents[at].process.as_mut().expect("it runs");
        // Late and repeated news are refused, and have changed nothing.
        let _ = process.node.apply(now, command, &mut effects);
        process.node.flush(now, &mut effects);
        for effect in effects {
            self.node_wants(at, effect);
            if self.agents[at].process.is_none() {
                return;
            }
        }
        let agent = &self.agents[at];
        let process = agent.process.as_ref().expect("it runs");
        let due = process.node.next_deadline().map(|due| Time::try_from(due.since(now).as_nanos()).unwrap_or(S));
        if let Some(due) = due {
            let wait = agent.clock.span(due);
            let tick = self.now + wait;
            if process.tick_at.is_none_or(|at| at > tick) {
                self.agents[at].process.as_mut().expect("it runs").tick_at = Some(tick);
                self.after(wait, Event::Agent(at, self.agents[at].life, AgentEvent::Tick));
            }
        }
    }

    fn node_wants(&mut self, at: usize, effect: Effect) {
        match effect {
            Effect::Run(spec) => {
                let task = spec.id;
                self.agents[at].process.as_mut().expect("it runs").fetching.insert(task, spec);
                self.check_machine(at);
                self.check_mounts(at);
                let is_here = self.rng.chance(500);
                let takes = match is_here {
                    true => 0,
                    false if self.rng.chance(400) => self.rng.range(MS, 3 * S),
                    false => self.rng.range(MS, 20 * MS),
                };
                if !is_here {
                    self.agent_later(at, 0, AgentEvent::Preparing(task));
                }
                self.agent_later(at, takes, AgentEvent::Fetched(task));
            }
            Effect::Stop(task, why) => {
                let process = self.agents[at].process.as_mut().expect("it runs");
                if process.fetching.remove(&task).is_some() {
                    self.agent_later(at, 0, AgentEvent::GivenUp(task, true));
                } else {
                    self.tell_to_stop(at, task, why);
                }
            }
            Effect::Send(updates) => {
                for status in &updates {
                    say!(self, "agent {at} tells {}", crate::words::told(status));
                }
                self.report(at, AgentCommand::Updates(updates));
            }
            Effect::Forget(task) => {
                if self.agents[at].executor.get(&task).is_some_and(|held| held.ending.is_none()) {
                    self.oracle.fail(format!("the node of agent {at} forgets {task}, which runs"));
                }
                self.agents[at].executor.remove(&task);
            }
            Effect::Open(_)
            | Effect::Enqueue { .. }
            | Effect::StopQueued { .. }
            | Effect::StopQueue(..)
            | Effect::SendQueue(_)
            | Effect::Settled { .. } => {
                self.oracle.fail(format!("agent {at} has an allocation, and no framework here opens one: {effect:?}"));
            }
            Effect::Drained => {
                self.agents[at].process.as_mut().expect("it runs").leaving = true;
                self.report(at, AgentCommand::Leave);
            }
        }
    }

    pub(super) fn fetched(&mut self, at: usize, task: TaskId) {
        let agent = &mut self.agents[at];
        let process = agent.process.as_mut().expect("it runs");
        let Some(spec) = process.fetching.remove(&task) else { return };
        let mounts: Vec<_> = spec.grants.volumes().collect();
        if !self.finds_its_volumes(at, task, &mounts) {
            self.loses(at, task);
            return self.agent_later(at, 0, AgentEvent::GivenUp(task, false));
        }
        let summary = TaskSummary::from(&*spec);
        let held = Held { summary, mounts, started: false, stopped: None, ending: None, incarnation: 0 };
        let agent = &mut self.agents[at];
        if agent.executor.insert(task, held).is_some() {
            self.oracle.fail(format!("agent {at} runs {task} a second time"));
        }
        let boot = self.agents[at].boot;
        let wait = self.rng.range(MS / 10, 10 * MS);
        self.after(wait, Event::Executor(at, boot, task, ExecutorEvent::Start));
    }
}
