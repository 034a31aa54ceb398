//! How a batch is let out.

use std::mem;

use haggle_core::Epoch;
use haggle_core::cluster::Effect;
use haggle_core::planted::{self, Bug};

use super::Input;
use crate::net::{Msg, Way};
use crate::plan::S;
use crate::say;
use crate::world::World;

impl World {
    /// Says what was decided. `part` is only a part of it.
    pub(super) fn let_out(&mut self, at: usize, part: Option<()>) {
        let shows = self.masters[at].clock.read(self.now);
        let leases = self.has_leases();
        let Some(mut lead) = self.masters[at].lead.take() else { return };
        if leases && shows >= lead.leads_until && !planted::is(Bug::SpeaksAfterLease) {
            self.masters[at].lead = Some(lead);
            say!(self, "master {at} may lead no more, and says nothing");
            return self.retire(at);
        }
        let effects = mem::take(&mut lead.held_back);
        let end = match part {
            Some(()) => self.rng.index(effects.len() + 1),
            None => effects.len(),
        };
        let epoch = lead.epoch;
        // Half a second is what the wrongest clock makes of a lease.
        if !self.masters[at].suspended
            && !effects.is_empty()
            && epoch.0 < self.store.epoch
            && self.now > self.store.opened + S / 2
        {
            self.oracle.fail(format!("master {at} speaks as {epoch}, and {} leads", Epoch(self.store.epoch)));
        }
        for effect in effects.into_iter().take(end) {
            // One that was suspended speaks to connections that nobody listens on any more.
            let epoch_or_latest = if self.masters[at].suspended { Epoch(self.store.epoch) } else { epoch };
            self.oracle.let_out(epoch_or_latest, &effect);
            match effect {
                Effect::Remember(_) | Effect::Announce(_) => {}
                Effect::ToFramework(session, event) => {
                    if let Some(conn) = lead.conn(session) {
                        self.send(conn, Way::Down, Msg::Event(epoch, event));
                    }
                }
                Effect::ToAgent(session, order) => {
                    if let Some(conn) = lead.conn(session) {
                        self.send(conn, Way::Down, Msg::Order(epoch, order));
                    }
                }
                Effect::Close(session) => {
                    if let Some(conn) = lead.conn(session) {
                        self.send(conn, Way::Down, Msg::Closed);
                    }
                }
            }
        }
        for (session, why) in mem::take(&mut lead.failed) {
            if let Some(conn) = lead.conn(session) {
                self.send(conn, Way::Down, Msg::Failed(why));
                lead.waiting.push_back(Input::Ended(session));
            }
        }
        self.masters[at].lead = Some(lead);
    }
}
