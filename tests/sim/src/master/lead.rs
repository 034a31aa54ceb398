//! How a master comes to lead, and stays.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use haggle_core::Now;
use haggle_core::cluster::{Cluster, Config};

use super::{Lead, RETRY};
use crate::net::Place;
use crate::plan::{MS, S};
use crate::say;
use crate::store::LEASE;
use crate::wants::Wants;
use crate::world::{MasterEvent, World};

impl World {
    pub(super) fn reaches_store(&self, at: usize) -> bool {
        self.store.down_until <= self.now && self.net.connects(Place::Master(at), Place::Store)
    }

    pub(super) fn campaign(&mut self, at: usize) {
        if self.masters[at].lead.is_some() {
            return;
        }
        let wait = self.rng.range(MS, 50 * MS);
        if !self.has_leases() {
            return self.master_later(at, wait, MasterEvent::Open(0));
        }
        let lease = if self.reaches_store(at) { self.store.campaign(self.now, at) } else { None };
        match lease {
            Some(lease) => {
                say!(self, "master {at} is elected with lease {lease}");
                self.master_later(at, wait, MasterEvent::Open(lease));
            }
            None => {
                let wait = self.rng.range(RETRY / 4, RETRY);
                self.master_later(at, wait, MasterEvent::Campaign);
            }
        }
    }

    pub(super) fn open_registry(&mut self, at: usize, lease: u64) {
        let can_write = self.store.full_until <= self.now && self.reaches_store(at);
        let leads = !self.has_leases() || self.store.leads(self.now, lease);
        if !can_write || !leads {
            return self.master_later(at, RETRY, MasterEvent::Campaign);
        }
        let recovered = self.store.open(self.now);
        let config = Config {
            offer_timeout: self.plan.offer_timeout,
            agent_timeout: self.plan.agent_timeout,
            agent_gone_after: self.plan.gone_after,
            reregister_timeout: self.plan.reregister_timeout,
            unacknowledged_per_framework: self.plan.unacknowledged,
            history: self.plan.history,
            weights: self.plan.weights.clone(),
            ..Config::default()
        };
        let clock = &self.masters[at].clock;
        let (looked, led) = (clock.read(self.now), clock.read_asleep(self.now));
        say!(self, "master {at} leads as {}", recovered.epoch);
        self.oracle.leads(recovered.epoch);
        let now = self.store.clock;
        let lead = Lead {
            epoch: recovered.epoch,
            of: recovered.cluster,
            cluster: Cluster::new(config, recovered, Now::from_nanos(now)),
            lease,
            // The lease was given before the registry was read.
            leads_until: led + LEASE - 100 * MS,
            waiting: VecDeque::new(),
            stepping: false,
            wake: 0,
            now,
            looked,
            writing: None,
            held_back: Vec::new(),
            wants: Wants::default(),
            failed: Vec::new(),
            sessions: BTreeMap::new(),
            ended: BTreeSet::new(),
            by_conn: BTreeMap::new(),
            last_session: 0,
            heard: BTreeMap::new(),
            began: self.ran(at),
        };
        self.masters[at].lead = Some(Box::new(lead));
        if self.has_leases() {
            self.master_later(at, S, MasterEvent::KeepAlive);
        }
        self.step(at);
    }

    pub(super) fn renew(&mut self, at: usize) {
        let asked = self.masters[at].clock.read_asleep(self.now);
        let reaches = self.reaches_store(at);
        let Some(lead) = &mut self.masters[at].lead else { return };
        if reaches {
            if !self.store.keep_alive(self.now, lead.lease) {
                say!(self, "master {at} has lost its lease");
                return self.retire(at);
            }
            lead.leads_until = asked + LEASE;
        }
        self.master_later(at, S, MasterEvent::KeepAlive);
    }
}
