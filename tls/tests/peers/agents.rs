//! How a master knows an agent, and how an agent's certificate is renewed.

use std::time::{Duration, SystemTime};

use crate::kit::{CLUSTER, Master, SECRET, authority, config, credentials, days, leaf, pinned, signed, tell};
use haggle_core::AgentId;
use haggle_tls::{
    Authority, Connector, Credentials, CredentialsError, Identity, LEAF_LIFE, PrivateFolder, PrivateKey, explain,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const AGENT: AgentId = AgentId(7);

async fn master(authority: &Authority) -> Master {
    Master::start(config(authority, leaf(authority, SystemTime::now()))).await
}

#[tokio::test]
async fn an_agent_is_known_by_its_certificate_and_nobody_by_none() {
    let authority = authority();
    let identity = Identity::new(&credentials(&authority, AGENT, SystemTime::now()));
    for (shown, known) in [(Some(identity), Some(AGENT)), (Some(Identity::default()), None), (None, None)] {
        let master = master(&authority).await;

        tell(&master, &signed(&authority), shown).await.unwrap();

        let met = master.met().await;
        assert_eq!((met.agent, &*met.said), (known, SECRET));
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_and_the_agent_hears_why() {
    let (ours, other) = (authority(), authority());
    let identity = Identity::new(&credentials(&other, AGENT, SystemTime::now()));
    let master = master(&ours).await;

    // The master hears of the certificate after the client is done with the handshake.
    let mut stream = master.dialled_by(&pinned(&ours), Some(identity)).await.unwrap();
    let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();

    assert!(!master.met().await.secure);
    let why = explain(&error).unwrap();
    assert!(why.contains("refused the certificate of this agent: it is none"), "{why}");
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_not_shown_so_that_the_agent_can_renew_it() {
    let authority = authority();
    let identity = Identity::new(&credentials(&authority, AGENT, SystemTime::now() - days(3)));
    let master = master(&authority).await;

    tell(&master, &signed(&authority), Some(identity)).await.unwrap();

    let met = master.met().await;
    assert!(met.secure && met.agent.is_none());
}

#[tokio::test]
async fn an_agent_that_shows_an_expired_certificate_all_the_same_is_refused() {
    let authority = authority();
    // As it will be in two days: the agent's clock is that much behind.
    let made = SystemTime::now() - days(2);
    let old = credentials(&authority, AGENT, made);
    let shown = crate::kit::showing(&old);
    let master = master(&authority).await;

    let refused = shown.against(&master, &authority).await;

    assert!(!master.met().await.secure);
    assert!(refused.contains("CertificateExpired"), "{refused}");
}

#[tokio::test]
async fn a_certificate_that_was_replaced_is_shown_from_the_next_connection_on() {
    let authority = authority();
    let identity = Identity::new(&credentials(&authority, AgentId(1), SystemTime::now()));
    let connector = Connector::new(&signed(&authority), Some(identity.clone())).unwrap();

    identity.replace(&credentials(&authority, AgentId(2), SystemTime::now()));

    let master = master(&authority).await;
    let mut stream = connector.dial("127.0.0.1", master.address.port()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(master.met().await.agent, Some(AgentId(2)));
}

#[test]
fn nothing_of_a_request_but_its_key_gets_into_the_certificate() {
    let authority = authority();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![haggle_tls::master_name(CLUSTER)]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let request = params.serialize_request(&key).unwrap();

    let certificate = authority.agent(AGENT, request.der(), SystemTime::now()).unwrap();

    let read = webpki::EndEntityCert::try_from(certificate.der()).unwrap();
    assert_eq!(read.valid_dns_names().count(), 0);
    assert_eq!(read.valid_uri_names().collect::<Vec<_>>(), ["haggle://000000000000000000000000000000c1/agent/7"]);
    // The object identifier of basic constraints.
    assert!(!certificate.der().windows(3).any(|bytes| bytes == [0x55, 0x1d, 0x13]), "it is no authority");
}

#[test]
fn agents_renew_between_half_and_seven_tenths_of_the_life() {
    let authority = authority();
    let made = SystemTime::now();
    let certificate = credentials(&authority, AGENT, made).certificate().clone();
    let life = LEAF_LIFE + Duration::from_secs(3600);
    let start = certificate.not_after() - life;

    let (first, last) = (certificate.renew_at(0), certificate.renew_at(200));
    assert_eq!(first.duration_since(start).unwrap(), life / 2);
    assert_eq!(last.duration_since(start).unwrap(), life / 10 * 7);
    assert!((0..1_000).all(|random| (first..=last).contains(&certificate.renew_at(random * 7_919))));
}

#[test]
fn what_an_agent_is_known_by_is_kept_as_it_was() {
    let above = tempfile::tempdir().unwrap();
    let folder = PrivateFolder::open(&above.path().join("identity")).unwrap();
    assert!(Credentials::load(&folder).unwrap().is_none(), "it has not joined yet");
    let authority = authority();
    let kept = credentials(&authority, AGENT, SystemTime::now());

    kept.save(&folder).unwrap();
    let loaded = Credentials::load(&folder).unwrap().unwrap();

    assert_eq!(loaded.certificate(), kept.certificate());
    assert_eq!((loaded.member().cluster, loaded.member().id), (CLUSTER, AGENT));
    assert_eq!(loaded.trust(), signed(&authority));
    assert_eq!(*loaded.key().pem(), *kept.key().pem());
}

#[test]
fn a_certificate_of_another_key_is_not_taken() {
    let authority = authority();
    let theirs = credentials(&authority, AGENT, SystemTime::now());

    let mixed = Credentials::new(PrivateKey::generate(), theirs.certificate().der(), &[authority.certificate().der()]);

    assert!(matches!(mixed, Err(CredentialsError::OtherKey)));
}

#[test]
fn a_host_that_is_none_gets_no_certificate() {
    let error = authority().server(&["not a host".into()], SystemTime::now(), LEAF_LIFE).unwrap_err();

    assert_eq!(error.to_string(), "\"not a host\" is neither the name of a host nor an address");
}
