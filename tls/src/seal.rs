//! Keys that masters share and etcd does not have: what they keep there is sealed with one of them.

use std::fmt;
use std::path::{Path, PathBuf};

use haggle_core::ClusterId;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use zeroize::Zeroizing;

use crate::private::{create_private, read_private};
use crate::{PrivateFolderError, Secret};

/// Of a key, in bytes.
const KEY: usize = 32;

/// Keys of one file. Two are needed while one follows the other.
const KEYS_MAX: usize = 4;

/// What sealed bytes begin with: the version of their form, and by which key they are sealed.
const VERSION: u8 = 1;
const NAME: usize = 8;

/// What a line of the keys' file begins with, before 64 hexadecimal digits.
const PREFIX: &str = "haggle-seal-1-";

/// The keys of one file: the first one seals, and what was sealed with any of them is opened. So a key is replaced while
/// masters run: all learn of the next one before any seals with it. `Debug` shows their names alone.
pub struct Seal(Vec<Key>);

struct Key(Zeroizing<[u8; KEY]>);

impl Seal {
    /// A fresh one.
    ///
    /// # Panics
    /// When the system has no randomness.
    pub fn generate() -> Self {
        let mut key = Zeroizing::new([0; KEY]);
        getrandom::fill(key.as_mut_slice()).expect("the system has no randomness");
        Self(vec![Key(key)])
    }

    /// Those in a file, one a line; `None` when there is no such file.
    ///
    /// # Errors
    /// When it cannot be read, others can read it too, or it holds something else.
    pub fn read(path: &Path) -> Result<Option<Self>, SealFileError> {
        let Some(text) = read_private(path)? else { return Ok(None) };
        let read = std::str::from_utf8(&text).ok().and_then(Self::parse);
        read.map(Some).ok_or_else(|| SealFileError::NotASeal(path.to_owned()))
    }

    /// Writes the one that seals into a file that is not there yet.
    ///
    /// # Errors
    /// When it cannot be written, or somebody else has made it meanwhile.
    pub fn create(&self, path: &Path) -> Result<(), SealFileError> {
        let line = Zeroizing::new(format!("{}\n", self.line().as_str()));
        Ok(create_private(path, line.as_bytes())?)
    }

    /// The one that seals, as a line of a file. A secret.
    pub fn line(&self) -> Zeroizing<String> {
        let digits: Zeroizing<String> = Zeroizing::new(hex(self.first().0.as_slice()));
        Zeroizing::new(format!("{PREFIX}{}", digits.as_str()))
    }

    fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys = lines.map(Key::parse).collect::<Option<Vec<_>>>()?;
        (1..=KEYS_MAX).contains(&keys.len()).then_some(Self(keys))
    }

    fn first(&self) -> &Key {
        self.0.first().expect("there is one at least")
    }

    /// Seals something of a cluster's. The same is sealed in another way each time.
    ///
    /// # Panics
    /// When the system has no randomness.
    pub fn seal(&self, cluster: ClusterId, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).expect("the system has no randomness");
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(&self.first().name());
        sealed.extend_from_slice(&nonce);
        let mut text = Zeroizing::new(plain.to_vec());
        let tag = self.first().cipher().seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            about(cluster),
            text.as_mut_slice(),
        );
        sealed.extend_from_slice(&text);
        sealed.extend_from_slice(tag.expect("it is far below what a key seals").as_ref());
        sealed
    }

    /// Opens what [`Seal::seal`] sealed for the same cluster, with any of the keys.
    ///
    /// # Errors
    /// When it was sealed with another key, for another cluster, or changed since.
    pub fn open(&self, cluster: ClusterId, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (&version, rest) = sealed.split_first().ok_or(SealError::Changed)?;
        if version != VERSION {
            return Err(SealError::Version(version));
        }
        let (name, rest) = rest.split_first_chunk::<NAME>().ok_or(SealError::Changed)?;
        let Some(key) = self.0.iter().find(|key| key.name() == *name) else {
            return Err(SealError::OtherKey { wanted: hex(name), has: self.names() });
        };
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Changed)?;
        let mut text = Zeroizing::new(text.to_vec());
        let opened =
            key.cipher().open_in_place(Nonce::assume_unique_for_key(*nonce), about(cluster), text.as_mut_slice());
        let length = opened.map_err(|_| SealError::Changed)?.len();
        text.truncate(length);
        Ok(text)
    }

    /// Whether it was sealed with the key that seals now, and not with one that is to go.
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        sealed.get(1..=NAME).is_some_and(|name| name == self.first().name())
    }

    /// What the masters of a cluster know each other by: nobody has it who has not the key. The first one is shown, and
    /// each is believed.
    pub fn secrets(&self, cluster: ClusterId) -> Vec<[u8; 32]> {
        self.0.iter().map(|key| key.derived("masters", &cluster.0.to_be_bytes())).collect()
    }

    /// What they know the passes of artifacts by, which outlive each of them and the authority. Those of the first are
    /// given, and those of each believed.
    pub fn pass_keys(&self, cluster: ClusterId) -> Vec<Secret> {
        let of = |key: &Key| Secret::new(key.derived("artifact passes", &cluster.0.to_be_bytes()));
        self.0.iter().map(of).collect()
    }

    fn names(&self) -> String {
        self.0.iter().map(|key| hex(&key.name())).collect::<Vec<_>>().join(" and ")
    }
}

impl Key {
    fn parse(line: &str) -> Option<Self> {
        let digits = line.strip_prefix(PREFIX).filter(|digits| digits.len() == 2 * KEY && digits.is_ascii())?;
        let mut key = Zeroizing::new([0; KEY]);
        for (at, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(Self(key))
    }

    /// By which it is told from another one. No secret.
    fn name(&self) -> [u8; NAME] {
        *self.derived("name", &[]).first_chunk().expect("it is shorter")
    }

    fn cipher(&self) -> LessSafeKey {
        let key = Zeroizing::new(self.derived("seal", &[]));
        LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key.as_slice()).expect("it has 32 bytes"))
    }

    /// One key for each purpose.
    fn derived(&self, purpose: &str, of: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, self.0.as_slice()));
        context.update(purpose.as_bytes());
        context.update(&[0]);
        context.update(of);
        context.sign().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

/// A sealed authority of one cluster is of no use to another one.
fn about(cluster: ClusterId) -> Aad<[u8; 16]> {
    Aad::from(cluster.0.to_be_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seal({})", self.names())
    }
}

/// Why something sealed cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// By another key.
    #[error("it is sealed with the key {wanted}, and there is {has}")]
    OtherKey {
        /// The name of the key that opens it.
        wanted: String,
        /// The names of those that are there.
        has: String,
    },
    /// It is not what was sealed, or not for this cluster.
    #[error("it was changed, or is of another cluster")]
    Changed,
    /// It was sealed by a later release.
    #[error("it is sealed in the form {0}, and this release knows {VERSION}: run a later one")]
    Version(u8),
}

/// Why a file gives no key.
#[derive(Debug, thiserror::Error)]
pub enum SealFileError {
    /// It cannot be used.
    #[error(transparent)]
    File(#[from] PrivateFolderError),
    /// It holds something else.
    #[error("{} is no seal key: that is one line, {PREFIX} and 64 hexadecimal digits, and {KEYS_MAX} lines at most; copy it once more", .0.display())]
    NotASeal(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: ClusterId = ClusterId(0xc1);

    #[test]
    fn what_is_sealed_is_opened_by_the_same_key_for_the_same_cluster() {
        let seal = Seal::generate();

        let (one, two) = (seal.seal(CLUSTER, b"a key"), seal.seal(CLUSTER, b"a key"));

        assert_ne!(one, two);
        assert_eq!(seal.open(CLUSTER, &one).unwrap().as_slice(), b"a key");
        assert!(!one.windows(5).any(|bytes| bytes == b"a key"));
        assert_eq!(seal.open(ClusterId(0xc2), &one).unwrap_err(), SealError::Changed);
    }

    #[test]
    fn another_key_is_told_from_what_was_changed_on_the_way() {
        let (seal, other) = (Seal::generate(), Seal::generate());
        let sealed = seal.seal(CLUSTER, b"a key");

        assert!(matches!(other.open(CLUSTER, &sealed), Err(SealError::OtherKey { .. })));
        for at in 9..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(seal.open(CLUSTER, &changed).unwrap_err(), SealError::Changed, "{at}");
        }
        for length in 0..sealed.len() {
            assert!(seal.open(CLUSTER, &sealed[..length]).is_err(), "{length}");
        }
        assert_eq!(seal.open(CLUSTER, &[&[9][..], &sealed[1..]].concat()).unwrap_err(), SealError::Version(9));
    }

    #[test]
    fn it_is_copied_in_a_file_and_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.key");
        assert!(Seal::read(&path).unwrap().is_none());
        let seal = Seal::generate();

        seal.create(&path).unwrap();

        let copied = Seal::read(&path).unwrap().unwrap();
        assert_eq!(copied.open(CLUSTER, &seal.seal(CLUSTER, b"x")).unwrap().as_slice(), b"x");
        assert_eq!(copied.secrets(CLUSTER), seal.secrets(CLUSTER));
        assert_ne!(copied.secrets(ClusterId(2)), seal.secrets(CLUSTER));
        assert!(copied.pass_keys(CLUSTER) == seal.pass_keys(CLUSTER));
        assert!(copied.pass_keys(ClusterId(2)) != seal.pass_keys(CLUSTER));
        assert!(*seal.pass_keys(CLUSTER)[0].bytes() != seal.secrets(CLUSTER)[0]);
        Seal::generate().create(&path).unwrap_err();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..40]).unwrap();
        let cut = Seal::read(&path).unwrap_err().to_string();
        assert!(cut.contains("is no seal key") && cut.contains("copy it once more"), "{cut}");
    }

    #[test]
    fn a_key_is_followed_by_the_next_while_both_are_known() {
        let [old, new] = [Seal::generate(), Seal::generate()].map(|seal| seal.line());
        let parse = |lines: &[&str]| Seal::parse(&lines.join("\n")).unwrap();
        let (before, during, after) = (parse(&[&old]), parse(&[&old, &new]), parse(&[&new, "", &old]));
        let (by_old, by_new) = (during.seal(CLUSTER, b"x"), after.seal(CLUSTER, b"x"));

        assert!(before.open(CLUSTER, &by_old).is_ok(), "as long as the old one is first, who has not heard goes on");
        assert!([&during, &after].iter().all(|seal| seal.open(CLUSTER, &by_old).is_ok()));
        assert!([&during, &after].iter().all(|seal| seal.open(CLUSTER, &by_new).is_ok()));
        assert!(during.is_current(&by_old) && after.is_current(&by_new) && !after.is_current(&by_old));
        assert!(matches!(before.open(CLUSTER, &by_new), Err(SealError::OtherKey { .. })));
        assert_eq!(after.secrets(CLUSTER)[0], during.secrets(CLUSTER)[1]);
        assert!(Seal::parse(&[old.as_str(); 5].join("\n")).is_none() && Seal::parse("").is_none());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused_and_one_that_is_made_is_not() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.key");
        Seal::generate().create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();

        let refused = Seal::read(&path).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }
}
