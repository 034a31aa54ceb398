use haggle_core::access::{Kind, Principal, Roles, TokenId};
use tempfile::TempDir;

use super::*;

fn caller(who: Option<Principal>) -> Caller {
    Caller::new(who, Some(([127, 0, 0, 1], 4711).into()))
}

fn ci() -> Principal {
    Principal { name: "ci".into(), kind: Kind::Framework(Roles::every()), token: Some(TokenId(7)) }
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_line_says_who_did_what_to_what_and_what_became_of_it() {
    let caller = caller(Some(ci()));
    let entry = |code, why| Entry { caller: &caller, verb: Verb::KillTask, object: "task-1.2", code, why };
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);

    let ok = r#"{"time":"1970-01-01T00:00:01.500Z","principal":"ci","kind":"framework","token":"token-0000000000000007","peer":"127.0.0.1:4711","verb":"KillTask","object":"task-1.2","verdict":"ok"}"#;
    assert_eq!(line(at, &entry(Code::Ok, "")), format!("{ok}\n"));
    let refused = line(at, &entry(Code::NotFound, "there is none"));
    assert!(
        refused.ends_with("\"verdict\":\"refused\",\"code\":\"NotFound\",\"why\":\"there is none\"}\n"),
        "{refused}"
    );
}

#[test]
fn what_a_name_holds_breaks_neither_the_line_nor_a_terminal() {
    let mut escaped = String::new();

    escape("a\"b\\c\nd\u{1b}[31m\u{9b}\u{202e}e\u{7f}é", &mut escaped);

    assert_eq!(escaped, r#"a\"b\\c\u000ad\u001b[31m\u009b\u202ee\u007fé"#);
}

#[test]
fn a_file_that_is_full_makes_room_for_the_next_and_five_are_kept() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit");
    let audit = Audit::with_limit(&path, 400).unwrap();
    let caller = caller(Some(ci()));

    for number in 0..40 {
        let object = number.to_string();
        audit.write(&Entry { caller: &caller, verb: Verb::KillTask, object: &object, code: Code::Ok, why: "" });
    }

    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["audit", "audit.1", "audit.2", "audit.3", "audit.4"]);
    assert!(lines(&path).last().unwrap().contains("\"object\":\"39\""));
    assert!(std::fs::metadata(&path).unwrap().len() <= 400);
}

#[test]
fn an_audit_goes_on_where_it_stopped() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit");
    let caller = caller(Some(ci()));
    for _ in 0..2 {
        let audit = Audit::open(&path).unwrap();
        audit.write(&Entry { caller: &caller, verb: Verb::KillTask, object: "", code: Code::Ok, why: "" });
    }

    assert_eq!(lines(&path).len(), 2);
}

#[cfg(unix)]
#[test]
fn only_its_user_can_read_an_audit() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit");

    let _audit = Audit::open(&path).unwrap();

    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn strangers_do_not_wash_the_audit_away() {
    let (mut strangers, start) = (Strangers::default(), Instant::now());
    let mut admitted = |after_ms| {
        let at = start + Duration::from_millis(after_ms);
        (0..1_000).filter(|_| strangers.admit(at)).count()
    };

    assert_eq!((admitted(0), admitted(999), admitted(1_000)), (100, 0, 100));
    assert_eq!(strangers.left_out, 2_800);
}

#[test]
fn what_was_left_out_is_counted() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit");
    let audit = Audit::open(&path).unwrap();
    audit.0.as_ref().unwrap().lock().unwrap().strangers.left_out = 7;

    let caller = caller(Some(ci()));
    audit.write(&Entry { caller: &caller, verb: Verb::KillTask, object: "", code: Code::Ok, why: "" });

    let lines = lines(&path);
    assert!(lines[0].starts_with("{\"left_out\":7,"), "{lines:?}");
    assert!(lines[1].contains("\"principal\":\"ci\""));
}
