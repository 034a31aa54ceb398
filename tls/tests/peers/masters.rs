//! Whom a client believes, and that nothing is said to anybody else.

use std::sync::Arc;
use std::time::SystemTime;

use crate::kit::{CLUSTER, Master, SECRET, authority, config, days, leaf, pinned, signed, tell};
use haggle_core::ClusterId;
use haggle_tls::{
    Authorities, Authority, ConnectError, Connector, Distrust, ServerIdentity, Trust, TrustError, distrust,
    server_config, untimely,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData, SignatureAlgorithm};
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// A master that shows any chain with any key.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn showing(
    chain: Vec<CertificateDer<'static>>,
    key: &KeyPair,
    version: &'static SupportedProtocolVersion,
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let key = provider.key_provider.load_private_key(key.into()).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shows(Arc::new(CertifiedKey::new(chain, key)))));
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// An authority of somebody else, made by hand so that it may sign anything.
struct Impostor {
    authority: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Impostor {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = Self::params();
        let authority = params.self_signed(&key).unwrap().der().clone();
        Self { authority, issuer: Issuer::new(params, key) }
    }

    /// As every authority of ours is called.
    fn params() -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "haggle authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    /// A certificate for these names, with its key.
    fn leaf(&self, names: &[String]) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (leaf.der().clone(), key)
    }
}

fn name() -> Vec<String> {
    vec![haggle_tls::master_name(CLUSTER)]
}

/// Nothing that a client says reaches this master, and the client says why.
async fn refused(master: Master, trust: &Trust) -> ConnectError {
    let error = tell(&master, trust, None).await.unwrap_err();
    let met = master.met().await;
    assert!(!met.secure && met.said.is_empty(), "{met:?}");
    error
}

#[tokio::test]
async fn a_master_of_the_authority_is_believed_by_its_fingerprint_and_by_its_certificate() {
    let authority = authority();
    for trust in [pinned(&authority), signed(&authority)] {
        let master = Master::start(config(&authority, leaf(&authority, SystemTime::now()))).await;

        tell(&master, &trust, None).await.unwrap();

        assert_eq!(master.met().await.said, SECRET);
    }
}

#[tokio::test]
async fn another_authority_of_the_same_name_is_told_from_the_right_one() {
    let (ours, other) = (authority(), authority());
    for trust in [pinned(&ours), signed(&ours)] {
        let master = Master::start(config(&other, leaf(&other, SystemTime::now()))).await;

        let error = refused(master, &trust).await;

        let ConnectError::Untrusted { source, .. } = &error else { panic!("{error}") };
        assert_eq!(*source, Distrust::OtherAuthority { wanted: ours.fingerprint(), met: other.fingerprint() });
        assert!(error.to_string().contains("somebody is in between"), "{error}");
    }
}

#[tokio::test]
async fn the_right_chain_without_its_key_is_refused() {
    let ours = authority();
    let shown = ServerIdentity::new(leaf(&ours, SystemTime::now())).shown();
    let chain = shown.chain().to_vec();
    for trust in [pinned(&ours), signed(&ours)] {
        let thief = Master::start(showing(chain.clone(), &KeyPair::generate().unwrap(), &version::TLS13)).await;

        let error = refused(thief, &trust).await;

        assert!(error.to_string().contains("BadSignature"), "{error}");
    }
}

#[tokio::test]
async fn somebody_in_between_who_appends_the_right_authority_is_refused() {
    let (ours, impostor) = (authority(), Impostor::new());
    let (leaf, key) = impostor.leaf(&name());
    let right = ours.certificate().der().clone();
    for chain in [vec![leaf.clone(), impostor.authority.clone(), right.clone()], vec![leaf, right]] {
        for trust in [pinned(&ours), signed(&ours)] {
            let between = Master::start(showing(chain.clone(), &key, &version::TLS13)).await;

            let error = refused(between, &trust).await;

            assert!(matches!(error, ConnectError::Tls { .. } | ConnectError::Untrusted { .. }), "{error}");
        }
    }
}

/// The public key of an authority, for who does not have the private one.
struct CopiedKey(Vec<u8>);

impl PublicKeyData for CopiedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

#[tokio::test]
async fn somebody_in_between_who_certifies_the_right_key_himself_is_refused() {
    let (ours, impostor) = (authority(), Impostor::new());
    let (leaf, key) = impostor.leaf(&name());
    let read = webpki::EndEntityCert::try_from(ours.certificate().der()).unwrap();
    let spki = read.subject_public_key_info().to_vec();
    let copied = CopiedKey(spki[spki.len() - 65..].to_vec());
    let forged = Impostor::params().signed_by(&copied, &impostor.issuer).unwrap().der().clone();
    let between = Master::start(showing(vec![leaf, forged], &key, &version::TLS13)).await;

    let error = refused(between, &pinned(&ours)).await;

    assert!(matches!(error, ConnectError::Tls { .. }), "{error}");
}

#[tokio::test]
async fn an_agent_cannot_pose_as_the_master() {
    let ours = authority();
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::new(name()).unwrap().serialize_request(&key).unwrap();
    let agent = ours.agent(haggle_core::AgentId(7), request.der(), SystemTime::now()).unwrap();
    let chain = vec![agent.der().clone(), ours.certificate().der().clone()];
    for trust in [pinned(&ours), signed(&ours)] {
        let agent = Master::start(showing(chain.clone(), &key, &version::TLS13)).await;

        let error = refused(agent, &trust).await;

        assert!(matches!(error, ConnectError::Tls { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_chain_without_its_authority_does_for_who_has_the_authority_only() {
    let ours = authority();
    let (chain, key) = {
        let key = KeyPair::generate().unwrap();
        let impostor = Impostor::new();
        let leaf = CertificateParams::new(name()).unwrap().signed_by(&key, &impostor.issuer).unwrap();
        ((leaf.der().clone(), impostor.authority), key)
    };
    let start = || Master::start(showing(vec![chain.0.clone()], &key, &version::TLS13));

    let error = refused(start().await, &pinned(&ours)).await;
    let has_it = Trust::Authorities { cluster: CLUSTER, certificates: vec![chain.1.clone()] };
    let believed = tell(&start().await, &has_it, None).await;

    assert!(matches!(error, ConnectError::Untrusted { .. }), "{error}");
    believed.unwrap();
}

#[tokio::test]
async fn a_certificate_outside_of_its_time_is_refused_with_a_word_about_clocks() {
    let ours = authority();
    let now = SystemTime::now();
    for (made, words) in [(now - days(2), "has expired"), (now + days(2), "does not hold yet")] {
        for trust in [pinned(&ours), signed(&ours)] {
            let master = Master::start(config(&ours, leaf(&ours, made))).await;

            let error = refused(master, &trust).await;

            assert_eq!(distrust(&error), None, "another time may do");
            let error = untimely(&error).unwrap();
            assert!(error.contains(words) && error.contains("clock of this machine"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_master_of_another_cluster_with_the_same_authority_is_refused() {
    let ours = authority();
    let other = Trust::pinned(ClusterId(0xc2), ours.fingerprint());
    let certificate = ours.server(&[], SystemTime::now(), haggle_tls::LEAF_LIFE).unwrap();
    let master = Master::start(config(&ours, certificate)).await;

    let error = refused(master, &other).await.to_string();

    assert!(error.contains("names neither this cluster nor the host"), "{error}");
}

#[tokio::test]
async fn an_operators_own_certificate_is_believed_for_the_host_that_was_dialled() {
    let operator = Impostor::new();
    let fingerprint = haggle_tls::Certificate::from_der(&operator.authority).unwrap().fingerprint();
    let trust = Trust::pinned(CLUSTER, fingerprint);
    let start = |host: &str| {
        let (leaf, key) = operator.leaf(&[host.to_owned()]);
        Master::start(showing(vec![leaf, operator.authority.clone()], &key, &version::TLS13))
    };

    tell(&start("127.0.0.1").await, &trust, None).await.unwrap();
    let error = refused(start("elsewhere.example").await, &trust).await.to_string();

    assert!(error.contains("names neither this cluster nor the host"), "{error}");
}

#[tokio::test]
async fn a_master_that_speaks_tls_1_2_only_is_refused() {
    let ours = authority();
    let impostor = Impostor::new();
    let (leaf, key) = impostor.leaf(&name());
    let old = Master::start(showing(vec![leaf, impostor.authority.clone()], &key, &version::TLS12)).await;

    let error = refused(old, &pinned(&ours)).await.to_string();

    assert!(error.contains("does not speak TLS 1.3"), "{error}");
}

#[tokio::test]
async fn who_answers_in_plain_text_does_not_speak_tls() {
    let trust = pinned(&authority());
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[]] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer).await.unwrap();
            // Closed when it is dropped, after what the client has sent was read.
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4096]).await;
        });

        let error = Connector::new(&trust, None).unwrap().dial("127.0.0.1", port).await.unwrap_err();

        assert!(matches!(error, ConnectError::NoTls { .. }), "{error}");
    }
}

#[tokio::test]
async fn plain_text_never_leaves_the_machine() {
    let connector = Connector::new(&Trust::Plain, None).unwrap();

    // An address for documentation, which nobody has.
    let error = connector.dial("192.0.2.1", 5050).await.unwrap_err();

    assert!(matches!(error, ConnectError::PlainAbroad(_)), "{error}");
    assert!(error.to_string().contains("token"), "{error}");
}

#[tokio::test]
async fn a_certificate_that_was_replaced_is_shown_from_the_next_connection_on() {
    let (old, new) = (authority(), authority());
    let identity = Arc::new(ServerIdentity::new(leaf(&old, SystemTime::now())));
    let config = server_config(Arc::clone(&identity), &[old.certificate().der().clone()]).unwrap();
    let first = Master::start(Arc::clone(&config)).await;
    tell(&first, &pinned(&old), None).await.unwrap();

    identity.replace(leaf(&new, SystemTime::now()));

    let second = Master::start(config).await;
    tell(&second, &pinned(&new), None).await.unwrap();
}

#[test]
fn a_masters_certificate_is_due_at_half_of_its_life() {
    let ours = authority();
    let now = SystemTime::now();
    let certificate = leaf(&ours, now);

    // It holds from an hour before: 25 hours in all.
    let half = now + days(1) / 2 - days(1) / 48;
    assert!(!certificate.is_due(half - std::time::Duration::from_secs(2)));
    assert!(certificate.is_due(half));
}

#[test]
fn a_trust_without_an_authority_is_an_error() {
    let nobody = Trust::Authorities { cluster: CLUSTER, certificates: Vec::new() };

    assert_eq!(Connector::new(&nobody, None).unwrap_err(), TrustError::NoAuthority);
}

#[test]
fn authorities_are_told_apart_by_their_first_digits() {
    let authority: Authority = authority();
    let short = format!("{:.8}", authority.fingerprint());

    assert_eq!(short.len(), 8);
    assert!(authority.fingerprint().to_string().starts_with(&short));
}

/// A master of authorities that change.
async fn of_several(authorities: &Authorities) -> Master {
    let certificate = authorities.server(&[], SystemTime::now(), haggle_tls::LEAF_LIFE).unwrap();
    Master::start(config(authorities.current(), certificate)).await
}

fn certificate_of(authority: &Authority) -> Trust {
    Trust::Authorities { cluster: CLUSTER, certificates: vec![authority.certificate().der().clone()] }
}

#[tokio::test]
async fn while_the_authority_changes_a_master_is_believed_by_either_and_then_by_the_new_one_alone() {
    let first = Authorities::make(CLUSTER, SystemTime::now());
    let rotated = first.rotated(SystemTime::now()).unwrap();
    let finished = rotated.finished();

    for old in [pinned(first.current()), certificate_of(first.current())] {
        tell(&of_several(&rotated).await, &old, None).await.unwrap();
    }
    for new in [pinned(rotated.current()), certificate_of(rotated.current())] {
        tell(&of_several(&rotated).await, &new, None).await.unwrap();
        tell(&of_several(&finished).await, &new, None).await.unwrap();
    }
    for old in [pinned(first.current()), certificate_of(first.current())] {
        let error = refused(of_several(&finished).await, &old).await;
        assert!(matches!(error, ConnectError::Untrusted { .. }), "{error}");
    }
}

#[tokio::test]
async fn who_pins_an_authority_follows_it_and_believes_the_old_one_no_more_once_that_is_ended() {
    let first = Authorities::make(CLUSTER, SystemTime::now());
    let rotated = first.rotated(SystemTime::now()).unwrap();
    let Trust::Pinned { cluster, authorities } = pinned(first.current()) else { panic!("it is pinned") };
    let trust = Trust::Pinned { cluster, authorities: authorities.clone() };
    let dial = async |of: &Authorities| tell(&of_several(of).await, &trust, None).await;

    dial(&first).await.unwrap();
    assert_eq!(authorities.followed(), None);
    dial(&rotated).await.unwrap();
    assert_eq!(authorities.followed(), Some(rotated.current().fingerprint()));
    // Another master may not have heard of it yet.
    dial(&first).await.unwrap();
    dial(&rotated).await.unwrap();
    dial(&rotated.finished()).await.unwrap();
    dial(&first).await.unwrap_err();
}

#[tokio::test]
async fn who_refuses_a_master_learns_nothing_of_it() {
    let (ours, other) = (Authorities::make(CLUSTER, SystemTime::now()), Authorities::make(CLUSTER, SystemTime::now()));
    let Trust::Pinned { cluster, authorities } = pinned(ours.current()) else { panic!("it is pinned") };
    let trust = Trust::Pinned { cluster, authorities: authorities.clone() };
    let shown = ServerIdentity::new(ours.server(&[], SystemTime::now(), haggle_tls::LEAF_LIFE).unwrap()).shown();
    // The right chain, with another authority behind it, and without its key.
    let chain = [shown.chain(), &[other.current().certificate().der().clone()]].concat();

    let thief = Master::start(showing(chain, &KeyPair::generate().unwrap(), &version::TLS13)).await;
    refused(thief, &trust).await;

    assert_eq!(authorities.followed(), None);
    refused(of_several(&other).await, &trust).await;
}

#[tokio::test]
async fn a_master_whose_own_key_is_pinned_needs_no_name() {
    let operator = Impostor::new();
    let (leaf, key) = operator.leaf(&["elsewhere.example".to_owned()]);
    let fingerprint = haggle_tls::Certificate::from_der(&leaf).unwrap().fingerprint();
    let trust = Trust::pinned(CLUSTER, fingerprint);
    let chain = vec![leaf, operator.authority.clone()];

    tell(&Master::start(showing(chain.clone(), &key, &version::TLS13)).await, &trust, None).await.unwrap();
    let thief = Master::start(showing(chain, &KeyPair::generate().unwrap(), &version::TLS13)).await;
    let error = refused(thief, &trust).await.to_string();

    assert!(error.contains("BadSignature"), "{error}");
}
