//! The registry of several masters: rows in etcd, which only the one that leads can write.

mod batch;
mod campaign;
mod keys;
#[cfg(test)]
mod tests;

use std::sync::{Arc, mpsc};
use std::time::Duration;

use haggle_core::access::TokenId;
use haggle_core::cluster::{Change, Recovered};
use haggle_core::{AgentId, FrameworkId, MaintenanceId, Now, RoleRecord};
use haggle_etcd::{Batch, EtcdError, Fence, KeyValue, Lease, RequestOp, put};
use tokio::runtime::Handle;
use tracing::warn;

use super::{BadRow, Registry, RegistryError, row};
use campaign::number;
use keys::Keys;

pub(crate) use campaign::{Announced, Campaign, Term};

/// How long one attempt of a write may take; it is repeated for as long as the lease is not lost.
const ATTEMPT: Duration = Duration::from_secs(1);

/// How long reading one page at the start of a term may take.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// The registry, for one term of one master.
pub(crate) struct EtcdRegistry {
    campaign: Campaign,
    term: Term,
    lease: Arc<Lease>,
    fence: Fence,
    /// Where etcd is spoken to. Whoever writes or reads waits for what is done there.
    runtime: Handle,
    last_agent: u64,
    last_framework: u64,
    last_maintenance: u64,
}

impl EtcdRegistry {
    /// Must be called on the runtime that is to speak to etcd.
    pub(crate) fn new(campaign: Campaign, term: Term, lease: Arc<Lease>) -> Self {
        let fence = campaign.fence(&term);
        Self {
            campaign,
            term,
            lease,
            fence,
            runtime: Handle::current(),
            last_agent: 0,
            last_framework: 0,
            last_maintenance: 0,
        }
    }

    /// Has something done where etcd is spoken to, and waits for it.
    fn wait_for<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, EtcdError>> + Send + 'static,
    ) -> Result<T, EtcdError> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.runtime.spawn(async move {
            // Who waits does so until there is an answer.
            let _ = answer.send(call.await);
        });
        let stopped = |_| EtcdError::Unreachable { url: "etcd".to_owned(), why: "the master is stopping".to_owned() };
        answered.recv().map_err(stopped)?
    }

    /// Does one transaction, exactly once, however often it must be sent.
    fn commit(&mut self, changes: &[RequestOp]) -> Result<(), RegistryError> {
        loop {
            self.lease.confirm()?;
            let (client, mut fence, changes) =
                (Arc::clone(&self.campaign.client), self.fence.clone(), changes.to_vec());
            let written = self.wait_for(async move {
                let leads = fence.write(&client, changes, ATTEMPT).await?;
                Ok((fence, leads))
            });
            match written {
                Ok((fence, true)) => {
                    self.fence = fence;
                    return Ok(());
                }
                Ok((_, false)) => {
                    self.lease.lose();
                    return Err(RegistryError::Deposed);
                }
                Err(EtcdError::Unreachable { url, why }) => warn!("etcd does not answer: {url}: {why}"),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn try_recover(&mut self) -> Result<(Recovered, Now), EtcdError> {
        let campaign = self.campaign.clone();
        let (cluster, numbers, [agents, frameworks, enrolled, tokens, roles, withdrawn, maintenance]) =
            self.wait_for(async move {
                let (client, keys) = (&campaign.client, &campaign.keys);
                let mut numbers = Vec::new();
                for key in [keys.clock(), keys.last_agent(), keys.last_framework(), keys.last_maintenance()] {
                    let row = client.get(&key, READ_WITHIN).await?;
                    numbers.push(number(&key, row)?.unwrap_or(0));
                }
                let mut rows = [const { Vec::new() }; 7];
                let lists = [
                    keys.agents(),
                    keys.frameworks(),
                    keys.enrolled(),
                    keys.tokens(),
                    keys.roles(),
                    keys.withdrawn(),
                    keys.maintenance(),
                ];
                for (rows, list) in rows.iter_mut().zip(lists) {
                    *rows = client.list(&list, READ_WITHIN).await?;
                }
                Ok((campaign.found().await?, numbers, rows))
            })?;
        (self.last_agent, self.last_framework, self.last_maintenance) = (numbers[1], numbers[2], numbers[3]);
        let recovered = Recovered {
            cluster,
            epoch: self.term.epoch,
            agents: read_rows(agents, AgentId, row::read_agent)?,
            frameworks: read_rows(frameworks, FrameworkId, row::read_framework)?,
            enrolled: read_rows(enrolled, AgentId, row::read_enrolment)?,
            tokens: read_rows(tokens, TokenId, row::read_token)?,
            roles: read_roles(roles, &self.campaign.keys)?,
            withdrawn: read_rows(withdrawn, AgentId, row::read_withdrawal)?,
            maintenance: read_rows(maintenance, MaintenanceId, row::read_maintenance)?,
            last_agent: self.last_agent,
            last_framework: self.last_framework,
            last_maintenance: self.last_maintenance,
        };
        Ok((recovered, Now::from_nanos(numbers[0])))
    }
}

impl Registry for EtcdRegistry {
    /// The epoch was counted up when the term was won.
    fn recover(&mut self) -> Result<(Recovered, Now), RegistryError> {
        Ok(self.try_recover()?)
    }

    /// More changes than one transaction holds are made in several, in their order: see [`batch`].
    fn write(&mut self, now: Now, changes: &[&Change]) -> Result<(), RegistryError> {
        let mut batch = Batch::default();
        for change in changes {
            match change {
                Change::AgentRecorded(id, _) | Change::AgentEnrolled(id, _) => {
                    self.last_agent = self.last_agent.max(id.0);
                }
                Change::FrameworkSubscribed(id, _) => self.last_framework = self.last_framework.max(id.0),
                Change::MaintenanceRecorded(id, _) => self.last_maintenance = self.last_maintenance.max(id.0),
                Change::AgentRemoved(_)
                | Change::AgentWithdrawn(..)
                | Change::AgentReactivated(_)
                | Change::MaintenanceEnded(_)
                | Change::FrameworkRemoved(_)
                | Change::EnrolmentEnded(_)
                | Change::TokenRecorded(..)
                | Change::TokenRemoved(_)
                | Change::RoleRecorded(..) => {}
            }
            batch::add(&mut batch, &self.campaign.keys, change);
        }
        let keys = &self.campaign.keys;
        let numbers = vec![
            put(&keys.clock(), now.as_nanos().to_string()),
            put(&keys.last_agent(), self.last_agent.to_string()),
            put(&keys.last_framework(), self.last_framework.to_string()),
            put(&keys.last_maintenance(), self.last_maintenance.to_string()),
        ];
        for transaction in batch.into_transactions(numbers) {
            self.commit(&transaction)?;
        }
        Ok(())
    }

    fn leads(&self) -> Result<bool, RegistryError> {
        Ok(self.lease.holds()?)
    }

    fn confirm(&mut self) -> Result<(), RegistryError> {
        Ok(self.lease.confirm()?)
    }
}

impl From<EtcdError> for RegistryError {
    fn from(error: EtcdError) -> Self {
        match error {
            EtcdError::Full(_) => Self::Full(Box::new(error)),
            _ => Self::broken(error),
        }
    }
}

/// Rows with the ids that their keys end with.
fn read_rows<Id, Row>(
    rows: Vec<KeyValue>,
    id: impl Fn(u64) -> Id,
    read: impl Fn(&[u8]) -> Result<Row, BadRow>,
) -> Result<Vec<(Id, Row)>, EtcdError> {
    let read = |row: KeyValue| {
        let key = String::from_utf8_lossy(&row.key).into_owned();
        let number = key.rsplit('/').next().and_then(|digits| digits.parse().ok());
        match (number, read(&row.value)) {
            (Some(number), Ok(row)) => Ok((id(number), row)),
            (None, _) => Err(EtcdError::Unreadable(key, "its name is no id".to_owned())),
            (_, Err(bad)) => Err(EtcdError::Unreadable(key, bad.to_string())),
        }
    };
    rows.into_iter().map(read).collect()
}

/// What is remembered of roles, with the paths that the keys end with.
fn read_roles(rows: Vec<KeyValue>, keys: &Keys) -> Result<Vec<(String, RoleRecord)>, EtcdError> {
    let below = keys.roles();
    let read = |row: KeyValue| {
        let key = String::from_utf8_lossy(&row.key).into_owned();
        match (key.strip_prefix(&below), row::read_role(&row.value)) {
            (Some(role), Ok(record)) => Ok((role.to_owned(), record)),
            (None, _) => Err(EtcdError::Unreadable(key, format!("it is not below {below}"))),
            (_, Err(bad)) => Err(EtcdError::Unreadable(key, bad.to_string())),
        }
    };
    rows.into_iter().map(read).collect()
}
