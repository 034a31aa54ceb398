//! Which of several masters is spoken to: each is tried in turn, and one that stands by tells who leads.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use haggle_core::Backoff;
use haggle_proto::LEADER;
use haggle_tls::{Pass, Token};
use tonic::Status;

use crate::address::{normalised, secured};
use crate::credentials::{Connection, Credentials, connect, connect_lazy};
use crate::error::ConnectError;

/// A master on the same machine is up a few milliseconds after it was started.
const PAUSE_FIRST: Duration = Duration::from_millis(2);

/// A program should be back within a second of its master.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// With several masters another one leads within seconds, and its frameworks are not to be what takes longest: those
/// that stand by answer at once.
const PAUSE_MAX_OF_SEVERAL: Duration = Duration::from_millis(250);

/// The pauses in a search among so many masters.
pub(crate) fn pauses(masters: usize) -> Backoff {
    Backoff::new(PAUSE_FIRST, if masters > 1 { PAUSE_MAX_OF_SEVERAL } else { PAUSE_MAX })
}

/// The masters of one cluster, and which of them is spoken to now.
pub(crate) struct Masters {
    urls: Vec<String>,
    credentials: Credentials,
    now: Mutex<Target>,
}

/// A master that is spoken to.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) channel: Connection,
    /// What the channel is made with.
    pass: Pass,
    /// Which choice this is: what comes of an older one changes nothing any more.
    choice: u64,
}

impl Masters {
    /// Reads `a,b,c`. Nobody is connected to yet.
    ///
    /// # Errors
    /// When one of them is no address.
    pub(crate) fn read(list: &str, credentials: Credentials) -> Result<Self, ConnectError> {
        let by_tls = matches!(&credentials, Credentials::Token(token, _) if token.authority.is_some());
        let whole = |url: &str| normalised(url.trim()).map(|url| if by_tls { secured(url) } else { url });
        let urls = list.split(',').map(whole).collect::<Result<Vec<_>, _>>()?;
        let first = urls.first().expect("a split has at least one part");
        let target = Target::new(first.clone(), credentials.pass(first), urls.len() > 1, 0)?;
        Ok(Self { urls, credentials, now: Mutex::new(target) })
    }

    /// All that were named.
    pub(crate) fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Whether there are others to ask when one does not answer.
    pub(crate) fn are_several(&self) -> bool {
        self.urls.len() > 1
    }

    /// Whom to call.
    pub(crate) fn target(&self) -> Target {
        self.locked().clone()
    }

    /// The target could not answer: chooses whom to call next. That is the master which leads, if the target knows it,
    /// else the next of the list. Says whether it is another one.
    pub(crate) fn move_on(&self, failed: &Target, status: &Status) -> bool {
        let mut now = self.locked();
        if now.choice != failed.choice {
            return now.url != failed.url;
        }
        let leader = status.metadata().get(LEADER).and_then(|url| normalised(url.to_str().ok()?).ok());
        let leader = leader.map(|url| if failed.url.starts_with("https") { secured(url) } else { url });
        let next = leader.filter(|url| *url != failed.url).unwrap_or_else(|| self.after(&failed.url));
        let pass = self.pass(&next);
        if next == failed.url && pass == failed.pass {
            return false;
        }
        let Ok(target) = Target::new(next, pass, self.are_several(), now.choice + 1) else { return false };
        tracing::info!(from = %failed.url, to = %target.url, why = %status.message(), "speaking to another master");
        *now = target;
        true
    }

    /// The target turned this program away: whether it may come with another token by now, since the master was started
    /// anew.
    pub(crate) fn refresh(&self, failed: &Target) -> bool {
        let mut now = self.locked();
        if now.choice != failed.choice {
            return true;
        }
        let pass = self.pass(&failed.url);
        if pass == failed.pass {
            return false;
        }
        let Ok(target) = Target::new(failed.url.clone(), pass, self.are_several(), now.choice + 1) else {
            return false;
        };
        *now = target;
        true
    }

    /// Connects to this one of the list, and speaks to it from now on.
    ///
    /// # Errors
    /// The outer one when that is of no use to repeat; the inner one when nobody answers.
    pub(crate) async fn connect(&self, url: &str) -> Result<Result<(), tonic::transport::Error>, ConnectError> {
        let pass = self.pass(url);
        let channel = match connect(url, &pass, self.are_several()).await? {
            Ok(channel) => channel,
            Err(error) => return Ok(Err(error)),
        };
        let mut now = self.locked();
        *now = Target { url: url.to_owned(), channel, pass, choice: now.choice + 1 };
        Ok(Ok(()))
    }

    /// The token with the authority that the masters have by now, if that is another one.
    pub(crate) fn followed_token(&self) -> Option<Token> {
        self.credentials.followed()
    }

    /// What a connection to this one would be made with. The user of a master that stands by comes to the one that leads, on
    /// whichever machine, as the user of that one.
    pub(crate) fn pass(&self, url: &str) -> Pass {
        let of_this = self.credentials.pass(url);
        if !of_this.is_nobodys() {
            return of_this;
        }
        let named = self.urls.iter().map(|named| self.credentials.pass(named));
        named.into_iter().find(|pass| !pass.is_nobodys()).unwrap_or(of_this)
    }

    /// The one behind `url` in the list; the first of it, behind a leader that is not in the list.
    fn after(&self, url: &str) -> String {
        let next = self.urls.iter().position(|known| known == url).map_or(0, |at| (at + 1) % self.urls.len());
        self.urls[next].clone()
    }

    fn locked(&self) -> MutexGuard<'_, Target> {
        // A target is replaced as a whole.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Target {
    /// Where it is, as it is told of: as one of TLS when it is known by its certificate, however it was named.
    pub(crate) fn shown(&self) -> String {
        if self.pass.is_secure() { secured(self.url.clone()) } else { self.url.clone() }
    }

    /// With a channel that connects when it is first used.
    fn new(url: String, pass: Pass, of_several: bool, choice: u64) -> Result<Self, ConnectError> {
        let channel = connect_lazy(&url, &pass, of_several)?;
        Ok(Self { url, channel, pass, choice })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "http://a:5050";
    const B: &str = "http://b:5050";

    fn away() -> Status {
        Status::unavailable("connection refused")
    }

    fn standing_by(leader: &str) -> Status {
        let mut status = Status::unavailable("this master stands by");
        status.metadata_mut().insert(LEADER, leader.parse().unwrap());
        status
    }

    #[tokio::test]
    async fn masters_are_tried_in_turn() {
        let masters = Masters::read("a, b", Credentials::Owner(None)).unwrap();

        let mut tried = Vec::new();
        for _ in 0..3 {
            let target = masters.target();
            assert!(masters.move_on(&target, &away()));
            tried.push(target.url);
        }

        assert_eq!(tried, [A, B, A]);
    }

    #[tokio::test]
    async fn a_master_that_stands_by_leads_to_the_one_that_leads_at_once() {
        let masters = Masters::read("a,b,c", Credentials::Owner(None)).unwrap();

        assert!(masters.move_on(&masters.target(), &standing_by("http://10.0.0.9:5051")));
        assert_eq!(masters.target().url, "http://10.0.0.9:5051");

        assert!(masters.move_on(&masters.target(), &away()));
        assert_eq!(masters.target().url, A);
    }

    #[tokio::test]
    async fn what_an_older_choice_came_to_changes_nothing() {
        let masters = Masters::read("a,b", Credentials::Owner(None)).unwrap();
        let old = masters.target();
        masters.move_on(&old, &away());

        assert!(masters.move_on(&old, &away()));

        assert_eq!(masters.target().url, B);
    }

    #[tokio::test]
    async fn there_is_nobody_else_behind_a_single_master() {
        let masters = Masters::read("a", Credentials::Owner(None)).unwrap();

        assert!(!masters.move_on(&masters.target(), &away()));
        assert!(!masters.move_on(&masters.target(), &standing_by(A)));
    }

    #[test]
    fn one_wrong_address_in_a_list_is_named() {
        let error = Masters::read("a,,b", Credentials::Owner(None)).err().unwrap().to_string();

        assert!(error.starts_with("\"\" is not a master's address"), "{error}");
    }
}
