//! Streams that hold what others wait for: they give it up when nobody takes anything.

use std::future::ready;
use std::time::Duration;

use futures_util::stream::once;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// The same stream, one item ahead. When nothing is taken for so long, it ends with an error, and the source is dropped
/// with all that it holds, whether anybody reads on or not.
pub(super) fn while_taken<T: Send + 'static>(
    source: impl Stream<Item = Result<T, Status>> + Send + 'static,
    patience: Duration,
) -> impl Stream<Item = Result<T, Status>> + Send {
    let (items, taken) = mpsc::channel(1);
    let pump = tokio::spawn(async move {
        let mut source = std::pin::pin!(source);
        while let Some(item) = source.next().await {
            match timeout(patience, items.send(item)).await {
                Ok(Ok(())) => {}
                // Whoever read has gone.
                Ok(Err(_)) => return Ok(()),
                Err(_) => {
                    return Err(Status::deadline_exceeded(format!("nothing was taken for {} s", patience.as_secs())));
                }
            }
        }
        Ok(())
    });
    let end = once(pump).filter_map(|ended| {
        let ended = ended.unwrap_or_else(|_| Err(Status::internal("what was sent ended unexpectedly; this is a bug")));
        ready(ended.err().map(Err))
    });
    ReceiverStream::new(taken).chain(end)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::stream;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Ten numbers; they hold the place.
    fn numbers(place: Arc<()>) -> impl Stream<Item = Result<u32, Status>> + Send + 'static {
        stream::iter(0..10).map(move |number| {
            let _held = &place;
            Ok(number)
        })
    }

    #[tokio::test]
    async fn what_is_taken_is_the_same() {
        let taken: Vec<_> = while_taken(numbers(Arc::default()), PATIENCE).map(Result::unwrap).collect().await;

        assert_eq!(taken, (0..10).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_holds_no_place_and_hears_that_it_was_not_the_end() {
        let place = Arc::new(());
        let mut stream = Box::pin(while_taken(numbers(Arc::clone(&place)), PATIENCE));
        assert_eq!(stream.next().await.unwrap().unwrap(), 0);

        tokio::time::sleep(2 * PATIENCE).await;

        assert_eq!(Arc::strong_count(&place), 1);
        let rest: Vec<_> = stream.collect().await;
        let last = rest.last().unwrap().as_ref().unwrap_err();
        assert!(last.message().contains("nothing was taken for 30 s"), "{last}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_something_now_and_then_hears_all() {
        let mut stream = Box::pin(while_taken(numbers(Arc::default()), PATIENCE));
        let mut taken = 0;

        while let Some(item) = stream.next().await {
            item.unwrap();
            taken += 1;
            tokio::time::sleep(PATIENCE / 2).await;
        }

        assert_eq!(taken, 10);
    }
}
