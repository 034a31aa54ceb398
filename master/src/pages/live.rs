//! A page as it lives: rendered anew when something happened, and sent when it is another.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream, try_unfold};
use haggle_core::access::Principal;
use haggle_pages::link::Query;
use haggle_pages::text::time;
use haggle_pages::views::{event_row, queue_rows};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::time::{sleep, timeout};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Response, StatusCode};

use super::Pages;
use super::answer::begun;
use super::look::Boxed;
use super::route::Route;
use crate::happenings::{FellBehind, Happening, Watcher, What};

/// Between two of a page, at least: nobody reads faster.
const EVERY: Duration = Duration::from_millis(500);

/// When nothing happens. What is counted in time changes all the same.
const QUIET: Duration = Duration::from_secs(5);

/// How often as long as a page took its reader waits for the next: a page that is expensive comes seldom, and all readers
/// take a small part of the driver's time.
const REST: u32 = 19;

/// Whatever a page took, its reader waits no longer.
const LONGEST: Duration = Duration::from_secs(30);

/// Text of one event of a stream.
pub(super) fn data(event: &str, text: &str) -> Bytes {
    let mut told = String::with_capacity(text.len() + 64);
    if !event.is_empty() {
        told.push_str("event: ");
        told.push_str(event);
        told.push('\n');
    }
    for line in text.split(['\n', '\r']) {
        told.push_str("data: ");
        told.push_str(line);
        told.push('\n');
    }
    told.push('\n');
    told.into()
}

/// An answer that does not end by itself.
pub(super) fn streamed(pieces: BoxStream<'static, Result<Bytes, Infallible>>) -> Response<Body> {
    let frames = pieces.map(|piece| piece.map(Frame::data).map_err(|never| match never {}));
    let frames: BoxStream<'static, Result<Frame<Bytes>, Status>> = frames.boxed();
    begun(StatusCode::OK, "text/event-stream", Body::new(StreamBody::new(frames)))
}

/// Somebody who looks at a page.
struct Reader {
    pages: Pages,
    route: Route,
    query: Query,
    who: Principal,
    watcher: Watcher,
    last: String,
    rest: Duration,
}

impl Pages {
    /// A page again and again.
    ///
    /// # Errors
    /// When too many watch, or it may not be seen.
    pub(super) async fn live(&self, route: Route, query: Query, who: Principal) -> Result<Response<Body>, Status> {
        if let Some(verb) = route.verb() {
            who.check(verb).map_err(|denied| Status::permission_denied(denied.to_string()))?;
        }
        let watcher = self.handle.watch(&who)?;
        // What cannot be shown is told at once, and in words of HTTP.
        let view = self.look(&route, &query, &who).await?;
        let reader =
            Reader { pages: self.clone(), route, query, who: who.clone(), watcher, last: view.content(), rest: EVERY };
        let first = stream::iter([Ok(data("", &reader.last))]);
        let rest = try_unfold(reader, |mut reader| async move { Ok(reader.next().await?.map(|page| (page, reader))) });
        let pages = self.guard.known().while_valid(who, first.chain(rest));
        Ok(streamed(until_trouble(pages)))
    }

    /// What happens, row by row.
    ///
    /// # Errors
    /// When too many watch.
    pub(super) fn events(&self, who: Principal) -> Result<Response<Body>, Status> {
        let watcher = self.handle.watch(&who)?;
        let rows = try_unfold(watcher, |watcher| async {
            let Some(happening) = watcher.next().await? else { return Ok(None) };
            Ok::<_, Status>(Some((rows(&happening), watcher)))
        });
        // Its headers come with the first of it.
        let begin = stream::iter([Ok(Bytes::from_static(b": listens\n\n"))]);
        Ok(streamed(until_trouble(self.guard.known().while_valid(who, begin.chain(rows)))))
    }
}

/// A row for each that it is of; of many tasks in a queue as many as anybody sees.
fn rows(happening: &Happening) -> Bytes {
    let at = time(std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(happening.time_ms));
    match &happening.what {
        What::Said(what) => data("", &event_row(at, what)),
        What::Queued(news) => queue_rows(&at, news).iter().flat_map(|row| data("", row)).collect::<Vec<_>>().into(),
    }
}

/// Ends where something goes wrong: the reader comes again, and hears of it.
fn until_trouble(pieces: BoxStream<'static, Result<Bytes, Status>>) -> BoxStream<'static, Result<Bytes, Infallible>> {
    pieces
        .take_while(|piece| std::future::ready(piece.is_ok()))
        .filter_map(|piece| async { piece.ok().map(Ok) })
        .boxed()
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            sleep(self.rest).await;
            // Whoever missed some has missed nothing that the next page would not show.
            if let Ok(Ok::<_, FellBehind>(None)) = timeout(QUIET, self.watcher.next()).await {
                return Ok(None);
            }
            self.watcher.skip();
            let began = Instant::now();
            let view: Boxed = self.pages.look(&self.route, &self.query, &self.who).await?;
            let content = view.content();
            self.rest = began.elapsed().saturating_mul(REST).clamp(EVERY, LONGEST);
            if content != self.last {
                self.last = content;
                return Ok(Some(data("", &self.last)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_an_event_of_a_stream() {
        assert_eq!(data("", "a\n\nevent: x\rb"), "data: a\ndata: \ndata: event: x\ndata: b\n\n");
        assert_eq!(data("end", ""), "event: end\ndata: \n\n");
    }
}
