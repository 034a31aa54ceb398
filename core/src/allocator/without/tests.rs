use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::*;
use crate::agent::AgentInfo;
use crate::id::{AgentId, FrameworkId};
use crate::quantity::{Bytes, MilliCpu};
use crate::quota::{Ceiling, Quota, RoleRecord};
use crate::time::Now;

/// So many roles with a quota, and two offers to a framework that is in one two levels below the first of them.
fn with_roles(count: u32) -> Allocator {
    let mut allocator = Allocator::default();
    let least = Resources::new(MilliCpu::new(1), Bytes::from_mib(1), Bytes::ZERO);
    let quota = Quota { guarantee: least, limit: Ceiling::default() };
    for role in 0..count {
        let record = RoleRecord { quota: Some(quota.clone()), ..RoleRecord::default() };
        allocator.configure_role(&format!("role-{role}"), record);
    }
    let resources = Resources::new(MilliCpu::new(8000), Bytes::from_mib(8192), Bytes::ZERO);
    let info = Arc::new(AgentInfo { resources, ..AgentInfo::default() });
    for agent in [1, 2].map(AgentId) {
        allocator.set_agent(agent, &info);
        allocator.set_agent_active(agent, true);
    }
    allocator.set_framework(FrameworkId(1), &["role-0/a/b"]);
    allocator.set_framework_active(FrameworkId(1), true);
    allocator.allocate(Now::ZERO);
    allocator
}

#[test]
fn of_however_many_roles_only_those_that_would_change_are_copied() {
    for roles in [1, 10, 1_000] {
        let allocator = with_roles(roles);
        let mut without = Without::new(&allocator);
        assert!(without.changed.is_empty());

        let promises: Vec<&Promise> = allocator.promises.iter().map(|(_, promise)| promise).collect();
        assert_eq!(promises.len(), 2);
        promises.into_iter().for_each(|promise| without.take_back(promise));

        let copied: Vec<&str> = without.changed.keys().map(|&id| &*allocator.tree.role(id).path).collect();
        assert_eq!(copied, ["", "role-0", "role-0/a", "role-0/a/b"], "of {roles} roles");
    }
}
