//! Sessions of schedulers: each is one of the core's, whose words come in calls of their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use haggle_core::FrameworkId;
use haggle_core::access::PrincipalId;
use haggle_core::cluster::{Command, FrameworkCommand, FrameworkEvent};
use haggle_mesos::meaning::Dialect;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tonic::Status;

use super::names::Names;
use crate::inbox::Speaker;
use crate::outbox::Outbox;

/// Calls that wait for their session to speak. Whoever makes more waits.
const CALLS: usize = 8;

/// What one call has said.
pub(super) struct Words {
    pub(super) commands: Vec<FrameworkCommand>,
    /// The size of its body.
    pub(super) bytes: usize,
    /// Held until it was said.
    pub(super) places: Vec<OwnedSemaphorePermit>,
}

/// One session, as calls find it.
pub(super) struct Session {
    pub(super) dialect: Dialect,
    /// Who may speak on it.
    pub(super) who: PrincipalId,
    pub(super) names: Arc<Names>,
    pub(super) outbox: Outbox<FrameworkEvent>,
    /// Large bodies come one by one.
    pub(super) large: Arc<Semaphore>,
    /// Those of all sessions of its principal.
    pub(super) large_of_principal: Arc<Semaphore>,
    pub(super) calls: mpsc::Sender<Words>,
}

/// Every session, by the id of its stream. Clones are of the same.
#[derive(Clone, Default)]
pub(super) struct Sessions(Arc<Mutex<HashMap<String, Arc<Session>>>>);

impl Sessions {
    /// The session of a stream.
    pub(super) fn get(&self, stream: &str) -> Option<Arc<Session>> {
        self.lock().get(stream).cloned()
    }

    /// Whether a framework has a stream of any id.
    pub(super) fn has(&self, framework: FrameworkId) -> bool {
        self.lock().values().any(|session| session.dialect.framework == framework)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session can be found until the value that this gives is dropped. It shares places with others of its principal.
    pub(super) fn enter(&self, mut session: Session) -> Result<Entered, Status> {
        let mut drawn = [0; 16];
        getrandom::fill(&mut drawn).map_err(|error| Status::internal(format!("no stream id can be drawn: {error}")))?;
        let [a, b, c, d, e] = [&drawn[..4], &drawn[4..6], &drawn[6..8], &drawn[8..10], &drawn[10..]].map(hex);
        let stream = format!("{a}-{b}-{c}-{d}-{e}");
        let mut sessions = self.lock();
        if let Some(other) = sessions.values().find(|other| other.who == session.who) {
            session.large_of_principal = Arc::clone(&other.large_of_principal);
        }
        sessions.insert(stream.clone(), Arc::new(session));
        drop(sessions);
        Ok(Entered { sessions: self.clone(), stream })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A session that can be found.
pub(super) struct Entered {
    sessions: Sessions,
    pub(super) stream: String,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.stream);
    }
}

/// Speaks what calls say, in their order, until either side ends the session.
pub(super) async fn speak(
    mut speaker: Speaker,
    outbox: Outbox<FrameworkEvent>,
    mut calls: mpsc::Receiver<Words>,
    place: OwnedSemaphorePermit,
) {
    loop {
        let words = tokio::select! {
            words = calls.recv() => words,
            () = outbox.ended() => None,
        };
        let Some(words) = words else { break };
        if !say(&mut speaker, words).await {
            outbox.fail(Status::unavailable("the master is stopping"));
            break;
        }
    }
    // A driver that has stopped has ended every session.
    let _ = speaker.end();
    drop(place);
}

async fn say(speaker: &mut Speaker, Words { commands, bytes, places }: Words) -> bool {
    let session = speaker.session();
    let commands = commands.into_iter().map(|command| Command::Framework(session, command.into())).collect();
    let said = speaker.say(commands, bytes).await.is_ok();
    drop(places);
    said
}

/// Where the words of a session go in.
pub(super) fn words() -> (mpsc::Sender<Words>, mpsc::Receiver<Words>) {
    mpsc::channel(CALLS)
}
