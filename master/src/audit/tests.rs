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
fn what_one_is_refused_again_and_again_is_counted_and_nothing_else_is_left_out() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit");
    let audit = Audit::open(&path).unwrap();
    let (ci, stranger) = (caller(Some(ci())), caller(None));
    let write = |caller: &Caller, verb, code| audit.write(&Entry { caller, verb, object: "x", code, why: "no" });

    for _ in 0..1_000 {
        write(&ci, Verb::KillTask, Code::NotFound);
        write(&ci, Verb::FrameworkSession, Code::Ok);
        write(&stranger, Verb::KillTask, Code::Unauthenticated);
    }
    for _ in 0..200 {
        write(&ci, Verb::CreateToken, Code::Ok);
        write(&stranger, Verb::Renew, Code::Ok);
    }
    audit.finish();

    let lines = lines(&path);
    let count = |words: &[&str]| lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).count();
    assert_eq!(count(&["\"principal\":\"ci\"", "\"object\":\"x\"", "Session\""]), 50);
    assert_eq!(count(&["\"principal\":\"ci\"", "\"object\":\"x\"", "KillTask"]), 50);
    assert_eq!(count(&["\"kind\":\"stranger\"", "\"object\":\"x\"", "KillTask"]), 100);
    assert_eq!((count(&["CreateToken"]), count(&["Renew"])), (200, 200), "what changed something is all there");
    assert_eq!(count(&["ci", "KillTask", "\"code\":\"NotFound\",\"left_out\":950,"]), 1);
    assert_eq!(count(&["ci", "FrameworkSession", "\"verdict\":\"ok\",\"left_out\":950,"]), 1);
    assert_eq!(count(&["stranger", "KillTask", "\"left_out\":900,"]), 1);
}

/// A disk with so much room.
struct Tight {
    room: usize,
    holds: Vec<u8>,
}

impl Write for Tight {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.room);
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room -= taken;
        self.holds.extend(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_that_a_full_disk_has_cut_leaves_the_next_one_whole() {
    let (mut disk, mut tail) = (Tight { room: 8, holds: Vec::new() }, Tail::default());
    assert!(tail.append(&mut disk, "first\n").1.is_ok());

    let (written, outcome) = tail.append(&mut disk, "second\n");
    assert_eq!((written, outcome.unwrap_err().kind()), (2, io::ErrorKind::StorageFull));
    assert!(tail.append(&mut disk, "lost\n").1.is_err());
    disk.room = 100;
    assert_eq!(tail.append(&mut disk, "third\n").0, 7);
    tail.append(&mut disk, "fourth\n").1.unwrap();

    assert_eq!(String::from_utf8(disk.holds).unwrap(), "first\nse\nthird\nfourth\n");
}

#[test]
fn a_line_that_was_cut_by_the_end_of_a_master_leaves_the_next_one_whole() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit");
    std::fs::write(&path, "{\"time\":\"20").unwrap();

    let audit = Audit::open(&path).unwrap();
    let caller = caller(Some(ci()));
    audit.write(&Entry { caller: &caller, verb: Verb::KillTask, object: "", code: Code::Ok, why: "" });

    let lines = lines(&path);
    assert_eq!((lines.len(), lines[0].as_str()), (2, "{\"time\":\"20"));
    assert!(lines[1].starts_with("{\"time\":\"") && lines[1].ends_with('}'), "{lines:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn lines_that_could_not_be_written_are_counted_when_one_can() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit");
    let audit = Audit::open(&path).unwrap();
    let caller = caller(Some(ci()));
    let write = || audit.write(&Entry { caller: &caller, verb: Verb::KillTask, object: "", code: Code::Ok, why: "" });
    let file =
        std::mem::replace(&mut audit.lock().unwrap().file, OpenOptions::new().write(true).open("/dev/full").unwrap());
    write();
    write();

    audit.lock().unwrap().file = file;
    write();

    let lines = lines(&path);
    assert_eq!((lines.len(), lines[0].as_str()), (2, "{\"left_out\":2,\"why\":\"they could not be written\"}"));
}
