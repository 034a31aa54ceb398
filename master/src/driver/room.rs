//! What the driver does while the registry has no room: it keeps what it has decided, and decides nothing more.

use std::time::Instant;

use tokio::time::timeout_at;
use tracing::{error, info};

use super::Driver;
use crate::TRY_EVERY;
use crate::handle::{Inbox, NoRoom, Peer, Request};
use crate::registry::RegistryError;

impl Driver {
    /// Tries to settle the batch each second until it works. Meanwhile questions are answered, whoever comes is told
    /// why not, and what peers say waits where it is. None of that time counts: nobody is listened to.
    pub(super) async fn wait_for_room(&mut self, inbox: &mut Inbox, why: String) -> Result<(), RegistryError> {
        error!("{why}; nothing is decided until there is room, which is tried each second");
        let no_room = NoRoom(why);
        self.room.set(Some(no_room.clone()));
        self.answer();
        loop {
            let again = Instant::now() + TRY_EVERY;
            while !self.stop
                && let Ok(request) = timeout_at(again.into(), inbox.requests.recv()).await
            {
                // Without a request every handle is gone.
                self.refuse(request.unwrap_or(Request::Stop), &no_room);
            }
            if self.stop {
                return Ok(());
            }
            self.clock.skip(Instant::now());
            match self.settle().await {
                Err(RegistryError::Full(_)) => {}
                settled => {
                    settled?;
                    self.room.set(None);
                    info!("there is room for the registry again, the master goes on");
                    return Ok(());
                }
            }
        }
    }

    /// Answers what needs no room, and refuses the rest.
    pub(super) fn refuse(&mut self, request: Request, why: &NoRoom) {
        match request {
            Request::Open(_, _, Peer::Agent(outbox)) => outbox.fail(why.clone().into()),
            Request::Open(_, _, Peer::Framework(outbox)) => outbox.fail(why.clone().into()),
            // Who asked may have gone meanwhile.
            Request::Decide(.., verdict) => drop(verdict.send(Err(why.clone()))),
            Request::Ask(question) => question(&self.cluster, self.clock.now()),
            Request::Levels(answer) => drop(answer.send(self.peers.levels())),
            Request::Stop => self.stop = true,
        }
    }
}
