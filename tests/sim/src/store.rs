//! The registry: what outlives masters, and says which of them leads.

use std::collections::BTreeMap;

use haggle_core::cluster::{AgentRecord, Change, FrameworkRecord, Recovered};
use haggle_core::planted::{self, Bug};
use haggle_core::{
    AgentId, ClusterId, Epoch, FrameworkId, Maintenance, MaintenanceId, Phase, Reserved, RoleRecord, VolumeId,
    Withdrawal,
};

use crate::plan::{S, Time};

/// How long a master leads without renewing its lease.
pub(crate) const LEASE: Time = 3 * S;

/// The key that says who leads.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    /// Which master.
    pub(crate) master: usize,
    /// Names the lease.
    pub(crate) lease: u64,
    /// When somebody else may lead.
    pub(crate) expires: Time,
}

/// A store like etcd, or a single master's own disk: then there is no lease.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    /// Drawn when it was made.
    pub(crate) cluster: ClusterId,
    /// How many masters have opened it to lead.
    pub(crate) epoch: u64,
    /// When the last of them did.
    pub(crate) opened: Time,
    /// The clock of the last master that wrote.
    pub(crate) clock: u64,
    /// Who leads.
    pub(crate) leader: Option<Leader>,
    /// Until when it answers nobody.
    pub(crate) down_until: Time,
    /// Until when it has no room.
    pub(crate) full_until: Time,
    agents: BTreeMap<AgentId, AgentRecord>,
    frameworks: BTreeMap<FrameworkId, FrameworkRecord>,
    roles: BTreeMap<String, RoleRecord>,
    withdrawn: BTreeMap<AgentId, Withdrawal>,
    maintenance: BTreeMap<MaintenanceId, Maintenance>,
    last_agent: u64,
    last_framework: u64,
    last_maintenance: u64,
    last_lease: u64,
}

impl Store {
    /// Makes a master the leader, when there is none.
    pub(crate) fn campaign(&mut self, now: Time, master: usize) -> Option<u64> {
        if self.leader.as_ref().is_some_and(|leader| leader.expires > now) {
            return None;
        }
        self.last_lease += 1;
        self.leader = Some(Leader { master, lease: self.last_lease, expires: now + LEASE });
        Some(self.last_lease)
    }

    /// Whether this lease is that of the leader, and has not run out.
    pub(crate) fn leads(&self, now: Time, lease: u64) -> bool {
        self.leader.as_ref().is_some_and(|leader| leader.lease == lease && leader.expires > now)
    }

    /// Lets a leader lead on. False when it does not lead any more.
    pub(crate) fn keep_alive(&mut self, now: Time, lease: u64) -> bool {
        if !self.leads(now, lease) {
            return false;
        }
        let leader = self.leader.as_mut().expect("it leads");
        leader.expires = now + LEASE;
        true
    }

    /// Opens the registry to lead.
    pub(crate) fn open(&mut self, now: Time) -> Recovered {
        self.epoch += u64::from(self.epoch == 0 || !planted::is(Bug::EpochNotRaised));
        self.opened = now;
        Recovered {
            cluster: self.cluster,
            epoch: Epoch(self.epoch),
            agents: self.agents.iter().map(|(&id, record)| (id, record.clone())).collect(),
            frameworks: self.frameworks.iter().map(|(&id, record)| (id, record.clone())).collect(),
            roles: self.roles.iter().map(|(role, record)| (role.clone(), record.clone())).collect(),
            last_agent: self.last_agent,
            last_framework: self.last_framework,
            withdrawn: self.withdrawn.iter().map(|(&id, &withdrawal)| (id, withdrawal)).collect(),
            maintenance: self.maintenance.iter().map(|(&id, window)| (id, window.clone())).collect(),
            last_maintenance: self.last_maintenance,
            ..Recovered::default()
        }
    }

    /// Writes one transaction.
    pub(crate) fn write(&mut self, clock: u64, changes: &[Change]) {
        self.clock = clock;
        for change in changes {
            match change {
                Change::AgentRecorded(id, record) => {
                    self.last_agent = self.last_agent.max(id.0);
                    self.agents.insert(*id, record.clone());
                }
                Change::AgentRemoved(id) => drop(self.agents.remove(id)),
                Change::FrameworkSubscribed(id, record) => {
                    self.last_framework = self.last_framework.max(id.0);
                    self.frameworks.insert(*id, record.clone());
                }
                Change::FrameworkRemoved(id) => drop(self.frameworks.remove(id)),
                // Everybody is the owner here: nobody joins, and nobody has a token.
                Change::AgentEnrolled(..)
                | Change::EnrolmentEnded(_)
                | Change::TokenRecorded(..)
                | Change::TokenRemoved(_) => {}
                Change::RoleRecorded(role, record) if record.is_default() => drop(self.roles.remove(role)),
                Change::RoleRecorded(role, record) => drop(self.roles.insert(role.clone(), record.clone())),
                Change::AgentWithdrawn(id, withdrawal) => drop(self.withdrawn.insert(*id, *withdrawal)),
                Change::AgentReactivated(id) => drop(self.withdrawn.remove(id)),
                Change::MaintenanceRecorded(id, window) => {
                    self.last_maintenance = self.last_maintenance.max(id.0);
                    self.maintenance.insert(*id, window.clone());
                }
                Change::MaintenanceEnded(id) => drop(self.maintenance.remove(id)),
            }
        }
    }

    /// Everything is lost. Whoever opens it finds another cluster.
    pub(crate) fn lose(&mut self, cluster: ClusterId) {
        *self = Self {
            cluster,
            down_until: self.down_until,
            full_until: self.full_until,
            // No lease is ever given twice.
            last_lease: self.last_lease,
            ..Self::default()
        };
    }

    /// The roles that have a quota.
    pub(crate) fn roles_with_quotas(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().filter(|(_, record)| record.quota.is_some()).map(|(role, _)| role.as_str())
    }

    /// The roles to which small offers are not made.
    pub(crate) fn roles_with_least(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().filter(|(_, record)| record.min_allocatable.is_some()).map(|(role, _)| role.as_str())
    }

    /// The agents that are remembered.
    pub(crate) fn agents(&self) -> impl Iterator<Item = AgentId> {
        self.agents.keys().copied()
    }

    /// What is remembered as reserved on an agent.
    pub(crate) fn reserved_on(&self, agent: AgentId) -> &[Reserved] {
        self.agents.get(&agent).map_or(&[], |record| &record.reserved)
    }

    /// The volumes that are remembered.
    pub(crate) fn volumes(&self) -> impl Iterator<Item = VolumeId> {
        self.agents.values().flat_map(|record| &record.volumes).map(|volume| volume.id)
    }

    /// The agents that take no tasks, and do not end any either.
    pub(crate) fn withdrawn(&self) -> impl Iterator<Item = AgentId> {
        let is_at_rest = |withdrawal: &Withdrawal| !matches!(withdrawal.phase, Phase::Draining(_));
        self.withdrawn.iter().filter(move |(_, withdrawal)| is_at_rest(withdrawal)).map(|(&id, _)| id)
    }

    /// The maintenance windows that have not ended.
    pub(crate) fn maintenance(&self) -> impl Iterator<Item = MaintenanceId> {
        self.maintenance.keys().copied()
    }

    /// Whether it remembers nobody.
    pub(crate) fn is_empty(&self) -> bool {
        let nothing_decided = self.withdrawn.is_empty() && self.maintenance.is_empty();
        self.agents.is_empty() && self.frameworks.is_empty() && nothing_decided
    }
}
