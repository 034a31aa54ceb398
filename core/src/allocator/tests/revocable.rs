//! What is revocable, and who is offered it.

use alloc::vec;
use alloc::vec::Vec;

use super::super::{Obstacle, Sight};
use super::{World, exactly, size, want};
use crate::id::{AgentId, FrameworkId};
use crate::quantity::MilliCpu;
use crate::resources::{Resources, Share};

/// What a task holds that runs on what is idle.
fn idle(cpus: u64, mib: u64) -> Resources {
    size(0, mib).with_revocable(MilliCpu::from_cores(cpus))
}

fn measures(world: &mut World, agent: u64, cpus: u64) {
    world.allocator.set_revocable(AgentId(agent), MilliCpu::from_cores(cpus));
}

/// An agent of 4 cpus and 4 GiB whose framework 1 holds all cpus and half of the memory, and uses one of the cpus.
fn with_three_unused() -> World {
    let mut world = World::default();
    world.framework(1, "firm");
    world.agent(1, size(4, 4096));
    world.allocate();
    world.launch(1, &size(4, 2048));
    world.allocator.suppress(FrameworkId(1), None);
    measures(&mut world, 1, 3);
    world
}

/// S24, `OversubscribedNotAllocated`.
#[test]
fn what_is_revocable_is_offered_to_those_alone_that_ask_for_it() {
    let mut world = with_three_unused();
    world.framework(2, "blind");
    world.framework(3, "other");
    world.wants(3, [want(size(1, 128), 1, 0)]);
    assert_eq!(world.offered(), [], "of processor time that is promised there is none");

    world.framework(4, "asks");
    world.wants(4, [want(idle(1, 128), 2, 0)]);

    assert_eq!(world.offered(), [(4, 1, idle(2, 256))]);
}

#[test]
fn whoever_takes_whatever_there_is_is_not_offered_what_is_revocable_beside_it() {
    let mut world = World::default();
    world.agent(1, size(4, 4096));
    measures(&mut world, 1, 3);

    world.framework(1, "blind");

    assert_eq!(world.offered(), [(1, 1, size(4, 4096))]);
}

#[test]
fn what_is_revocable_is_in_nobodys_way_who_wants_what_is_promised() {
    let mut world = World::default();
    world.agent(1, size(4, 4096));
    measures(&mut world, 1, 4);
    world.framework(1, "asks");
    world.wants(1, [want(idle(1, 128), 4, 0)]);
    world.allocate();
    world.launch(1, &idle(4, 512));

    world.framework(2, "firm");
    world.wants(2, [want(size(4, 3072), 1, 0)]);

    assert_eq!(world.offered(), [(2, 1, size(4, 3072))]);
}

#[test]
fn it_is_offered_once_and_again_when_it_is_given_back_or_grows() {
    let mut world = with_three_unused();
    world.framework(2, "asks");
    world.wants(2, [want(idle(1, 128), 9, 0)]);
    assert_eq!(world.offered(), [(2, 1, idle(3, 384))]);
    assert_eq!(world.offered(), []);

    world.launch(2, &idle(3, 384));
    assert_eq!(world.offered(), []);
    measures(&mut world, 1, 4);
    assert_eq!(world.offered(), [(2, 1, idle(1, 128))]);
}

#[test]
fn with_less_unused_than_is_allocated_nothing_of_it_is_offered() {
    let mut world = with_three_unused();
    world.framework(2, "asks");
    world.wants(2, [want(idle(1, 128), 2, 0)]);
    world.allocate();
    world.launch(2, &idle(2, 256));

    measures(&mut world, 1, 1);
    world.wants(2, [want(idle(1, 128), 2, 0)]);
    assert_eq!(world.offered(), []);

    world.end(2, 1, &idle(1, 128));
    assert_eq!(world.offered(), [], "what is left of it is in use");
    world.end(2, 1, &idle(1, 128));
    assert_eq!(world.offered(), [(2, 1, idle(1, 128))]);
}

#[test]
fn it_counts_towards_no_quota_and_no_share_but_what_is_held_beside_it_does() {
    let mut world = with_three_unused();
    world.framework(2, "asks");
    world.role("asks", 1, Some(exactly(size(1, 1024))));
    world.wants(2, [want(idle(3, 1024), 1, 0)]);

    assert_eq!(world.offered(), [(2, 1, idle(3, 1024))], "3 cpus are above the limit of 1, were they counted");

    let roles: Vec<(&str, Share)> = world.allocator.roles_after(None).map(|role| (role.name, role.share)).collect();
    assert_eq!(roles, [("asks", Share::new(1, 4)), ("firm", Share::new(1, 1))], "a quarter of the memory");
    world.wants(2, [want(idle(1, 1024), 1, 0)]);
    assert_eq!(world.offered(), [], "and that is all the memory it may have");
}

#[test]
fn those_that_ask_for_it_are_served_by_turns() {
    let mut world = with_three_unused();
    measures(&mut world, 1, 4);
    for id in [2, 3] {
        world.framework(id, if id == 2 { "one" } else { "other" });
        world.wants(id, [want(idle(1, 128), 9, 0)]);
    }

    let mut offered = world.offered();
    offered.sort_by_key(|&(framework, ..)| framework);
    assert_eq!(offered, [(2, 1, idle(2, 256)), (3, 1, idle(2, 256))]);
}

#[test]
fn whoever_waits_for_it_hears_how_much_there_is() {
    let mut world = with_three_unused();
    world.agent(2, size(8, 8192));
    world.framework(2, "asks");
    world.wants(2, [want(idle(4, 128), 1, 0)]);
    world.allocate();

    let why = world.allocator.why(FrameworkId(2), "asks", world.now, &Sight::ALL).expect("it is in that role");

    let obstacles: Vec<_> = why.hindrances.into_iter().map(|other| (other.obstacle, other.agents)).collect();
    assert_eq!(obstacles, vec![(Obstacle::NotUnused { most: MilliCpu::from_cores(3) }, 2)]);
}
