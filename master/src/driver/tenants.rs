//! Whose what happens is, so that watchers hear of their own.

use std::collections::HashMap;
use std::sync::Arc;

use haggle_core::access::Tenant;
use haggle_core::cluster::{Announcement, Cluster};
use haggle_core::{FrameworkId, TaskId};

/// The tenants of the frameworks that were heard of. One that is removed is known until that is told.
#[derive(Default)]
pub(super) struct Tenants(HashMap<FrameworkId, Arc<Tenant>>);

impl Tenants {
    /// Whose it is; nobody's when it is about agents.
    pub(super) fn of(&mut self, what: &Announcement, cluster: &Cluster) -> Option<Arc<Tenant>> {
        match what {
            Announcement::AgentUp(_)
            | Announcement::AgentDown(_)
            | Announcement::AgentRemoved(_)
            | Announcement::AgentWithdrawn(..)
            | Announcement::AgentReactivated(_)
            | Announcement::LeftOut(_) => None,
            // It may be in other roles.
            Announcement::FrameworkUp(id) | Announcement::FrameworkUpdated(id) => {
                self.0.remove(id);
                self.find(*id, cluster)
            }
            Announcement::FrameworkDown(id) => self.find(*id, cluster),
            Announcement::FrameworkRemoved(id) => self.0.remove(id),
            Announcement::Task(status) => self.of_task(status.task, cluster),
        }
    }

    /// Whose a task or an allocation is.
    pub(super) fn of_task(&mut self, id: TaskId, cluster: &Cluster) -> Option<Arc<Tenant>> {
        cluster.tenant_of_task(id).or_else(|| self.find(id.framework, cluster))
    }

    fn find(&mut self, id: FrameworkId, cluster: &Cluster) -> Option<Arc<Tenant>> {
        if let Some(known) = self.0.get(&id) {
            return Some(Arc::clone(known));
        }
        let tenant = cluster.tenant_of(id)?;
        self.0.insert(id, Arc::clone(&tenant));
        Some(tenant)
    }
}
