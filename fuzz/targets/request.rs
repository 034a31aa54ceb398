//! Any bytes in the place of a request for a certificate, of the request inside of its signature, and of a certificate that
//! is to be renewed: it is refused, or what is signed names the agent and the key, and nothing that a stranger has written.

#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use arbitrary::{Arbitrary, Unstructured};
use haggle_core::{AgentId, ClusterId, Member};
use haggle_tls::{Authorities, Certificate, Fingerprint, PrivateKey, RenewalError};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

const CLUSTER: ClusterId = ClusterId(0xda);
const AGENT: AgentId = AgentId(7);

/// Tags of DER.
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
const ATTRIBUTES: u8 = 0xa0;

/// What an SPKI of P-256 begins with; the point follows.
const P256: [u8; 26] =
    *b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";

/// ecdsa-with-SHA256.
const ECDSA_SHA256: [u8; 12] = *b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";

static CLUSTERS: LazyLock<Cluster> = LazyLock::new(Cluster::make);

struct Cluster {
    authorities: Authorities,
    /// An agent's, and its certificate.
    key: PrivateKey,
    certificate: Certificate,
    /// A stranger's, who may write what it likes into a request and sign it.
    stranger: EcdsaKeyPair,
}

impl Cluster {
    fn make() -> Self {
        // Both kinds are believed while the authority changes.
        let authorities = Authorities::make(CLUSTER, now()).rotated(now()).expect("none is under way");
        let key = PrivateKey::generate();
        let certificate = authorities.current().agent(AGENT, &key.request(), now()).expect("it is signed");
        let (algorithm, random) = (&ECDSA_P256_SHA256_ASN1_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("there is randomness");
        let stranger = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).expect("it was made just now");
        Self { authorities, key, certificate, stranger }
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let cluster = &*CLUSTERS;
    match bytes.split_first() {
        // No DER that anybody wants begins so.
        Some((0xff, rest)) => {
            let Ok(said) = Said::arbitrary(&mut Unstructured::new(rest)) else { return };
            request(cluster, &said.signed_by(&cluster.stranger));
        }
        _ => {
            request(cluster, bytes);
            certificate(cluster, bytes);
        }
    }
});

fn request(cluster: &Cluster, request: &[u8]) {
    let key = Fingerprint::of_request(request);
    let signed = cluster.authorities.current().agent(AGENT, request, now());
    assert_eq!(key.map(drop), signed.as_ref().map(drop).map_err(|why| *why), "one reader says yes and the other no");
    let renewed = cluster.authorities.check_renewal(cluster.certificate.der(), request, now());
    let Ok(signed) = signed else {
        assert!(matches!(renewed, Err(RenewalError::Request(_))), "{renewed:?}");
        return;
    };
    assert_eq!(Ok(signed.fingerprint()), key, "another key has the certificate");
    assert_eq!(signed.agent(), Some(Member { cluster: CLUSTER, id: AGENT }));
    assert_eq!(cluster.authorities.signer(signed.der(), now()), Some(cluster.authorities.current().fingerprint()));
    let names = signed.der().windows(WRITTEN.len()).any(|window| window == WRITTEN);
    assert!(!names, "what a stranger has written is in the certificate");
    let is_the_agents = signed.fingerprint() == cluster.certificate.fingerprint();
    assert_eq!(renewed.is_ok(), is_the_agents, "{renewed:?}");
}

fn certificate(cluster: &Cluster, bytes: &[u8]) {
    let Ok(read) = Certificate::from_der(bytes) else { return };
    assert_eq!(Certificate::from_der(read.der()), Ok(read.clone()));
    // Nobody else than the cluster's authority has signed it, and only the certificate of this run is by that.
    assert_eq!(cluster.authorities.signer(read.der(), now()), None);
    let renewed = cluster.authorities.check_renewal(bytes, &cluster.key.request(), now());
    assert!(renewed.is_err(), "{renewed:?}");
}

/// In whatever a stranger writes into a request.
const WRITTEN: &[u8] = b"written by a stranger";

/// What a stranger's request says, whose signature is right.
#[derive(Arbitrary, Debug)]
struct Said<'a> {
    version: &'a [u8],
    subject: &'a [u8],
    attributes: &'a [u8],
    /// Stands behind all that is to be there, inside and outside of what is signed.
    behind: Option<&'a [u8]>,
    unused_bits: u8,
    is_of_another_algorithm: bool,
}

impl Said<'_> {
    fn signed_by(&self, key: &EcdsaKeyPair) -> Vec<u8> {
        let behind = self.behind.unwrap_or_default();
        let spki = [&P256[..], key.public_key().as_ref()].concat();
        let subject = [WRITTEN, self.subject].concat();
        let inside = [
            element(INTEGER, self.version),
            element(SEQUENCE, &subject),
            spki,
            element(ATTRIBUTES, self.attributes),
            behind.to_vec(),
        ];
        let signed = element(SEQUENCE, &inside.concat());
        let signature = key.sign(&SystemRandom::new(), &signed).expect("a key can sign");
        let mut algorithm = ECDSA_SHA256;
        algorithm[11] ^= u8::from(self.is_of_another_algorithm);
        let signature = element(BIT_STRING, &[&[self.unused_bits], signature.as_ref()].concat());
        element(SEQUENCE, &[signed, algorithm.to_vec(), signature, behind.to_vec()].concat())
    }
}

/// An element of DER.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = match length {
        0..=0x7f => vec![tag, length as u8],
        0x80..=0xff => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [&head, content].concat()
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}
