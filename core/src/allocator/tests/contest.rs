use alloc::vec;
use alloc::vec::Vec;

use super::super::Allocation;
use super::{World, guarantee, limit, size, want};
use crate::demand::Want;
use crate::id::FrameworkId;
use crate::time::Now;

fn rescinded(allocation: &Allocation) -> Vec<u64> {
    allocation.rescinded.iter().map(|(_, promise)| promise.framework.0).collect()
}

fn made(world: &World, allocation: &Allocation) -> Vec<u64> {
    allocation.offers.iter().map(|id| world.allocator.offer(*id).unwrap().framework.0).collect()
}

/// A framework that takes whatever there is, and lets it lie about.
fn slow(world: &mut World, id: u64, role: &str) {
    world.framework(id, role);
}

#[test]
fn an_offer_that_lies_about_gives_way_to_tasks_that_wait() {
    let mut world = World::default();
    slow(&mut world, 1, "a");
    world.agent(1, size(2, 1024));
    world.offers();
    world.framework(2, "b");
    world.wants(2, [want(size(1, 256), 1, 0)]);
    assert_eq!(world.offered(), [], "there is some time to answer");
    assert_eq!(world.allocator.next_deadline(), Some(Now::from_millis(100)));

    world.pass(100);
    let allocation = world.allocate();

    assert_eq!(rescinded(&allocation), [1]);
    assert_eq!(made(&world, &allocation), [2]);
    assert_eq!(world.offered(), [], "who let it lapse is not asked for the rest at once");
    world.pass(100);
    assert_eq!(world.offered(), [(1, 1, size(1, 768))]);
}

#[test]
fn nobody_is_asked_to_give_way_when_nobody_waits() {
    let mut world = World::default();
    slow(&mut world, 1, "a");
    world.agent(1, size(2, 1024));
    world.offers();
    slow(&mut world, 2, "b");
    world.framework(3, "c");
    world.wants(3, [want(size(1, 256), 0, 2)]);
    world.pass(4000);

    assert_eq!(world.allocate(), Allocation::default());
    assert_eq!(world.allocator.next_deadline(), None);
}

#[test]
fn whoever_has_less_does_not_give_way() {
    let mut world = World::default();
    world.framework(2, "b");
    world.wants(2, [want(size(3, 256), 2, 0)]);
    world.agent(1, size(4, 1024));
    world.offers();
    world.launch(2, &size(3, 256));
    slow(&mut world, 1, "a");
    assert_eq!(world.offered(), [(1, 1, size(1, 768))]);
    world.wants(2, [want(size(1, 256), 1, 0)]);
    world.pass(4000);

    assert_eq!(world.allocate(), Allocation::default());
}

#[test]
fn who_lets_offers_lapse_has_less_time_for_the_next() {
    let mut world = World::default();
    slow(&mut world, 1, "a");
    world.framework(2, "b");
    world.wants(2, []);
    world.agent(1, size(1, 256));
    world.offers();
    let (mut lasted, mut rested) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let from = world.now;
        world.wants(2, [want(size(1, 256), 1, 0)]);
        world.allocate();
        while world.open(2).is_empty() {
            world.pass(1);
            world.allocate();
        }
        lasted.push(world.now.since(from).as_millis());
        world.wants(2, []);
        world.decline(2, 0);
        let asked_again = world.now;
        while world.receivers() != [1] {
            world.pass(100);
        }
        rested.push(world.now.since(asked_again).as_millis());
    }
    assert_eq!(lasted, [100, 50, 25, 13]);
    assert_eq!(rested, [100, 200, 400, 800], "and is asked again the later");
}

#[test]
fn who_uses_offers_has_as_much_time_again() {
    let mut world = World::default();
    slow(&mut world, 1, "a");
    world.agent(1, size(4, 1024));
    world.framework(2, "b");
    world.allocate();
    world.wants(2, [want(size(1, 256), 1, 0)]);
    world.allocate();
    world.pass(100);
    assert_eq!(rescinded(&world.allocate()), [1]);
    world.launch(2, &size(1, 256));
    world.pass(100);
    assert_eq!(world.receivers(), [1]);
    world.launch(1, &size(1, 128));
    assert_eq!(world.receivers(), [1]);

    world.wants(2, [want(size(1, 256), 1, 0)]);
    world.allocate();
    world.pass(99);
    assert_eq!(world.allocate(), Allocation::default());
    world.pass(1);
    assert_eq!(rescinded(&world.allocate()), [1]);
}

/// One principal with a thousand roles below one: they share what that one is patient with.
#[test]
fn all_roles_below_one_share_its_time() {
    let mut world = World::default();
    for id in 10..20 {
        slow(&mut world, id, &alloc::format!("greedy/{id}"));
    }
    world.framework(2, "honest");
    world.wants(2, []);
    world.agent(1, size(1, 256));
    world.offers();
    let mut lasted = 0;
    for _ in 0..10 {
        world.wants(2, [want(size(1, 256), 1, 0)]);
        world.allocate();
        while world.open(2).is_empty() {
            world.pass(1);
            lasted += 1;
            world.allocate();
        }
        world.wants(2, []);
        world.decline(2, 0);
        world.allocate();
    }
    assert!(lasted < 210, "{lasted} ms, of which 100, 50, 25 … until it is one");
}

#[test]
fn room_at_hand_gives_way_at_once_to_whoever_has_less() {
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, [want(size(1, 256), 0, 2)]);
    world.agent(1, size(2, 1024));
    assert_eq!(world.offered(), [(1, 1, size(2, 512))]);
    world.framework(2, "b");
    world.wants(2, [want(size(1, 256), 1, 0)]);

    let allocation = world.allocate();

    assert_eq!(rescinded(&allocation), [1]);
    assert_eq!(made(&world, &allocation), [2, 1], "the rest is at hand again");
}

#[test]
fn room_at_hand_stands_a_while_against_whoever_has_more() {
    let mut world = World::default();
    world.framework(2, "b");
    world.wants(2, [want(size(3, 256), 1, 0)]);
    world.agent(1, size(4, 1024));
    world.offers();
    world.launch(2, &size(3, 256));
    world.framework(1, "a");
    world.wants(1, [want(size(1, 256), 0, 1)]);
    assert_eq!(world.offered(), [(1, 1, size(1, 256))]);
    world.wants(2, [want(size(1, 256), 1, 0)]);
    world.pass(249);
    assert_eq!(world.allocate(), Allocation::default());

    world.pass(1);
    let allocation = world.allocate();

    assert_eq!((rescinded(&allocation), made(&world, &allocation)), (vec![1], vec![2]));
}

#[test]
fn several_small_offers_of_one_agent_give_way_together() {
    let mut world = World::default();
    world.framework(1, "a");
    world.framework(3, "c");
    world.wants(1, [want(size(1, 256), 0, 1)]);
    world.wants(3, [want(size(1, 256), 0, 1)]);
    world.agent(1, size(2, 1024));
    assert_eq!(world.offered().len(), 2);
    world.framework(2, "b");
    world.wants(2, [want(size(2, 256), 1, 0)]);

    let allocation = world.allocate();

    assert_eq!((rescinded(&allocation), made(&world, &allocation)), (vec![1, 3], vec![2]));
}

#[test]
fn what_a_role_is_promised_does_not_give_way() {
    let mut world = World::default();
    world.role("a", 1, Some(guarantee(size(2, 512))));
    world.framework(1, "a");
    world.wants(1, [want(size(1, 256), 0, 2)]);
    world.agent(1, size(2, 1024));
    assert_eq!(world.offered().len(), 1);
    world.framework(2, "b");
    world.wants(2, [want(size(1, 256), 1, 0)]);
    world.pass(4000);

    assert_eq!(world.allocate(), Allocation::default());
}

#[test]
fn what_a_role_is_promised_does_not_give_way_to_a_gang() {
    let mut world = World::default();
    world.role("a", 1, Some(guarantee(size(1, 0))));
    world.framework(1, "a");
    world.wants(1, [want(size(1, 256), 0, 2)]);
    world.agent(1, size(4, 1024));
    assert_eq!(world.offered(), [(1, 1, size(2, 512))]);
    world.framework(2, "b");
    world.wants(2, [Want { gang: 1, ..want(size(4, 512), 1, 0) }]);

    for _ in 0..3 {
        let Allocation { rescinded, offers, .. } = world.allocate();
        assert_eq!((rescinded, offers), (vec![], vec![]));
    }
}

/// An agent has room for it, and those of the offers have not.
#[test]
fn room_at_hand_gives_way_to_a_task_that_fits_elsewhere_and_not_below_the_limit_that_it_fills() {
    let mut world = World::default();
    world.role("a", 1, Some(limit(&size(3, 1024))));
    world.framework(1, "a/x");
    world.wants(1, [want(size(1, 128), 0, 3)]);
    (1..=3).for_each(|id| world.agent(id, size(1, 128)));
    assert_eq!(world.offered().len(), 3);
    world.agent(4, size(2, 1024));
    world.framework(3, "b");
    world.wants(3, [want(size(1, 128), 0, 1)]);
    assert_eq!(world.receivers(), [3]);
    world.framework(2, "a/y");
    world.wants(2, [want(size(1, 512), 1, 0)]);

    let allocation = world.allocate();

    assert_eq!((rescinded(&allocation), made(&world, &allocation)), (vec![1], vec![2]));
    assert_eq!((world.open(1).len(), world.open(3).len()), (2, 1));
}

#[test]
fn nothing_gives_way_to_a_task_that_the_limit_forbids_all_the_same() {
    let mut world = World::default();
    world.role("a", 1, Some(limit(&size(3, 1024))));
    world.framework(1, "a/x");
    world.wants(1, [want(size(1, 128), 0, 3)]);
    (1..=3).for_each(|id| world.agent(id, size(1, 128)));
    world.allocate();
    world.agent(4, size(8, 1024));
    world.framework(2, "a/y");
    world.wants(2, [want(size(4, 512), 1, 0)]);

    let allocation = world.allocate();

    assert_eq!((rescinded(&allocation), world.open(1).len()), (vec![], 3));
}

#[test]
fn a_framework_that_leaves_leaves_nothing_to_contest() {
    let mut world = World::default();
    slow(&mut world, 1, "a");
    world.agent(1, size(2, 1024));
    world.offers();
    world.framework(2, "b");
    world.wants(2, [want(size(1, 256), 1, 0)]);
    world.allocate();
    world.decline(2, 0);
    world.allocator.remove_framework(FrameworkId(2));
    world.allocate();

    assert_eq!(world.allocator.next_deadline(), None);
}
