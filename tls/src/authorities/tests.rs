use super::*;
use crate::RequestError;

const CLUSTER: ClusterId = ClusterId(0xc1);
const AGENT: AgentId = AgentId(7);

fn folder() -> (tempfile::TempDir, PrivateFolder) {
    let above = tempfile::tempdir().unwrap();
    let folder = PrivateFolder::open(&above.path().join("pki")).unwrap();
    (above, folder)
}

fn certificate(of: &Authorities, key: &PrivateKey, made: SystemTime) -> Certificate {
    of.current().agent(AGENT, &key.request(), made).unwrap()
}

#[test]
fn they_are_made_once_and_found_again() {
    let (_above, folder) = folder();
    let now = SystemTime::now();

    let (made, first) = Authorities::open(&folder, CLUSTER, now).unwrap();
    let (found, again) = Authorities::open(&folder, CLUSTER, now).unwrap();

    assert!(first && !again);
    assert_eq!(made.current().fingerprint(), found.current().fingerprint());
    // What one of them signs the other one knows.
    let key = PrivateKey::generate();
    let agent = certificate(&made, &key, now);
    assert_eq!(found.check_renewal(agent.der(), &key.request(), now), Ok(AGENT));
}

#[test]
fn what_is_kept_while_they_change_is_found_as_it_was() {
    let (_above, folder) = folder();
    let now = SystemTime::now();
    let (made, _) = Authorities::open(&folder, CLUSTER, now).unwrap();

    let rotated = made.rotated(now).unwrap();
    rotated.save(&folder).unwrap();

    let (found, first) = Authorities::open(&folder, CLUSTER, now).unwrap();
    assert!(!first);
    assert_eq!(*found.pem(), *rotated.pem());
    assert_eq!(found.former().map(Certificate::fingerprint), Some(made.current().fingerprint()));
    assert_eq!(found.rotated(now).unwrap_err(), UnderWay(made.current().fingerprint()));
    assert_eq!(found.finished().believed().count(), 1);
}

#[test]
fn the_key_that_earlier_releases_kept_beside_the_certificate_is_taken_up() {
    let (_above, folder) = folder();
    let now = SystemTime::now();
    let (old, key) = Authority::make(CLUSTER, now);
    folder.write(OLD_KEY_FILE, key.pem().as_bytes()).unwrap();
    folder.write(FILE, pem::certificates([old.certificate().der()]).as_bytes()).unwrap();

    let (found, first) = Authorities::open(&folder, CLUSTER, now).unwrap();

    assert!(!first);
    assert_eq!(found.current().fingerprint(), old.fingerprint());
    assert!(folder.read(OLD_KEY_FILE).unwrap().is_none());
    assert_eq!(Authorities::open(&folder, CLUSTER, now).unwrap().0.current().fingerprint(), old.fingerprint());
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_what_is_kept() {
    use std::os::unix::fs::PermissionsExt;
    let (_above, folder) = folder();
    Authorities::open(&folder, CLUSTER, SystemTime::now()).unwrap();

    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(mode(folder.path()), 0o700);
    assert_eq!(files.len(), 1);
    assert_eq!(mode(&files[0]), 0o600);
}

#[test]
fn those_of_another_cluster_or_with_another_key_are_refused() {
    let (_above, folder) = folder();
    let now = SystemTime::now();
    let (made, _) = Authorities::open(&folder, CLUSTER, now).unwrap();
    let refused = || Authorities::open(&folder, CLUSTER, now).unwrap_err().to_string();

    let other = Authorities::open(&folder, ClusterId(0xc2), now).unwrap_err().to_string();
    let certificates = pem::certificates([made.current().certificate().der()]);
    folder.write(FILE, [PrivateKey::generate().pem().as_str(), &certificates].concat().as_bytes()).unwrap();
    let mixed = refused();
    folder.write(FILE, certificates.as_bytes()).unwrap();
    let missing = refused();

    assert!(other.contains("is not of cluster-000000000000000000000000000000c2"), "{other}");
    assert!(mixed.contains("authority.pem: the private key in it is not that of its certificate"), "{mixed}");
    assert!(missing.contains("authority.pem: there is no private key in it"), "{missing}");
}

#[test]
fn who_holds_a_certificate_of_the_former_one_renews_until_that_is_ended() {
    let now = SystemTime::now();
    let first = Authorities::make(CLUSTER, now);
    let key = PrivateKey::generate();
    let old = certificate(&first, &key, now);
    let check = |by: &Authorities| by.check_renewal(old.der(), &key.request(), now);

    let rotated = first.rotated(now).unwrap();

    assert_eq!(check(&rotated), Ok(AGENT));
    assert_eq!(rotated.signer(old.der(), now), Some(first.current().fingerprint()));
    let new = certificate(&rotated, &key, now);
    assert_eq!(rotated.signer(new.der(), now), Some(rotated.current().fingerprint()));
    let finished = rotated.finished();
    assert!(matches!(check(&finished), Err(RenewalError::Stranger(_))));
    assert_eq!(finished.signer(old.der(), now), None);
    assert_eq!(finished.check_renewal(new.der(), &key.request(), now), Ok(AGENT));
}

#[test]
fn an_agent_renews_while_its_certificate_holds_and_for_thirty_days_after() {
    let authorities = Authorities::make(CLUSTER, SystemTime::now());
    let key = PrivateKey::generate();
    let made = SystemTime::now();
    let old = certificate(&authorities, &key, made);
    let end = old.not_after();

    for now in [made, end, end + AGENT_RENEWABLE - Duration::from_secs(1)] {
        assert_eq!(authorities.check_renewal(old.der(), &key.request(), now), Ok(AGENT));
    }
    let late = end + AGENT_RENEWABLE;
    assert_eq!(authorities.check_renewal(old.der(), &key.request(), late), Err(RenewalError::TooLate));
}

#[test]
fn only_the_key_of_a_certificate_renews_it() {
    let now = SystemTime::now();
    let authorities = Authorities::make(CLUSTER, now);
    let key = PrivateKey::generate();
    let old = certificate(&authorities, &key, now);
    let check = |request: &[u8]| authorities.check_renewal(old.der(), request, now);

    assert_eq!(check(&PrivateKey::generate().request()), Err(RenewalError::OtherKey));

    let mut forged = key.request();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert_eq!(check(&forged), Err(RenewalError::Request(RequestError::Signature)));
}

#[test]
fn a_certificate_of_somebody_else_is_not_renewed() {
    let now = SystemTime::now();
    let (ours, other) = (Authorities::make(CLUSTER, now), Authorities::make(CLUSTER, now));
    let key = PrivateKey::generate();
    let check = |certificate: &[u8], key: &PrivateKey| ours.check_renewal(certificate, &key.request(), now);

    let stranger = certificate(&other, &key, now);
    assert!(matches!(check(stranger.der(), &key), Err(RenewalError::Stranger(_))));

    // Its own, which names no agent, and one that is not there at all.
    assert!(check(ours.current().certificate().der(), ours.current().key()).is_err());
    assert!(matches!(check(b"nothing", &key), Err(RenewalError::Certificate(_))));
}
