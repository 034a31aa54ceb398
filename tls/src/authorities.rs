//! The authorities that a cluster believes: the one that signs and, while it changes, the one before.
//!
//! ```text
//! leaf ── signed by ──► current ── vouched for by ──► former      who believes either of them believes the leaf
//! ```

use std::time::{Duration, SystemTime};

use haggle_core::{AgentId, ClusterId};
use rcgen::PublicKeyData;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::authority::has_signed;
use crate::request::RequestedKey;
use crate::{
    AGENT_RENEWABLE, Authority, AuthorityError, Certificate, Fingerprint, PrivateFolder, PrivateFolderError,
    PrivateKey, RenewalError, ServerCertificate, pem,
};

/// Key and certificates together, so that they are replaced together.
const FILE: &str = "authority.pem";

/// Where earlier releases kept the key.
const OLD_KEY_FILE: &str = "authority.key";

/// Those of one cluster.
#[derive(Debug)]
pub struct Authorities {
    current: Authority,
    former: Option<Former>,
}

/// An authority that signs no more and is still believed.
#[derive(Clone, Debug)]
struct Former {
    certificate: Certificate,
    /// The current one's, signed by this one.
    voucher: Certificate,
}

impl Authorities {
    /// A fresh one, for a cluster that is new.
    ///
    /// # Panics
    /// When the system has no randomness.
    pub fn make(cluster: ClusterId, now: SystemTime) -> Self {
        Self { current: Authority::make(cluster, now).0, former: None }
    }

    /// Those that a folder keeps, and whether the first was made just now.
    ///
    /// # Errors
    /// When the folder cannot be used, or holds what is no authority of this cluster.
    pub fn open(folder: &PrivateFolder, cluster: ClusterId, now: SystemTime) -> Result<(Self, bool), AuthoritiesError> {
        let Some(mut text) = folder.read(FILE)? else {
            let made = Self::make(cluster, now);
            made.save(folder)?;
            return Ok((made, true));
        };
        let old_key = folder.read(OLD_KEY_FILE)?;
        let has_key = pem::read_key(&text).is_ok();
        if !has_key && let Some(key) = &old_key {
            text.extend_from_slice(key);
        }
        let read = Self::from_pem(&text, cluster)
            .map_err(|source| AuthoritiesError::Kept { path: folder.path().join(FILE), source })?;
        if !has_key {
            read.save(folder)?;
        }
        if old_key.is_some() {
            // It is in the file with the certificates now.
            folder.remove(OLD_KEY_FILE)?;
        }
        Ok((read, false))
    }

    /// Keeps them, all or nothing.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, folder: &PrivateFolder) -> Result<(), PrivateFolderError> {
        Self::write(folder, &self.pem())
    }

    /// Keeps what [`Authorities::pem`] gave, all or nothing.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(folder: &PrivateFolder, pem: &str) -> Result<(), PrivateFolderError> {
        folder.write(FILE, pem.as_bytes())
    }

    /// As a file holds them: the key of the one that signs, and all certificates.
    pub fn pem(&self) -> Zeroizing<String> {
        let mut text = self.current.key().pem();
        let former = self.former.iter().flat_map(|former| [former.voucher.der(), former.certificate.der()]);
        text.push_str(&pem::certificates([self.current.certificate().der()].into_iter().chain(former)));
        text
    }

    /// Reads what [`Authorities::pem`] wrote.
    ///
    /// # Errors
    /// When it is something else, or of another cluster.
    pub fn from_pem(text: &[u8], cluster: ClusterId) -> Result<Self, NotAuthorities> {
        let ders = pem::certificates_from_pem(text).map_err(|_| NotAuthorities::Certificates)?;
        let read = |der: &CertificateDer<'_>| Certificate::from_der(der).map_err(|_| NotAuthorities::Certificates);
        let certificates = ders.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKey::from_pem(text).map_err(|_| NotAuthorities::Key)?;
        let (current, former) = match certificates.as_slice() {
            [current] => (current, None),
            [current, voucher, former] => (current, Some((voucher, former))),
            _ => return Err(NotAuthorities::Certificates),
        };
        if !certificates.iter().all(|certificate| certificate.is_authority_of(cluster)) {
            return Err(NotAuthorities::OtherCluster(cluster));
        }
        let belong = |certificate: &Certificate| certificate.spki() == key.spki();
        if !belong(current) || former.is_some_and(|(voucher, _)| !belong(voucher)) {
            return Err(NotAuthorities::OtherKey);
        }
        let former =
            former.map(|(voucher, certificate)| Former { certificate: certificate.clone(), voucher: voucher.clone() });
        Ok(Self { current: Authority::of(cluster, current.clone(), key), former })
    }

    /// The one that signs.
    pub fn current(&self) -> &Authority {
        &self.current
    }

    /// The one that signed before, while it is still believed.
    pub fn former(&self) -> Option<&Certificate> {
        self.former.as_ref().map(|former| &former.certificate)
    }

    /// The certificates of those that are believed, the one that signs first.
    pub fn believed(&self) -> impl Iterator<Item = &Certificate> {
        [self.current.certificate()].into_iter().chain(self.former())
    }

    /// With a fresh one that signs. The one before is believed until [`Authorities::finished`].
    ///
    /// # Errors
    /// When there is one before already: three at once would be believed by no peer.
    pub fn rotated(&self, now: SystemTime) -> Result<Self, UnderWay> {
        if let Some(former) = self.former() {
            return Err(UnderWay(former.fingerprint()));
        }
        let current = Authority::make(self.current.cluster(), now).0;
        let voucher = self.current.vouch_for(&current, now);
        Ok(Self { current, former: Some(Former { certificate: self.current.certificate().clone(), voucher }) })
    }

    /// Without the one before.
    #[must_use]
    pub fn finished(&self) -> Self {
        let current =
            Authority::of(self.current.cluster(), self.current.certificate().clone(), self.current.key().clone());
        Self { current, former: None }
    }

    /// A master's certificate: see [`Authority::server`]. While the authority changes, its chain is one for those who
    /// believe either.
    ///
    /// # Errors
    /// When a host is neither a name nor an address.
    pub fn server(
        &self,
        hosts: &[String],
        now: SystemTime,
        life: Duration,
    ) -> Result<ServerCertificate, AuthorityError> {
        let former = self.former.iter().flat_map(|former| [&former.voucher, &former.certificate]);
        let above: Vec<_> = former.map(|certificate| certificate.der().clone()).collect();
        self.current.server_under(&above, hosts, now, life)
    }

    /// Whose certificate may be renewed by this request: it is of one of these, and of the key that signed the request, and
    /// expired less than [`AGENT_RENEWABLE`] ago if it did.
    ///
    /// # Errors
    /// When one of these is not so.
    pub fn check_renewal(&self, old: &[u8], request: &[u8], now: SystemTime) -> Result<AgentId, RenewalError> {
        let key = RequestedKey::read(request)?;
        let old = Certificate::from_der(old)?;
        if now >= old.not_after() + AGENT_RENEWABLE {
            return Err(RenewalError::TooLate);
        }
        // Judged as when it still held.
        let judged = now.min(old.not_after());
        let signed = self.believed().map(|authority| has_signed(authority, old.der(), judged));
        signed.reduce(Result::or).expect("one at least is believed")?;
        if key.subject_public_key_info() != old.spki() {
            return Err(RenewalError::OtherKey);
        }
        let named = old.agent().filter(|agent| agent.cluster == self.current.cluster());
        named.map(|agent| agent.id).ok_or(RenewalError::NoAgent)
    }

    /// Which of them has signed an agent's certificate that holds at this time.
    pub fn signer(&self, certificate: &CertificateDer<'_>, now: SystemTime) -> Option<Fingerprint> {
        let signer = self.believed().find(|authority| has_signed(authority, certificate, now).is_ok());
        signer.map(Certificate::fingerprint)
    }
}

/// Why a text holds no authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAuthorities {
    /// They are not there, or not those that belong together.
    #[error("its certificates cannot be read")]
    Certificates,
    /// There is no key.
    #[error("there is no private key in it that can be used")]
    Key,
    /// The key is another one's.
    #[error("the private key in it is not that of its certificate")]
    OtherKey,
    /// They are of another cluster.
    #[error("it is not of {0}")]
    OtherCluster(ClusterId),
}

/// Why a folder has none.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// It cannot be used.
    #[error(transparent)]
    Folder(#[from] PrivateFolderError),
    /// What is in it is something else.
    #[error(
        "cannot use the authority in {}: {source}; put back the file that belongs to this cluster, or remove it to begin \
         anew with new tokens for everybody",
        path.display()
    )]
    Kept {
        /// Which file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        source: NotAuthorities,
    },
}

/// The authority cannot change, since it is changing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the authority is changing already, and {0:.8} is still believed: `haggle ca rotate --finish` ends that first")]
pub struct UnderWay(pub Fingerprint);

#[cfg(test)]
mod tests;
