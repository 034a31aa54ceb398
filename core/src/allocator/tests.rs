use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Allocator, Grant};
use crate::id::{AgentId, FrameworkId};
use crate::quantity::{Bytes, MilliCpu};
use crate::resources::Resources;
use crate::time::Now;

const A: FrameworkId = FrameworkId(2);
const B: FrameworkId = FrameworkId(1);
const AGENT: AgentId = AgentId(1);

fn size(cpus: u64, mib: u64) -> Resources {
    Resources::new(MilliCpu::from_cores(cpus), Bytes::from_mib(mib), Bytes::ZERO)
}

fn add_framework(allocator: &mut Allocator, id: FrameworkId, role: &str) {
    allocator.set_framework(id, &Arc::from(role));
    allocator.set_framework_active(id, true);
}

fn add_agent(allocator: &mut Allocator, id: AgentId, total: &Resources) {
    allocator.set_agent(id, total);
    allocator.set_agent_active(id, true);
}

fn weighted(weights: &[(&str, u32)]) -> Allocator {
    let weight = |&(role, weight): &(&str, u32)| (role.to_string(), weight.try_into().expect("weights are not zero"));
    Allocator::new(weights.iter().map(weight).collect())
}

fn to_whom(grants: &[Grant]) -> Vec<u64> {
    grants.iter().map(|grant| grant.framework.0).collect()
}

/// The worked example of the DRF paper, section 4.1: 9 CPUs and 18 GB; A's tasks want 1 CPU and 4 GB, B's want 3
/// CPUs and 1 GB. Each takes one task out of each offer; the rest returns.
#[test]
fn the_worked_example_of_the_paper_comes_out_as_printed() {
    let mut allocator = Allocator::default();
    add_framework(&mut allocator, A, "role");
    add_framework(&mut allocator, B, "role");
    add_agent(&mut allocator, AGENT, &size(9, 18 * 1024));

    let mut order = Vec::new();
    while let [Grant { framework, resources, .. }] = &allocator.allocate(Now::ZERO)[..] {
        let wants = if *framework == A { size(1, 4 * 1024) } else { size(3, 1024) };
        let mut rest = resources.clone();
        rest.take(&wants).expect("the example is worked out");
        allocator.free(*framework, AGENT, &rest);
        order.push(*framework);
    }

    assert_eq!(order, [B, A, A, B, A]);
    assert_eq!(allocator.allocated_to(A), size(3, 12 * 1024));
    assert_eq!(allocator.allocated_to(B), size(6, 2 * 1024));
}

/// Mesos: `HierarchicalAllocatorTest.UnreservedDRF`.
#[test]
fn roles_compete_before_their_frameworks_do() {
    let mut allocator = Allocator::default();
    let mut joined = Vec::new();
    let mut join = |allocator: &mut Allocator, agent, total| {
        add_agent(allocator, AgentId(agent), &total);
        joined.extend(to_whom(&allocator.allocate(Now::ZERO)));
    };

    add_framework(&mut allocator, FrameworkId(1), "role1");
    join(&mut allocator, 1, size(2, 1024));
    add_framework(&mut allocator, FrameworkId(2), "role2");
    join(&mut allocator, 2, size(1, 512));
    join(&mut allocator, 3, size(3, 2048));
    add_framework(&mut allocator, FrameworkId(3), "role1");
    join(&mut allocator, 4, size(4, 4096));
    add_framework(&mut allocator, FrameworkId(4), "role1");
    join(&mut allocator, 5, size(1, 512));

    // The last goes to role2, although framework 4 has nothing: its role has more.
    assert_eq!(joined, [1, 2, 2, 3, 2]);
}

/// Mesos: `HierarchicalAllocatorTest.UpdateWeight`, without the update.
#[test]
fn a_role_of_twice_the_weight_gets_twice_as_much() {
    let mut allocator = weighted(&[("role2", 2), ("role3", 3)]);
    for id in 1..=3 {
        let role = ["role1", "role2", "role3"][id as usize - 1];
        add_framework(&mut allocator, FrameworkId(id), role);
    }
    for id in 1..=6 {
        add_agent(&mut allocator, AgentId(id), &size(2, 1024));
    }

    let grants = to_whom(&allocator.allocate(Now::ZERO));

    let count = |id| grants.iter().filter(|&&to| to == id).count();
    assert_eq!((count(1), count(2), count(3)), (1, 2, 3));
}

/// Mesos: `HierarchicalAllocatorTest.SameShareFairness`.
#[test]
fn frameworks_with_equal_shares_take_turns() {
    let mut allocator = Allocator::default();
    add_framework(&mut allocator, A, "role");
    add_framework(&mut allocator, B, "role");
    add_agent(&mut allocator, AGENT, &size(2, 1024));

    let mut order = Vec::new();
    for _ in 0..6 {
        let grants = allocator.allocate(Now::ZERO);
        allocator.free(grants[0].framework, AGENT, &grants[0].resources);
        order.push(grants[0].framework);
    }

    assert_eq!(order, [B, A, B, A, B, A]);
}

/// Mesos: `HierarchicalAllocatorTest.CoarseGrained`.
#[test]
fn two_agents_go_whole_to_two_roles() {
    let mut allocator = Allocator::default();
    add_framework(&mut allocator, A, "role1");
    add_framework(&mut allocator, B, "role2");
    add_agent(&mut allocator, AgentId(1), &size(2, 1024));
    add_agent(&mut allocator, AgentId(2), &size(2, 1024));

    let grants = allocator.allocate(Now::ZERO);

    assert_eq!(to_whom(&grants), [A.0, B.0]);
    assert!(grants.iter().all(|grant| grant.resources == size(2, 1024)));
}

#[test]
fn nothing_changed_means_nothing_to_do() {
    let mut allocator = Allocator::default();
    add_framework(&mut allocator, A, "role");
    add_agent(&mut allocator, AGENT, &size(2, 1024));
    allocator.allocate(Now::ZERO);
    let before = allocator.clone();

    assert_eq!(allocator.allocate(Now::ZERO), []);
    assert_eq!(allocator, before);
}

#[test]
fn a_filter_holds_for_as_much_as_was_refused_and_not_for_more() {
    let mut allocator = Allocator::default();
    add_framework(&mut allocator, A, "role");
    add_agent(&mut allocator, AGENT, &size(2, 1024));
    allocator.allocate(Now::ZERO);
    let until = Now::ZERO + Duration::from_secs(5);
    allocator.free(A, AGENT, &size(1, 512));
    allocator.refuse(A, AGENT, size(1, 512), until);

    assert_eq!(allocator.allocate(Now::ZERO), []);
    allocator.free(A, AGENT, &size(1, 512));

    assert_eq!(to_whom(&allocator.allocate(Now::ZERO)), [A.0]);
}

#[test]
fn refusals_are_bounded_and_the_first_to_end_gives_way() {
    let mut allocator = Allocator::default();
    add_framework(&mut allocator, A, "role");
    add_agent(&mut allocator, AGENT, &size(100, 102_400));
    allocator.allocate(Now::ZERO);
    allocator.free(A, AGENT, &size(100, 102_400));

    // Each larger in one resource and smaller in the other, so that none covers another.
    for step in 1..=20 {
        allocator.refuse(A, AGENT, size(step, 21 - step), Now::from_millis(1000 + step));
    }

    assert_eq!(allocator.filters.refusals(), super::fit::REFUSALS_MAX);
    assert_eq!(allocator.next_deadline(), Some(Now::from_millis(1013)));
    allocator.revive(A);
    assert_eq!(allocator.next_deadline(), None);
}

#[test]
fn what_could_run_no_task_is_not_offered() {
    let mut allocator = Allocator::default();
    add_framework(&mut allocator, A, "role");

    add_agent(&mut allocator, AgentId(1), &size(0, 4096));
    add_agent(&mut allocator, AgentId(2), &Resources::new(MilliCpu::new(9), Bytes::from_mib(31), Bytes::ZERO));
    assert_eq!(allocator.allocate(Now::ZERO), []);

    add_agent(&mut allocator, AgentId(3), &Resources::new(MilliCpu::new(9), Bytes::from_mib(32), Bytes::ZERO));
    add_agent(&mut allocator, AgentId(4), &Resources::new(MilliCpu::new(10), Bytes::from_mib(1), Bytes::ZERO));
    assert_eq!(allocator.allocate(Now::ZERO).len(), 2);
}

#[test]
fn a_framework_that_changes_its_role_takes_along_what_it_holds() {
    let mut allocator = Allocator::default();
    add_framework(&mut allocator, A, "old");
    add_agent(&mut allocator, AGENT, &size(2, 1024));
    allocator.allocate(Now::ZERO);

    add_framework(&mut allocator, A, "new");

    let roles: Vec<_> = allocator.roles().map(|role| (role.name.to_string(), role.allocated.clone())).collect();
    assert_eq!(roles, [("new".to_string(), size(2, 1024))]);
}

#[test]
fn what_a_removed_framework_holds_is_not_free() {
    let mut allocator = Allocator::default();
    add_framework(&mut allocator, A, "role");
    add_agent(&mut allocator, AGENT, &size(2, 1024));
    allocator.allocate(Now::ZERO);
    add_framework(&mut allocator, B, "role");

    allocator.remove_framework(A);
    assert_eq!(allocator.allocate(Now::ZERO), []);

    allocator.free(A, AGENT, &size(2, 1024));
    assert_eq!(to_whom(&allocator.allocate(Now::ZERO)), [B.0]);
}
