//! Private keys: ECDSA on P-256, made where they are used, and never sent.

use std::fmt;
use std::sync::Arc;

use rcgen::{
    CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm,
    SigningKey,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::pem;

/// A private key. `Debug` shows nothing of it; clones share it.
#[derive(Clone)]
pub struct PrivateKey(Arc<KeyPair>);

impl PrivateKey {
    /// A fresh one.
    ///
    /// # Panics
    /// When the system has no randomness.
    pub fn generate() -> Self {
        Self(Arc::new(KeyPair::generate().expect("the system has no randomness")))
    }

    /// Reads a PEM file of [`PrivateKey::pem`]; what else stands in it is passed over.
    ///
    /// # Errors
    /// When there is no key in it, or one of another kind.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let PrivateKeyDer::Pkcs8(der) = pem::read_key(text).map_err(|_| KeyError)? else {
            return Err(KeyError);
        };
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256).map_err(|_| KeyError)?;
        Ok(Self(Arc::new(pair)))
    }

    /// As a file holds it.
    pub fn pem(&self) -> Zeroizing<String> {
        pem::key(self.0.serialized_der())
    }

    /// A request for a certificate of this key, PKCS#10 in DER. It says nothing but the key, and is signed by it.
    pub fn request(&self) -> Vec<u8> {
        let mut nothing = CertificateParams::default();
        nothing.distinguished_name = DistinguishedName::new();
        let request = nothing.serialize_request(self).expect("a key can sign what it is asked to");
        request.der().to_vec()
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        self.subject_public_key_info()
    }

    pub(crate) fn der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.serialize_der()).into()
    }
}

impl PublicKeyData for PrivateKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl SigningKey for PrivateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// A file that holds no key of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no private key in it that can be used (PKCS#8, ECDSA on P-256)")]
pub struct KeyError;
