//! How a batch becomes durable.

use haggle_core::Epoch;
use haggle_core::cluster::Effect;
use haggle_core::planted::{self, Bug};

use super::{RETRY, Writing};
use crate::plan::{MS, S};
use crate::say;
use crate::words::Written;
use crate::world::{Event, MasterEvent, World, WriteEnd};

impl World {
    pub(super) fn write(&mut self, at: usize, writing: Writing) {
        let slow = self.faulty && self.rng.chance(self.plan.slow_writes);
        let takes = if slow { self.rng.range(S / 2, 8 * S) } else { self.rng.range(MS / 10, 5 * MS) };
        let life = self.masters[at].life;
        self.masters[at].lead.as_mut().expect("it writes").writing = Some(writing.clone());
        let reaches = self.rng.range(0, takes);
        self.after(reaches, Event::Commit(at, life, Box::new(writing)));
    }

    /// A write comes to the registry.
    pub(crate) fn commit(&mut self, at: usize, life: u64, writing: &Writing) {
        let answer = |world: &mut Self, how| {
            let wait = world.rng.range(MS / 10, 5 * MS);
            world.after(wait, Event::Master(at, life, MasterEvent::Written(how)));
        };
        if !self.reaches_store(at) {
            // Nothing is known of it: the client gives up after a while.
            let wait = 2 * S;
            return self.after(wait, Event::Master(at, life, MasterEvent::Written(WriteEnd::Failed)));
        }
        // A process that is no more has closed its connection; what it sent may have come all the same.
        let alive = self.masters[at].up && self.masters[at].life == life;
        if !alive && self.rng.chance(500) {
            return;
        }
        if self.store.full_until > self.now {
            return answer(self, WriteEnd::Full);
        }
        let leads = !self.has_leases() || self.store.leads(self.now, writing.lease) || planted::is(Bug::NoFence);
        if !leads || (!self.has_leases() && !alive) {
            return answer(self, WriteEnd::Failed);
        }
        if writing.epoch != Epoch(self.store.epoch) {
            self.oracle.fail(format!(
                "the registry took a write of {}, though {} leads",
                writing.epoch,
                Epoch(self.store.epoch)
            ));
        }
        self.store_writes(at, writing);
        // The answer may be lost, though the write is there.
        answer(self, if writing.fails { WriteEnd::Failed } else { WriteEnd::Done });
    }

    /// One transaction of the registry.
    pub(super) fn store_writes(&mut self, at: usize, writing: &Writing) {
        for change in &writing.changes {
            say!(self, "master {at} writes {}", Written(change));
        }
        self.store.write(writing.clock, &writing.changes);
        self.oracle.written(&writing.changes);
        self.check_drained(&writing.changes);
    }

    pub(super) fn written(&mut self, at: usize, how: WriteEnd) {
        let Some(lead) = &mut self.masters[at].lead else { return };
        if lead.writing.is_none() {
            return;
        }
        match how {
            WriteEnd::Done => {
                lead.writing = None;
                self.check_reserved(at);
                self.check_volumes(at);
                self.let_out(at, None);
                self.step(at);
            }
            WriteEnd::Full => {
                say!(self, "master {at} has no room to write");
                let changes = lead.held_back.iter().filter_map(|effect| match effect {
                    Effect::Remember(change) => Some(change.clone()),
                    _ => None,
                });
                let (lease, epoch, clock) = (lead.lease, lead.epoch, lead.now);
                let writing = Writing { lease, epoch, clock, changes: changes.collect(), fails: false };
                let life = self.masters[at].life;
                self.after(RETRY, Event::Commit(at, life, Box::new(writing)));
            }
            WriteEnd::Failed => {
                say!(self, "master {at} cannot write, and ends");
                self.retire(at);
            }
        }
    }
}
