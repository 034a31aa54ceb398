//! PEM, as files of certificates and keys are written.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

/// Certificates, one after another.
pub(crate) fn certificates<'a>(ders: impl IntoIterator<Item = &'a CertificateDer<'static>>) -> String {
    ders.into_iter().map(|der| block("CERTIFICATE", der).to_string()).collect()
}

/// The certificates of a PEM file; there may be none.
///
/// # Errors
/// When one of them is damaged.
pub fn certificates_from_pem(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    CertificateDer::pem_slice_iter(text).collect()
}

/// A private key, PKCS#8.
pub(crate) fn key(der: &[u8]) -> Zeroizing<String> {
    block("PRIVATE KEY", der)
}

/// Reads a private key of any form.
pub(crate) fn read_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, pem::Error> {
    PrivateKeyDer::from_pem_slice(text)
}

fn block(label: &str, der: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(BASE64_STANDARD.encode(der));
    let mut text = Zeroizing::new(format!("-----BEGIN {label}-----\n"));
    for line in encoded.as_bytes().chunks(64) {
        text.push_str(str::from_utf8(line).expect("base64 is ASCII"));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
