//! How much one principal may have and do, so that nobody else notices when it wants too much.
//!
//! ```text
//! guard ─────── connections, calls, logs, watches, transfers ─┐
//! artifacts ─── bytes brought and kept ───────────────────────┼─> RESOURCE_EXHAUSTED with the name of the limit
//! cluster ───── frameworks, tasks ────────────────────────────┘
//! ```
//!
//! What is said on a session is not counted here: heartbeats, acknowledgements and updates are bounded by the window of
//! their stream, and everybody takes turns at being heard.

mod count;
mod each;
mod flow;
mod held;
mod house;
mod places;
mod renewals;
mod source;
mod table;

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use haggle_core::access::{Principal, Verb};
use haggle_proto::LIMIT;
use tonic::Status;
use tonic::metadata::MetadataValue;
use tracing::warn;

pub use places::{NotPlaces, Places, PlacesSetting};
pub use table::{Limit, LimitSetting, Limits, NotALimit};

pub(crate) use count::{LATE, Over, Report};
pub(crate) use each::Each;
pub(crate) use flow::Valve;
pub(crate) use held::held;
#[cfg(test)]
pub(crate) use house::LISTS;
pub(crate) use house::{
    BySource, Door, HANDSHAKES, HANDSHAKES_A_SECOND, HANDSHAKES_OF_ONE, House, Room, Seat, Shared, Taken,
};
pub(crate) use places::LOBBY;
pub(crate) use renewals::Asker;
pub(crate) use source::Source;

use count::{Key, Principals};

/// A budget of one of those who are limited.
pub(crate) type Bucket = haggle_core::Bucket<Instant>;

impl From<Over> for Status {
    fn from(over: Over) -> Self {
        at_limit(over.limit.name(), over.to_string())
    }
}

/// How a limit is told on the wire, with its name for programs.
pub(crate) fn at_limit(name: &'static str, why: String) -> Status {
    let mut status = Status::resource_exhausted(why);
    status.metadata_mut().insert(LIMIT, MetadataValue::from_static(name));
    status
}

/// Counts. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Limiter(Arc<Mutex<Principals>>);

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self(Arc::new(Mutex::new(Principals::new(limits))))
    }

    /// A call is begun on that connection. What it holds is held until the places are dropped.
    ///
    /// # Errors
    /// When the caller is at a limit.
    pub(crate) fn begin(
        &self,
        who: &Principal,
        verb: Verb,
        connection: Option<(&Counted, &Valve)>,
        now: Instant,
    ) -> Result<Begun, Over> {
        let Some(key) = Key::of(who) else { return Ok(Begun::default()) };
        let begin = || -> Result<Begun, Over> {
            let wait = self.lock().call(who, &key, now, cost(verb))?;
            if let Some((counted, valve)) = connection {
                counted.count(|| {
                    let place = self.hold(who, &key, Limit::Connections, now)?;
                    if let Some(flow) = self.lock().flow(&key, now) {
                        valve.join(flow);
                    }
                    Ok(place)
                })?;
            }
            let mut places = vec![self.hold(who, &key, Limit::CallsOpen, now)?];
            if let Some(limit) = held_by(verb) {
                places.push(self.hold(who, &key, limit, now)?);
            }
            if matches!(verb, Verb::Upload | Verb::Pull) {
                self.lock().may_bring(who, &key, now)?;
            }
            Ok(Begun { wait, places })
        };
        begin().inspect_err(|over| self.complain(who, over.limit, over, now))
    }

    /// A call is refused whose caller may not make it. It is a call all the same.
    ///
    /// # Errors
    /// When the caller makes too many.
    pub(crate) fn denied(&self, who: &Principal, now: Instant) -> Result<(), Over> {
        let Some(key) = Key::of(who) else { return Ok(()) };
        let called = self.lock().call(who, &key, now, 1);
        called.map(drop).inspect_err(|over| self.complain(who, over.limit, over, now))
    }

    /// How late somebody is to hear that it wants too much: the later, the more often it does.
    pub(crate) fn late(&self, who: Option<&Principal>, now: Instant) -> Duration {
        who.and_then(Key::of).map_or(LATE, |key| self.lock().late(&key, now))
    }

    /// So many bytes of an artifact have come.
    ///
    /// # Errors
    /// When that is more than it may bring within a day.
    pub(crate) fn bring(&self, who: &Principal, bytes: u64, now: Instant) -> Result<(), Over> {
        let Some(key) = Key::of(who) else { return Ok(()) };
        let brought = self.lock().bring(who, &key, now, bytes);
        brought.inspect_err(|over| self.complain(who, over.limit, over, now))
    }

    /// How much it may have of something that is counted elsewhere. `None`: it has no limit.
    pub(crate) fn most(&self, who: &Principal, limit: Limit) -> Option<u64> {
        Key::of(who).map(|_| self.lock().limit(limit))
    }

    /// How high one is; `u64::MAX` for none.
    pub(crate) fn limit(&self, limit: Limit) -> u64 {
        self.lock().limit(limit)
    }

    /// What everybody has who is limited and known.
    pub(crate) fn report(&self, now: Instant) -> Vec<Report> {
        self.lock().report(now)
    }

    /// Counts that somebody wanted more than a limit, and says so in the log, once a minute.
    pub(crate) fn complain(&self, who: &Principal, limit: Limit, over: &dyn Display, now: Instant) {
        let Some(key) = Key::of(who) else { return };
        let due = self.lock().complain(&key, now, limit);
        match due {
            None => {}
            Some(0) => warn!("{over}"),
            Some(kept) => warn!("{over}; {kept} more were refused since the last such line"),
        }
    }

    fn hold(&self, who: &Principal, key: &Key, limit: Limit, now: Instant) -> Result<Place, Over> {
        self.lock().hold(who, key, now, limit)?;
        Ok(Place { limiter: self.clone(), key: key.clone(), limit })
    }

    fn lock(&self) -> MutexGuard<'_, Principals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether somebody has limits.
pub(crate) fn is_limited(who: &Principal) -> bool {
    Key::of(who).is_some()
}

/// A call that may be made.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    /// Before it is looked at any further: so that many calls of one principal come evenly.
    pub(crate) wait: Duration,
    /// What it holds until its end.
    pub(crate) places: Vec<Place>,
}

/// As how many small calls one counts: an agent has a part in a log that is read, and a list is read from the one thread that
/// decides.
fn cost(verb: Verb) -> u64 {
    match held_by(verb) {
        Some(Limit::LogReads | Limit::Lists) => 2,
        _ => 1,
    }
}

/// What a call holds beside a place among all calls.
fn held_by(verb: Verb) -> Option<Limit> {
    match verb {
        Verb::Watch => Some(Limit::Watches),
        Verb::ListAgents
        | Verb::ListFrameworks
        | Verb::ListRoles
        | Verb::ListOffers
        | Verb::ListTasks
        | Verb::ListTokens
        | Verb::ListVolumes
        | Verb::ListLimits
        | Verb::ListMaintenance
        | Verb::ListKept
        | Verb::Why
        | Verb::ReadMetrics
        | Verb::ReadAudit => Some(Limit::Lists),
        Verb::ReadLog => Some(Limit::LogReads),
        Verb::Upload | Verb::Download | Verb::Pull => Some(Limit::Transfers),
        _ => None,
    }
}

/// One of those that a principal holds; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    limiter: Limiter,
    key: Key,
    limit: Limit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.limiter.lock().release(&self.key, self.limit);
    }
}

/// For whom a connection is counted: whoever is the first that is let in on it. Goes with the connection and its last call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted(Arc<Mutex<Option<Place>>>);

impl Counted {
    fn count(&self, hold: impl FnOnce() -> Result<Place, Over>) -> Result<(), Over> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.is_none() {
            *counted = Some(hold()?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_is_counted() {
        let lists = Verb::ALL.iter().filter(|verb| verb.rpc().is_some_and(|rpc| rpc.starts_with("Operator/List")));

        for &verb in lists {
            assert_eq!(held_by(verb), Some(Limit::Lists), "{verb:?}");
        }
    }
}
