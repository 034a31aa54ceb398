//! Brings an artifact to this agent's disk, and makes sure that it is the one.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes as Chunk;
use haggle_core::{Bytes, Digest};
use haggle_proto::v1::artifacts_client::ArtifactsClient;
use haggle_proto::{MESSAGE_MAX, PASS, v1};
use haggle_tls::Pass;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tonic::metadata::MetadataValue;
use tonic::transport::Uri;
use tonic::{Code, Request};

use crate::artifacts;
use crate::dial::{Connection, DialError, Dialer, connect_lazy};
use crate::passes::Passes;

/// Artifacts in the making at once. More would only share the same wire and disk.
const PARALLEL: usize = 4;

/// How long the master may take for the next chunk.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that are hashed at once: as many as stay in a processor's own cache.
const READ_AT_ONCE: usize = 64 << 10;

/// Chunks between the wire and the disk.
const CHUNKS_AHEAD: usize = 4;

/// A master that restarts is back within the sum of these; who is away for longer costs the task its start.
const RETRY_AFTER: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(5),
];

/// Why an artifact cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("the master has no artifact {0}")]
    NotFound(Digest),
    #[error("the master sent other bytes than asked for: wanted {wanted}, got {got}")]
    Corrupt { wanted: Digest, got: Digest },
    #[error("artifact {digest} is larger than the {max} that this agent keeps of artifacts")]
    TooLarge { digest: Digest, max: Bytes },
    #[error("artifact {digest} cannot be kept: {source}")]
    Disk { digest: Digest, source: io::Error },
    #[error("artifact {digest} cannot be had from the master: {why}")]
    Unreachable { digest: Digest, why: String },
}

/// Where artifacts are on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    /// The agent's own.
    pub(crate) own: PathBuf,
    /// Of a master in this process, which has checked what is there. It is linked.
    pub(crate) nearby: Option<PathBuf>,
}

/// Fetches artifacts in the background.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    /// The one that the agent has its session with.
    master: watch::Receiver<Uri>,
    passes: Passes,
    dialer: Dialer,
    /// To that one. Apart from the session's, so that a large module does not stand in front of a heartbeat.
    connection: Arc<Mutex<Option<(Uri, Pass, Connection)>>>,
    folders: Folders,
    max: Bytes,
    runtime: Handle,
    permits: Arc<Semaphore>,
}

impl Fetcher {
    /// Fetches into the agent's own folder, nothing larger than `max`.
    pub(crate) fn new(
        master: watch::Receiver<Uri>,
        passes: Passes,
        dialer: Dialer,
        folders: Folders,
        max: Bytes,
        runtime: Handle,
    ) -> Self {
        let (connection, permits) = (Arc::default(), Arc::new(Semaphore::new(PARALLEL)));
        Self { master, passes, dialer, connection, folders, max, runtime, permits }
    }

    /// Fetches one artifact, from one of the folders if it is there and right, else from the master; then calls `done` with
    /// its size. Without success nothing is in the own folder under its name.
    pub(crate) fn start(&self, digest: Digest, done: impl FnOnce(Result<Bytes, FetchError>) + Send + 'static) {
        let this = self.clone();
        self.runtime.spawn(async move {
            let permit = this.permits.acquire().await;
            let outcome = this.fetch(digest).await;
            drop(permit);
            done(outcome);
        });
    }

    async fn fetch(&self, digest: Digest) -> Result<Bytes, FetchError> {
        let Folders { own, nearby } = self.folders.clone();
        let check = blocking(move || find(&own, nearby.as_deref(), digest)).await;
        if let Some(size) = check.map_err(|source| FetchError::Disk { digest, source })? {
            return Ok(size);
        }
        let mut retries = RETRY_AFTER.into_iter();
        loop {
            match self.download(digest).await {
                Err(FetchError::Unreachable { digest, why }) => {
                    let Some(pause) = retries.next() else { return Err(FetchError::Unreachable { digest, why }) };
                    tracing::warn!(%digest, why, "an artifact cannot be had yet");
                    tokio::time::sleep(pause).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// A connection to the present master, which is made when it is used.
    fn connect(&self) -> Result<Connection, DialError> {
        let master = self.master.borrow().clone();
        let pass = self.dialer.pass(&master);
        let mut connection = self.connection.lock().expect("nothing panics while it holds this lock");
        match &*connection {
            Some((to, with, connected)) if *to == master && *with == pass => Ok(connected.clone()),
            _ => {
                let connected = connect_lazy(&master, &pass)?;
                *connection = Some((master, pass, connected.clone()));
                Ok(connected)
            }
        }
    }

    async fn download(&self, digest: Digest) -> Result<Bytes, FetchError> {
        let unreachable = |why: &dyn ToString| FetchError::Unreachable { digest, why: why.to_string() };
        let connection = self.connect().map_err(|error| unreachable(&error))?;
        let mut master = ArtifactsClient::new(connection).max_decoding_message_size(MESSAGE_MAX);
        let mut request = Request::new(v1::ArtifactRef { digest: digest.0.to_vec() });
        if let Some(pass) = self.passes.of(digest) {
            request.metadata_mut().insert_bin(PASS, MetadataValue::from_bytes(&pass));
        }
        let asked = master.download(request);
        let answer = timeout(CHUNK_TIMEOUT, asked).await.map_err(|_| unreachable(&"no answer"))?;
        let mut chunks = answer.map_err(|status| refused(digest, &status))?.into_inner();

        // Hashing and writing take long enough to hold up a network thread.
        let (to_disk, from_wire) = mpsc::channel(CHUNKS_AHEAD);
        let (dir, max) = (self.folders.own.clone(), self.max);
        let store = tokio::task::spawn_blocking(move || store(&dir, digest, max, from_wire));
        loop {
            let chunk = timeout(CHUNK_TIMEOUT, chunks.message()).await.map_err(|_| unreachable(&"it went silent"))?;
            let Some(chunk) = chunk.map_err(|status| refused(digest, &status))? else { break };
            // Refused only by a store that has failed, and tells why below.
            if to_disk.send(Some(chunk.data)).await.is_err() {
                break;
            }
        }
        // Says that the artifact is whole. Without it, as on every return above, the store gives up.
        let _ = to_disk.send(None).await;
        match store.await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Err(unreachable(&"it was cut short")),
            Err(panicked) => Err(unreachable(&panicked)),
        }
    }
}

fn refused(digest: Digest, status: &tonic::Status) -> FetchError {
    match status.code() {
        Code::NotFound => FetchError::NotFound(digest),
        _ => FetchError::Unreachable { digest, why: format!("{} ({:?})", status.message(), status.code()) },
    }
}

/// The size of the artifact when it is on this machine already; then it is in the own folder.
fn find(own: &Path, nearby: Option<&Path>, digest: Digest) -> io::Result<Option<Bytes>> {
    let path = artifacts::file(own, digest);
    if let Some(size) = check(&path, digest)? {
        return Ok(Some(size));
    }
    match nearby.map(|nearby| fs::hard_link(artifacts::file(nearby, digest), &path)) {
        // It was checked before it was given this name there.
        Some(Ok(())) => Ok(Some(Bytes::new(fs::metadata(&path)?.len()))),
        // It is not there, or on another file system: the master is asked.
        Some(Err(_)) | None => Ok(None),
    }
}

/// The size of the file when it has this digest. A file that has another is removed.
fn check(path: &Path, digest: Digest) -> io::Result<Option<Bytes>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let (mut hash, mut size) = (Sha256::new(), 0);
    let mut buffer = vec![0; READ_AT_ONCE];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                hash.update(&buffer[..read]);
                size += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if finish(hash) == digest {
        return Ok(Some(Bytes::new(size)));
    }
    tracing::warn!(path = %path.display(), "an artifact on disk was damaged; it is fetched again");
    fs::remove_file(path)?;
    Ok(None)
}

/// Writes chunks to the artifact's file; it gets its name only when all are there and right. `None` when the chunks
/// stop before their end.
fn store(
    dir: &Path,
    wanted: Digest,
    max: Bytes,
    mut chunks: mpsc::Receiver<Option<Chunk>>,
) -> Option<Result<Bytes, FetchError>> {
    let disk = |source: io::Error| FetchError::Disk { digest: wanted, source };
    let mut file = match NamedTempFile::with_prefix_in("download-", dir) {
        Ok(file) => file,
        Err(error) => return Some(Err(disk(error))),
    };
    let (mut hash, mut size) = (Sha256::new(), 0);
    while let Some(chunk) = chunks.blocking_recv()? {
        hash.update(&chunk);
        size += chunk.len() as u64;
        if size > max.get() {
            return Some(Err(FetchError::TooLarge { digest: wanted, max }));
        }
        if let Err(error) = file.write_all(&chunk) {
            return Some(Err(disk(error)));
        }
    }
    let got = finish(hash);
    if got != wanted {
        return Some(Err(FetchError::Corrupt { wanted, got }));
    }
    let named = haggle_tls::replace_file(file, &artifacts::file(dir, wanted));
    Some(named.map(|()| Bytes::new(size)).map_err(disk))
}

fn finish(hash: Sha256) -> Digest {
    Digest(hash.finalize().into())
}

/// Runs disk work where it holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// Stores these chunks as a download would, `whole` or cut short.
    fn store_chunks(
        dir: &Path,
        wanted: Digest,
        chunks: &[&'static [u8]],
        whole: bool,
    ) -> Option<Result<Bytes, FetchError>> {
        let (to_disk, from_wire) = mpsc::channel(chunks.len() + 1);
        for chunk in chunks {
            to_disk.try_send(Some(Chunk::from_static(chunk))).unwrap();
        }
        if whole {
            to_disk.try_send(None).unwrap();
        }
        drop(to_disk);
        store(dir, wanted, Bytes::new(10), from_wire)
    }

    fn files(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn chunks_become_a_file_under_their_digest() {
        let dir = tempfile::tempdir().unwrap();
        let digest = digest_of(b"hello");

        let stored = store_chunks(dir.path(), digest, &[b"hel", b"lo"], true).unwrap();

        assert_eq!(stored.unwrap(), Bytes::new(5));
        assert_eq!(fs::read(artifacts::file(dir.path(), digest)).unwrap(), b"hello");
        assert_eq!(files(dir.path()), 1);
    }

    #[test]
    fn other_bytes_than_asked_for_are_refused_and_not_kept() {
        let dir = tempfile::tempdir().unwrap();

        let refused = store_chunks(dir.path(), digest_of(b"hello"), &[b"hullo"], true).unwrap().unwrap_err();

        assert!(matches!(refused, FetchError::Corrupt { got, .. } if got == digest_of(b"hullo")), "{refused}");
        assert_eq!(files(dir.path()), 0);
    }

    #[test]
    fn a_download_cut_short_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();

        assert!(store_chunks(dir.path(), digest_of(b"hello"), &[b"hello"], false).is_none());

        assert_eq!(files(dir.path()), 0);
    }

    #[test]
    fn more_than_the_cache_holds_is_refused_while_it_comes() {
        let dir = tempfile::tempdir().unwrap();

        let refused = store_chunks(dir.path(), digest_of(b""), &[b"123456", b"123456"], true).unwrap().unwrap_err();

        assert!(matches!(refused, FetchError::TooLarge { .. }), "{refused}");
        assert_eq!(files(dir.path()), 0);
    }

    #[test]
    fn what_lies_nearby_is_linked() {
        let (own, nearby) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let digest = digest_of(b"hello");
        fs::write(artifacts::file(nearby.path(), digest), b"hello").unwrap();
        let found = |digest| find(own.path(), Some(nearby.path()), digest).unwrap();

        assert_eq!(found(digest), Some(Bytes::new(5)));
        assert_eq!(found(digest), Some(Bytes::new(5)), "it is in the own folder now");
        assert_eq!(found(digest_of(b"elsewhere")), None);

        assert_eq!((files(own.path()), files(nearby.path())), (1, 1));
    }

    #[test]
    fn a_file_that_was_damaged_on_disk_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let digest = digest_of(b"hello");
        let path = artifacts::file(dir.path(), digest);
        assert_eq!(check(&path, digest).unwrap(), None);
        fs::write(&path, b"hello").unwrap();
        assert_eq!(check(&path, digest).unwrap(), Some(Bytes::new(5)));

        fs::write(&path, b"hullo").unwrap();

        assert_eq!(check(&path, digest).unwrap(), None);
        assert!(!path.exists());
    }
}
