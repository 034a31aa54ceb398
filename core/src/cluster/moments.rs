//! When what became of a task, as its record keeps it.

use core::time::Duration;

use super::queued::{Queued, Stands};
use super::view::Life;
use crate::life::{HeldLife, Lapse, Prepared};
use crate::task::{TaskState, TaskStatus};
use crate::time::Now;

/// Each by how long it came before or after the task was sent. Of one of which nobody knows when that was, nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moments {
    sent: Option<Now>,
    submitted: Option<Lapse>,
    offered: Option<Lapse>,
    prepared: Prepared,
    started: Option<Lapse>,
    ended: Option<Lapse>,
}

impl Moments {
    /// Of a task that is sent now, on offers of which the last was made then. It `waited` so long at its framework, if that says so.
    pub(super) fn sent(now: Now, offered: Now, waited: Option<Duration>) -> Self {
        // What was offered before it was asked for has waited for it.
        let offered = now.since(offered).min(waited.unwrap_or(Duration::MAX));
        Self {
            sent: Some(now),
            submitted: waited.map(Lapse::from),
            offered: Some(Lapse::from(offered)),
            ..Self::default()
        }
    }

    /// Of one that an earlier master sent, as its agent says. How long it was under way nobody knows any more.
    pub(super) fn held(now: Now, held: HeldLife) -> Self {
        let HeldLife { age, prepared, started } = held;
        let sent = now.before(age.get());
        Self { sent: Some(sent), prepared, started, ..Self::default() }
    }

    /// Notes what its agent says now, and gives back how long it took to start, when this is the first that is heard of its
    /// start. One that ran for less than it takes to tell so is heard of at its end.
    pub(super) fn told(&mut self, status: &TaskStatus, now: Now) -> Option<Duration> {
        let Prepared { fetched, compiled } = status.prepared;
        self.prepared.fetched = self.prepared.fetched.or(fetched);
        self.prepared.compiled = self.prepared.compiled.or(compiled);
        let passed = now.since(self.sent?);
        let ran = match status.state {
            TaskState::Running => Duration::ZERO,
            state if state.is_terminal() => {
                self.ended.get_or_insert(passed.into());
                status.usage.as_ref()?.wall
            }
            _ => return None,
        };
        if self.started.is_some() {
            return None;
        }
        let after = passed.saturating_sub(ran);
        self.started = Some(after.into());
        Some(after)
    }

    /// It has come to an end of which its agent will not tell.
    pub(super) fn ends(&mut self, now: Now) {
        if let Some(sent) = self.sent {
            self.ended.get_or_insert(now.since(sent).into());
        }
    }

    /// The same for people.
    pub(super) fn life(&self) -> Life {
        let Some(sent) = self.sent else { return Life::default() };
        let before = |lapse: Option<Lapse>| lapse.map(|lapse| sent.before(lapse.get()));
        let after = |lapse: Option<Lapse>| lapse.map(|lapse| sent + lapse.get());
        Life {
            submitted: before(self.submitted),
            offered: before(self.offered),
            sent: Some(sent),
            fetched: after(self.prepared.fetched),
            compiled: after(self.prepared.compiled),
            started: after(self.started),
            ended: after(self.ended),
        }
    }
}

/// The same of a task in a queue, which ran for so long if it has ended.
pub(super) fn life_in_queue(queued: &Queued, ran: Option<Duration>) -> Life {
    let Queued { sent, since, .. } = *queued;
    let known = Life { sent, ..Life::default() };
    match queued.stands {
        Stands::Running => Life { started: since, ..known },
        Stands::Ended(..) => {
            let ran = ran.filter(|ran| !ran.is_zero());
            let started = since.zip(ran).map(|(ended, ran)| ended.before(ran).max(sent.unwrap_or_default()));
            Life { started, ended: since, ..known }
        }
        Stands::Waiting | Stands::Killing => known,
    }
}
