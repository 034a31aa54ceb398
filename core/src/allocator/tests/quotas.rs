use alloc::string::ToString;
use alloc::vec::Vec;

use super::super::QuotaRefusal;
use super::{World, at_most, exactly, guarantee, limit, milli, size, want};
use crate::demand::Want;
use crate::id::{AgentId, FrameworkId};
use crate::quota::Quota;
use crate::resources::Resources;

/// S16, `QuotaProvidesGuarantee`.
#[test]
fn what_a_role_is_promised_is_kept_for_it_though_it_declines() {
    let mut world = World::default();
    world.role("promised", 1, Some(exactly(size(2, 1024))));
    world.framework(1, "promised");
    world.framework(2, "other");
    world.agent(1, size(1, 512));
    world.agent(2, size(1, 512));
    assert_eq!(world.receivers(), [1, 1]);

    world.decline(1, 5000);
    assert_eq!(world.offered(), []);

    world.pass(5000);
    assert_eq!(world.receivers(), [1, 1]);
}

/// S17, `QuotaProvidesLimit`.
#[test]
fn a_role_is_offered_no_more_than_its_limit() {
    let mut world = World::default();
    world.role("limited", 1, Some(limit(&Resources::default())));
    world.framework(1, "limited");
    world.framework(2, "other");
    world.agent(1, size(1, 512));
    assert_eq!(world.receivers(), [2]);

    world.role("limited", 1, Some(limit(&size(1, 512))));
    world.agent(2, size(2, 1024));

    let mut offered = world.offered();
    offered.sort_by_key(|offer| offer.0);
    assert_eq!(offered, [(1, 2, size(1, 512)), (2, 2, size(1, 512))]);
}

/// S18, `QuotaAllocationGranularity`.
#[test]
fn an_agent_is_split_exactly_where_a_quota_ends() {
    let mut world = World::default();
    world.role("promised", 1, Some(exactly(milli(500, 200))));
    world.framework(1, "promised");
    world.framework(2, "other");
    world.agent(1, size(1, 512));

    assert_eq!(world.offered(), [(1, 1, milli(500, 200)), (2, 1, milli(500, 312))]);
}

/// S19, second half, `QuotaAgainstStarvation`.
#[test]
fn a_promise_brings_a_starving_role_before_those_with_smaller_shares() {
    let mut world = World::default();
    world.framework(1, "starving");
    world.framework(2, "greedy");
    world.agent(1, size(1, 512));
    assert_eq!(world.receivers(), [2].map(|_| 2), "by name");
    world.launch(2, &milli(0, 0));
    world.role("starving", 1, Some(guarantee(size(2, 1024))));
    world.agent(2, size(1, 512));

    assert!(world.receivers().iter().all(|&to| to == 1));
}

/// S20, `QuotaAbsentFrameworkWholeAgent`.
#[test]
fn what_a_role_without_frameworks_is_promised_is_kept_and_the_rest_offered() {
    let mut world = World::default();
    world.role("absent", 1, Some(exactly(size(2, 1024))));
    world.framework(1, "other");
    world.agent(1, size(2, 1024));
    assert_eq!(world.offered(), []);

    world.agent(2, size(1, 512));

    let sum = world.offered().iter().fold(Resources::default(), |mut sum, offer| {
        sum.give(&offer.2);
        sum
    });
    assert_eq!(sum, size(1, 512));
}

/// S21, `MultiQuotaWithFrameworks`.
#[test]
fn a_role_that_has_what_it_is_promised_does_not_hold_up_one_that_has_not() {
    let mut world = World::default();
    world.role("small", 1, Some(exactly(size(1, 200))));
    world.role("big", 1, Some(exactly(size(2, 2000))));
    world.framework(1, "small");
    world.framework(2, "big");
    world.agent(1, size(1, 1024));
    assert_eq!(world.offered()[0], (2, 1, size(1, 1024)), "by name");
    world.agent(2, size(1, 1024));
    let second = world.offered();
    world.agent(3, size(1, 1024));
    let third = world.offered();

    let of = |id: FrameworkId| world.allocator.allocated_to(id);
    assert!(of(FrameworkId(2)).contains(&milli(2000, 1976)), "{second:?} {third:?}");
    assert!(of(FrameworkId(1)).contains(&milli(0, 200)) || of(FrameworkId(1)).cpus == size(1, 0).cpus);
}

/// S23, `RemoveQuota`.
#[test]
fn once_a_quota_is_removed_shares_decide_again() {
    let mut world = World::default();
    world.role("promised", 1, Some(guarantee(size(2, 1024))));
    world.framework(1, "promised");
    world.framework(2, "other");
    world.agent(1, size(1, 512));
    assert_eq!(world.receivers(), [1]);
    world.launch(1, &size(1, 512));

    world.role("promised", 0, None);
    world.agent(2, size(1, 512));

    assert_eq!(world.receivers(), [2]);
}

#[test]
fn a_limit_holds_for_all_roles_below_together() {
    let mut world = World::default();
    world.role("eng", 1, Some(limit(&size(3, 8192))));
    world.framework(1, "eng/a");
    world.framework(2, "eng/b");
    world.wants(1, [want(size(1, 256), 9, 0)]);
    world.wants(2, [want(size(1, 256), 9, 0)]);
    world.agent(1, size(8, 8192));

    let cpus: Vec<_> = world.offered().iter().map(|offer| offer.2.cpus.get()).collect();
    assert_eq!(cpus.iter().sum::<u64>(), 3000);
    assert_eq!(cpus.len(), 2);
}

#[test]
fn a_promise_to_a_role_can_be_used_by_the_roles_below_it() {
    let mut world = World::default();
    world.role("eng", 1, Some(guarantee(size(4, 1024))));
    world.framework(1, "eng/a");
    world.framework(2, "other");
    world.wants(1, [want(size(1, 256), 9, 0)]);
    world.wants(2, [want(size(1, 256), 9, 0)]);
    world.agent(1, size(6, 8192));

    let mut offered = world.offered();
    offered.sort_by_key(|offer| offer.0);
    assert_eq!(offered, [(1, 1, size(4, 1024)), (2, 1, size(2, 512))]);
}

#[test]
fn what_a_child_is_promised_is_kept_from_its_sibling_and_from_others() {
    let mut world = World::default();
    world.role("eng", 1, Some(guarantee(size(4, 1024))));
    world.role("eng/a", 1, Some(guarantee(size(3, 768))));
    world.framework(1, "eng/b");
    world.framework(2, "other");
    world.wants(1, [want(size(1, 256), 9, 0)]);
    world.wants(2, [want(size(1, 256), 9, 0)]);
    world.agent(1, size(4, 8192));

    assert_eq!(world.offered(), [(1, 1, size(1, 256))]);
}

#[test]
fn offers_above_a_lowered_limit_are_the_newest() {
    let mut world = World::default();
    world.framework(1, "limited");
    world.agent(1, size(1, 512));
    let first = world.offers()[0].0;
    world.agent(2, size(1, 512));
    let second = world.offers()[0].0;
    world.role("limited", 1, Some(limit(&size(1, 512))));
    assert_eq!(world.allocator.above_limits(), [second]);
    world.role("limited", 1, Some(limit(&milli(1, 1))));
    assert_eq!(world.allocator.above_limits(), [first, second]);
}

#[test]
fn quotas_that_cannot_hold_are_refused_with_the_reason() {
    let mut world = World::default();
    world.framework(1, "eng/batch");
    world.agent(1, size(4, 4096));
    world.offers();
    world.launch(1, &size(2, 1024));
    let check = |role: &str, quota: &Quota| world.allocator.check_quota(role, quota);

    assert!(matches!(check("eng", &limit(&size(1, 4096))), Err(QuotaRefusal::BelowUse { .. })));
    assert_eq!(check("eng", &limit(&size(2, 1024))), Ok(()), "offers can be taken back");
    assert!(matches!(check("web", &guarantee(size(5, 1024))), Err(QuotaRefusal::Overcommitted { .. })));
    assert_eq!(check("web", &guarantee(size(4, 1024))), Ok(()));

    world.role("web", 1, Some(guarantee(size(3, 1024))));
    let check = |role: &str, quota: &Quota| world.allocator.check_quota(role, quota);
    assert!(matches!(check("eng/batch/x", &guarantee(size(2, 64))), Err(QuotaRefusal::Overcommitted { .. })));
    assert_eq!(check("eng/batch/x", &guarantee(size(1, 64))), Ok(()));
    assert_eq!(check("web/a", &guarantee(size(3, 64))), Ok(()), "a child's promise is part of its parent's");

    world.role("eng", 1, Some(Quota { limit: at_most(&size(2, 4096)), ..Quota::default() }));
    let refused = world.allocator.check_quota("eng/batch", &guarantee(size(3, 64))).unwrap_err();
    assert!(refused.to_string().starts_with("\"eng\" may have at most 2"), "{refused}");
}

#[test]
fn what_agents_lose_and_gain_is_counted_in_what_is_kept() {
    let mut world = World::default();
    world.role("absent", 1, Some(guarantee(size(2, 1024))));
    world.framework(1, "other");
    world.agent(1, size(2, 1024));
    world.agent(2, size(2, 1024));
    assert_eq!(world.receivers(), [1]);
    world.decline(1, 0);

    world.allocator.set_agent_active(AgentId(2), false);
    assert_eq!(world.offered(), []);
    world.allocator.set_agent_active(AgentId(2), true);
    assert_eq!(world.receivers(), [1]);
}

/// Framework 1 wants two things of an agent with three cores, of which one is kept for others until a second agent comes. Then it is
/// offered the three cores.
fn is_offered_three_cores_once_less_is_kept(wants: [Want; 2]) {
    let mut world = World::default();
    world.role("absent", 1, Some(guarantee(size(1, 64))));
    world.framework(1, "other");
    world.wants(1, wants);
    world.agent(1, size(3, 1024));
    assert_eq!(world.offered(), []);

    world.agent(2, size(1, 1024));

    assert_eq!(world.offered(), [(1, 1, size(3, 64))]);
}

#[test]
fn what_is_kept_from_somebody_is_looked_at_again_whatever_else_it_wants() {
    let (small, large) = (|| want(size(3, 64), 1, 0), || want(size(9, 64), 1, 0));
    is_offered_three_cores_once_less_is_kept([small(), large()]);
    is_offered_three_cores_once_less_is_kept([large(), small()]);
}

#[test]
fn what_is_kept_from_a_gang_is_looked_at_again_whatever_other_gangs_want() {
    let gang = |number, cpus| Want { gang: number, ..want(size(cpus, 64), 1, 0) };
    is_offered_three_cores_once_less_is_kept([gang(1, 3), gang(2, 9)]);
    is_offered_three_cores_once_less_is_kept([gang(1, 9), gang(2, 3)]);
}
