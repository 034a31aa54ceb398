use super::super::Sight;
use super::{World, milli, size, want};
use crate::quota::RoleRecord;
use crate::resources::Resources;

impl World {
    fn least(&mut self, role: &str, least: Option<Resources>) {
        self.decide(role, RoleRecord { min_allocatable: least, ..RoleRecord::default() });
    }
}

/// S15 FrameworkMinAllocatable.
#[test]
fn a_least_offer_of_a_role_takes_the_place_of_that_of_the_cluster_and_can_be_changed() {
    let mut world = World::default();
    world.framework(1, "a");
    world.least("a", Some(size(2, 512)));
    world.agent(1, size(1, 1024));
    world.agent(2, size(4, 256));
    assert_eq!(world.offered(), [], "neither has all of it");

    world.agent(3, size(2, 512));
    assert_eq!(world.offered(), [(1, 3, size(2, 512))]);

    world.least("a", Some(size(1, 512)));
    assert_eq!(world.offered(), [(1, 1, size(1, 1024))], "it holds at once");
    world.least("a", None);
    assert_eq!(world.offered(), [(1, 2, size(4, 256))]);
}

#[test]
fn what_is_too_little_for_one_role_is_offered_to_another() {
    let mut world = World::default();
    world.framework(1, "a");
    world.framework(2, "b");
    world.least("a", Some(size(2, 0)));
    world.agent(1, size(1, 1024));

    assert_eq!(world.receivers(), [2]);
}

#[test]
fn a_least_offer_may_be_smaller_than_that_of_the_cluster_or_nothing_of_one_resource() {
    let mut world = World::default();
    world.framework(1, "tiny/a");
    world.agent(1, milli(5, 5));
    world.agent(2, milli(0, 1024));
    assert_eq!(world.offered(), []);

    world.least("tiny", Some(milli(0, 1)));

    assert_eq!(world.offered(), [(1, 1, milli(5, 5)), (1, 2, milli(0, 1024))], "and it counts for all roles below");
}

#[test]
fn who_says_what_it_wants_is_offered_that_however_little_it_is() {
    let mut world = World::default();
    world.framework(1, "a");
    world.least("a", Some(size(2, 512)));
    world.wants(1, [want(milli(100, 16), 1, 0)]);
    world.agent(1, size(1, 64));

    assert_eq!(world.offered(), [(1, 1, milli(100, 16))]);
}

#[test]
fn whom_agents_are_too_small_for_is_told_that() {
    let mut world = World::default();
    world.framework(1, "a");
    world.least("a", Some(size(2, 512)));
    world.agent(1, size(1, 64));
    world.allocate();

    let why = world.allocator.why(crate::id::FrameworkId(1), "a", world.now, &Sight::ALL).unwrap();

    assert_eq!(why.hindrances[0].obstacle, super::super::Obstacle::TooLarge { largest: size(1, 64) });
}

#[test]
fn whoever_refused_more_than_a_least_offer_of_before_is_asked_again_about_less() {
    let mut world = World::default();
    world.framework(1, "a");
    world.agent(1, size(4, 1024));
    assert_eq!(world.receivers(), [1]);
    world.launch(1, &size(2, 512));
    assert_eq!(world.receivers(), [1]);
    world.least("a", Some(size(3, 0)));
    world.decline(1, 0);
    assert_eq!(world.offered(), []);

    world.least("a", Some(size(1, 0)));

    assert_eq!(world.offered(), [(1, 1, size(2, 512))]);
}
