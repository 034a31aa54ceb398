//! What the sessions of agents and of frameworks have in common: reading until either side ends it.

use std::time::Duration;

use haggle_core::cluster::Command;
use tokio::time::{Instant, sleep_until};
use tonic::{Status, Streaming};
use tracing::debug;

use crate::inbox::Speaker;
use crate::outbox::Outbox;

/// How long a peer may take to introduce itself. Until then it holds a place and has given nothing.
const INTRODUCTION_WITHIN: Duration = Duration::from_secs(10);

/// Reads a session to its end, passing on what `understand` makes of each message.
///
/// When a message breaks the contract, the session ends with that as its last word. The caller tells the driver
/// of the end. What a framework's first message says of it may change how it speaks from then on.
pub(super) async fn read<M: prost::Message + Default, T>(
    mut inbound: Streaming<M>,
    speaker: &mut Speaker,
    outbox: &Outbox<T>,
    mut understand: impl FnMut(M, &mut Speaker) -> Result<Vec<Command>, Status>,
) {
    let introduction = sleep_until(Instant::now() + INTRODUCTION_WITHIN);
    tokio::pin!(introduction);
    let mut introduced = false;
    let outcome = loop {
        let message = tokio::select! {
            message = inbound.message() => message,
            () = outbox.ended() => break Ok(()),
            () = &mut introduction, if !introduced => break Err(Status::deadline_exceeded(format!(
                "no introduction within {} s",
                INTRODUCTION_WITHIN.as_secs()
            ))),
        };
        let message = match message {
            Ok(Some(message)) => message,
            Ok(None) => break Ok(()),
            Err(status) => break Err(status),
        };
        let (message, bytes) = match whole(message, speaker) {
            Ok(whole) => whole,
            Err(status) => break Err(status),
        };
        let commands = match understand(message, speaker) {
            Ok(understood) => understood,
            Err(status) => break Err(status),
        };
        introduced |= !commands.is_empty();
        if let Err(stopping) = speaker.say(commands, bytes).await {
            break Err(stopping.into());
        }
    };
    match outcome {
        Ok(()) => outbox.close(),
        Err(status) => {
            debug!("{} ends: {}", speaker.session(), status.message());
            outbox.fail(status);
        }
    }
}

/// The message and its size in bytes. A large one has come by the intake, and an empty one in its place.
fn whole<M: prost::Message + Default>(message: M, speaker: &Speaker) -> Result<(M, usize), Status> {
    let Some(whole) = speaker.intake().take_whole() else {
        let bytes = message.encoded_len();
        return Ok((message, bytes));
    };
    let message = M::decode(&whole[..]).map_err(|error| Status::internal(error.to_string()))?;
    Ok((message, whole.len()))
}

/// What a peer may say of itself, in bytes on the wire. It is kept for as long as the peer is known, and goes
/// out with every offer.
const INFO_MAX: usize = 64 << 10;

/// Checks that a peer's introduction is not larger than what is worth keeping.
pub(super) fn check_size(whose: &str, info: Option<&impl prost::Message>) -> Result<(), Status> {
    match info.map(prost::Message::encoded_len) {
        Some(size) if size > INFO_MAX => Err(Status::invalid_argument(format!(
            "the info of the {whose} has {size} bytes, at most {INFO_MAX} are kept"
        ))),
        _ => Ok(()),
    }
}
