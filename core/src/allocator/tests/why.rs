use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::super::{Ahead, Lacking, Obstacle, Sight, Waits};
use super::{World, guarantee, limit, size, want};
use crate::demand::{Constraint, Test, Want};
use crate::id::{AgentId, FrameworkId};
use crate::resources::{Resources, Share};

fn why(world: &World, id: u64) -> Waits {
    let seat = world.allocator.subscribed(FrameworkId(id), None)[0];
    let role = world.allocator.tree.path(seat.role);
    world.allocator.why(FrameworkId(id), &role, world.now, &Sight::ALL).expect("the framework is in it")
}

/// What is in the way, and on how many agents.
fn obstacles(world: &World, id: u64) -> Vec<(Obstacle, usize)> {
    why(world, id).hindrances.into_iter().map(|hindrance| (hindrance.obstacle, hindrance.agents)).collect()
}

#[test]
fn whoever_has_an_offer_for_all_it_wants_has_nothing_in_its_way() {
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, [want(size(1, 256), 1, 0)]);
    world.agent(1, size(2, 1024));
    world.allocate();

    let waits = why(&world, 1);
    assert_eq!((waits.since, waits.offers, waits.hindrances), (None, 1, vec![]));
}

#[test]
fn whoever_wants_nothing_is_told_so() {
    let mut world = World::default();
    world.framework(1, "a");
    world.agent(1, size(2, 1024));
    world.allocator.suppress(FrameworkId(1), None);
    world.allocate();
    assert_eq!(obstacles(&world, 1), [(Obstacle::Suppressed, 0)]);
    world.wants(1, []);
    world.allocate();
    assert_eq!(obstacles(&world, 1), [(Obstacle::WantsNothing, 0)]);
    world.allocator.set_framework_active(FrameworkId(1), false);
    world.allocate();
    assert_eq!(obstacles(&world, 1), [(Obstacle::NotConnected, 0)]);
}

#[test]
fn it_is_said_since_when_and_it_is_over_with_the_offer() {
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, [want(size(1, 256), 1, 0)]);
    world.pass(500);
    world.allocate();
    let since = world.now;
    world.pass(700);
    world.allocate();
    assert_eq!((why(&world, 1).since, obstacles(&world, 1)), (Some(since), vec![(Obstacle::NoAgent, 0)]));

    world.agent(1, size(1, 1024));
    world.allocate();
    assert_eq!((why(&world, 1).since, obstacles(&world, 1)), (None, vec![]));
}

#[test]
fn agents_are_counted_by_what_is_wrong_with_them() {
    let mut world = World::default();
    world.framework(9, "other");
    world.agent(1, size(4, 1024));
    world.allocate();
    world.launch(9, &size(3, 1024));
    world.allocator.suppress(FrameworkId(9), None);
    world.agent(2, size(1, 1024));
    world.agent(3, size(2, 128));
    world.agent(4, size(4, 4096));
    world.allocate();
    world.framework(1, "a");
    let constraints =
        vec![Constraint { attribute: "hostname".to_string(), test: Test::NotEquals("agent-4".to_string()) }];
    world.wants(1, [Want { constraints: constraints.clone(), ..want(size(2, 256), 1, 0) }]);
    world.allocate();

    let found = obstacles(&world, 1);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.contains(&(Obstacle::Constraint(constraints[0].clone()), 1)), "{found:?}");
    assert!(found.contains(&(Obstacle::InUse { free: size(1, 0) }, 1)), "{found:?}");
    assert!(found.contains(&(Obstacle::TooLarge { largest: size(2, 128) }, 2)), "{found:?}");
}

#[test]
fn offers_that_wait_for_an_answer_are_named_with_their_age() {
    let mut world = World::default();
    world.framework(9, "other");
    world.agent(1, size(4, 1024));
    world.allocate();
    world.pass(40);
    world.framework(1, "a");
    world.wants(1, [want(size(2, 256), 1, 0)]);
    world.allocate();

    let age = Duration::from_millis(40);
    assert_eq!(obstacles(&world, 1), [(Obstacle::Offered { to: Some(FrameworkId(9)), age }, 1)]);
    assert_eq!((why(&world, 1).rank, why(&world, 1).ranked), (Some(1), 2));
}

#[test]
fn what_was_declined_says_for_how_long() {
    let mut world = World::default();
    world.framework(1, "a");
    world.agent(1, size(4, 1024));
    world.allocate();
    world.decline(1, 5000);
    world.pass(2000);
    world.allocate();

    assert_eq!(obstacles(&world, 1), [(Obstacle::Refused { lasts: Duration::from_millis(3000) }, 1)]);
}

#[test]
fn limits_and_promises_to_others_are_told_apart() {
    let mut world = World::default();
    world.role("a", 1, Some(limit(&size(1, 4096))));
    world.framework(1, "a/b");
    world.wants(1, [want(size(2, 256), 1, 0)]);
    world.agent(1, size(4, 1024));
    world.allocate();
    let [(Obstacle::AtLimit { role, .. }, 1)] = &obstacles(&world, 1)[..] else { panic!("{:?}", obstacles(&world, 1)) };
    assert_eq!(role, "a");

    world.role("a", 1, None);
    world.role("b", 1, Some(guarantee(size(3, 256))));
    world.allocate();
    assert_eq!(obstacles(&world, 1), [(Obstacle::KeptForOthers { kept: size(3, 256) }, 1)]);
}

/// Which agents are named, and what each lacks.
fn nearest(world: &World, id: u64) -> Vec<Vec<(u64, Resources)>> {
    let named = |lacking: Lacking| (lacking.agent.0, lacking.lacks);
    why(world, id).hindrances.into_iter().map(|one| one.nearest.into_iter().map(named).collect()).collect()
}

#[test]
fn the_agents_that_lack_least_are_named_with_what_they_lack() {
    let mut world = World::default();
    for (id, cpus, mib) in [(1, 1, 1024), (2, 3, 1024), (3, 8, 64), (4, 2, 1024), (5, 3, 1024)] {
        world.agent(id, size(cpus, mib));
    }
    world.framework(1, "a");
    world.wants(1, [want(size(4, 256), 1, 0)]);
    world.allocate();

    assert_eq!(obstacles(&world, 1), [(Obstacle::TooLarge { largest: size(8, 64) }, 5)]);
    assert_eq!(nearest(&world, 1), [[(2, size(1, 0)), (5, size(1, 0)), (4, size(2, 0))]]);
}

#[test]
fn an_agent_on_which_tasks_run_lacks_what_is_not_free() {
    let mut world = World::default();
    world.framework(9, "other");
    world.agent(1, size(4, 1024));
    world.allocate();
    world.launch(9, &size(3, 900));
    world.allocator.suppress(FrameworkId(9), None);
    world.framework(1, "a");
    world.wants(1, [want(size(2, 256), 1, 0)]);
    world.allocate();

    assert_eq!(nearest(&world, 1), [[(1, size(1, 132))]]);
}

#[test]
fn each_constraint_counts_the_agents_that_it_removes() {
    let mut world = World::default();
    for id in 1..=3 {
        world.agent(id, size(4, 1024));
    }
    world.framework(1, "a");
    let not =
        |id: u64| Constraint { attribute: "hostname".to_string(), test: Test::NotEquals(AgentId(id).to_string()) };
    let gpu = Constraint { attribute: "gpu".to_string(), test: Test::Exists };
    world.wants(1, [Want { constraints: vec![not(2), gpu.clone()], ..want(size(1, 64), 1, 0) }]);
    world.allocate();

    let nothing = Resources::default;
    assert_eq!(obstacles(&world, 1), [(Obstacle::Constraint(gpu), 3), (Obstacle::Constraint(not(2)), 1)]);
    assert_eq!(nearest(&world, 1), [vec![(1, nothing()), (2, nothing()), (3, nothing())], vec![(2, nothing())]]);
}

#[test]
fn what_a_framework_asked_for_itself_says_since_when() {
    let mut world = World::default();
    world.framework(1, "a");
    world.agent(1, size(2, 1024));
    let age = |world: &World| why(world, 1).hindrances[0].age.map(|age| age.as_millis());
    world.allocator.suppress(FrameworkId(1), None);
    world.allocate();
    world.pass(300);
    world.allocate();
    assert_eq!(age(&world), Some(300));

    world.wants(1, []);
    world.allocate();
    world.pass(20);
    assert_eq!((obstacles(&world, 1), age(&world)), (vec![(Obstacle::WantsNothing, 0)], Some(20)));
}

/// Four frameworks, the last of which has the most, want one more task each of an agent that is full.
fn crowd() -> World {
    let mut world = World::default();
    world.agent(1, size(20, 20480));
    for (id, role, cpus) in [(1, "eng/batch", 1), (2, "eng/batch", 3), (3, "web", 6), (4, "ops", 10)] {
        world.framework(id, role);
        world.wants(id, [want(size(cpus, 64), 1, 0)]);
        world.allocate();
        world.launch(id, &size(cpus, 64));
    }
    (1..=4).for_each(|id| world.wants(id, [want(size(1, 64), 1, 0)]));
    world.allocate();
    world
}

fn ahead(world: &World, id: u64) -> Vec<(u64, String, String, Share, Share)> {
    let named = |one: Ahead| (one.framework.0, one.role, one.under, one.share, one.than);
    why(world, id).ahead.into_iter().map(named).collect()
}

#[test]
fn whoever_is_ahead_is_named_with_both_shares_of_the_branches_that_compete() {
    let world = crowd();
    let share = |cpus| Share::new(cpus, 20);
    let row =
        |id, role: &str, under: &str, has, than| (id, role.to_string(), under.to_string(), share(has), share(than));

    assert_eq!(ahead(&world, 1), []);
    assert_eq!(ahead(&world, 2), [row(1, "eng/batch", "eng/batch", 1, 3)]);
    assert_eq!(
        ahead(&world, 4),
        [row(1, "eng/batch", "", 4, 10), row(2, "eng/batch", "", 4, 10), row(3, "web", "", 6, 10)]
    );
}

#[test]
fn weights_divide_what_the_branches_have() {
    let mut world = crowd();
    world.role("web", 3, None);
    world.allocate();

    // 6 of 20 by three is less than 4 of 20.
    let third = Share::new(2, 20);
    assert_eq!(ahead(&world, 1), [(3, "web".to_string(), String::new(), third, Share::new(4, 20))]);
}

#[test]
fn nobody_is_ahead_of_whoever_waits_for_nothing() {
    let mut world = crowd();
    world.wants(4, []);
    world.allocate();

    assert_eq!((why(&world, 4).rank, ahead(&world, 4)), (None, vec![]));
}

#[test]
fn who_and_what_may_not_be_seen_is_not_named() {
    let mut world = crowd();
    world.framework(7, "idle");
    let (nobody, other) = (|id: FrameworkId, _: &str| id == FrameworkId(3), |_: AgentId| false);
    let sight = Sight { framework: &nobody, agent: &other };

    let told = world.allocator.why(FrameworkId(4), "ops", world.now, &sight).unwrap();
    assert_eq!((told.rank, told.ranked), (Some(4), 4));
    assert_eq!(told.ahead.iter().map(|one| one.framework.0).collect::<Vec<_>>(), [3]);
    assert_eq!((told.hindrances[0].agents, told.hindrances[0].nearest.as_slice()), (1, [].as_slice()));
}
