//! What a task has written and no agent has stored.

use std::collections::VecDeque;

use bytes::Bytes;
use haggle_core::TaskId;

use super::wire::Report;
use crate::event::Stream;

/// The end of an output: what no agent has in a file yet.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// Offset of the first piece.
    start: u64,
    /// Offset behind the last piece.
    end: u64,
    /// How much of the output an agent has heard.
    received: u64,
    pieces: VecDeque<Bytes>,
}

impl Tail {
    /// Of a task's two outputs the one that this stream is.
    pub(super) fn of(outputs: &mut [Self; 2], stream: Stream) -> &mut Self {
        match stream {
            Stream::Stdout => &mut outputs[0],
            Stream::Stderr => &mut outputs[1],
        }
    }

    /// Tells what no agent has in a file.
    pub(super) fn tell(&self, task: TaskId, stream: Stream, report: &mut impl FnMut(Report)) {
        let mut offset = self.start;
        for bytes in &self.pieces {
            report(Report::Output { task, stream, offset, bytes: bytes.clone() });
            offset += bytes.len() as u64;
        }
    }

    /// Adds a piece, and says at which offset.
    pub(super) fn append(&mut self, bytes: Bytes) -> u64 {
        let offset = self.end;
        self.end += bytes.len() as u64;
        self.pieces.push_back(bytes);
        offset
    }

    /// Lets go of what is stored. What has only come to the agent is kept as a copy, so that the piece itself, for
    /// which the guest may be waiting, is free.
    pub(super) fn taken(&mut self, received: u64, stored: u64) {
        while let Some(first) = self.pieces.front() {
            let end = self.start + first.len() as u64;
            if end > stored {
                break;
            }
            self.start = end;
            self.pieces.pop_front();
        }
        let mut end = self.start;
        for piece in &mut self.pieces {
            end += piece.len() as u64;
            if end > received {
                break;
            }
            if end > self.received {
                *piece = Bytes::copy_from_slice(piece);
            }
        }
        self.received = self.received.max(received);
    }
}
