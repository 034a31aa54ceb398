use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::*;

/// The contract of the wire, as text.
const PROTOS: [&str; 6] = [
    include_str!("../../../proto/haggle/v1/agent.proto"),
    include_str!("../../../proto/haggle/v1/artifacts.proto"),
    include_str!("../../../proto/haggle/v1/framework.proto"),
    include_str!("../../../proto/haggle/v1/join.proto"),
    include_str!("../../../proto/haggle/v1/masters.proto"),
    include_str!("../../../proto/haggle/v1/operator.proto"),
];

/// Every `Service/Method` of a contract.
fn rpcs(proto: &str) -> Vec<String> {
    let mut service = "";
    let mut rpcs = Vec::new();
    for line in proto.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("service ") {
            service = rest.trim_end_matches('{').trim();
        } else if let Some((name, _)) = line.strip_prefix("rpc ").and_then(|rest| rest.split_once('(')) {
            rpcs.push(alloc::format!("{service}/{name}"));
        }
    }
    rpcs
}

#[test]
fn every_right_is_as_written_down() {
    let mut table = String::new();
    Verb::print_table(&mut table).expect("writing to a String cannot fail");
    insta::assert_snapshot!(table);
}

#[test]
fn the_table_in_the_documents_is_this_one() {
    let mut table = String::new();
    Verb::print_table(&mut table).expect("writing to a String cannot fail");
    let documents = include_str!("../../../docs/SECURITY.md");

    assert!(documents.contains(&table), "docs/SECURITY.md has another table than this:\n{table}");
}

#[test]
fn every_call_of_the_wire_is_in_the_table_and_no_other() {
    let mut wire: Vec<_> = PROTOS.iter().flat_map(|proto| rpcs(proto)).collect();
    let mut table: Vec<_> = Verb::ALL.iter().filter_map(|verb| verb.rpc()).map(String::from).collect();
    wire.sort();
    table.sort();

    assert_eq!(wire, table);
}

#[test]
fn a_call_is_found_by_its_path() {
    assert_eq!(Verb::of_path("/haggle.v1.Operator/KillTask"), Some(Verb::KillTask));
    assert_eq!(Verb::of_path("/haggle.v1.Operator/KillTasks"), None);
    assert_eq!(Verb::of_path("/haggle.v2.Operator/KillTask"), None);
    assert_eq!(Verb::of_path("/"), None);
}

#[test]
fn a_pattern_holds_the_roles_that_it_names_and_no_other() {
    let roles = Roles::parse(&["eng/*", "ops"]).unwrap();

    for held in ["eng/ci", "eng/ci/nightly", "ops"] {
        assert!(roles.hold(held), "{held}");
    }
    for other in ["eng", "eng/", "engine/ci", "ops/a", "opsx", "", "*"] {
        assert!(!roles.hold(other), "{other}");
    }
    assert!(!roles.is_every());
    assert_eq!(alloc::format!("{roles}"), "eng/*, ops");
}

#[test]
fn whoever_names_no_role_has_every_one() {
    let roles = Roles::parse::<&str>(&[]).unwrap();

    assert!(roles.is_every() && roles.hold("anything/at/all"));
    assert_eq!(roles.to_strings(), ["*"]);
}

#[test]
fn what_is_no_pattern_is_refused() {
    for bad in ["", "/", "a/", "/a", "a//b", "a b", "..", "a/../b", "/*", "*/a/", "a\u{1b}[31m", &"a".repeat(129)] {
        assert!(Roles::parse(&[bad]).is_err(), "{bad:?}");
    }
    let many: Vec<_> = (0..65).map(|number| alloc::format!("role-{number}")).collect();
    assert_eq!(Roles::parse(&many), Err(InvalidRoles::TooMany(65)));
}

#[test]
fn who_is_denied_hears_who_it_is_and_what_it_lacks() {
    let roles = Roles::parse(&["eng/*"]).unwrap();
    let viewer = Principal { name: "grafana".into(), kind: Kind::Viewer(roles), token: None };

    let denied = viewer.check(Verb::KillTask).unwrap_err();

    let why = "\"grafana\" (viewer) may not kill tasks: that takes owner, operator or framework";
    assert_eq!(alloc::format!("{denied}"), why);
}

#[test]
fn an_id_of_a_token_is_read_as_it_is_written() {
    assert_eq!(TokenId(0x1f).to_string().parse(), Ok(TokenId(0x1f)));
    for bad in
        ["token-1f", "token-+00000000000001f", "0000000000000001f", "token-000000000000001g", "token-é00000000000001"]
    {
        assert!(bad.parse::<TokenId>().is_err(), "{bad}");
    }
}

#[test]
fn a_token_that_nobody_should_have_is_not_made() {
    let good = TokenRecord {
        name: "ci".into(),
        kind: TokenKind::Operator,
        hash: crate::id::Digest([1; 32]),
        made_ms: 10_000,
        expires_ms: 20_000,
        made_by: "owner".into(),
        revoked: false,
        authority: None,
    };
    assert_eq!(good.check(), Ok(()));

    let named = |name: &str| TokenRecord { name: name.into(), ..good.clone() }.check();
    for name in ["", "a\nb", "\u{1b}[2J", &"a".repeat(129)] {
        assert_eq!(named(name), Err(InvalidToken::Name(name.into())));
    }
    for name in ["owner", "master", "agent-7"] {
        assert_eq!(named(name), Err(InvalidToken::Taken(name.into())));
    }
    for expires_ms in [0, 10_000, 10_999, 10_001 + TokenRecord::TTL_MAX_MS, u64::MAX] {
        assert_eq!(TokenRecord { expires_ms, ..good.clone() }.check(), Err(InvalidToken::Ttl));
    }
    for uses_left in [0, 10_001, u32::MAX] {
        let kind = TokenKind::Agent { uses_left };
        assert_eq!(TokenRecord { kind, ..good.clone() }.check(), Err(InvalidToken::Uses(uses_left)));
    }
}
