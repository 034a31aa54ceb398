//! What waits to be sent on one session of this master's, and how much that may be.

use haggle_proto::outbox::{self, Limits};

pub(crate) use haggle_proto::outbox::{FellBehind, Level, Mail, Outbox};
pub(crate) use haggle_proto::weight::Weigh;

/// What may wait for one peer, in bytes. A peer that reads at all is never this far behind: the largest message
/// fits four times.
pub(crate) const WAITING_MAX: usize = 64 << 20;

/// About how much goes into one message, in bytes: some hundred offers. It is written at once, and whoever else has something to say
/// waits for that. Well below what a peer takes, so that only a single item which came in as large can go out
/// as large.
pub(crate) const MESSAGE_TARGET: usize = 256 << 10;

/// A new session's outbox and the stream that empties it. Since no item weighs nothing, the bytes bound their number.
pub(crate) fn outbox<T: Weigh>() -> (Outbox<T>, Mail<T>) {
    outbox::outbox(Limits { items: usize::MAX, bytes: WAITING_MAX, message: MESSAGE_TARGET })
}
