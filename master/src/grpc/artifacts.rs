//! Artifacts in and out, in chunks.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, iter, try_unfold};
use haggle_core::Digest;
use haggle_core::access::{Kind, PrincipalId, Right, Verb};
use haggle_proto::convert::digest;
use haggle_proto::{ARTIFACT_CHUNK, ARTIFACT_PIECE, v1};
use haggle_sources::{NotASource, Source};
use tokio::task::spawn_blocking;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::arriving::{Arriving, STALLED};
use super::taken::while_taken;
use crate::access::{Caller, Known, Passes, caller};
use crate::artifacts::{ArtifactError, Freed, Standing, Store, Uploader};
use crate::limits::{Limit, Limiter, Room};
use crate::pull::{Pulled, Puller, Stage, Waiter};
use crate::replicas::Replicas;

/// A chunk and what is around it.
pub(super) const MESSAGE_MAX: usize = ARTIFACT_CHUNK + (4 << 10);

pub(super) struct Artifacts {
    store: Arc<Store>,
    /// What the other masters have; `None` when there are none.
    replicas: Option<Arc<Replicas>>,
    room: Room,
    limiter: Limiter,
    known: Known,
    /// What agents show that come by certificates; `None` when there are none.
    passes: Option<Arc<Passes>>,
    /// Fetches from elsewhere; `None` for what masters ask of each other.
    puller: Option<Arc<Puller>>,
}

/// Who brought an artifact to another master first, in the metadata of a call between them.
pub(crate) const UPLOADER: &str = "haggle-uploader-bin";

impl Artifacts {
    pub(super) fn new(
        store: Arc<Store>,
        replicas: Option<Arc<Replicas>>,
        room: Room,
        limiter: Limiter,
        known: Known,
        passes: Option<Arc<Passes>>,
        puller: Option<Arc<Puller>>,
    ) -> Self {
        Self { store, replicas, room, limiter, known, passes, puller }
    }

    async fn take_in(
        &self,
        caller: &Caller,
        request: Request<Streaming<v1::UploadChunk>>,
    ) -> Result<Response<v1::Artifact>, Status> {
        let who = caller.principal()?;
        let id = uploader(caller, request.metadata())?;
        let chunks = request.into_inner();
        // First the turn, so that who waits for it has nothing here yet.
        let _turn = self.room.turn().await;
        let mut chunks = Arriving::new(chunks);
        let first = chunks.next().await?.unwrap_or_default();
        let expected = if first.expected.is_empty() { None } else { Some(digest(&first.expected)?) };

        let store = Arc::clone(&self.store);
        let uploader = Uploader { id: id.clone(), most: self.limiter.most(who, Limit::UploadBytes) };
        let mut upload = blocking(move || store.begin(expected, Some(uploader))).await?;
        let mut next = Some(first);
        while let Some(v1::UploadChunk { data, .. }) = next {
            if !data.is_empty() {
                self.limiter.bring(who, data.len() as u64, Instant::now())?;
                let (limiter, who) = (self.limiter.clone(), who.clone());
                let write = move || match upload.write(&data) {
                    Ok(()) => Ok(upload),
                    Err(error) => {
                        if let ArtifactError::OverLimit(over) = &error {
                            limiter.complain(&who, over.limit, over, Instant::now());
                        }
                        Err(error)
                    }
                };
                upload = blocking(write).await?;
            }
            next = chunks.next().await?;
        }
        let (digest, size) = blocking(move || upload.finish()).await?;
        caller.about(digest);
        if let Some(replicas) = &self.replicas {
            replicas.spread(digest, &id).await?;
        }
        Ok(Response::new(artifact(digest, size)))
    }

    /// Makes sure that the caller may know of the artifact: whoever is confined to its own may of what it has brought, and an
    /// agent of what its tasks name.
    async fn check(&self, caller: &Caller, verb: Verb, digest: Digest, shown: &MetadataMap) -> Result<(), Status> {
        let who = caller.principal()?;
        if who.right(verb) != Right::Own {
            return Ok(());
        }
        if let Kind::Agent(id) = who.kind {
            let named = self.passes.as_ref().is_some_and(|passes| passes.are_shown(shown, id, digest));
            return if named { Ok(()) } else { Err(not_found(digest)) };
        }
        let (store, id) = (Arc::clone(&self.store), who.id());
        let is_its = blocking(move || store.was_brought_by(digest, &id)).await?;
        if is_its { Ok(()) } else { Err(not_found(digest)) }
    }

    /// What is looked for and not here may be with another master: it is here afterwards.
    async fn find<T: Send + 'static>(
        &self,
        digest: Digest,
        look: fn(&Store, Digest) -> Result<Option<T>, ArtifactError>,
    ) -> Result<T, Status> {
        let look = || {
            let store = Arc::clone(&self.store);
            blocking(move || look(&store, digest))
        };
        if let Some(found) = look().await? {
            return Ok(found);
        }
        let fetched = match &self.replicas {
            Some(replicas) => replicas.fetch(digest).await?,
            None => false,
        };
        let found = if fetched { look().await? } else { None };
        found.ok_or_else(|| not_found(digest))
    }
}

#[tonic::async_trait]
impl v1::artifacts_server::Artifacts for Artifacts {
    type DownloadStream = BoxStream<'static, Result<v1::DownloadChunk, Status>>;
    type PullStream = BoxStream<'static, Result<v1::PullProgress, Status>>;
    type ListKeptStream = BoxStream<'static, Result<v1::ListKeptResponse, Status>>;

    async fn upload(&self, request: Request<Streaming<v1::UploadChunk>>) -> Result<Response<v1::Artifact>, Status> {
        let caller = caller(&request)?;
        tokio::select! {
            biased;
            over = self.known.over(caller.principal()?) => Err(over),
            taken_in = self.take_in(&caller, request) => taken_in,
        }
    }

    async fn download(&self, request: Request<v1::ArtifactRef>) -> Result<Response<Self::DownloadStream>, Status> {
        let caller = caller(&request)?;
        let (shown, _, asked) = request.into_parts();
        let digest = digest(&asked.digest)?;
        self.check(&caller, Verb::Download, digest, &shown).await?;
        let turn = self.room.turn().await;
        let file = self.find(digest, Store::read).await?;
        let chunks = try_unfold((file, turn), |(file, turn)| async {
            let (file, data) = blocking(move || next_chunk(file)).await?;
            Ok((!data.is_empty()).then_some((v1::DownloadChunk { data }, (file, turn))))
        });
        let who = caller.principal()?.clone();
        Ok(Response::new(self.known.while_valid(who, while_taken(chunks, STALLED))))
    }

    async fn stat(&self, request: Request<v1::ArtifactRef>) -> Result<Response<v1::Artifact>, Status> {
        let caller = caller(&request)?;
        let (shown, _, asked) = request.into_parts();
        let digest = digest(&asked.digest)?;
        self.check(&caller, Verb::Stat, digest, &shown).await?;
        let size = self.find(digest, Store::stat).await?;
        if let Some(replicas) = &self.replicas {
            replicas.make_up(digest, &caller.principal()?.id()).await?;
        }
        Ok(Response::new(artifact(digest, size)))
    }

    async fn pull(&self, request: Request<v1::PullRequest>) -> Result<Response<Self::PullStream>, Status> {
        let caller = caller(&request)?;
        let who = caller.principal()?.clone();
        let v1::PullRequest { source, module } = request.into_inner();
        let source: Source = source.parse().map_err(|error: NotASource| Status::invalid_argument(error.to_string()))?;
        caller.about(&source);
        let Some(puller) = self.puller.clone() else {
            return Err(Status::unimplemented("masters fetch from each other"));
        };
        let waiter = Waiter::begin(puller, source, module, who.clone(), self.replicas.clone())?;
        let progress = try_unfold(Some(waiter), |waiter| async {
            let Some(waiter) = waiter else { return Ok(None) };
            progress_of(waiter).await.map(Some)
        });
        Ok(Response::new(self.known.while_valid(who, progress)))
    }

    async fn list_kept(&self, request: Request<v1::ListKeptRequest>) -> Result<Response<Self::ListKeptStream>, Status> {
        let caller = caller(&request)?;
        let who = caller.principal()?;
        let own = (who.right(Verb::ListKept) == Right::Own).then(|| who.id());
        let store = Arc::clone(&self.store);
        let pieces = blocking(move || kept(&store, own.as_ref())).await?;
        Ok(Response::new(iter(pieces.into_iter().map(Ok)).boxed()))
    }

    async fn remove(&self, request: Request<v1::ArtifactRef>) -> Result<Response<v1::RemoveArtifactResponse>, Status> {
        let caller = caller(&request)?;
        let digest = digest(&request.into_inner().digest)?;
        caller.about(digest);
        let store = Arc::clone(&self.store);
        let freed = blocking(move || store.remove(digest)).await?;
        let freed_bytes = freed.ok_or_else(|| not_found(digest))?;
        Ok(Response::new(v1::RemoveArtifactResponse { freed_bytes }))
    }

    async fn collect(&self, request: Request<v1::CollectRequest>) -> Result<Response<v1::CollectResponse>, Status> {
        let caller = caller(&request)?;
        let v1::CollectRequest { keep_bytes, unused_ms } = request.into_inner();
        let store = Arc::clone(&self.store);
        let unused_for = Duration::from_millis(unused_ms);
        let Freed { artifacts, bytes, kept } =
            blocking(move || store.collect(haggle_core::Bytes::new(keep_bytes), unused_for)).await?;
        caller.about(format_args!("{artifacts} artifacts"));
        Ok(Response::new(v1::CollectResponse { artifacts, freed_bytes: bytes, kept_bytes: kept }))
    }
}

/// The next that is told of a fetch, and the rest of it; none after the last.
async fn progress_of(mut waiter: Waiter) -> Result<(v1::PullProgress, Option<Waiter>), Status> {
    match waiter.next(TELL_EVERY).await? {
        Stage::Coming { got, size } => {
            Ok((v1::PullProgress { fetched_bytes: got, size_bytes: size, done: None }, Some(waiter)))
        }
        Stage::Done(outcome) => {
            let Pulled { digest, size, pinned } = outcome?;
            let done = v1::Pulled { digest: digest.0.to_vec(), size_bytes: size, pinned };
            Ok((v1::PullProgress { fetched_bytes: size, size_bytes: size, done: Some(done) }, None))
        }
    }
}

/// Between two words of how far a fetch is.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Artifacts in one piece of a list: well below the largest message.
const KEPT_PIECE: usize = 500;

/// What is here, in pieces; `only` what that principal has brought.
fn kept(store: &Store, only: Option<&PrincipalId>) -> Result<Vec<v1::ListKeptResponse>, ArtifactError> {
    let mut all = Vec::new();
    for Standing { digest, size, used_ms, tasks } in store.standings() {
        if let Some(who) = only
            && !store.was_brought_by(digest, who)?
        {
            continue;
        }
        let (digest, sources) = (digest.0.to_vec(), store.origins(digest)?);
        all.push(v1::KeptArtifact { digest, size_bytes: size, sources, used_ms, tasks });
    }
    Ok(all.chunks(KEPT_PIECE).map(|piece| v1::ListKeptResponse { artifacts: piece.to_vec() }).collect())
}

impl From<ArtifactError> for Status {
    fn from(error: ArtifactError) -> Self {
        let message = error.to_string();
        match error {
            ArtifactError::WrongDigest { .. } => Self::invalid_argument(message),
            ArtifactError::TooLarge { .. }
            | ArtifactError::StoreFull { .. }
            | ArtifactError::TooManyUploaders { .. }
            | ArtifactError::DiskFull(_) => Self::resource_exhausted(message),
            ArtifactError::Needed { .. } => Self::failed_precondition(message),
            ArtifactError::OverLimit(over) => over.into(),
            ArtifactError::Disk(_) => Self::internal(message),
        }
    }
}

/// Whose an upload is: the caller's, or, when that is another master, whose it was there.
fn uploader(caller: &Caller, metadata: &MetadataMap) -> Result<PrincipalId, Status> {
    let who = caller.principal()?;
    if who.kind != Kind::Master {
        return Ok(who.id());
    }
    let told = metadata.get_bin(UPLOADER).and_then(|told| told.to_bytes().ok());
    let told = told.and_then(|told| std::str::from_utf8(&told).ok()?.parse().ok());
    told.ok_or_else(|| Status::invalid_argument("a master does not say who brought the artifact"))
}

fn artifact(digest: Digest, size_bytes: u64) -> v1::Artifact {
    v1::Artifact { digest: digest.0.to_vec(), size_bytes }
}

fn not_found(digest: Digest) -> Status {
    Status::not_found(format!("the master has no artifact {digest}"))
}

/// As much as one message carries; empty at the end.
pub(crate) fn next_chunk(mut file: File) -> Result<(File, Bytes), ArtifactError> {
    // Read into memory that nobody has to clear before.
    let mut chunk = Vec::with_capacity(ARTIFACT_PIECE);
    Read::by_ref(&mut file).take(ARTIFACT_PIECE as u64).read_to_end(&mut chunk)?;
    Ok((file, chunk.into()))
}

/// Does disk work off the threads that carry the network.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArtifactError> + Send + 'static,
) -> Result<T, Status> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(Status::from),
        Err(_) => Err(Status::internal("the artifact store failed unexpectedly; this is a bug")),
    }
}
