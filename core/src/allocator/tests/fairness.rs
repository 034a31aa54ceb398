use alloc::string::ToString;
use alloc::vec::Vec;

use super::{World, size};
use crate::id::FrameworkId;
use crate::resources::Resources;

/// The worked example of the DRF paper, section 4.1: 9 CPUs and 18 GB; A's tasks want 1 CPU and 4 GB, B's want 3
/// CPUs and 1 GB. Each takes one task out of each offer; the rest returns.
#[test]
fn the_worked_example_of_the_paper_comes_out_as_printed() {
    let (a, b) = (2, 1);
    let mut world = World::default();
    world.framework(a, "role");
    world.framework(b, "role");
    world.agent(1, size(9, 18 * 1024));

    let mut order = Vec::new();
    while let [framework] = world.receivers()[..] {
        let task = if framework == a { size(1, 4 * 1024) } else { size(3, 1024) };
        let offered = world.allocator.offer(world.open(framework)[0]).unwrap().portion.resources.clone();
        if !offered.contains(&task) {
            break;
        }
        world.launch(framework, &task);
        order.push(framework);
    }

    assert_eq!(order, [b, a, a, b, a]);
    assert_eq!(world.allocator.allocated_to(FrameworkId(a)), size(3, 12 * 1024));
}

/// The same by what they say that they want: each is offered exactly its tasks, from one agent at once.
#[test]
fn the_worked_example_comes_out_in_one_allocation_by_demand() {
    let (a, b) = (2, 1);
    let mut world = World::default();
    world.framework(a, "role");
    world.framework(b, "role");
    world.wants(a, [super::want(size(1, 4 * 1024), 100, 0)]);
    world.wants(b, [super::want(size(3, 1024), 100, 0)]);
    world.agent(1, size(9, 18 * 1024));

    assert_eq!(world.offered(), [(b, 1, size(6, 2 * 1024)), (a, 1, size(3, 12 * 1024))]);
}

/// S1, `UnreservedDRF`.
#[test]
fn roles_compete_before_their_frameworks_do() {
    let mut world = World::default();
    let mut joined = Vec::new();
    let mut join = |world: &mut World, agent, total| {
        world.agent(agent, total);
        joined.extend(world.receivers());
    };

    world.framework(1, "role1");
    join(&mut world, 1, size(2, 1024));
    world.framework(2, "role2");
    join(&mut world, 2, size(1, 512));
    join(&mut world, 3, size(3, 2048));
    world.framework(3, "role1");
    join(&mut world, 4, size(4, 4096));
    world.framework(4, "role1");
    join(&mut world, 5, size(1, 512));

    // The last goes to role2, although framework 4 has nothing: its role has more.
    assert_eq!(joined, [1, 2, 2, 3, 2]);
}

/// S2, `NestedRoleDRF`.
#[test]
fn a_role_counts_what_the_roles_below_it_have() {
    let mut world = World::default();
    world.framework(1, "a/b");
    world.agent(1, size(2, 1024));
    assert_eq!(world.receivers(), [1]);
    world.framework(2, "a/c");
    world.framework(3, "d/e");
    world.agent(2, size(2, 1024));
    assert_eq!(world.receivers(), [3]);
    world.framework(4, "d/f");
    world.agent(3, size(1, 1024));

    // a and d have the same, and d was chosen as often: d/f has nothing, and neither has a/c. Once a has more, d is next.
    let third = world.receivers();
    world.agent(4, size(1, 1024));
    assert_eq!([third, world.receivers()].concat(), [2, 4]);
}

/// S2, second half: the share of the subtree decides, not that of the role.
#[test]
fn a_role_with_nothing_waits_behind_another_when_its_parent_has_more() {
    let mut world = World::default();
    world.framework(1, "a/b");
    world.agent(1, size(4, 4096));
    assert_eq!(world.receivers(), [1]);
    world.framework(2, "a/c");
    world.framework(3, "d/e");
    world.agent(2, size(1, 1024));
    assert_eq!(world.receivers(), [3]);
    world.framework(4, "d/f");
    world.agent(3, size(1, 1024));

    assert_eq!(world.receivers(), [4], "d has a quarter of what a has, so that a/c has to wait");
}

#[test]
fn frameworks_in_a_role_compete_with_the_roles_below_it_as_one_of_weight_one() {
    let mut world = World::default();
    world.framework(1, "eng");
    world.framework(2, "eng");
    world.framework(3, "eng/batch");
    world.role("eng/batch", 2, None);
    for agent in 1..=6 {
        world.agent(agent, size(1, 1024));
    }

    let offered = world.receivers();

    let count = |id| offered.iter().filter(|&&to| to == id).count();
    assert_eq!((count(1), count(2), count(3)), (1, 1, 4));
}

/// S3, `UpdateWeight`.
#[test]
fn a_weight_changes_what_roles_get_from_then_on() {
    let shares = |weights: &[(&str, u32)]| {
        let mut world = World::default();
        for (at, (role, weight)) in weights.iter().enumerate() {
            world.framework(at as u64 + 1, role);
            world.role(role, *weight, None);
        }
        for agent in 1..=6 {
            world.agent(agent, size(2, 1024));
        }
        let offered = world.receivers();
        (1..=weights.len() as u64).map(|id| offered.iter().filter(|&&to| to == id).count()).collect::<Vec<_>>()
    };
    assert_eq!(shares(&[("role1", 1), ("role2", 1)]), [3, 3]);
    assert_eq!(shares(&[("role1", 1), ("role2", 2)]), [2, 4]);
    assert_eq!(shares(&[("role1", 1), ("role2", 2), ("role3", 3)]), [1, 2, 3]);

    let mut world = World::default();
    world.framework(1, "role1");
    world.framework(2, "role2");
    for agent in 1..=6 {
        world.agent(agent, size(2, 1024));
    }
    world.offers();
    world.decline(1, 0);
    world.decline(2, 0);
    world.role("role2", 2, None);
    let offered = world.receivers();
    assert_eq!(offered.iter().filter(|&&to| to == 2).count(), 4);
}

/// S4, `SameShareFairness`.
#[test]
fn frameworks_with_equal_shares_take_turns() {
    let mut world = World::default();
    world.framework(2, "role");
    world.framework(1, "role");
    world.agent(1, size(2, 1024));

    let mut order = Vec::new();
    for _ in 0..6 {
        let framework = world.receivers()[0];
        world.decline(framework, 0);
        order.push(framework);
    }

    assert_eq!(order, [1, 2, 1, 2, 1, 2]);
}

/// S5, `CoarseGrained`.
#[test]
fn two_agents_go_whole_to_two_roles() {
    let mut world = World::default();
    world.framework(2, "role1");
    world.framework(1, "role2");
    world.agent(1, size(2, 1024));
    world.agent(2, size(2, 1024));

    assert_eq!(world.offered(), [(2, 1, size(2, 1024)), (1, 2, size(2, 1024))]);
}

#[test]
fn nothing_changed_means_nothing_to_do() {
    let mut world = World::default();
    world.framework(1, "role");
    world.agent(1, size(2, 1024));
    world.offers();
    let before = world.allocator.clone();

    assert_eq!(world.offered(), []);
    assert_eq!(world.allocator, before);
}

#[test]
fn a_framework_that_changes_its_role_leaves_nothing_behind_but_what_it_holds() {
    let mut world = World::default();
    world.framework(1, "old/one");
    world.agent(1, size(2, 1024));
    world.offers();
    world.launch(1, &size(2, 1024));

    world.framework(1, "new");

    let roles = |world: &World| -> Vec<_> {
        world.allocator.roles_after(None).map(|role| (role.name.to_string(), role.used)).collect()
    };
    let held = size(2, 1024);
    let nothing = || ("new".to_string(), Resources::default());
    assert_eq!(roles(&world), [nothing(), ("old".to_string(), held.clone()), ("old/one".to_string(), held.clone())]);
    world.end_in(1, "old/one", 1, &held.into());
    assert_eq!(roles(&world), [nothing()]);
}

#[test]
fn what_a_removed_framework_holds_is_not_free() {
    let mut world = World::default();
    world.framework(1, "role");
    world.agent(1, size(2, 1024));
    world.offers();
    world.launch(1, &size(2, 1024));
    world.framework(2, "role");

    world.allocator.remove_framework(FrameworkId(1));
    assert_eq!(world.offered(), []);

    world.end(1, 1, &size(2, 1024));
    assert_eq!(world.receivers(), [2]);
}

#[test]
fn what_could_run_no_task_is_not_offered() {
    let mut world = World::default();
    world.framework(1, "role");

    world.agent(1, size(0, 4096));
    world.agent(2, super::milli(9, 31));
    assert_eq!(world.offered(), []);

    world.agent(3, super::milli(9, 32));
    world.agent(4, super::milli(10, 1));
    assert_eq!(world.offered().len(), 2);
}
