//! What the other masters of the cluster ask of this one's artifacts.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use haggle_proto::convert::digest;
use haggle_proto::v1;
use haggle_proto::v1::artifacts_server::Artifacts as _;
use tokio::task::spawn_blocking;
use tonic::{Request, Response, Status, Streaming};

use super::artifacts::{Artifacts, blocking};
use crate::access::Known;
use crate::artifacts::Store;
use crate::limits::{Limiter, Room};

/// Digests in one piece of a list: well below the largest message.
const PIECE: usize = 10_000;

pub(super) struct Masters {
    store: Arc<Store>,
    own: Artifacts,
}

impl Masters {
    pub(super) fn new(store: Arc<Store>, room: Room, limiter: Limiter) -> Self {
        // No master comes with a token that could end.
        Self { own: Artifacts::new(Arc::clone(&store), None, room, limiter, Known::default(), None, None), store }
    }
}

#[tonic::async_trait]
impl v1::masters_server::Masters for Masters {
    type FetchStream = BoxStream<'static, Result<v1::DownloadChunk, Status>>;
    type ListArtifactsStream = BoxStream<'static, Result<v1::ListArtifactsResponse, Status>>;

    async fn keep(&self, request: Request<Streaming<v1::UploadChunk>>) -> Result<Response<v1::Artifact>, Status> {
        self.own.upload(request).await
    }

    async fn fetch(&self, request: Request<v1::ArtifactRef>) -> Result<Response<Self::FetchStream>, Status> {
        self.own.download(request).await
    }

    async fn forget(&self, request: Request<v1::ForgetRequest>) -> Result<Response<v1::ForgetResponse>, Status> {
        let digests = request.into_inner().digests;
        let digests = digests.iter().map(|bytes| digest(bytes)).collect::<Result<Vec<_>, _>>()?;
        let store = Arc::clone(&self.store);
        blocking(move || store.forget(&digests)).await?;
        Ok(Response::new(v1::ForgetResponse {}))
    }

    async fn list_artifacts(
        &self,
        _: Request<v1::ListArtifactsRequest>,
    ) -> Result<Response<Self::ListArtifactsStream>, Status> {
        let store = Arc::clone(&self.store);
        let listed = spawn_blocking(move || store.list()).await;
        let digests = listed
            .map_err(|_| Status::internal("the artifact store failed unexpectedly; this is a bug"))?
            .map_err(Status::from)?;
        let pieces: Vec<_> = digests
            .chunks(PIECE)
            .map(|piece| {
                Ok(v1::ListArtifactsResponse { digests: piece.iter().map(|digest| digest.0.to_vec()).collect() })
            })
            .collect();
        Ok(Response::new(stream::iter(pieces).boxed()))
    }
}
