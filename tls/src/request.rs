//! Requests for certificates, as strangers send them.

use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};
use rustls::SignatureScheme;

use crate::der::{BIT_STRING, INTEGER, Reader, SEQUENCE};
use crate::provider;

/// Bytes of a request, at most. One of P-256 has about 200.
pub const REQUEST_MAX: usize = 4 << 10;

/// An uncompressed point on P-256: 4, x, y.
const POINT: usize = 65;

/// What an SPKI of P-256 begins with; the point follows.
const P256: [u8; 26] =
    *b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";

/// The algorithm of its signatures: ecdsa-with-SHA256.
const ECDSA_SHA256: [u8; 12] = *b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";

/// The public key of a request that was checked: who sent it has the private one.
#[derive(Debug)]
pub(crate) struct RequestedKey {
    point: [u8; POINT],
}

/// A PKCS#10 request, taken apart.
struct Parts<'a> {
    signed: &'a [u8],
    spki: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl RequestedKey {
    /// Takes the key from a PKCS#10 request and checks its signature. Whatever else it says is passed over.
    pub(crate) fn read(request: &[u8]) -> Result<Self, RequestError> {
        if request.len() > REQUEST_MAX {
            return Err(RequestError::TooLong(request.len()));
        }
        let parts = parts(request).ok_or(RequestError::Unreadable)?;
        let point = parts.spki.strip_prefix(&P256).and_then(|point| <[u8; POINT]>::try_from(point).ok());
        let key = Self { point: point.ok_or(RequestError::OtherKey)? };
        if parts.algorithm != ECDSA_SHA256 || !key.has_signed(parts.signed, parts.signature) {
            return Err(RequestError::Signature);
        }
        Ok(key)
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithms = provider().signature_verification_algorithms.mapping;
        let of_scheme = algorithms.iter().find(|(scheme, _)| *scheme == SignatureScheme::ECDSA_NISTP256_SHA256);
        // The first is the one of this curve.
        let algorithm = of_scheme.and_then(|(_, algorithms)| algorithms.first()).expect("ring has it");
        algorithm.verify_signature(&self.point, message, signature).is_ok()
    }
}

impl PublicKeyData for RequestedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

/// `SEQUENCE { SEQUENCE { version, subject, SPKI, attributes }, algorithm, signature }`
fn parts(request: &[u8]) -> Option<Parts<'_>> {
    let mut outer = Reader::new(request);
    let mut all = outer.inside(SEQUENCE)?;
    let signed = all.one(SEQUENCE)?;
    let algorithm = all.one(SEQUENCE)?.whole;
    let (unused, signature) = all.one(BIT_STRING)?.content.split_first()?;
    let ends = outer.is_empty() && all.is_empty() && *unused == 0;

    let mut inside = Reader::new(signed.content);
    inside.one(INTEGER)?;
    inside.one(SEQUENCE)?;
    let spki = inside.one(SEQUENCE)?.whole;
    ends.then_some(Parts { signed: signed.whole, spki, algorithm, signature })
}

/// Why a request gets no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It has more than [`REQUEST_MAX`] bytes.
    #[error("the request has {0} bytes, {REQUEST_MAX} are allowed")]
    TooLong(usize),
    /// It is not PKCS#10.
    #[error("the request is not PKCS#10 in DER")]
    Unreadable,
    /// It is of a key that is not used here.
    #[error("the request is of another kind of key: wanted ECDSA on P-256")]
    OtherKey,
    /// Its key did not sign it.
    #[error("the request is not signed by its key")]
    Signature,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::PrivateKey;

    #[test]
    fn the_key_of_a_request_is_that_of_who_made_it() {
        let key = PrivateKey::generate();

        let read = RequestedKey::read(&key.request()).unwrap();

        assert_eq!(read.subject_public_key_info(), key.spki());
    }

    #[test]
    fn a_request_with_a_key_of_somebody_else_is_refused() {
        let (own, other) = (PrivateKey::generate(), PrivateKey::generate());
        let mut request = own.request();
        let at = request.windows(POINT).position(|bytes| bytes == own.der_bytes()).unwrap();
        request[at..at + POINT].copy_from_slice(other.der_bytes());

        assert_eq!(RequestedKey::read(&request).unwrap_err(), RequestError::Signature);
    }

    #[test]
    fn a_request_of_another_kind_of_key_is_refused() {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let request = rcgen::CertificateParams::default().serialize_request(&pair).unwrap();

        assert_eq!(RequestedKey::read(request.der()).unwrap_err(), RequestError::OtherKey);
    }

    #[test]
    fn a_request_that_is_too_long_is_not_even_read() {
        assert_eq!(RequestedKey::read(&[0x30; 5_000]).unwrap_err(), RequestError::TooLong(5_000));
    }

    proptest! {
        #[test]
        fn a_request_that_was_cut_or_changed_anywhere_is_refused(at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let request = PrivateKey::generate().request();
            let at = at.index(request.len());
            let mut changed = request.clone();
            changed[at] ^= 1 << bit;

            prop_assert!(RequestedKey::read(&request[..at]).is_err());
            prop_assert!(RequestedKey::read(&changed).is_err());
        }
    }
}
