//! What a task writes: its end for a page, what follows as a stream, and all that is kept as a file.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, try_unfold};
use haggle_core::access::Principal;
use haggle_core::{SessionId, TaskId};
use haggle_pages::link::Query;
use haggle_pages::parts::lines;
use haggle_pages::views::LogTail;
use haggle_proto::v1;
use haggle_proto::v1::OutputStream;
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::json;
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::request::Parts;
use tonic::codegen::http::{Response, StatusCode};

use super::Pages;
use super::answer::{Form, begun};
use super::live::{data, streamed};
use crate::grpc::{agent_of, read_log};

/// Bytes of the end that a page shows at once: some hundred lines.
const TAIL: u64 = 64 << 10;

/// How long a page waits for it: an agent that lives answers within milliseconds.
const TAIL_WITHIN: Duration = Duration::from_secs(2);

/// Beyond any output: an agent answers with where it ends.
const END: u64 = u64::MAX;

const fn name(stream: OutputStream) -> &'static str {
    match stream {
        OutputStream::Stderr => "stderr",
        OutputStream::Stdout | OutputStream::Unspecified => "stdout",
    }
}

fn order(task: TaskId, stream: OutputStream, offset: u64) -> v1::ReadLogOrder {
    v1::ReadLogOrder { request: 0, task: Some(task.into()), stream: stream.into(), offset, wait: false }
}

impl Pages {
    /// The end of what a task wrote, or why it cannot be read.
    pub(super) async fn tail(&self, task: TaskId, stream: OutputStream, who: &Principal) -> LogTail {
        let read = async {
            let agent = agent_of(&self.handle, task, who.clone()).await?;
            let end = self.piece(agent, order(task, stream, END)).await?.offset;
            let mut from = end.saturating_sub(TAIL);
            let (first, mut bytes) = (from, Vec::new());
            while from < end {
                let piece = self.piece(agent, order(task, stream, from)).await?;
                if piece.data.is_empty() {
                    break;
                }
                from = piece.offset + piece.data.len() as u64;
                bytes.extend_from_slice(&piece.data);
            }
            Ok::<_, Status>((from - (bytes.len() as u64).min(from - first), bytes))
        };
        match timeout(TAIL_WITHIN, read).await {
            Ok(Ok((from, bytes))) => LogTail { stream: name(stream), text: Ok(bytes), from },
            Ok(Err(status)) => LogTail { stream: name(stream), text: Err(status.message().to_owned()), from: 0 },
            Err(_) => {
                let why = format!("the task's agent did not answer within {} s", TAIL_WITHIN.as_secs());
                LogTail { stream: name(stream), text: Err(why), from: 0 }
            }
        }
    }

    async fn piece(&self, agent: SessionId, order: v1::ReadLogOrder) -> Result<v1::LogChunk, Status> {
        let chunk = self.logs.ask(agent, order).await?;
        if chunk.error.is_empty() { Ok(chunk) } else { Err(Status::not_found(chunk.error)) }
    }

    /// All that is kept, as a file; or what comes from an offset on, as it comes.
    pub(super) async fn log(
        &self,
        task: TaskId,
        stream: OutputStream,
        query: &Query,
        who: Principal,
        head: &Parts,
    ) -> Result<Response<Body>, Status> {
        let agent = agent_of(&self.handle, task, who.clone()).await?;
        let follow = Form::of(head) == Form::Stream;
        let offset = query.get("from").parse().unwrap_or(0);
        let request = v1::ReadLogRequest { task: Some(task.into()), stream: stream.into(), offset, follow };
        let pieces = read_log(Arc::clone(&self.logs), agent, request);
        let known = self.guard.known();
        if !follow {
            let frames = known.while_valid(who, pieces).map(|piece| Ok::<_, Status>(Frame::data(piece?.data)));
            return Ok(begun(StatusCode::OK, "text/plain; charset=utf-8", Body::new(StreamBody::new(frames))));
        }
        let place = self.handle.house().watch()?;
        let pieces = known.while_valid(who, pieces);
        let told = try_unfold((pieces, Unfinished::default(), place), |(mut pieces, mut rest, place)| async move {
            let Some(piece) = pieces.next().await.transpose()? else { return Ok(None) };
            let next = piece.offset + piece.data.len() as u64;
            let text = lines(&rest.whole(&piece.data));
            let told = data("", &json!({ "text": text, "next": next }).to_string());
            Ok::<_, Status>(Some((told, (pieces, rest, place))))
        });
        // What ends by itself is not to be opened anew.
        let told = told.filter_map(|told| async { told.ok() });
        Ok(streamed(told.chain(stream::iter([data("end", "")])).map(Ok).boxed()))
    }
}

/// The beginning of a letter of which the rest is to come.
#[derive(Debug, Default)]
struct Unfinished(Vec<u8>);

impl Unfinished {
    /// What is whole with this behind it.
    fn whole(&mut self, more: &[u8]) -> String {
        self.0.extend_from_slice(more);
        let keep = match std::str::from_utf8(&self.0) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.0.len(),
        };
        let rest = self.0.split_off(keep);
        let text = String::from_utf8_lossy(&self.0).into_owned();
        self.0 = rest;
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_that_comes_in_two_pieces_is_one() {
        let mut unfinished = Unfinished::default();
        let text = "größer".as_bytes();

        let pieces: Vec<String> = text.chunks(1).map(|byte| unfinished.whole(byte)).collect();

        assert_eq!(pieces.concat(), "größer");
        assert_eq!(unfinished.whole(b"\xffx"), "\u{fffd}x");
    }
}
