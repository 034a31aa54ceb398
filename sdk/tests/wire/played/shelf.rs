//! The artifacts of a played master.

use std::sync::Arc;

use haggle_proto::v1;
use haggle_proto::v1::artifacts_server::Artifacts;
use sha2::{Digest as _, Sha256};
use tokio_stream::StreamExt;
use tonic::{Request, Response, Status, Streaming};

use super::Stage;
use super::office::Answers;

/// What it keeps in memory.
pub(super) struct Shelf(pub(super) Arc<Stage>);

#[tonic::async_trait]
impl Artifacts for Shelf {
    type DownloadStream = Answers<v1::DownloadChunk>;
    type PullStream = Answers<v1::PullProgress>;
    type ListKeptStream = Answers<v1::ListKeptResponse>;

    async fn upload(&self, request: Request<Streaming<v1::UploadChunk>>) -> Result<Response<v1::Artifact>, Status> {
        *self.0.uploads.lock().unwrap() += 1;
        let mut chunks = request.into_inner();
        let (mut expected, mut data) = (Vec::new(), Vec::new());
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            expected.extend(chunk.expected);
            data.extend_from_slice(&chunk.data);
        }
        let digest = Sha256::digest(&data).to_vec();
        if !expected.is_empty() && expected != digest {
            return Err(Status::invalid_argument("the bytes have another digest"));
        }
        let size_bytes = data.len() as u64;
        self.0.artifacts.lock().unwrap().insert(digest.clone(), data);
        Ok(Response::new(v1::Artifact { digest, size_bytes }))
    }

    async fn download(&self, request: Request<v1::ArtifactRef>) -> Result<Response<Self::DownloadStream>, Status> {
        let digest = request.into_inner().digest;
        let data = self.0.artifacts.lock().unwrap().get(&digest).cloned();
        let data = data.ok_or_else(|| Status::not_found("the master has no such artifact"))?;
        let chunks: Vec<_> =
            data.chunks(1 << 16).map(|data| Ok(v1::DownloadChunk { data: data.to_vec().into() })).collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks))))
    }

    async fn stat(&self, request: Request<v1::ArtifactRef>) -> Result<Response<v1::Artifact>, Status> {
        self.0.refuse()?;
        let digest = request.into_inner().digest;
        let size = self.0.artifacts.lock().unwrap().get(&digest).map(Vec::len);
        let size_bytes = size.ok_or_else(|| Status::not_found("the master has no such artifact"))? as u64;
        Ok(Response::new(v1::Artifact { digest, size_bytes }))
    }

    async fn pull(&self, request: Request<v1::PullRequest>) -> Result<Response<Self::PullStream>, Status> {
        let request = request.into_inner();
        let data = self.0.elsewhere.lock().unwrap().get(&request.source).cloned();
        let data = data.ok_or_else(|| Status::invalid_argument(format!("{}: nothing is there", request.source)))?;
        let (digest, size_bytes) = (Sha256::digest(&data).to_vec(), data.len() as u64);
        self.0.artifacts.lock().unwrap().insert(digest.clone(), data);
        let done = v1::Pulled { digest, size_bytes, pinned: format!("{}@pinned", request.source) };
        self.0.pulls.lock().unwrap().push(request);
        let told = v1::PullProgress { fetched_bytes: size_bytes, size_bytes, done: Some(done) };
        Ok(Response::new(Box::pin(tokio_stream::iter([Ok(told)]))))
    }

    async fn list_kept(&self, _: Request<v1::ListKeptRequest>) -> Result<Response<Self::ListKeptStream>, Status> {
        Err(unplayed())
    }

    async fn remove(&self, _: Request<v1::ArtifactRef>) -> Result<Response<v1::RemoveArtifactResponse>, Status> {
        Err(unplayed())
    }

    async fn collect(&self, _: Request<v1::CollectRequest>) -> Result<Response<v1::CollectResponse>, Status> {
        Err(unplayed())
    }
}

fn unplayed() -> Status {
    Status::unimplemented("no test asks this of a played master")
}
