//! What is left of an earlier agent: tasks that outlived it.

use super::task::Task;
use super::{Node, Refusal};
use crate::lifecycle::TaskEvent;
use crate::planted::{self, Bug};
use crate::stop::Stop;
use crate::task::{Ending, TaskState, TaskSummary};
use crate::time::Now;

impl Node {
    /// Takes a task in that this agent did not launch. Where it stands is told anew, as an earlier agent may not have
    /// come to it; whoever knows it already drops the repeat.
    pub(super) fn recover(
        &mut self,
        now: Now,
        summary: TaskSummary,
        started: bool,
        stopped: Option<Stop>,
        ending: Option<Ending>,
        incarnation: u32,
    ) -> Result<(), Refusal> {
        let id = summary.id;
        if let Some(held) = self.tasks.get(&id) {
            return Err(Refusal::AlreadyHeld(id, held.state));
        }
        let incarnation = if planted::is(Bug::SameIncarnation) { 0 } else { incarnation };
        let mut task = Task::recovered(summary, incarnation);
        task.started = started;
        if started {
            task.transition(TaskEvent::Reported(TaskState::Running));
        }
        if let Some(why) = stopped.filter(|_| !planted::is(Bug::ReasonForgotten)) {
            if ending.is_none() {
                // Nothing else tells of it until it ends.
                task.tell();
            }
            task.transition(TaskEvent::KillRequested);
            task.stopped = Some(why);
        }
        self.used.give(&task.summary.resources);
        self.tasks.insert(id, task);
        self.enqueue(id);
        match ending {
            Some(ending) => self.ended(now, id, ending),
            None => Ok(()),
        }
    }
}
