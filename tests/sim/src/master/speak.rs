//! How a batch is let out.

use std::collections::BTreeMap;
use std::mem;

use haggle_core::Epoch;
use haggle_core::cluster::Effect;
use haggle_core::planted::{self, Bug};

use super::Input;
use crate::net::{ConnId, Msg};
use crate::plan::S;
use crate::say;
use crate::store::LEASE;
use crate::world::World;

impl World {
    /// Says what was decided. `part` is only a part of it.
    pub(super) fn let_out(&mut self, at: usize, part: Option<()>) {
        let shows = self.masters[at].clock.read_asleep(self.now);
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
        let current = lead.of == self.store.cluster;
        if !self.masters[at].suspended
            && current
            && !effects.is_empty()
            && epoch.0 < self.store.epoch
            && self.now > self.store.opened + S / 2
        {
            self.oracle.fail(format!("master {at} speaks as {epoch}, and {} leads", Epoch(self.store.epoch)));
        }
        if self.faulty && !effects.is_empty() && self.rng.chance(self.plan.late_words) {
            // It may speak, stands still, and speaks then: nobody can look at a clock and send at one instant.
            let pause = self.rng.range(LEASE / 2, 3 * LEASE);
            self.pause_master(at, pause);
        }
        let mut mail: BTreeMap<ConnId, Vec<Msg>> = BTreeMap::new();
        for effect in effects.into_iter().take(end) {
            // One that was suspended speaks to connections that nobody listens on any more.
            let epoch_or_latest = if self.masters[at].suspended { Epoch(self.store.epoch) } else { epoch };
            if current {
                self.oracle.let_out(epoch_or_latest, &effect);
            }
            let (session, msg) = match effect {
                Effect::Remember(_)
                | Effect::Announce(_)
                | Effect::AnnounceQueued(_)
                | Effect::Enrolled(_)
                | Effect::Scheduled(_)
                | Effect::VolumeCreated(_) => continue,
                Effect::ToFramework(session, event) => (session, Msg::Event(epoch, event)),
                Effect::ToAgent(session, order) => (session, Msg::Order(epoch, order)),
                Effect::Close(session) => {
                    lead.ended.extend(lead.conn(session));
                    (session, Msg::Closed)
                }
            };
            if let Some(conn) = lead.conn(session) {
                mail.entry(conn).or_default().push(msg);
            }
        }
        for (session, why) in mem::take(&mut lead.failed) {
            if let Some(conn) = lead.conn(session) {
                mail.entry(conn).or_default().push(Msg::Failed(why));
                lead.ended.insert(conn);
                lead.waiting.push_back(Input::Ended(session));
            }
        }
        for (conn, batch) in mail {
            self.put(conn, batch);
        }
        self.masters[at].lead = Some(lead);
    }
}
