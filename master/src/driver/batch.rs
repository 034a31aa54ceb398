//! What is taken from the inbox at once, and when.

use std::future::ready;
use std::time::Instant;

use futures_util::FutureExt;
use haggle_core::SessionId;
use tokio::task::yield_now;
use tokio::time::sleep_until;

use crate::handle::{Inbox, REQUESTS, Request};
use crate::inbox::{Heard, Kind, Round, Share};

/// What is taken from the inbox at once.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) requests: Vec<Request>,
    pub(super) sayings: Vec<Heard>,
    /// Sessions of agents that said that they live.
    pub(super) beats: Vec<SessionId>,
    /// What asks for a write is held for now.
    pub(super) rests: bool,
    /// How far the turns of agents and of frameworks have come with it.
    pub(super) rounds: [Round; 2],
    /// Who brought about so many effects with it.
    pub(super) effects: Vec<(Kind, Share, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    GoOn,
    Stop,
}

impl Batch {
    /// Takes what waits; when nothing does, waits for it, until `look`, unless the cluster is `behind`. Before the end of the `rest`,
    /// what asks for a write is held.
    pub(super) async fn take(&mut self, inbox: &mut Inbox, look: Instant, rest: Option<Instant>, behind: bool) -> Next {
        // Where something is held, there is something to do at the end of the rest, and at once without one.
        let look = match rest {
            _ if inbox.sayings.holds() => rest.unwrap_or_else(Instant::now),
            Some(rest) => look.max(rest),
            None => look,
        };
        if behind || inbox.sayings.is_ready() || !inbox.requests.is_empty() {
            // Whoever else has work on this thread has a turn between two batches.
            yield_now().await;
        }
        tokio::select! {
            biased;
            taken = inbox.requests.recv_many(&mut self.requests, REQUESTS) => if taken == 0 {
                // Every handle is gone, and with them everyone who could be served.
                return Next::Stop;
            },
            () = inbox.sayings.some() => {}
            () = ready(()), if behind => {}
            // What has come to a socket by now is heard before it is looked whether somebody was silent.
            () = sleep_until(look.into()) => yield_now().await,
        }
        self.rests = rest.is_some_and(|rest| Instant::now() < rest);
        // Words first: a session is opened by a request, which then waits by the time that the first word does.
        self.rounds = inbox.sayings.take(&mut self.sayings, !self.rests);
        inbox.sayings.take_beats(&mut self.beats);
        let _ = inbox.requests.recv_many(&mut self.requests, REQUESTS).now_or_never();
        Next::GoOn
    }
}
