//! An upload that arrives: not too slowly, for it holds one of a few turns.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use haggle_proto::v1::UploadChunk;
use tokio::time::{Instant, timeout_at};
use tonic::Status;

/// The longest time between two chunks.
pub(super) const STALLED: Duration = Duration::from_secs(30);

/// The least that arrives, in bytes a second, [`STALLED`] after it began: a tenth of what a slow mobile line carries.
const SLOWEST: u64 = 4 << 10;

/// The chunks of one upload.
pub(super) struct Arriving<S> {
    chunks: S,
    began: Instant,
    bytes: u64,
}

impl<S: Stream<Item = Result<UploadChunk, Status>> + Unpin> Arriving<S> {
    pub(super) fn new(chunks: S) -> Self {
        Self { chunks, began: Instant::now(), bytes: 0 }
    }

    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// When the upload breaks, nothing comes for [`STALLED`], or all in all less than 4 KiB a second.
    pub(super) async fn next(&mut self) -> Result<Option<UploadChunk>, Status> {
        let stalled = Instant::now() + STALLED;
        let too_slow = self.began + STALLED + Duration::from_secs(self.bytes / SLOWEST);
        let chunk = timeout_at(stalled.min(too_slow), self.chunks.next()).await.map_err(|_| {
            Status::deadline_exceeded(match too_slow < stalled {
                true => format!("{} bytes came in {} s, which is too slow", self.bytes, self.began.elapsed().as_secs()),
                false => format!("nothing came for {} s", STALLED.as_secs()),
            })
        })?;
        let chunk = chunk.transpose()?;
        self.bytes += chunk.as_ref().map_or(0, |chunk| chunk.data.len() as u64);
        Ok(chunk)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{self, BoxStream};
    use tokio::time::sleep;

    use super::*;

    /// So many chunks of so many bytes, each of them so long after the one before.
    fn upload(
        chunks: usize,
        bytes: usize,
        each: Duration,
    ) -> Arriving<BoxStream<'static, Result<UploadChunk, Status>>> {
        let chunk = move |_| async move {
            sleep(each).await;
            Ok(UploadChunk { data: vec![0; bytes].into(), ..UploadChunk::default() })
        };
        Arriving::new(stream::iter(0..chunks).then(chunk).boxed())
    }

    async fn whole(mut upload: Arriving<BoxStream<'static, Result<UploadChunk, Status>>>) -> Result<u64, Status> {
        while upload.next().await?.is_some() {}
        Ok(upload.bytes)
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_on_a_slow_line_comes_to_its_end() {
        assert_eq!(whole(upload(200, 8 << 10, Duration::from_secs(1))).await.unwrap(), 200 * (8 << 10));
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_trickles_or_stands_still_is_ended() {
        for (bytes, each) in [(1, 20), (0, 1), (1 << 20, 31)] {
            let ended = whole(upload(1_000, bytes, Duration::from_secs(each))).await.unwrap_err();
            assert_eq!(ended.code(), tonic::Code::DeadlineExceeded, "{ended}");
        }
    }
}
