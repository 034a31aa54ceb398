use alloc::vec::Vec;
use core::time::Duration;

use super::super::filters::REFUSALS_MAX;
use super::{World, size};
use crate::id::{AgentId, FrameworkId};
use crate::time::Now;

#[test]
fn a_refusal_holds_for_as_much_as_was_refused_and_not_for_more() {
    let mut world = World::default();
    world.framework(1, "role");
    world.agent(1, size(2, 1024));
    world.offers();
    world.launch(1, &size(1, 512));
    world.offers();
    world.decline(1, 5000);
    assert_eq!(world.offered(), []);

    world.end(1, 1, &size(1, 512));

    assert_eq!(world.offered(), [(1, 1, size(2, 1024))]);
}

/// S8, `OfferFilter`.
#[test]
fn what_was_refused_is_offered_again_once_the_refusal_ends() {
    let mut world = World::default();
    world.framework(1, "role");
    world.agent(1, size(2, 1024));
    world.offers();
    world.decline(1, 2000);
    world.pass(1999);
    assert_eq!(world.offered(), []);
    assert_eq!(world.allocator.next_deadline(), Some(Now::from_millis(2000)));

    world.pass(1);

    assert_eq!(world.receivers(), [1]);
    assert_eq!(world.allocator.next_deadline(), None);
}

/// S9, `SmallOfferFilterTimeout`.
#[test]
fn however_short_a_refusal_is_somebody_else_is_asked_meanwhile() {
    let mut world = World::default();
    world.framework(1, "role");
    world.framework(2, "role");
    world.agent(1, size(2, 1024));
    assert_eq!(world.receivers(), [1]);
    world.decline(1, 1);

    assert_eq!(world.receivers(), [2]);
}

/// S10, `ReviveOffers`.
#[test]
fn a_framework_that_revives_is_offered_at_once_what_it_refused() {
    let mut world = World::default();
    world.framework(1, "role");
    world.agent(1, size(2, 1024));
    world.offers();
    world.decline(1, 3_600_000);
    assert_eq!(world.offered(), []);

    world.allocator.revive(FrameworkId(1), None);

    assert_eq!(world.receivers(), [1]);
}

/// S11, `SuppressAndReviveOffers`.
#[test]
fn a_suppressed_framework_is_offered_nothing_until_it_revives() {
    let mut world = World::default();
    world.framework(1, "role");
    world.allocator.suppress(FrameworkId(1), None);
    world.agent(1, size(2, 1024));
    world.agent(2, size(2, 1024));
    assert_eq!(world.offered(), []);

    world.allocator.revive(FrameworkId(1), None);

    assert_eq!(world.receivers(), [1, 1]);
}

/// S12, `DeactivateAndReactivateFramework`.
#[test]
fn a_framework_that_comes_back_has_forgotten_its_suppression() {
    let mut world = World::default();
    world.framework(1, "role");
    world.agent(1, size(2, 1024));
    world.allocator.suppress(FrameworkId(1), None);
    world.allocator.set_framework_active(FrameworkId(1), false);
    assert_eq!(world.offered(), []);

    world.allocator.set_framework_active(FrameworkId(1), true);

    assert_eq!(world.receivers(), [1]);
}

#[test]
fn refusals_are_bounded_and_the_first_to_end_gives_way() {
    let mut world = World::default();
    world.framework(1, "role");
    world.agent(1, size(100, 102_400));
    world.offers();
    world.decline(1, 0);

    // Each larger in one resource and smaller in the other, so that none covers another.
    for step in 1..=20 {
        world.allocator.refuse(
            FrameworkId(1),
            "role",
            AgentId(1),
            size(step, 21 - step),
            Now::from_millis(1000 + step),
        );
    }

    assert_eq!(world.allocator.filters.refusals(), REFUSALS_MAX);
    assert_eq!(world.allocator.next_deadline(), Some(Now::from_millis(1013)));
    world.allocator.revive(FrameworkId(1), None);
    assert_eq!(world.allocator.next_deadline(), None);
}

#[test]
fn an_agent_that_leaves_takes_its_refusals_along() {
    let mut world = World::default();
    (1..=3).for_each(|id| world.framework(id, "role"));
    world.agent(1, size(2, 1024));
    for _ in 1..=3 {
        let framework = world.receivers()[0];
        world.decline(framework, 60_000);
    }
    assert_eq!(world.offered(), []);
    assert_eq!(world.allocator.filters.refusals(), 3);

    world.allocator.remove_agent(AgentId(1));

    assert_eq!(world.allocator.filters.refusals(), 0);
    assert_eq!(world.allocator.next_deadline(), None);
    world.agent(1, size(2, 1024));
    assert_eq!(world.receivers().len(), 1);
}

/// The shortcut for agents that everybody refused must not outlive what it stands on.
#[test]
fn an_agent_that_everybody_refused_is_offered_as_soon_as_one_of_them_would_take_it() {
    let refused_by_all = || {
        let mut world = World::default();
        (1..=3).for_each(|id| world.framework(id, "role"));
        world.agent(1, size(4, 4096));
        for _ in 1..=3 {
            let framework = world.receivers()[0];
            world.decline(framework, 60_000);
        }
        assert_eq!(world.offered(), []);
        world
    };
    let touch = |world: &mut World| world.allocator.set_agent_active(AgentId(1), true);

    let mut world = refused_by_all();
    touch(&mut world);
    assert_eq!(world.offered(), []);
    world.framework(4, "role");
    touch(&mut world);
    assert_eq!(world.receivers(), [4], "one that is new");

    let mut world = refused_by_all();
    world.agent(1, size(5, 4096));
    assert_eq!(world.receivers().len(), 1, "there is more than was refused");

    let mut world = refused_by_all();
    world.allocator.remove_framework(FrameworkId(2));
    world.framework(2, "role");
    assert_eq!(world.receivers(), [2], "its next instance");

    let mut world = refused_by_all();
    world.pass(60_000);
    assert_eq!(world.receivers().len(), 1, "the refusals are over");
}

#[test]
fn of_two_refusals_of_one_framework_the_shorter_does_not_end_the_longer() {
    let mut world = World::default();
    (1..=2).for_each(|id| world.framework(id, "role"));
    world.agent(1, size(4, 4096));
    world.offers();
    world.decline(1, 0);
    let refuse = |world: &mut World, id, what, millis| {
        world.allocator.refuse(FrameworkId(id), "role", AgentId(1), what, world.now + Duration::from_millis(millis));
    };
    refuse(&mut world, 1, size(4, 4096), 100);
    refuse(&mut world, 1, size(2, 4096), 60_000);
    refuse(&mut world, 2, size(4, 4096), 60_000);
    assert_eq!(world.offered(), []);

    world.pass(100);
    assert_eq!(world.receivers(), [1], "it refuses two cores still, and there are four");
}

/// S19, first half.
#[test]
fn a_framework_that_declines_for_no_time_is_asked_again_and_again() {
    let mut world = World::default();
    world.framework(1, "role");
    world.agent(1, size(2, 1024));
    let asked: Vec<_> = (0..5)
        .flat_map(|_| {
            let asked = world.receivers();
            world.decline(1, 0);
            asked
        })
        .collect();
    assert_eq!(asked, [1, 1, 1, 1, 1]);
}
