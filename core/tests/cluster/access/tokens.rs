//! Tokens: made, revoked, expired, forgotten.

use haggle_core::access::{Over, Principal, Roles, TokenId, TokenKind, TokenRecord};
use haggle_core::cluster::{Change, Command, Effect, FrameworkCommand, OperatorCommand, Refusal};
use haggle_core::{AgentId, Digest, SessionId};

use super::{A_DAY_MS, closed_with, operator, token};
use crate::kit::*;

#[test]
fn a_token_is_remembered_by_its_hash_and_by_who_made_it() {
    let mut world = World::new();
    let record = TokenRecord { made_by: "somebody else".into(), revoked: true, ..token("ci", TokenKind::Operator) };

    let effects = world.decides(&operator("ada"), OperatorCommand::CreateToken(TokenId(7), record.clone())).unwrap();

    let written = TokenRecord { made_by: "ada".into(), revoked: false, ..record };
    assert_eq!(effects, [Effect::Remember(Change::TokenRecorded(TokenId(7), written.clone()))]);
    assert_eq!(world.cluster.tokens_page(None, 10).0, [(TokenId(7), written)]);
}

#[test]
fn a_token_that_is_asked_for_again_takes_the_place_of_the_first_and_of_no_other() {
    let mut world = World::new();
    let create = |hash| {
        OperatorCommand::CreateToken(
            TokenId(7),
            TokenRecord { hash: Digest([hash; 32]), ..token("ci", TokenKind::Operator) },
        )
    };
    world.decides(&operator("ada"), create(1)).unwrap();

    world.decides(&operator("ada"), create(2)).unwrap();
    let other = world.decides(&operator("bob"), create(3));

    assert_eq!(other, Err(Refusal::TokenExists(TokenId(7))));
    let (tokens, _) = world.cluster.tokens_page(None, 10);
    assert_eq!(tokens.iter().map(|(_, token)| token.hash).collect::<Vec<_>>(), [Digest([2; 32])]);
}

#[test]
fn a_revoked_token_ends_its_sessions_at_once_and_opens_no_other() {
    let mut world = World::new();
    let who = world.token(7, "ci", TokenKind::Framework(Roles::every()));
    let other = world.token(8, "ci", TokenKind::Framework(Roles::every()));
    let framework = world.subscribes(&who, None, "role").unwrap();
    let stranger = world.session_of(who.clone());
    let same_name = world.subscribes(&other, None, "role").unwrap();

    let effects = world.decides(&operator("ada"), OperatorCommand::RevokeToken(TokenId(7))).unwrap();

    assert_eq!(closed_with(&effects, framework.session).unwrap(), "token-0000000000000007 was revoked");
    assert!(effects.contains(&Effect::Close(stranger)), "also the one that has said nothing yet");
    assert_eq!(closed_with(&effects, same_name.session), None);
    let late = world.try_apply(Command::Framework(framework.session, FrameworkCommand::Revive { role: None }.into()));
    assert_eq!(late, Err(Refusal::NotAFramework(framework.session)));
    assert_eq!(
        world.try_apply(Command::Connected(SessionId(777), who.clone())),
        Err(Refusal::TokenOver(TokenId(7), Over::Revoked))
    );
    assert!(!world.cluster.frameworks()[0].connected, "its tasks live on for its failover timeout");
    // With another token of the same name it is the same principal.
    assert!(world.subscribes(&other, Some(framework.id), "role").is_ok());
}

#[test]
fn who_asks_with_a_revoked_token_is_refused_though_the_shell_let_it_in() {
    let mut world = World::new();
    let who = world.token(7, "ada", TokenKind::Operator);
    world.decides(&Principal::owner(), OperatorCommand::RevokeToken(TokenId(7))).unwrap();

    let verdict = world.decides(&who, OperatorCommand::RemoveAgent(AgentId(1)));

    assert_eq!(verdict, Err(Refusal::TokenOver(TokenId(7), Over::Revoked)));
}

#[test]
fn a_token_that_is_revoked_twice_is_revoked() {
    let mut world = World::new();
    world.token(7, "ada", TokenKind::Operator);
    let revoke = || OperatorCommand::RevokeToken(TokenId(7));

    world.decides(&Principal::owner(), revoke()).unwrap();

    assert_eq!(world.decides(&Principal::owner(), revoke()), Ok(vec![]));
    let unknown = OperatorCommand::RevokeToken(TokenId(8));
    assert_eq!(world.decides(&Principal::owner(), unknown), Err(Refusal::TokenUnknown(TokenId(8))));
}

#[test]
fn a_revoked_token_is_not_made_again() {
    let mut world = World::new();
    let create = || OperatorCommand::CreateToken(TokenId(7), token("ci", TokenKind::Operator));
    world.decides(&operator("ada"), create()).unwrap();
    world.decides(&operator("ada"), OperatorCommand::RevokeToken(TokenId(7))).unwrap();

    assert_eq!(world.decides(&operator("ada"), create()), Err(Refusal::TokenExists(TokenId(7))));
}

#[test]
fn an_expired_token_ends_its_sessions_and_its_holder_is_told_why_from_then_on() {
    let mut world = World::new();
    let who = world.token(7, "ci", TokenKind::Framework(Roles::every()));
    let framework = world.subscribes(&who, None, "role").unwrap();
    let due = |world: &World, wall_ms| world.cluster.wall_clock_is_due(wall_ms);
    assert!(!due(&world, A_DAY_MS - 1) && due(&world, A_DAY_MS));

    assert_eq!(world.apply(Command::WallClock(A_DAY_MS - 1)), []);
    let effects = world.apply(Command::WallClock(A_DAY_MS));

    assert_eq!(closed_with(&effects, framework.session).unwrap(), "token-0000000000000007 has expired");
    let again = world.try_apply(Command::Connected(SessionId(777), who.clone()));
    assert_eq!(again, Err(Refusal::TokenOver(TokenId(7), Over::Expired)));
    assert_eq!(world.apply(Command::WallClock(1_000 * A_DAY_MS)), []);
    let again = world.try_apply(Command::Connected(SessionId(777), who));
    assert_eq!(again, Err(Refusal::TokenOver(TokenId(7), Over::Expired)));
    assert!(!due(&world, u64::MAX));
}

#[test]
fn a_token_that_was_made_after_the_clock_was_set_back_lets_somebody_in() {
    let mut world = World::new();
    // It was a year ahead, and a token was over by it.
    world.token(7, "ci", TokenKind::Operator);
    world.apply(Command::WallClock(366 * A_DAY_MS));

    let who = world.token(8, "ci", TokenKind::Operator);
    assert!(world.cluster.wall_clock_is_due(1));
    world.apply(Command::WallClock(1));

    assert_eq!(world.try_apply(Command::Connected(SessionId(777), who)), Ok(vec![]));
    assert!(!world.cluster.wall_clock_is_due(1));
}

#[test]
fn of_too_many_tokens_those_that_are_over_make_room_and_no_other() {
    let mut world = World::new();
    for id in 1..=10_000 {
        world.token(id, "ci", TokenKind::Operator);
    }
    let create = |id| OperatorCommand::CreateToken(TokenId(id), token("ci", TokenKind::Operator));

    let refused = world.decides(&Principal::owner(), create(20_000));
    world.decides(&Principal::owner(), OperatorCommand::RevokeToken(TokenId(5_000))).unwrap();
    let effects = world.decides(&Principal::owner(), create(20_000)).unwrap();

    assert_eq!(refused, Err(Refusal::TooManyTokens(10_000)));
    assert_eq!(effects[0], Effect::Remember(Change::TokenRemoved(TokenId(5_000))));
    assert_eq!(world.cluster.counts().tokens, 10_000);
}

#[test]
fn whoever_comes_by_a_token_says_which_authority_it_believes_and_that_is_remembered() {
    let mut world = World::new();
    let who = world.token(7, "ci", TokenKind::Viewer(Roles::every()));
    let follow = || OperatorCommand::FollowAuthority(Digest([5; 32]));

    let effects = world.decides(&who, follow()).unwrap();
    let again = world.decides(&who, follow()).unwrap();
    let nobodys = world.decides(&Principal { token: None, ..who.clone() }, follow());

    let written = TokenRecord { authority: Some(Digest([5; 32])), ..token("ci", TokenKind::Viewer(Roles::every())) };
    assert_eq!(effects, [Effect::Remember(Change::TokenRecorded(TokenId(7), written))]);
    assert_eq!(again, []);
    assert!(matches!(nobodys, Err(Refusal::Denied(_))), "{nobodys:?}");
    assert!(matches!(world.decides(&Principal::owner(), follow()), Err(Refusal::Denied(_))));
}
