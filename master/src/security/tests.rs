use futures_util::FutureExt;
use haggle_tls::{Certificate, PrivateKey};
use tempfile::TempDir;

use super::*;

const CLUSTER: ClusterId = ClusterId(0xc1);

fn open(tls: &Tls, state: Option<&Path>) -> Result<Security, SecurityError> {
    open_for("127.0.0.1", tls, state)
}

fn open_for(host: &str, tls: &Tls, state: Option<&Path>) -> Result<Security, SecurityError> {
    Security::open(tls, state, CLUSTER, vec![host.to_owned()], SystemTime::now())
}

#[test]
fn the_authority_is_made_at_the_first_start_and_kept() {
    let state = TempDir::new().unwrap();

    let first = open(&Tls::default(), Some(state.path())).unwrap();
    let second = open(&Tls::default(), Some(state.path())).unwrap();

    assert!(first.made_now() && !second.made_now());
    assert_eq!(first.fingerprint(), second.fingerprint());
    assert_eq!(first.believed(), [first.authorities().current().certificate().der().to_vec()]);
}

/// So that what was launched before both can be fetched after them.
#[tokio::test]
async fn the_key_of_passes_outlives_a_change_of_the_authority_and_a_restart() {
    let state = TempDir::new().unwrap();
    let first = open(&Tls::default(), Some(state.path())).unwrap();

    first.rotate(first.fingerprint(), SystemTime::now()).await.unwrap();
    first.finish(first.authorities().former().unwrap().fingerprint(), SystemTime::now()).await.unwrap();

    let second = open(&Tls::default(), Some(state.path())).unwrap();
    assert!(second.pass_keys() == first.pass_keys());
    assert!(second.pass_keys() != open(&Tls::default(), None).unwrap().pass_keys(), "each cluster has its own");
    std::fs::write(state.path().join(FOLDER).join(PASS_KEY), "too short").unwrap();
    let told = open(&Tls::default(), Some(state.path())).unwrap_err().to_string();
    assert!(told.contains("passes.key has 9 bytes, wanted were 32"), "{told}");
}

#[test]
fn without_a_state_folder_each_start_is_a_first_one() {
    let (first, second) = (open(&Tls::default(), None).unwrap(), open(&Tls::default(), None).unwrap());

    assert!(first.made_now() && second.made_now());
    assert_ne!(first.fingerprint(), second.fingerprint());
}

#[test]
fn the_certificate_is_replaced_at_half_of_its_life_and_by_the_same_authority() {
    let security = open(&Tls::default(), None).unwrap();
    let now = SystemTime::now();
    let shown = || security.identity.shown().chain()[0].clone();
    let before = shown();

    assert!(!security.renew(now + LEAF_LIFE / 4).unwrap());
    assert_eq!(shown(), before);

    assert!(security.renew(now + LEAF_LIFE / 2).unwrap());
    assert_ne!(shown(), before);
    assert_eq!(security.fingerprint(), security.authorities().current().fingerprint());
    assert!(Certificate::from_der(&shown()).unwrap().not_after() > now + LEAF_LIFE);
}

/// A certificate of an authority that is none of ours, as an operator brings it: made with openssl.
struct Brought(TempDir);

impl Brought {
    fn new() -> Self {
        let brought = Self(TempDir::new().unwrap());
        brought.put("first");
        brought
    }

    /// Puts this one into the place of the one before.
    fn put(&self, name: &str) {
        let file = |name: &str| fs::read_to_string(Path::new(BROUGHT).join(name)).unwrap();
        let chain = file(&format!("{name}.pem")) + &file("ca.pem");
        fs::write(self.0.path().join("chain"), chain).unwrap();
        fs::write(self.0.path().join("key"), file(&format!("{name}.key"))).unwrap();
    }

    fn tls(&self) -> Tls {
        let certificate = CertificateFiles { chain: self.0.path().join("chain"), key: self.0.path().join("key") };
        Tls { certificate: Some(certificate), ..Tls::default() }
    }
}

const BROUGHT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/brought");

fn authority_of_brought() -> Certificate {
    let text = fs::read(Path::new(BROUGHT).join("ca.pem")).unwrap();
    Certificate::from_der(&haggle_tls::certificates_from_pem(&text).unwrap()[0]).unwrap()
}

#[test]
fn an_operators_certificate_is_shown_and_its_authority_told() {
    let brought = Brought::new();
    let security = open(&brought.tls(), None).unwrap();

    assert_eq!(security.fingerprint(), authority_of_brought().fingerprint());
    assert_eq!(security.believed(), [authority_of_brought().der().to_vec()]);
    // Agents' certificates are not this one's matter.
    assert_ne!(security.authorities().current().fingerprint(), security.fingerprint());
}

#[test]
fn an_operators_certificate_is_replaced_when_its_files_are() {
    let brought = Brought::new();
    let security = open(&brought.tls(), None).unwrap();
    let now = SystemTime::now();
    assert!(!security.renew(now).unwrap());

    brought.put("second");

    assert!(security.renew(now).unwrap());
    assert!(!security.renew(now).unwrap());
}

#[test]
fn the_certificate_stays_while_its_files_are_wrong() {
    let brought = Brought::new();
    let security = open(&brought.tls(), None).unwrap();
    let shown = security.identity.shown().chain().to_vec();
    fs::write(brought.0.path().join("key"), fs::read(Path::new(BROUGHT).join("second.key")).unwrap()).unwrap();

    let error = security.renew(SystemTime::now()).unwrap_err().to_string();

    assert!(error.contains("cannot use the certificate") && error.contains("KeyMismatch"), "{error}");
    assert_eq!(security.identity.shown().chain(), shown);
}

#[test]
fn an_operators_certificate_that_no_client_would_believe_is_refused() {
    let brought = Brought::new();

    let error = open_for("master.example", &brought.tls(), None).unwrap_err().to_string();

    assert!(error.contains("no client would believe it"), "{error}");
}

#[test]
fn files_that_hold_nothing_are_named() {
    let brought = Brought::new();
    fs::write(brought.0.path().join("chain"), "nothing").unwrap();
    let clients = Tls { client_authorities: Some("/no/such/file".into()), ..Tls::default() };

    let nothing = open(&brought.tls(), None).unwrap_err().to_string();
    let missing = open(&clients, None).unwrap_err().to_string();

    assert!(nothing.contains("chain: "), "{nothing}");
    assert!(missing.starts_with("cannot use the certificate /no/such/file: "), "{missing}");
}

#[tokio::test]
async fn a_new_authority_is_kept_and_shown_with_the_one_before_until_that_is_ended() {
    let state = TempDir::new().unwrap();
    let security = open(&Tls::default(), Some(state.path())).unwrap();
    let now = SystemTime::now();
    let first = security.fingerprint();
    let mut changes = security.secured();

    security.rotate(first, now).await.unwrap();
    security.rotate(first, now).await.unwrap();

    let second = security.fingerprint();
    assert_ne!(second, first, "it is done once");
    assert_eq!(security.believed().len(), 2);
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    let again = open(&Tls::default(), Some(state.path())).unwrap();
    assert_eq!((again.fingerprint(), again.believed().len(), again.made_now()), (second, 2, false));
    let other = security.rotate(second, now).await.unwrap_err().to_string();
    assert!(other.contains("is changing already"), "{other}");
    let early = security.finish(second, now).await.unwrap_err().to_string();
    assert!(early.contains("`haggle ca rotate` comes first"), "{early}");

    security.finish(first, now).await.unwrap();
    security.finish(first, now).await.unwrap();

    assert_eq!((security.fingerprint(), security.believed().len()), (second, 1));
    assert!(changes.has_changed().unwrap());
    let late = security.rotate(first, now).await.unwrap_err().to_string();
    assert!(late.contains("does not sign any more"), "{late}");
}

#[tokio::test]
async fn an_agent_is_asked_to_renew_while_its_authority_is_ending_and_cut_off_when_it_has_not() {
    let security = open(&Tls::default(), None).unwrap();
    let now = SystemTime::now();
    let keys = [(AgentId(1), PrivateKey::generate()), (AgentId(2), PrivateKey::generate())];
    let old: Vec<_> = keys.iter().map(|(id, key)| security.sign(*id, &key.request(), now).unwrap()).collect();
    let first = security.fingerprint();
    assert!(!security.must_renew(AgentId(1)));

    security.rotate(first, now).await.unwrap();
    assert!(security.must_renew(AgentId(1)) && security.must_renew(AgentId(2)) && !security.must_renew(AgentId(3)));
    let (id, key) = &keys[0];
    assert_eq!(security.check_renewal(old[0].der(), &key.request(), now), Ok(*id));
    security.sign(*id, &key.request(), now).unwrap();
    assert!(!security.must_renew(AgentId(1)) && security.must_renew(AgentId(2)));

    security.finish(first, now).await.unwrap();
    security.void(AgentId(2)).await;
    assert!(security.void(AgentId(1)).now_or_never().is_none());
    assert!(security.check_renewal(old[1].der(), &keys[1].1.request(), now).is_err());
}
