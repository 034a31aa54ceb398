//! What each principal has and does at the moment. Time is an argument.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use haggle_core::access::{Kind, Principal, PrincipalId};

use super::Bucket;
use super::flow::Flow;
use super::table::{Limit, Limits, NONE};

/// With so many, those who hold nothing are forgotten, and have their budgets anew: some megabytes. Above the connections
/// that there may be.
const MANY: usize = 32_768;

/// With fewer than these, nobody need be forgotten.
const FEW: usize = 1_024;

/// Of a principal at a limit, one line in so much time.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// How soon whoever wants too much hears so. Most ask again at once: a refusal costs the master as much as a small answer, and one
/// connection has room for no more than so many calls that wait.
pub(crate) const LATE: Duration = Duration::from_millis(250);

/// The latest. Above, programs would take the master for dead.
const LATEST: Duration = Duration::from_secs(5);

/// Refusals that one principal hears in a second: above that, each is later.
const REFUSALS: u64 = 64;

/// Calls may come at once in so much of a second as is due; more of them are spread over it.
const AT_ONCE: Duration = Duration::from_millis(250);

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A principal that is limited.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(PrincipalId);

impl Key {
    /// Whose it is counted as; nobody's for those who are not limited. The owner runs the master and can end it, so that a
    /// limit would keep nothing from it; the agents and frameworks of a master on loopback all come as the owner.
    pub(super) fn of(who: &Principal) -> Option<Self> {
        match who.kind {
            Kind::Owner | Kind::Master => None,
            _ => Some(Self(who.id())),
        }
    }
}

/// A principal is at a limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct Over {
    /// As it is told of.
    pub(crate) who: String,
    pub(crate) limit: Limit,
    pub(crate) most: u64,
    pub(crate) has: u64,
    /// After how long it is not any more. `None`: when something of its has ended.
    pub(crate) after: Option<Duration>,
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, limit, most, has, after } = self;
        let (name, what, most, has) = (limit.name(), limit.what(), limit.amount(*most), limit.amount(*has));
        write!(f, "{who} is at its limit {name}={most} ({what}): it has {has}; ")?;
        match after {
            // Rounded up, for a wait that is too short is of no use.
            Some(after) => write!(f, "try again in {} s", after.as_nanos().div_ceil(SECOND.as_nanos()))?,
            None => write!(f, "end some of them")?,
        }
        write!(f, ", or have the master started with a higher --limit {name}=…")
    }
}

/// What one principal has.
#[derive(Debug)]
struct Usage {
    held: [u64; HELD.len()],
    calls: Bucket,
    bytes: Bucket,
    /// What its connections bring.
    flow: Arc<Flow>,
    refusals: Bucket,
    /// How often it wanted more than each limit.
    refused: [u64; Limit::COUNT],
    /// Of which limits was complained when, and of how many refusals not.
    complaints: Vec<(Limit, Instant, u64)>,
}

/// What is held, from when it is begun to its end.
const HELD: [Limit; 6] =
    [Limit::Connections, Limit::CallsOpen, Limit::LogReads, Limit::Watches, Limit::Lists, Limit::Transfers];

impl Usage {
    fn new(limits: &Limits) -> Self {
        Self {
            held: Default::default(),
            calls: Bucket::default(),
            bytes: Bucket::default(),
            flow: Arc::new(Flow::new(limits.get(Limit::BytesPerSecond))),
            refusals: Bucket::default(),
            refused: Default::default(),
            complaints: Vec::new(),
        }
    }

    fn held(&mut self, limit: Limit) -> &mut u64 {
        let at = HELD.iter().position(|held| *held == limit).expect("only these are held");
        &mut self.held[at]
    }

    fn holds(&self) -> bool {
        self.held.iter().any(|&held| held > 0)
    }

    /// Whether it is as if it had never been here.
    fn is_idle(&self, now: Instant) -> bool {
        !self.holds()
            && self.calls.is_full(now)
            && self.bytes.is_full(now)
            && self.flow.is_full(now)
            && self.refusals.is_full(now)
            && self.complaints.iter().all(|(_, said, _)| now >= *said + COMPLAIN_EVERY)
    }
}

/// What one principal has.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) id: PrincipalId,
    /// Of each limit how much it has, where that is counted here, and how often it wanted more.
    pub(crate) rows: Vec<(Limit, Option<u64>, u64)>,
}

/// Everybody who is limited and was heard of lately.
#[derive(Debug)]
pub(super) struct Principals {
    limits: Limits,
    known: HashMap<Key, Usage>,
    /// With so many, the idle ones are forgotten.
    forget_at: usize,
}

impl Principals {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, known: HashMap::new(), forget_at: FEW }
    }

    pub(super) fn limit(&self, limit: Limit) -> u64 {
        self.limits.get(limit)
    }

    /// A call is begun that costs as much as so many small ones. It is to wait for so long, so that many come evenly.
    pub(super) fn call(&mut self, who: &Principal, key: &Key, now: Instant, cost: u64) -> Result<Duration, Over> {
        // With a limit below that, it is all there is.
        let cost = cost.min(self.limits.get(Limit::CallsPerSecond));
        self.take(who, key, now, Limit::CallsPerSecond, cost)?;
        Ok(self.usage(key, now).calls.wait(now, AT_ONCE))
    }

    /// How late somebody hears that it wants too much.
    pub(super) fn late(&mut self, key: &Key, now: Instant) -> Duration {
        let refusals = &mut self.usage(key, now).refusals;
        refusals.owe(now, 1, REFUSALS, SECOND);
        refusals.wait(now, Duration::ZERO).clamp(LATE, LATEST)
    }

    /// What its connections bring; `None` when that has no limit.
    pub(super) fn flow(&mut self, key: &Key, now: Instant) -> Option<Arc<Flow>> {
        let most = self.limits.get(Limit::BytesPerSecond);
        (most != NONE).then(|| Arc::clone(&self.usage(key, now).flow))
    }

    /// More bytes are to be brought.
    pub(super) fn may_bring(&mut self, who: &Principal, key: &Key, now: Instant) -> Result<(), Over> {
        let spent = self.usage(key, now).bytes;
        let may = self.take(who, key, now, Limit::UploadBytesPerDay, 1);
        self.usage(key, now).bytes = spent;
        may
    }

    /// So many bytes are brought.
    pub(super) fn bring(&mut self, who: &Principal, key: &Key, now: Instant, bytes: u64) -> Result<(), Over> {
        self.take(who, key, now, Limit::UploadBytesPerDay, bytes)
    }

    /// One of these more is held, until it is [released](Self::release).
    pub(super) fn hold(&mut self, who: &Principal, key: &Key, now: Instant, limit: Limit) -> Result<(), Over> {
        let most = self.limits.get(limit);
        let held = self.usage(key, now).held(limit);
        if *held >= most {
            return Err(Over { who: who.to_string(), limit, most, has: *held, after: None });
        }
        *held += 1;
        Ok(())
    }

    /// One of these is held no more.
    pub(super) fn release(&mut self, key: &Key, limit: Limit) {
        // Whoever holds something is never forgotten.
        if let Some(usage) = self.known.get_mut(key) {
            *usage.held(limit) -= 1;
        }
    }

    /// Everybody who is known, with what it has of each limit that is counted here, and how often it wanted more of any.
    pub(super) fn report(&self, now: Instant) -> Vec<Report> {
        let of = |(key, usage): (&Key, &Usage)| {
            let has = |limit| match limit {
                Limit::CallsPerSecond => Some(usage.calls.used(now, self.limits.get(limit), SECOND)),
                Limit::UploadBytesPerDay => Some(usage.bytes.used(now, self.limits.get(limit), DAY)),
                Limit::BytesPerSecond => Some(usage.flow.used(now)),
                _ => HELD.iter().position(|held| *held == limit).map(|at| usage.held[at]),
            };
            let rows = Limit::all().map(|limit| (limit, has(limit), usage.refused[limit as usize])).collect();
            Report { id: key.0.clone(), rows }
        };
        self.known.iter().map(of).collect()
    }

    /// Somebody wanted more than it may have, and whether to say so: how many refusals were not told since the last time. `None`: it was
    /// told within the minute.
    pub(super) fn complain(&mut self, key: &Key, now: Instant, limit: Limit) -> Option<u64> {
        let usage = self.usage(key, now);
        usage.refused[limit as usize] += 1;
        let complaints = &mut usage.complaints;
        let Some((_, said, kept)) = complaints.iter_mut().find(|(of, ..)| *of == limit) else {
            complaints.push((limit, now, 0));
            return Some(0);
        };
        if now < *said + COMPLAIN_EVERY {
            *kept += 1;
            return None;
        }
        *said = now;
        Some(std::mem::take(kept))
    }

    fn take(&mut self, who: &Principal, key: &Key, now: Instant, limit: Limit, amount: u64) -> Result<(), Over> {
        let most = self.limits.get(limit);
        if most == NONE {
            return Ok(());
        }
        let usage = self.usage(key, now);
        let (bucket, period) = match limit {
            Limit::UploadBytesPerDay => (&mut usage.bytes, DAY),
            _ => (&mut usage.calls, SECOND),
        };
        bucket.take(now, amount, most, period).map_err(|after| Over {
            who: who.to_string(),
            limit,
            most,
            has: bucket.used(now, most, period),
            after: Some(after),
        })
    }

    fn usage(&mut self, key: &Key, now: Instant) -> &mut Usage {
        if self.known.len() >= self.forget_at && !self.known.contains_key(key) {
            self.known.retain(|_, usage| !usage.is_idle(now));
            if self.known.len() >= MANY {
                self.known.retain(|_, usage| usage.holds());
            }
            self.forget_at = (2 * self.known.len()).clamp(FEW, MANY);
        }
        self.known.entry(key.clone()).or_insert_with(|| Usage::new(&self.limits))
    }
}

#[cfg(test)]
mod tests;
