//! Which servers are believed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// A file of authorities that is none.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the authorities of {}: {why}", path.display())]
pub struct BadAuthorities {
    path: PathBuf,
    why: String,
}

/// By the certificates that Mozilla trusts, whatever this machine says, and by those of a file.
pub(crate) fn config(authorities: Option<&Path>) -> Result<Arc<ClientConfig>, BadAuthorities> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = authorities {
        let bad = |why: String| BadAuthorities { path: path.to_owned(), why };
        let text = std::fs::read(path).map_err(|error: io::Error| bad(error.to_string()))?;
        let mut found = false;
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|error| bad(error.to_string()))?;
            roots.add(certificate).map_err(|error| bad(error.to_string()))?;
            found = true;
        }
        if !found {
            return Err(bad("it has no certificate in PEM".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has what TLS 1.2 and 1.3 need")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
