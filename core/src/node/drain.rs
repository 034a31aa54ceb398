//! Leaving with everything settled.

use alloc::vec::Vec;

use super::{Effect, Node};
use crate::id::TaskId;
use crate::task::Reason;
use crate::time::Now;

/// A drain under way, or over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drain {
    /// When the last task ended so far; when it began, if there was none.
    pub(super) last_end: Now,
    over: bool,
}

impl Node {
    /// A second order to drain adds nothing to the first.
    pub(super) fn start_drain(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.drain.is_some() {
            return;
        }
        self.drain = Some(Drain { last_end: now, over: false });
        let all: Vec<TaskId> = self.tasks.keys().copied().collect();
        for id in all {
            self.stop(id, Reason::AgentDraining, out);
        }
    }

    pub(super) fn finish_drain(&mut self, now: Now, out: &mut Vec<Effect>) {
        let settled = self.tasks.is_empty() || self.drain_deadline().is_some_and(|deadline| deadline <= now);
        if let Some(drain) = self.drain.as_mut().filter(|drain| !drain.over)
            && settled
        {
            drain.over = true;
            out.push(Effect::Drained);
        }
    }

    /// When waiting for acknowledgements ends, once nothing runs any more.
    pub(super) fn drain_deadline(&self) -> Option<Now> {
        let drain = self.drain.filter(|drain| !drain.over)?;
        (self.running() == 0).then(|| drain.last_end + self.config.drain_grace)
    }
}
