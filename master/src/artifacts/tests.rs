use std::io::Read;
use std::time::{Duration, SystemTime};

use haggle_core::access::PlainKind;
use haggle_sources::{Settings as SourceSettings, Sources};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::access::wall_clock_ms;
use crate::limits::{Limiter, Limits};
use crate::pull::Puller;

fn digest_of(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

fn store_with(total: u64, single: u64) -> (TempDir, Arc<Store>) {
    let folder = TempDir::new().unwrap();
    let limits = ArtifactLimits { total: Bytes::new(total), single: Bytes::new(single) };
    let store = Store::open(Some(folder.path()), limits).unwrap();
    (folder, Arc::new(store))
}

/// One that may fetch from nowhere.
fn puller(store: &Arc<Store>) -> Arc<Puller> {
    let sources = Sources::new(SourceSettings::default()).unwrap();
    Arc::new(Puller::new(Arc::clone(store), sources, Limiter::new(Limits::default())))
}

fn upload(store: &Arc<Store>, expected: Option<Digest>, bytes: &[u8]) -> Result<(Digest, u64), ArtifactError> {
    let mut upload = store.begin(expected, None)?;
    for chunk in bytes.chunks(3) {
        upload.write(chunk)?;
    }
    upload.finish()
}

#[test]
fn what_is_kept_from_here_is_as_an_upload_would_be() {
    let (folder, store) = store_with(400_000, 150_000);
    let keeper = Keeper::new(Arc::clone(&store), puller(&store));
    let bytes = vec![7; 100_000];
    let file = folder.path().join("file");
    fs::write(&file, &bytes).unwrap();

    let kept = [keeper.keep_file(&file).unwrap(), keeper.keep_bytes(&bytes).unwrap()];

    assert_eq!(kept, [digest_of(&bytes); 2]);
    assert!(keeper.has(kept[0]).unwrap() && !keeper.has(digest_of(b"other")).unwrap());
    let mut read = Vec::new();
    store.read(kept[0]).unwrap().unwrap().read_to_end(&mut read).unwrap();
    assert_eq!((read, store.used().all), (bytes, 100_000));
    let (missing, large) = (keeper.keep_file(&folder.path().join("gone")), keeper.keep_bytes(&[1; 160_000]));
    assert!(matches!(missing, Err(NotKept::Unreadable { .. })), "{missing:?}");
    assert!(large.unwrap_err().to_string().contains("larger than the"));
    assert_eq!((store.used().all, files_in(&store.partial)), (100_000, 0));
}

fn files_in(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

fn assert_nothing_left(store: &Store) {
    assert_eq!((files_in(&store.partial), files_in(&store.kept), store.used().all), (0, 0, 0));
}

#[test]
fn who_brought_an_artifact_is_remembered_over_a_restart() {
    let (folder, store) = store_with(100, 100);
    let (digest, _) = upload(&store, None, b"some bytes").unwrap();

    for name in ["ci", "other", "ci"] {
        store.note_uploader(digest, &framework(name)).unwrap();
    }
    drop(store);

    let limits = ArtifactLimits { total: Bytes::new(100), single: Bytes::new(100) };
    let store = Store::open(Some(folder.path()), limits).unwrap();
    let is_its = |who: PrincipalId| store.was_brought_by(digest, &who).unwrap();
    let brought = ["ci", "other", "c", "ci\nother", ""].map(|name| is_its(framework(name)));
    assert_eq!(brought, [true, true, false, false, false]);
    assert!(!is_its("operator:ci".parse().unwrap()), "an operator of that name is somebody else");
}

fn framework(name: &str) -> PrincipalId {
    PrincipalId { name: name.into(), kind: PlainKind::Framework }
}

fn brings(store: &Arc<Store>, name: &str, most: u64, bytes: &[u8]) -> Result<(Digest, u64), ArtifactError> {
    let mut upload = store.begin(None, Some(Uploader { id: framework(name), most: Some(most) }))?;
    for chunk in bytes.chunks(3) {
        upload.write(chunk)?;
    }
    upload.finish()
}

#[test]
fn what_one_has_brought_counts_for_it_alone_and_once() {
    let (_folder, store) = store_with(100, 100);
    brings(&store, "ci", 16, b"first 8.").unwrap();
    brings(&store, "ci", 16, b"first 8.").unwrap();
    brings(&store, "ci", 16, b"second 8").unwrap();

    let error = brings(&store, "ci", 16, b"third 8.").unwrap_err().to_string();

    assert!(error.starts_with("\"ci\" (framework) is at its limit upload-bytes=16 B"), "{error}");
    brings(&store, "other", 16, b"third 8.").unwrap();
    let used = store.used();
    assert_eq!((used.all, used.brought.len()), (24, 2));
}

#[test]
fn what_several_have_brought_each_has_whole() {
    let (_folder, store) = store_with(100, 100);
    brings(&store, "ci", 8, b"first 8.").unwrap();

    brings(&store, "other", 8, b"first 8.").unwrap();

    assert!(brings(&store, "other", 8, b"second 8").is_err());
    assert_eq!(store.used().all, 8);
}

#[test]
fn what_did_not_come_to_its_end_counts_for_nobody() {
    let (_folder, store) = store_with(100, 100);
    let mut upload = store.begin(None, Some(Uploader { id: framework("ci"), most: Some(8) })).unwrap();
    upload.write(b"half").unwrap();
    assert!(brings(&store, "ci", 8, b"5 byt").is_err());

    drop(upload);

    assert!(store.used().brought.is_empty());
    brings(&store, "ci", 8, b"first 8.").unwrap();
}

#[test]
fn of_too_many_who_bring_the_same_the_next_is_told_so() {
    let (_folder, store) = store_with(100, 100);
    let (digest, _) = upload(&store, None, b"some bytes").unwrap();
    for number in 0..1_000 {
        store.note_uploader(digest, &framework(&number.to_string())).unwrap();
    }

    let error = store.note_uploader(digest, &framework("one too many")).unwrap_err();

    assert!(error.to_string().starts_with("1000 principals have brought sha256:"), "{error}");
    store.note_uploader(digest, &framework("7")).unwrap();
}

#[test]
fn what_was_stored_can_be_read_under_its_digest() {
    let (_folder, store) = store_with(100, 100);
    let digest = digest_of(b"some bytes");

    assert_eq!(upload(&store, Some(digest), b"some bytes").unwrap(), (digest, 10));

    let mut read = Vec::new();
    store.read(digest).unwrap().unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(read, b"some bytes");
    assert_eq!(store.stat(digest).unwrap(), Some(10));
    assert_eq!(files_in(&store.partial), 0);
}

#[test]
fn an_empty_artifact_is_one_too() {
    let (_folder, store) = store_with(100, 100);

    let (digest, size) = upload(&store, None, b"").unwrap();

    assert_eq!((digest, size), (digest_of(b""), 0));
    assert_eq!(store.stat(digest).unwrap(), Some(0));
}

#[test]
fn bytes_with_another_digest_are_refused_and_not_kept() {
    let (_folder, store) = store_with(100, 100);

    let error = upload(&store, Some(digest_of(b"announced")), b"sent").unwrap_err();

    assert!(matches!(error, ArtifactError::WrongDigest { got, .. } if got == digest_of(b"sent")), "{error}");
    assert_nothing_left(&store);
}

#[test]
fn an_artifact_above_the_limit_is_refused_and_not_kept() {
    let (_folder, store) = store_with(100, 8);

    let error = upload(&store, None, b"nine byte").unwrap_err();

    assert_eq!(error.to_string(), "the artifact is larger than the 8 B that one may have");
    assert_nothing_left(&store);
}

#[test]
fn a_full_store_refuses_more_and_keeps_what_it_has() {
    let (_folder, store) = store_with(10, 10);
    let (first, _) = upload(&store, None, b"12345678").unwrap();

    let error = upload(&store, None, b"abcdef").unwrap_err();

    assert!(matches!(error, ArtifactError::StoreFull { .. }), "{error}");
    assert_eq!(store.stat(first).unwrap(), Some(8));
    assert_eq!((files_in(&store.partial), store.used().all), (0, 8));
}

#[test]
fn the_same_artifact_uploaded_twice_at_once_is_kept_and_counted_once() {
    let (_folder, store) = store_with(100, 100);
    let mut both = [store.begin(None, None).unwrap(), store.begin(None, None).unwrap()];
    for upload in &mut both {
        upload.write(b"the same").unwrap();
    }
    assert_eq!(store.used().all, 16);

    let named = both.map(|upload| upload.finish().unwrap());

    assert_eq!(named, [(digest_of(b"the same"), 8); 2]);
    assert_eq!((files_in(&store.kept), files_in(&store.partial), store.used().all), (1, 0, 8));
}

#[test]
fn a_restart_counts_what_is_there_and_removes_what_was_half_done() {
    let (folder, store) = store_with(100, 100);
    upload(&store, None, b"kept").unwrap();
    fs::write(store.partial.join("half-done"), b"lost").unwrap();
    drop(store);

    let store = Store::open(Some(folder.path()), ArtifactLimits::default()).unwrap();

    assert_eq!((files_in(&store.partial), store.used().all), (0, 4));
}

#[test]
fn a_temporary_store_is_removed_with_its_master() {
    let store = Arc::new(Store::open(None, ArtifactLimits::default()).unwrap());
    upload(&store, None, b"gone soon").unwrap();
    let folder = store.kept.clone();

    drop(store);

    assert!(!folder.exists());
}

const HOUR_MS: u64 = 3_600_000;

/// A store of 30 bytes whose artifacts were used last so many hours ago, of a master that leads for that long.
fn store_used(ago: &[(&[u8], u64)], leads_for: u64) -> (TempDir, Arc<Store>) {
    let (folder, store) = store_with(30, 30);
    for (bytes, hours) in ago {
        let (digest, _) = upload(&store, None, bytes).unwrap();
        let at = SystemTime::now() - Duration::from_millis(hours * HOUR_MS);
        File::options().append(true).open(store.path(digest)).unwrap().set_modified(at).unwrap();
    }
    drop(store);
    let limits = ArtifactLimits { total: Bytes::new(30), single: Bytes::new(30) };
    let store = Arc::new(Store::open(Some(folder.path()), limits).unwrap());
    store.ledger().begin(wall_clock_ms() - leads_for * HOUR_MS);
    (folder, store)
}

fn here(store: &Store, all: &[&[u8]]) -> Vec<bool> {
    all.iter().map(|bytes| store.size(digest_of(bytes)).unwrap().is_some()).collect()
}

const OLD: &[u8] = b"ten of old";
const OLDER: &[u8] = b"ten, older";
const NEW: &[u8] = b"ten of new";

#[test]
fn what_was_used_least_recently_goes_first_when_there_is_no_room() {
    let (_folder, store) = store_used(&[(OLD, 2), (OLDER, 3), (NEW, 0)], 5);

    upload(&store, None, b"ten more..").unwrap();

    assert_eq!(here(&store, &[OLD, OLDER, NEW, b"ten more.."]), [true, false, true, true]);
    assert_eq!((store.used().all, store.let_go_by_now()), (30, vec![digest_of(OLDER)]));
    assert_eq!(store.let_go_by_now(), []);
}

#[test]
fn what_is_used_again_is_the_last_to_go() {
    let (_folder, store) = store_used(&[(OLD, 2), (OLDER, 3), (NEW, 0)], 5);
    store.stat(digest_of(OLDER)).unwrap();

    upload(&store, None, b"ten more..").unwrap();

    assert_eq!(here(&store, &[OLD, OLDER, NEW]), [false, true, true]);
}

#[test]
fn nothing_goes_that_is_recent_or_that_a_new_leader_may_not_know_of() {
    for (ago, leads_for) in [(0, 5), (3, 0)] {
        let (_folder, store) = store_used(&[(OLD, ago), (OLDER, ago), (NEW, ago)], leads_for);

        let error = upload(&store, None, b"ten more..").unwrap_err();

        assert!(matches!(error, ArtifactError::StoreFull { .. }), "{error}");
        assert_eq!(here(&store, &[OLD, OLDER, NEW]), [true; 3]);
    }
}

#[test]
fn a_copy_of_what_another_master_has_makes_nothing_go() {
    let (_folder, store) = store_used(&[(OLD, 2), (OLDER, 3), (NEW, 0)], 5);

    let mut copy = store.begin_copy(digest_of(b"ten more..")).unwrap();

    assert!(matches!(copy.write(b"ten more.."), Err(ArtifactError::StoreFull { .. })));
    assert_eq!(here(&store, &[OLD, OLDER, NEW]), [true; 3]);
}

#[test]
fn what_is_collected_or_forgotten_is_nobodys_any_more() {
    let (_folder, store) = store_used(&[(OLD, 2), (OLDER, 3)], 5);
    brings(&store, "ci", 10, NEW).unwrap();
    store.note_origin(digest_of(NEW), "oci://registry.example/app@sha256:00").unwrap();

    let freed = store.collect(Bytes::new(20), Duration::from_hours(1)).unwrap();
    assert_eq!(freed, Freed { artifacts: 1, bytes: 10, kept: 20 });
    let nothing = store.collect(Bytes::ZERO, Duration::from_hours(24)).unwrap();
    assert_eq!(nothing.artifacts, 0);
    store.forget(&[digest_of(NEW), digest_of(OLD), digest_of(b"never here")]).unwrap();

    assert_eq!((files_in(&store.uploaders), files_in(&store.origins)), (0, 0));
    assert!(store.used().brought.is_empty());
    assert_nothing_left(&store);
}

#[test]
fn who_waited_for_what_somebody_else_has_fetched_has_brought_it_as_well() {
    let (_folder, store) = store_with(100, 100);
    let (digest, _) = brings(&store, "ci", 8, b"first 8.").unwrap();
    let other = |most| Uploader { id: framework("other"), most: Some(most) };

    let over = store.share_with(digest, &other(7)).unwrap_err().to_string();
    let shared = [store.share_with(digest, &other(8)).unwrap(), store.share_with(digest, &other(8)).unwrap()];

    assert!(over.contains("is at its limit upload-bytes"), "{over}");
    assert_eq!((shared, store.brought(&framework("other"))), ([true, true], 8));
    assert!(!store.share_with(digest_of(b"never here"), &other(8)).unwrap());
}
