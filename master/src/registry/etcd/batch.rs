//! Changes of the registry as rows.
//!
//! A batch may need several transactions, and the master may die between two. That is safe, since nothing of the batch
//! is let out before the last of them is done, and what the first ones leave is a state that the registry can have:
//! rows do not refer to each other, each is written whole (it has at most about 64 KiB), a use of a token is counted before
//! the id that it gives, and the highest ids given are in the first transaction, so that no id that was written, or told
//! anybody, is ever given again.

use haggle_core::cluster::Change;
use haggle_etcd::Batch;

use super::keys::Keys;
use crate::registry::row;

pub(super) fn add(batch: &mut Batch, keys: &Keys, change: &Change) {
    match change {
        Change::AgentRecorded(id, agent) => batch.put(keys.agent(id.0), row::write_agent(agent)),
        Change::AgentRemoved(id) => batch.delete(keys.agent(id.0)),
        Change::FrameworkSubscribed(id, framework) => {
            batch.put(keys.framework(id.0), row::write_framework(framework));
        }
        Change::FrameworkRemoved(id) => batch.delete(keys.framework(id.0)),
        Change::AgentEnrolled(id, enrolment) => batch.put(keys.enrolment(id.0), row::write_enrolment(enrolment)),
        Change::EnrolmentEnded(id) => batch.delete(keys.enrolment(id.0)),
        Change::TokenRecorded(id, token) => batch.put(keys.token(id.0), row::write_token(token)),
        Change::TokenRemoved(id) => batch.delete(keys.token(id.0)),
        Change::RoleRecorded(role, record) if record.is_default() => batch.delete(keys.role(role)),
        Change::RoleRecorded(role, record) => batch.put(keys.role(role), row::write_role(record)),
        Change::AgentWithdrawn(id, withdrawal) => batch.put(keys.withdrawal(id.0), row::write_withdrawal(withdrawal)),
        Change::AgentReactivated(id) => batch.delete(keys.withdrawal(id.0)),
        Change::MaintenanceRecorded(id, window) => batch.put(keys.window(id.0), row::write_maintenance(window)),
        Change::MaintenanceEnded(id) => batch.delete(keys.window(id.0)),
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::{AgentId, FrameworkId};
    use haggle_etcd::delete;

    use super::*;

    #[test]
    fn a_change_is_a_row_below_the_prefix() {
        let (keys, mut batch) = (Keys::below("/test"), Batch::default());

        for change in [Change::FrameworkRemoved(FrameworkId(3)), Change::AgentRemoved(AgentId(3))] {
            add(&mut batch, &keys, &change);
        }

        let framework = delete("/test/frameworks/00000000000000000003");
        let agent = delete("/test/agents/00000000000000000003");
        assert_eq!(batch.into_transactions(Vec::new()), [vec![framework, agent]]);
    }
}
