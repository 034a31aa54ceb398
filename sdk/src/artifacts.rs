//! Modules and input files, by their SHA-256: to the master and back.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use haggle_core::Digest;
use haggle_proto::convert;
use haggle_proto::v1::artifacts_client::ArtifactsClient;
use haggle_proto::{ARTIFACT_PIECE, MESSAGE_MAX, v1};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::client::Client;
use crate::credentials::Connection;
use crate::error::{ArtifactError, CallError, is_connection_trouble};

/// Chunks read ahead of the network.
const READ_AHEAD: usize = 2;

/// Bytes that are hashed at once: as many as stay in a processor's own cache.
const HASHED_AT_ONCE: usize = 64 << 10;

/// How often a download that is broken off is begun again.
const DOWNLOADS_MAX: u32 = 5;

/// What a master has fetched from a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Its name: what tasks run and read it by.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// The source, so that it names the same again as far as its kind allows: of a tag, the digest that it points to.
    pub pinned: String,
}

/// An artifact that a master keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptArtifact {
    /// Its name.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// Where it was fetched from, the latest last; none for what was uploaded.
    pub sources: Vec<String>,
    /// When it was brought, asked for or launched with last, in milliseconds since 1970.
    pub used_ms: u64,
    /// Tasks and allocations that need it.
    pub tasks: u64,
}

/// What came of collecting artifacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectedArtifacts {
    /// How many are gone.
    pub artifacts: u64,
    /// Bytes of those.
    pub freed: u64,
    /// Bytes that are kept.
    pub kept: u64,
}

impl Client {
    /// Stores a file at the master, unless it is there already, and gives back its name.
    ///
    /// # Errors
    /// When the file cannot be read, or the master does not take it.
    pub async fn upload(&self, path: impl AsRef<Path>) -> Result<Digest, ArtifactError> {
        let path = path.as_ref().to_owned();
        let file_error = |source| ArtifactError::File { path: path.clone(), source };
        let hashed = path.clone();
        let digest = blocking(move || hash_file(&hashed)).await.map_err(file_error)?;
        if self.has_artifact(digest).await? {
            return Ok(digest);
        }
        let mut trouble = None;
        let sent = self
            .call_patiently(|channel| {
                let (chunks, read_error) = read_chunks(path.clone(), digest);
                trouble = Some(read_error);
                async move { artifacts(channel).upload(ReceiverStream::new(chunks)).await }
            })
            .await;
        // A file that could not be read to its end reaches the master as a wrong digest; the cause is more useful.
        if let Some(Ok(source)) = trouble.map(|mut read_error| read_error.try_recv()) {
            return Err(file_error(source));
        }
        self.same(digest, &sent?)
    }

    /// As [`Self::upload`], a module that is to be a task. One that cannot be is refused before it is sent: a library, or what
    /// imports something that no task is given.
    ///
    /// # Errors
    /// As [`Self::upload`], and when it is no program.
    pub async fn upload_module(&self, path: impl AsRef<Path>) -> Result<Digest, ArtifactError> {
        let path = path.as_ref().to_owned();
        let read = path.clone();
        let bytes = blocking(move || std::fs::read(&read)).await;
        let bytes = bytes.map_err(|source| ArtifactError::File { path: path.clone(), source })?;
        haggle_inspect::check_program(&bytes).map_err(|why| ArtifactError::NotAProgram { path, why })?;
        self.upload_bytes(bytes).await
    }

    /// As [`Self::upload`], from memory.
    ///
    /// # Errors
    /// When the master does not take it.
    pub async fn upload_bytes(&self, bytes: impl Into<Bytes>) -> Result<Digest, ArtifactError> {
        let bytes = bytes.into();
        let digest = Digest(Sha256::digest(&bytes).into());
        if self.has_artifact(digest).await? {
            return Ok(digest);
        }
        let sent = self
            .call_patiently(|channel| {
                let chunks = chunks_of(&bytes, digest);
                async move { artifacts(channel).upload(tokio_stream::iter(chunks)).await }
            })
            .await?;
        self.same(digest, &sent)
    }

    /// Fetches an artifact into the file `to`, which is only there once it is whole and has the right digest.
    ///
    /// # Errors
    /// When the master does not have it, other bytes came, or the file cannot be written.
    pub async fn download(&self, digest: Digest, to: impl AsRef<Path>) -> Result<(), ArtifactError> {
        let to = to.as_ref();
        let partial = Partial::beside(to);
        let file_error = |source| ArtifactError::File { path: to.to_owned(), source };
        let reference = v1::ArtifactRef { digest: digest.0.to_vec() };
        let mut attempts = 0;
        let got = loop {
            let mut chunks = self
                .call(|channel| {
                    let reference = reference.clone();
                    async move { artifacts(channel).download(reference).await }
                })
                .await?;
            let mut file = tokio::fs::File::create(&partial.0).await.map_err(file_error)?;
            attempts += 1;
            match receive(&mut chunks, &mut file).await.map_err(file_error)? {
                Ok(got) => break got,
                // From the beginning again, perhaps at another master.
                Err(status) if is_connection_trouble(&status) && attempts < DOWNLOADS_MAX => {}
                Err(status) => return Err(self.error(&status).into()),
            }
        };
        if got != digest {
            return Err(ArtifactError::WrongDigest { wanted: digest, got });
        }
        tokio::fs::rename(&partial.0, to).await.map_err(file_error)
    }

    /// Whether the master has an artifact.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn has_artifact(&self, digest: Digest) -> Result<bool, CallError> {
        let reference = v1::ArtifactRef { digest: digest.0.to_vec() };
        let stat = self.call(|channel| {
            let reference = reference.clone();
            async move { artifacts(channel).stat(reference).await }
        });
        match stat.await {
            Ok(_) => Ok(true),
            Err(CallError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Has the master fetch a module from where it is: `oci://registry/name:tag`, `s3://bucket/key` or `https://host/path`.
    /// The master fetches it once for all who ask at the same time, by its own logins, and from those hosts alone that its
    /// operator allows.
    ///
    /// # Errors
    /// When the text is no source, the master may not fetch from there, nothing comes, or it is no module.
    pub async fn pull(&self, source: &str) -> Result<Pulled, CallError> {
        self.pull_with(source, true, |_, _| {}).await
    }

    /// As [`Self::pull`], for an input as well: with `module` it has to be one. Tells now and then how many bytes have come of
    /// how many; of 0, while that is not known.
    ///
    /// # Errors
    /// As [`Self::pull`].
    pub async fn pull_with(
        &self,
        source: &str,
        module: bool,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Pulled, CallError> {
        let mut attempts = 0;
        loop {
            let request = v1::PullRequest { source: source.to_owned(), module };
            let mut told = self
                .call(|channel| {
                    let request = request.clone();
                    async move { artifacts(channel).pull(request).await }
                })
                .await?;
            attempts += 1;
            let broken = loop {
                match told.message().await {
                    Ok(Some(v1::PullProgress { done: Some(done), .. })) => {
                        let digest = convert::digest(&done.digest).map_err(|source| self.garbled(source))?;
                        return Ok(Pulled { digest, size: done.size_bytes, pinned: done.pinned });
                    }
                    Ok(Some(v1::PullProgress { fetched_bytes, size_bytes, done: None })) => {
                        progress(fetched_bytes, size_bytes);
                    }
                    Ok(None) => break Status::unavailable("the master broke off"),
                    Err(status) => break status,
                }
            };
            // Perhaps at another master.
            if !is_connection_trouble(&broken) || attempts >= DOWNLOADS_MAX {
                return Err(self.error(&broken));
            }
        }
    }

    /// The artifacts that the master keeps, the last used first; of a framework's, those that it has brought.
    ///
    /// # Errors
    /// When the master cannot be reached.
    pub async fn kept_artifacts(&self) -> Result<Vec<KeptArtifact>, CallError> {
        let pieces = self.collect(|channel| async move { artifacts(channel).list_kept(v1::ListKeptRequest {}).await });
        let kept = pieces.await?.into_iter().flat_map(|piece| piece.artifacts);
        kept.map(|of| {
            Ok(KeptArtifact {
                digest: convert::digest(&of.digest).map_err(|source| self.garbled(source))?,
                size: of.size_bytes,
                sources: of.sources,
                used_ms: of.used_ms,
                tasks: of.tasks,
            })
        })
        .collect()
    }

    /// Has the master forget an artifact that no task needs, and says how many bytes that were.
    ///
    /// # Errors
    /// When a task needs it, the master does not have it, or this program may not.
    pub async fn remove_artifact(&self, digest: Digest) -> Result<u64, CallError> {
        let reference = v1::ArtifactRef { digest: digest.0.to_vec() };
        let removed = self.call(|channel| {
            let reference = reference.clone();
            async move { artifacts(channel).remove(reference).await }
        });
        Ok(removed.await?.freed_bytes)
    }

    /// Has the master forget artifacts that no task needs and nobody used for so long, the least recently used first, until no
    /// more than `keep` bytes are there.
    ///
    /// # Errors
    /// When this program may not.
    pub async fn collect_artifacts(&self, keep: u64, unused_for: Duration) -> Result<CollectedArtifacts, CallError> {
        let unused_ms = u64::try_from(unused_for.as_millis()).unwrap_or(u64::MAX);
        let request = v1::CollectRequest { keep_bytes: keep, unused_ms };
        let collected = self.call(|channel| async move { artifacts(channel).collect(request).await }).await?;
        let v1::CollectResponse { artifacts, freed_bytes, kept_bytes } = collected;
        Ok(CollectedArtifacts { artifacts, freed: freed_bytes, kept: kept_bytes })
    }

    fn same(&self, wanted: Digest, stored: &v1::Artifact) -> Result<Digest, ArtifactError> {
        let got = convert::digest(&stored.digest).map_err(|source| self.garbled(source))?;
        if got == wanted { Ok(got) } else { Err(ArtifactError::WrongDigest { wanted, got }) }
    }
}

/// Writes what comes to a file. The inner result is what came: its digest, or how it was broken off.
async fn receive(
    chunks: &mut Streaming<v1::DownloadChunk>,
    file: &mut tokio::fs::File,
) -> io::Result<Result<Digest, Status>> {
    let mut sha = Sha256::new();
    loop {
        match chunks.message().await {
            Ok(Some(chunk)) => {
                sha.update(&chunk.data);
                file.write_all(&chunk.data).await?;
            }
            Ok(None) => break,
            Err(status) => return Ok(Err(status)),
        }
    }
    file.flush().await?;
    Ok(Ok(Digest(sha.finalize().into())))
}

fn artifacts(channel: Connection) -> ArtifactsClient<Connection> {
    ArtifactsClient::new(channel).max_decoding_message_size(MESSAGE_MAX)
}

/// A download under way; removed when it comes to nothing.
struct Partial(PathBuf);

impl Partial {
    fn beside(target: &Path) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".partial-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        Self(target.with_file_name(name))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After the rename it is not there any more, which is as good.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn chunks_of(bytes: &Bytes, digest: Digest) -> Vec<v1::UploadChunk> {
    let mut chunks = vec![v1::UploadChunk { expected: digest.0.to_vec(), data: Bytes::new() }];
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + ARTIFACT_PIECE);
        chunks.push(v1::UploadChunk { expected: Vec::new(), data: bytes.slice(at..end) });
        at = end;
    }
    chunks
}

/// The file in chunks, and what went wrong with reading it, should something.
fn read_chunks(path: PathBuf, digest: Digest) -> (mpsc::Receiver<v1::UploadChunk>, oneshot::Receiver<io::Error>) {
    let (chunks, chunks_out) = mpsc::channel(READ_AHEAD);
    let (trouble, trouble_out) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        // Nobody listens any more when the master has refused: then there is nothing left to read for.
        let first = v1::UploadChunk { expected: digest.0.to_vec(), data: Bytes::new() };
        if chunks.blocking_send(first).is_err() {
            return;
        }
        let read = || -> io::Result<()> {
            let mut file = File::open(&path)?;
            loop {
                let data = next_chunk(&mut file)?;
                let chunk = v1::UploadChunk { expected: Vec::new(), data };
                if chunk.data.is_empty() || chunks.blocking_send(chunk).is_err() {
                    return Ok(());
                }
            }
        };
        if let Err(error) = read() {
            let _ = trouble.send(error);
        }
    });
    (chunks_out, trouble_out)
}

/// As much as one message carries; empty at the end.
fn next_chunk(file: &mut File) -> io::Result<Bytes> {
    // Read into memory that nobody has to clear before.
    let mut chunk = Vec::with_capacity(ARTIFACT_PIECE);
    file.take(ARTIFACT_PIECE as u64).read_to_end(&mut chunk)?;
    Ok(chunk.into())
}

fn hash_file(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut sha = Sha256::new();
    let mut buffer = vec![0; HASHED_AT_ONCE];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Digest(sha.finalize().into())),
            Ok(read) => sha.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
