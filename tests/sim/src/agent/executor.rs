//! The executors of an agent's machine, which outlive the agent.

use std::time::Duration;

use haggle_core::{Ending, Reason, Stop, TaskId, TaskState, Usage};

use crate::plan::{MS, S};
use crate::say;
use crate::world::{AgentEvent, Event, ExecutorEvent, World};

impl World {
    /// What happens in an executor.
    pub(crate) fn executor_happens(&mut self, at: usize, boot: u64, task: TaskId, event: ExecutorEvent) {
        let current = self.is_of_this_cluster(at);
        let agent = &mut self.agents[at];
        if agent.boot != boot {
            return;
        }
        let Some(held) = agent.executor.get_mut(&task).filter(|held| held.ending.is_none()) else { return };
        let life = agent.life;
        match event {
            ExecutorEvent::Start => {
                held.started = true;
                say!(self, "{task} starts on agent {at}");
                let takes = match current {
                    true => self.oracle.started(task, at),
                    // Nobody promises anything of it any more.
                    false => S,
                };
                if current {
                    self.program_started(task);
                }
                self.after(takes, Event::Executor(at, boot, task, ExecutorEvent::End));
                self.after(0, Event::Agent(at, life, AgentEvent::Started(task)));
            }
            ExecutorEvent::End | ExecutorEvent::Stop => {
                let state = match event {
                    ExecutorEvent::Stop => TaskState::Killed,
                    _ if !current => TaskState::Finished,
                    _ => self.oracle.outcome(task),
                };
                // What is told of it says why it was to end.
                let truth = match &held.stopped {
                    Some(why) if state == TaskState::Killed => why.state(),
                    _ => state,
                };
                let ending = Ending {
                    state,
                    reason: (state != TaskState::Finished).then_some(Reason::Exit),
                    message: String::new(),
                    exit_code: Some(0),
                    exceeded: None,
                    usage: Usage { wall: Duration::from_nanos(1), ..Usage::default() },
                };
                held.ending = Some(ending.clone());
                say!(self, "{task} ends as {state} on agent {at}");
                if current {
                    self.oracle.ended(task, truth);
                }
                self.after(0, Event::Agent(at, life, AgentEvent::Ended(task, Box::new(ending))));
            }
        }
    }

    /// An order to end is on its way to an executor, which keeps the first that comes before an end.
    pub(super) fn tell_to_stop(&mut self, at: usize, task: TaskId, why: Stop) {
        let agent = &mut self.agents[at];
        if let Some(held) = agent.executor.get_mut(&task).filter(|held| held.ending.is_none()) {
            held.stopped.get_or_insert(why);
        }
        let boot = agent.boot;
        let wait = self.rng.range(MS, 300 * MS);
        self.after(wait, Event::Executor(at, boot, task, ExecutorEvent::Stop));
    }

    /// The executor of one framework ends, and its tasks with it.
    pub(crate) fn crash_executor(&mut self, at: usize, task: TaskId) {
        let agent = &mut self.agents[at];
        let dead: Vec<TaskId> =
            agent.executor.keys().copied().filter(|held| held.framework == task.framework).collect();
        say!(self, "the executor of {} on agent {at} ends", task.framework);
        for task in dead {
            let agent = &mut self.agents[at];
            let held = agent.executor.remove(&task).expect("it was just there");
            let life = agent.life;
            // The record of one that has ended is gone; a later agent does not know of it.
            self.loses(at, task);
            if held.ending.is_none() {
                self.after(0, Event::Agent(at, life, AgentEvent::GivenUp(task, false)));
            }
        }
    }
}
