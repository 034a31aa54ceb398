//! How often a renewal of a certificate may be asked for: whoever reaches the port may, and each question costs the master
//! checks of signatures. Time is an argument.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use haggle_core::AgentId;
use tonic::Status;
use tracing::warn;

use super::Bucket;
use super::at_limit;
use super::house::Shared;
use super::source::Source;

/// In a minute, and so many at once, from one address or by one agent. A thousand agents behind NAT all come when their
/// power is back; half a millisecond of a processor each.
const FROM_ONE: u64 = 1_200;

/// The same, of all who are not known by their connection. A hundred a second take a twentieth of a processor.
const OF_STRANGERS: u64 = 6_000;

const MINUTE: Duration = Duration::from_secs(60);

/// With fewer than these, nobody need be forgotten.
const FEW: usize = 1_024;

/// In the log one line in so much time.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

const BY_ADDRESS: &str = "renewals-per-address";
const OF_ALL: &str = "renewals";

/// Who asks for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    /// An agent whose connection shows its certificate: it is kept apart from whoever shares its address.
    Agent(AgentId),
    /// Anybody, from there. `None`: nobody knows from where.
    Stranger(Option<Source>),
}

/// Counts them. Clones count the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Renewals(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    strangers: Bucket,
    /// Of those who asked within the minute, and of some before. What strangers may ask bounds how many that are.
    each: HashMap<Asker, Bucket>,
    forget_at: usize,
    /// How often more was asked, by one and in all.
    refused: [u64; 2],
    said: Option<Instant>,
}

impl Renewals {
    /// One is asked for.
    ///
    /// # Errors
    /// When too many are.
    pub(crate) fn ask(&self, who: Asker, now: Instant) -> Result<(), TooMany> {
        let mut counts = self.lock();
        let asked = counts.ask(who, now);
        if let Err(too_many) = &asked {
            counts.refused[usize::from(too_many.limit() == OF_ALL)] += 1;
            if counts.said.is_none_or(|said| now >= said + COMPLAIN_EVERY) {
                counts.said = Some(now);
                warn!("{too_many}");
            }
        }
        asked
    }

    /// How many there were within the minute, of whoever asked most and of all strangers.
    pub(crate) fn report(&self, now: Instant) -> [Shared; 2] {
        let counts = self.lock();
        let most = counts.each.values().map(|bucket| bucket.used(now, FROM_ONE, MINUTE)).max();
        let of = |name, what, most, has, refused| Shared { name, what, most, has, refused, in_bytes: false };
        let [by_one, in_all] = counts.refused;
        [
            of(BY_ADDRESS, "renewals a minute from one address, or by one agent", FROM_ONE, most.unwrap_or(0), by_one),
            of(
                OF_ALL,
                "renewals a minute of whoever shows no certificate",
                OF_STRANGERS,
                counts.strangers.used(now, OF_STRANGERS, MINUTE),
                in_all,
            ),
        ]
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn ask(&mut self, who: Asker, now: Instant) -> Result<(), TooMany> {
        // What is refused counts nowhere.
        let mut own = self.each.get(&who).copied().unwrap_or_default();
        own.take(now, 1, FROM_ONE, MINUTE).map_err(|after| TooMany { of: Some(who), after })?;
        if let Asker::Stranger(_) = who {
            self.strangers.take(now, 1, OF_STRANGERS, MINUTE).map_err(|after| TooMany { of: None, after })?;
        }
        if self.each.len() >= self.forget_at.max(FEW) {
            self.each.retain(|_, bucket| !bucket.is_full(now));
            self.forget_at = 2 * self.each.len();
        }
        self.each.insert(who, own);
        Ok(())
    }
}

/// More are asked for than there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct TooMany {
    /// `None`: of all strangers together.
    of: Option<Asker>,
    after: Duration,
}

impl TooMany {
    fn limit(&self) -> &'static str {
        if self.of.is_some() { BY_ADDRESS } else { OF_ALL }
    }
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = if self.of.is_some() { FROM_ONE } else { OF_STRANGERS };
        write!(f, "more than {most} renewals a minute are asked for ")?;
        match self.of {
            Some(Asker::Agent(agent)) => write!(f, "by {agent}")?,
            Some(Asker::Stranger(Some(source))) => write!(f, "from {source}")?,
            Some(Asker::Stranger(None)) | None => write!(f, "by whoever shows no certificate")?,
        }
        // Rounded up, for a wait that is too short is of no use.
        write!(f, " ({}): try again in {} s", self.limit(), self.after.as_secs() + 1)
    }
}

impl From<TooMany> for Status {
    fn from(too_many: TooMany) -> Self {
        at_limit(too_many.limit(), too_many.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn from(last: u32) -> Asker {
        Asker::Stranger(Some(Source::of(IpAddr::from((0x0a00_0000 + last).to_be_bytes()))))
    }

    fn granted(renewals: &Renewals, who: Asker, now: Instant) -> u64 {
        (0..2 * OF_STRANGERS).take_while(|_| renewals.ask(who, now).is_ok()).count() as u64
    }

    #[test]
    fn one_address_asks_so_often_and_others_go_on() {
        let (renewals, now) = (Renewals::default(), Instant::now());

        assert_eq!(granted(&renewals, from(1), now), FROM_ONE);

        let told = renewals.ask(from(1), now).unwrap_err();
        assert_eq!(
            told.to_string(),
            "more than 1200 renewals a minute are asked for from 10.0.0.1 (renewals-per-address): try again in 1 s"
        );
        assert_eq!(renewals.ask(from(2), now), Ok(()));
        assert_eq!(granted(&renewals, from(1), now + MINUTE / 2), FROM_ONE / 2);
    }

    #[test]
    fn many_addresses_leave_agents_that_show_their_certificates_their_part() {
        let (renewals, now) = (Renewals::default(), Instant::now());

        let all: u64 = (0..20).map(|host| granted(&renewals, from(host), now)).sum();

        assert_eq!(all, OF_STRANGERS);
        assert_eq!(renewals.ask(from(99), now).unwrap_err().limit(), OF_ALL);
        assert_eq!(renewals.ask(Asker::Agent(AgentId(1)), now), Ok(()));
        let [by_one, in_all] = renewals.report(now);
        assert_eq!((by_one.has, by_one.refused), (FROM_ONE, 5));
        assert!(in_all.has == OF_STRANGERS && in_all.refused > 0, "{in_all:?}");
    }

    #[test]
    fn whoever_asked_long_ago_is_forgotten() {
        let (renewals, mut now) = (Renewals::default(), Instant::now());

        for host in 0..20_000 {
            let _ = renewals.ask(from(host), now);
            now += MINUTE / 4_000;
        }

        let kept = renewals.lock().each.len();
        assert!(kept <= 2 * OF_STRANGERS as usize, "{kept}");
    }
}
