//! Whatever anybody sends in the place of a token, a request or a certificate: it is refused, and nothing panics.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use haggle_core::{AgentId, ClusterId};
use haggle_tls::{
    Authorities, Bearer, Certificate, Fingerprint, PrivateKey, ServerCertificate, Token, TokenId, certificates_from_pem,
};
use proptest::prelude::*;
use proptest::sample::Index;

const CLUSTER: ClusterId = ClusterId(0xda);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// A cluster's authorities, and an agent's key and certificate by the one that signs.
fn agent() -> (Authorities, PrivateKey, Vec<u8>) {
    let authorities = Authorities::make(CLUSTER, now());
    let key = PrivateKey::generate();
    let certificate = authorities.current().agent(AgentId(7), &key.request(), now()).unwrap();
    (authorities, key, certificate.der().to_vec())
}

/// What damage does to bytes: other bits, a hole, a repetition, or an end that is too early.
#[derive(Clone, Debug)]
enum Damage {
    Bits(Index, u8),
    Hole(Index, Index),
    Repetition(Index, Index),
    Inserted(Index, Vec<u8>),
    End(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), 1..=255_u8).prop_map(|(at, bits)| Damage::Bits(at, bits)),
        1 => (at(), at()).prop_map(|(at, to)| Damage::Hole(at, to)),
        1 => (at(), at()).prop_map(|(at, to)| Damage::Repetition(at, to)),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Damage::Inserted(at, bytes)),
        1 => at().prop_map(Damage::End),
    ]
}

impl Damage {
    fn done_to(&self, bytes: &[u8]) -> Vec<u8> {
        let mut damaged = bytes.to_vec();
        let between = |one: &Index, other: &Index| {
            let (one, other) = (one.index(bytes.len()), other.index(bytes.len()));
            one.min(other)..one.max(other)
        };
        match self {
            Self::Bits(at, bits) => damaged[at.index(bytes.len())] ^= bits,
            Self::Hole(at, to) => drop(damaged.drain(between(at, to))),
            Self::Repetition(at, to) => damaged.extend_from_within(between(at, to)),
            Self::Inserted(at, more) => {
                drop(damaged.splice(at.index(bytes.len())..at.index(bytes.len()), more.clone()));
            }
            Self::End(at) => damaged.truncate(at.index(bytes.len())),
        }
        damaged
    }
}

/// A text that looks like a token, with any content under a checksum that is right.
fn sealed(content: &[u8]) -> String {
    let mut bytes = u16::try_from(content.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(content);
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    format!("hgl1.{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_token_of_any_content_is_refused_or_is_what_it_says(content in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(token) = sealed(&content).parse::<Token>() {
            prop_assert_eq!(token.text().parse::<Token>(), Ok(token));
        }
    }

    #[test]
    fn no_authorization_makes_its_reader_panic(text in "\\PC{0,200}", behind in "[ -~]{0,200}") {
        let _ = Bearer::from_authorization(&text);
        let _ = Bearer::from_authorization(&format!("Bearer {behind}"));
        let _ = behind.parse::<TokenId>();
    }

    #[test]
    fn what_is_no_certificate_no_request_and_no_key_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..1_000)) {
        let (authorities, key, _) = agent();

        prop_assert!(Certificate::from_der(&bytes).is_err());
        prop_assert!(authorities.current().agent(AgentId(8), &bytes, now()).is_err());
        prop_assert!(authorities.check_renewal(&bytes, &key.request(), now()).is_err());
        prop_assert!(Fingerprint::of_request(&bytes).is_err());
        prop_assert!(PrivateKey::from_pem(&bytes).is_err());
        prop_assert!(ServerCertificate::from_pem(&bytes, &bytes).is_err());
        let _ = certificates_from_pem(&bytes);
    }

    /// Bytes that begin as such a thing does come further into the reader.
    #[test]
    fn what_only_begins_like_one_is_refused(length in any::<u16>(), bytes in prop::collection::vec(any::<u8>(), 0..1_000)) {
        let (authorities, key, _) = agent();
        let [high, low] = length.to_be_bytes();
        let outer = [&[0x30, 0x82, high, low][..], &bytes].concat();
        let fitting = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        let inner = [&[0x30, 0x82, fitting[0], fitting[1]][..], &bytes].concat();

        for begun in [outer, inner] {
            prop_assert!(Certificate::from_der(&begun).is_err());
            prop_assert!(authorities.current().agent(AgentId(8), &begun, now()).is_err());
            prop_assert!(authorities.check_renewal(&begun, &key.request(), now()).is_err());
        }
    }

    #[test]
    fn a_damaged_request_becomes_no_certificate(damage in damage()) {
        let (authorities, key, _) = agent();
        let request = key.request();
        let damaged = damage.done_to(&request);

        prop_assume!(damaged != request);
        prop_assert!(authorities.current().agent(AgentId(8), &damaged, now()).is_err());
    }

    #[test]
    fn a_damaged_certificate_is_not_renewed_and_names_no_other_agent(damage in damage()) {
        let (authorities, key, certificate) = agent();
        let damaged = damage.done_to(&certificate);

        prop_assume!(damaged != certificate);
        prop_assert!(authorities.check_renewal(&damaged, &key.request(), now()).is_err());
    }

    #[test]
    fn a_damaged_key_is_refused_or_the_same(damage in damage()) {
        let key = PrivateKey::generate();
        let damaged = damage.done_to(key.pem().as_bytes());

        // Blanks and what stands around the text do not count.
        if let Ok(read) = PrivateKey::from_pem(&damaged) {
            let of = |key: &PrivateKey| Fingerprint::of_request(&key.request()).unwrap();
            prop_assert_eq!(of(&read), of(&key));
        }
    }
}
