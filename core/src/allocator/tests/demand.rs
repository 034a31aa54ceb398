use alloc::string::ToString;
use alloc::vec;

use super::{World, milli, size, want};
use crate::agent::AgentInfo;
use crate::demand::{Constraint, Test, Want};
use crate::id::FrameworkId;
use crate::quantity::{Bytes, MilliCpu};
use crate::resources::Resources;

#[test]
fn a_framework_is_offered_what_it_wants_and_the_rest_goes_to_others() {
    let mut world = World::default();
    world.framework(1, "a");
    world.framework(2, "b");
    world.wants(1, [want(size(1, 256), 3, 0)]);
    world.agent(1, size(8, 8192));

    assert_eq!(world.offered(), [(1, 1, size(1, 256)), (2, 1, size(7, 7936))]);
}

#[test]
fn several_frameworks_share_one_agent_at_once_by_their_shares() {
    let mut world = World::default();
    world.framework(1, "a");
    world.framework(2, "b");
    world.role("b", 3, None);
    world.wants(1, [want(size(1, 256), 100, 0)]);
    world.wants(2, [want(size(1, 256), 100, 0)]);
    world.agent(1, size(8, 8192));

    let mut offered = world.offered();
    offered.sort_by_key(|offer| offer.0);
    assert_eq!(offered, [(1, 1, size(2, 512)), (2, 1, size(6, 1536))]);
}

#[test]
fn whoever_wants_nothing_is_asked_nothing() {
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, []);
    world.agent(1, size(8, 8192));
    assert_eq!(world.offered(), []);
    assert!(world.allocator.is_suppressed(FrameworkId(1)));

    world.wants(1, [want(size(2, 256), 1, 0)]);
    assert_eq!(world.offered(), [(1, 1, size(2, 256))]);
}

#[test]
fn open_offers_and_launched_tasks_count_against_what_is_wanted() {
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, [want(size(1, 256), 3, 0)]);
    world.agent(1, size(2, 8192));
    assert_eq!(world.offered(), [(1, 1, size(2, 512))]);
    world.launch(1, &size(1, 256));
    assert_eq!(world.offered(), [(1, 1, size(1, 256))], "one runs, and two wait still");
    world.launch(1, &size(1, 256));
    world.agent(2, size(8, 8192));
    assert_eq!(world.offered(), [(1, 2, size(1, 256))], "there is one left");
    world.launch(1, &size(1, 256));
    assert_eq!(world.offered(), []);
}

#[test]
fn what_was_offered_and_declined_is_wanted_still() {
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, [want(size(1, 256), 1, 0)]);
    world.agent(1, size(2, 8192));
    assert_eq!(world.offered(), [(1, 1, size(1, 256))]);
    world.agent(2, size(2, 8192));
    assert_eq!(world.offered(), []);

    world.decline(1, 60_000);

    assert_eq!(world.offered(), [(1, 2, size(1, 256))], "elsewhere");
    world.decline(1, 60_000);
    assert_eq!(world.offered(), []);
    world.wants(1, [want(size(1, 256), 1, 0)]);
    assert_eq!(world.offered().len(), 1, "a new statement forgets what was refused");
}

#[test]
fn a_statement_made_again_counts_the_offers_that_are_open() {
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, [want(size(1, 256), 2, 0)]);
    world.agent(1, size(8, 8192));
    assert_eq!(world.offered(), [(1, 1, size(2, 512))]);

    world.wants(1, [want(size(1, 256), 2, 0), want(size(2, 256), 1, 0)]);

    assert_eq!(world.offered(), [(1, 1, size(2, 256))]);
}

#[test]
fn room_at_hand_is_given_after_everybody_who_waits_was_served() {
    let mut world = World::default();
    world.framework(1, "a");
    world.framework(2, "b");
    world.wants(1, [want(size(1, 256), 0, 3)]);
    world.wants(2, [want(size(3, 256), 1, 0)]);
    world.agent(1, size(4, 8192));

    assert_eq!(world.offered(), [(2, 1, size(3, 256)), (1, 1, size(1, 256))]);
}

#[test]
fn one_task_after_another_finds_room_at_hand_without_a_word_more() {
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, [want(size(1, 256), 0, 1)]);
    world.agent(1, size(4, 8192));
    for _ in 0..3 {
        assert_eq!(world.offered(), [(1, 1, size(1, 256))]);
        world.launch(1, &size(1, 256));
    }
}

#[test]
fn a_task_that_needs_memory_alone_is_offered_memory_alone() {
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, [want(milli(0, 64), 2, 0)]);
    world.agent(1, size(0, 100));

    assert_eq!(world.offered(), [(1, 1, milli(0, 64))]);
}

#[test]
fn tasks_too_small_to_be_worth_an_offer_by_themselves_are_served_when_they_are_wanted() {
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, [want(milli(1, 1), 5, 0)]);
    world.agent(1, milli(9, 9));

    assert_eq!(world.offered(), [(1, 1, milli(5, 5))]);
}

#[test]
fn only_agents_that_are_what_is_needed_are_offered() {
    let on = |os: &str| Constraint { attribute: "os".to_string(), test: Test::Equals(os.to_string()) };
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, [Want { constraints: vec![on("linux")], ..want(size(1, 256), 9, 0) }]);
    let like = |name: &str, os: &str| AgentInfo {
        name: name.to_string(),
        resources: size(2, 8192),
        attributes: [("os".to_string(), os.to_string())].into(),
        ..AgentInfo::default()
    };
    world.agent_like(1, &like("a1", "windows"));
    world.agent_like(2, &like("a2", "linux"));

    assert_eq!(world.offered(), [(1, 2, size(2, 512))]);
}

#[test]
fn a_framework_that_revives_takes_whatever_there_is() {
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, [want(size(1, 256), 1, 0)]);
    world.agent(1, size(4, 8192));
    assert_eq!(world.offered(), [(1, 1, size(1, 256))]);

    world.allocator.revive(FrameworkId(1), None);

    assert_eq!(world.offered(), [(1, 1, size(3, 7936))]);
}

#[test]
fn a_framework_that_wakes_takes_the_smallest_agent_that_will_do() {
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, []);
    for (agent, cpus) in [(1, 8), (2, 1), (3, 4)] {
        world.agent(agent, size(cpus, 8192));
    }
    world.offers();

    world.wants(1, [want(size(2, 256), 1, 0)]);

    assert_eq!(world.offered(), [(1, 3, size(2, 256))]);
}

/// One byte for each of four billion tasks: the master must not count them one by one.
#[test]
fn billions_of_tiny_tasks_are_shared_out_at_once() {
    let tiny = || {
        let byte = Resources::new(MilliCpu::ZERO, Bytes::new(1), Bytes::ZERO);
        want(byte, u32::MAX, 0)
    };
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, [tiny()]);
    world.agent(1, size(64, 1 << 20));
    assert_eq!(world.offered()[0].2.mem, Bytes::new(u32::MAX.into()));

    let mut world = World::default();
    for (id, role) in [(1, "a"), (2, "b")] {
        world.framework(id, role);
        world.wants(id, [tiny()]);
    }
    world.agent(1, size(64, 1024));
    let mem: u64 = world.offered().iter().map(|offer| offer.2.mem.get()).sum();
    assert_eq!(mem, 1 << 30);
}
