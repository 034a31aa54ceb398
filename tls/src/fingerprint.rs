//! By what an authority is known: the SHA-256 of its public key.

use std::fmt;

use rcgen::PublicKeyData;
use sha2::{Digest, Sha256};

use crate::RequestError;
use crate::request::RequestedKey;

/// The SHA-256 of a public key, as a certificate holds it (its SPKI). Prints as 64 hexadecimal digits, and as 8 with
/// `{:.8}`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Of the key of a request (PKCS#10 in DER), whose signature is checked.
    ///
    /// # Errors
    /// When the request is none, or not signed by its key.
    pub fn of_request(request: &[u8]) -> Result<Self, RequestError> {
        Ok(Self::of(&RequestedKey::read(request)?.subject_public_key_info()))
    }

    /// Of this SPKI, DER.
    pub(crate) fn of(spki: &[u8]) -> Self {
        Self(Sha256::digest(spki).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(64);
        let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        f.write_str(hex.get(..digits).unwrap_or(&hex))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self:.8})")
    }
}
