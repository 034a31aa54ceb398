//! What becomes of a task in the executor.

use alloc::string::{String, ToString};

use super::{Node, Refusal};
use crate::id::TaskId;
use crate::life::{Lapse, Prepared};
use crate::lifecycle::TaskEvent;
use crate::stop::Stop;
use crate::task::{Ending, Reason, Source, TaskState, Usage};
use crate::time::Now;

impl Node {
    pub(super) fn started(&mut self, now: Now, id: TaskId) -> Result<(), Refusal> {
        let task = self.tasks.get_mut(&id).ok_or(Refusal::NotHeld(id))?;
        task.started = true;
        task.starts(now);
        if task.transition(TaskEvent::Reported(TaskState::Running)) {
            self.enqueue(id);
        }
        Ok(())
    }

    pub(super) fn preparing(&mut self, id: TaskId) -> Result<(), Refusal> {
        let task = self.tasks.get_mut(&id).ok_or(Refusal::NotHeld(id))?;
        if task.arrived() {
            self.enqueue(id);
        }
        Ok(())
    }

    /// Notes when something that it waited for was there: its next update tells of that.
    pub(super) fn prepared(
        &mut self,
        now: Now,
        id: TaskId,
        what: impl FnOnce(&mut Prepared) -> &mut Option<Lapse>,
    ) -> Result<(), Refusal> {
        let task = self.tasks.get_mut(&id).ok_or(Refusal::NotHeld(id))?;
        task.is_prepared(now, what);
        Ok(())
    }

    pub(super) fn given_up(&mut self, now: Now, id: TaskId, reason: Reason, message: String) -> Result<(), Refusal> {
        let ending = Ending {
            state: TaskState::Failed,
            reason: Some(reason),
            message,
            exit_code: None,
            exceeded: None,
            usage: Usage::default(),
        };
        if self.tasks.get(&id).is_some_and(|task| task.queue.is_some()) {
            return self.give_up_queue(now, id, ending);
        }
        self.end(now, id, Source::Agent, ending)
    }

    pub(super) fn ended(&mut self, now: Now, id: TaskId, ending: Ending) -> Result<(), Refusal> {
        self.end(now, id, Source::Executor, ending)
    }

    pub(super) fn end(&mut self, now: Now, id: TaskId, source: Source, ending: Ending) -> Result<(), Refusal> {
        let task = self.tasks.get_mut(&id).ok_or(Refusal::NotHeld(id))?;
        let ending = match &task.stopped {
            // Nobody needs to know how far a fetch had come. But what ran may have ended by itself just before the
            // stop reached it: then that is what happened.
            Some(why) if ending.state == TaskState::Killed || source == Source::Agent => {
                killed(why, task.started, ending)
            }
            _ => ending,
        };
        if task.transition(TaskEvent::Reported(ending.state)) {
            task.ending = Some((source, ending));
            self.used.take_up_to(&task.summary.resources);
            *self.ended.entry(id.framework).or_default() += 1;
            self.enqueue(id);
            if let Some(drain) = &mut self.drain {
                drain.last_end = now;
            }
        }
        Ok(())
    }
}

/// An ending that was asked for.
fn killed(why: &Stop, started: bool, ending: Ending) -> Ending {
    let (reason, message) = match (why.reason, started) {
        (Reason::KillRequested, false) => (Reason::KilledDuringLaunch, "killed before it started".to_string()),
        (reason, false) => (reason, "killed before it started".to_string()),
        (reason, true) => (reason, ending.message),
    };
    let message = why.message.as_deref().map_or(message, String::from);
    Ending { state: why.state(), reason: Some(reason), message, ..ending }
}
