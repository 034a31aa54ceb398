//! Why a master cannot speak TLS, or its authority cannot change.

use std::path::PathBuf;

use haggle_core::ClusterId;
use haggle_etcd::EtcdError;
use haggle_tls::{
    AuthoritiesError, AuthorityError, Fingerprint, NotAuthorities, PrivateFolderError, SealError, SealFileError,
    UnderWay,
};

/// Why a master cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// Its authority cannot be used.
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    /// No certificate can be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The folder of its authority cannot be used.
    #[error(transparent)]
    Folder(#[from] PrivateFolderError),
    /// A file that was named cannot be used.
    #[error("cannot use the certificate {}: {why}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The key of passes cannot be used.
    #[error(
        "{} has {has} bytes, wanted were 32: put back the file, or remove it, and tasks that were launched before fetch \
         nothing any more",
        path.display()
    )]
    PassKey {
        /// Which file.
        path: PathBuf,
        /// How many bytes it has.
        has: usize,
    },
    /// What was given does not make a master.
    #[error("cannot speak TLS: {0}")]
    Config(rustls::Error),
    /// Several masters share their authority in etcd, which has nothing of it that can be read.
    #[error(
        "several masters keep their authority in etcd, sealed with a key that each of them has in a file: say where with \
         --ca-key-file FILE, or with --state DIR (then it is DIR/pki/seal.key)"
    )]
    NoPlaceForSeal,
    /// The file with that key cannot be used.
    #[error(transparent)]
    SealFile(#[from] SealFileError),
    /// The authority is there, and the key is not.
    #[error(
        "the authority of {cluster} is sealed in etcd with a key that this master does not have: copy it from a master that \
         has it (pki/seal.key in its --state folder, or its --ca-key-file) to {}, with mode 0600, or name the copy with \
         --ca-key-file",
        path.display()
    )]
    SealMissing {
        /// Where it is expected.
        path: PathBuf,
        /// Whose authority it is.
        cluster: ClusterId,
    },
    /// The key that is there is not that of the authority.
    #[error(
        "the authority of {cluster} in etcd cannot be opened with the key in {}: {source}; copy the key of a master that \
         runs over it (pki/seal.key in its --state folder, or its --ca-key-file)",
        path.display()
    )]
    SealWrong {
        /// Where the key is.
        path: PathBuf,
        /// Whose authority it is.
        cluster: ClusterId,
        /// Why not.
        source: SealError,
    },
    /// What was sealed is no authority of this cluster.
    #[error("the authority in etcd cannot be used: {0}")]
    Sealed(#[from] NotAuthorities),
    /// etcd does not answer, or refuses.
    #[error(transparent)]
    Etcd(#[from] EtcdError),
}

impl SecurityError {
    /// Whether it may work again later.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Etcd(EtcdError::Unreachable { .. } | EtcdError::Full(_)))
    }
}

/// Why the authority does not change.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotationError {
    #[error(
        "{wanted:.8} does not sign any more, {signs:.8} does: look at `haggle ca show`, and ask again if that is to be replaced"
    )]
    OtherSigns { wanted: Fingerprint, signs: Fingerprint },
    #[error(transparent)]
    UnderWay(#[from] UnderWay),
    #[error("{0:.8} is the authority that signs, and nothing takes its place yet: `haggle ca rotate` comes first")]
    SignsStill(Fingerprint),
    #[error("another master has changed the authority just now: look at `haggle ca show`, and ask again")]
    Overtaken,
    #[error("the authority cannot be changed: {0}")]
    Security(#[from] SecurityError),
}
