use proptest::prelude::*;

use super::*;
use crate::Trust;
use crate::token::{Bearer, NotABearer};

fn token() -> Token {
    Token {
        kind: TokenKind::Agent,
        cluster: ClusterId(0x0123_4567_89ab_cdef),
        addresses: vec!["10.0.0.1:5050".into(), "[fe80::1]:5050".into()],
        authority: Some(Fingerprint([7; 32])),
        id: TokenId([1, 2, 3, 4, 5, 6, 7, 8]),
        secret: Secret::new([9; 32]),
        expires: UNIX_EPOCH + Duration::from_millis(1_800_000_000_123),
    }
}

fn tokens() -> impl Strategy<Value = Token> {
    let kind = prop::sample::select(TokenKind::ALL.to_vec());
    let addresses = prop::collection::vec("[a-z0-9.]{1,40}:[0-9]{1,5}", 0..=Token::ADDRESSES_MAX);
    let expires = (0..4_000_000_000_000_u64).prop_map(|millis| UNIX_EPOCH + Duration::from_millis(millis));
    (kind, any::<u128>(), addresses, any::<Option<[u8; 32]>>(), any::<[u8; 8]>(), any::<[u8; 32]>(), expires).prop_map(
        |(kind, cluster, addresses, authority, id, secret, expires)| Token {
            kind,
            cluster: ClusterId(cluster),
            addresses,
            authority: authority.map(Fingerprint),
            id: TokenId(id),
            secret: Secret::new(secret),
            expires,
        },
    )
}

proptest! {
    #[test]
    fn what_was_written_is_read(token in tokens()) {
        prop_assert_eq!(token.text().parse::<Token>().unwrap(), token);
    }

    #[test]
    fn a_token_that_was_cut_anywhere_says_so(token in tokens(), at in any::<prop::sample::Index>()) {
        let text = token.text();
        let at = 1 + at.index(text.len() - 1);

        prop_assert_eq!(text[..at].parse::<Token>(), Err(TokenError::CutShort));
    }

    #[test]
    fn a_token_with_another_character_anywhere_is_refused(
        token in tokens(),
        at in any::<prop::sample::Index>(),
        other in "[a-zA-Z0-9._-]",
    ) {
        let text = token.text();
        let at = at.index(text.len());
        prop_assume!(text[at..=at] != other);
        let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);

        prop_assert!(changed.parse::<Token>().is_err());
    }

    #[test]
    fn a_token_with_something_behind_it_is_damaged(token in tokens(), more in "[a-zA-Z0-9_-]{1,9}") {
        prop_assert_eq!(format!("{}{more}", *token.text()).parse::<Token>(), Err(TokenError::Damaged));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}", behind in "[a-zA-Z0-9_-]{0,200}") {
        let _ = text.parse::<Token>();
        let _ = format!("{PREFIX}{behind}").parse::<Token>();
    }

    #[test]
    fn a_bearer_is_read_from_the_short_form_and_from_the_whole_token(token in tokens()) {
        let bearer = token.bearer();

        prop_assert_eq!(&Bearer::from_authorization(&bearer.authorization()).unwrap(), &bearer);
        prop_assert_eq!(&Bearer::from_authorization(&format!("bearer {}", *token.text())).unwrap(), &bearer);
    }
}

#[test]
fn the_characters_between_changed_are_damage() {
    let text = token().text();
    let middle = text.len() / 2;
    let other = if &text[middle..=middle] == "A" { "B" } else { "A" };
    let changed = format!("{}{other}{}", &text[..middle], &text[middle + 1..]);

    assert_eq!(changed.parse::<Token>(), Err(TokenError::Damaged));
}

#[test]
fn a_token_that_was_broken_into_lines_is_read() {
    let text = token().text();
    let lines = text.as_bytes().chunks(40).map(|line| str::from_utf8(line).unwrap()).collect::<Vec<_>>();

    assert_eq!(lines.join("\r\n  ").parse::<Token>(), Ok(token()));
}

#[test]
fn what_is_no_token_says_so_and_a_later_one_too() {
    for text in ["", "hello", "K10abc::server:abc", "hgl.abc", "hglx.abc", "hgl0.abc", &"hgl1.".repeat(10_000)] {
        assert_eq!(text.parse::<Token>(), Err(TokenError::NotAToken), "{text:.20}");
    }
    assert_eq!("hgl2.abc".parse::<Token>(), Err(TokenError::Newer("hgl2".into())));
}

#[test]
fn neither_a_token_nor_its_bearer_shows_the_secret() {
    let token = token();
    let shown = format!("{token:?} {:?}", token.bearer());

    // 9 nine times over, in any notation that a derived `Debug` has.
    assert!(!shown.contains("9, 9") && !shown.contains("CQkJ"), "{shown}");
}

#[test]
fn what_is_no_bearer_is_refused() {
    let good = token().bearer().authorization();
    for wrong in ["", "Bearer", "Bearer ", "Basic abc", &good[..good.len() - 1], &good["Bearer ".len()..], "Bearer é.é"]
    {
        assert_eq!(Bearer::from_authorization(wrong), Err(NotABearer), "{wrong}");
    }
}

#[test]
fn a_token_tells_how_to_reach_and_know_the_masters() {
    let token = token();

    assert_eq!(token.urls(), ["http://10.0.0.1:5050", "http://[fe80::1]:5050"]);
    assert_eq!(token.trust(), Trust::pinned(token.cluster, Fingerprint([7; 32])));
    assert!(!token.has_expired(token.expires - Duration::from_millis(1)) && token.has_expired(token.expires));
    assert_eq!(token.id.to_string(), "0102030405060708");
    assert_eq!("0102030405060708".parse(), Ok(token.id));
}
