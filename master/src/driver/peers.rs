//! Who is connected, and what this batch lets each of them hear.

use std::collections::HashMap;
use std::sync::Arc;

use haggle_core::SessionId;
use haggle_core::cluster::{AgentOrder, FrameworkEvent};
use tonic::Status;

use crate::access::Caller;
use crate::agent_mail::AgentMail;
use crate::handle::{Levels, Peer};
use crate::inbox::LargePlace;
use crate::outbox::{FellBehind, Outbox, Weigh};

/// Collects the effects of a batch by session, so that each session hears them as one message.
#[derive(Default)]
pub(super) struct Peers {
    lines: HashMap<SessionId, Line>,
    /// Who is at the other end.
    callers: HashMap<SessionId, Caller>,
    /// Whose batch is not empty.
    touched: Vec<SessionId>,
}

enum Line {
    Agent(Collecting<AgentMail>),
    Framework(Collecting<FrameworkEvent>),
}

struct Collecting<T> {
    outbox: Outbox<T>,
    batch: Vec<T>,
}

impl Peers {
    pub(super) fn open(&mut self, session: SessionId, caller: Caller, peer: Peer) {
        self.callers.insert(session, caller);
        let line = match peer {
            Peer::Agent(outbox) => Line::Agent(Collecting { outbox, batch: Vec::new() }),
            Peer::Framework(outbox) => Line::Framework(Collecting { outbox, batch: Vec::new() }),
        };
        self.lines.insert(session, line);
    }

    pub(super) fn is_open(&self, session: SessionId) -> bool {
        self.lines.contains_key(&session)
    }

    /// Who is at the other end of a session, while it is open.
    pub(super) fn caller(&self, session: SessionId) -> Option<&Caller> {
        self.callers.get(&session)
    }

    pub(super) fn remove(&mut self, session: SessionId) {
        self.callers.remove(&session);
        self.lines.remove(&session);
    }

    /// To a session that has ended, nothing is said. What came in a large message keeps its place until it has left.
    pub(super) fn tell_agent(&mut self, session: SessionId, order: AgentOrder, place: Option<&Arc<LargePlace>>) {
        if let Some(Line::Agent(line)) = self.lines.get_mut(&session) {
            let mail = match place {
                Some(place) if matches!(order, AgentOrder::Launch(_) | AgentOrder::Enqueue { .. }) => {
                    AgentMail::Large(order, Arc::clone(place))
                }
                _ => AgentMail::Order(order),
            };
            line.collect(session, mail, &mut self.touched);
        }
    }

    /// To a session that has ended, nothing is said.
    pub(super) fn tell_framework(&mut self, session: SessionId, event: FrameworkEvent) {
        if let Some(Line::Framework(line)) = self.lines.get_mut(&session) {
            line.collect(session, event, &mut self.touched);
        }
    }

    /// Ends a session after what was collected for it.
    pub(super) fn close(&mut self, session: SessionId) {
        match self.lines.get_mut(&session) {
            Some(Line::Agent(line)) => line.close(),
            Some(Line::Framework(line)) => line.close(),
            None => {}
        }
    }

    /// Ends a session with an error, and forgets it.
    pub(super) fn fail(&mut self, session: SessionId, status: Status) {
        self.callers.remove(&session);
        match self.lines.remove(&session) {
            Some(Line::Agent(line)) => line.outbox.fail(status),
            Some(Line::Framework(line)) => line.outbox.fail(status),
            None => {}
        }
    }

    /// Lets out what was collected. Who has fallen behind is forgotten and told in `cut_off`.
    pub(super) fn let_out(&mut self, cut_off: &mut Vec<SessionId>) {
        for session in self.touched.drain(..) {
            let sent = match self.lines.get_mut(&session) {
                Some(Line::Agent(line)) => line.let_out(),
                Some(Line::Framework(line)) => line.let_out(),
                None => Ok(()),
            };
            if sent == Err(FellBehind) {
                self.callers.remove(&session);
                self.lines.remove(&session);
                cut_off.push(session);
            }
        }
    }

    /// What was let out and the peers have not taken yet.
    pub(super) fn levels(&self) -> Levels {
        let mut levels = Levels::default();
        for line in self.lines.values() {
            match line {
                Line::Agent(line) => levels.agents.add(line.outbox.level()),
                Line::Framework(line) => levels.frameworks.add(line.outbox.level()),
            }
        }
        levels
    }

    /// Ends every session with an error.
    pub(super) fn fail_all(&mut self, status: &Status) {
        let sessions: Vec<_> = self.lines.keys().copied().collect();
        for session in sessions {
            self.fail(session, status.clone());
        }
    }
}

impl<T: Weigh> Collecting<T> {
    fn collect(&mut self, session: SessionId, item: T, touched: &mut Vec<SessionId>) {
        if self.batch.is_empty() {
            touched.push(session);
        }
        self.batch.push(item);
    }

    fn let_out(&mut self) -> Result<(), FellBehind> {
        self.outbox.put(&mut self.batch)
    }

    fn close(&mut self) {
        // Whoever falls behind at its end has been cut off by that, which is an end as well.
        let _ = self.let_out();
        self.outbox.close();
    }
}
