//! Leaving with everything settled.

use alloc::vec::Vec;

use super::{Effect, Node};
use crate::time::Now;

/// A drain under way, or over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drain {
    /// When the last task ended so far; when it began, if there was none.
    pub(super) last_end: Now,
    /// When the tasks that still run are stopped; `None` once they were.
    stop_at: Option<Now>,
    over: bool,
}

impl Node {
    /// A second order to drain adds nothing to the first.
    pub(super) fn start_drain(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.drain.is_some() {
            return;
        }
        self.drain = Some(Drain { last_end: now, stop_at: Some(now + self.config.kill_grace), over: false });
        self.end_grace(now, out);
    }

    /// Stops what still runs, once its grace is over.
    fn end_grace(&mut self, now: Now, out: &mut Vec<Effect>) {
        let Some(drain) = self.drain.as_mut().filter(|drain| drain.stop_at.is_some_and(|at| at <= now)) else { return };
        drain.stop_at = None;
        self.stop_all(out);
    }

    pub(super) fn finish_drain(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.end_grace(now, out);
        let given_up = self.running() == 0 && self.drain_deadline().is_some_and(|deadline| deadline <= now);
        let settled = self.tasks.is_empty() || given_up;
        if let Some(drain) = self.drain.as_mut().filter(|drain| !drain.over)
            && settled
        {
            drain.over = true;
            out.push(Effect::Drained);
        }
    }

    /// When what runs is stopped; once nothing runs any more, when waiting for acknowledgements ends.
    pub(super) fn drain_deadline(&self) -> Option<Now> {
        let drain = self.drain.filter(|drain| !drain.over)?;
        if self.running() > 0 { drain.stop_at } else { Some(drain.last_end + self.config.drain_grace) }
    }
}
