//! When an agent's certificate is renewed, and that it is.

use std::time::{Duration, SystemTime};

use haggle_tls::Credentials;
use tokio::time::sleep;
use tonic::transport::Uri;

use crate::join::renew;

/// Between two looks at the clock: a machine that slept has another time than its timers tell.
const LOOK_EVERY: Duration = Duration::from_secs(5 * 60);

/// After an attempt that failed, between so long and half as long again: a master takes so many a minute, and all agents
/// behind one address may have come at once. Half of the certificate's life is left for them.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// When a master asks for it, certificates are renewed between so long and so long after: the other masters hear of a new
/// authority within a second, and not all agents ask at once.
const HASTE_MIN: Duration = Duration::from_secs(2);
const HASTE_SPREAD: Duration = Duration::from_secs(8);

/// What is to be done about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing, for so long.
    Wait(Duration),
    Renew,
    /// It ended so long ago that no master trades it for a new one.
    JoinAnew,
}

/// What is to be done at this time. `random` spreads the renewals of agents that joined together.
pub(crate) fn step(credentials: &Credentials, random: u64, now: SystemTime) -> Step {
    if !credentials.is_renewable(now) {
        return Step::JoinAnew;
    }
    match credentials.certificate().renew_at(random).duration_since(now) {
        Ok(left) if !left.is_zero() => Step::Wait(left.min(LOOK_EVERY)),
        _ => Step::Renew,
    }
}

/// Whether it is of no use any more until it is renewed.
pub(crate) fn has_expired(credentials: &Credentials, now: SystemTime) -> bool {
    now >= credentials.certificate().not_after()
}

/// Waits until the certificate is due, and has it renewed; tries again for as long as that takes.
pub(crate) async fn renewed(masters: Vec<Uri>, old: Credentials, random: u64) -> Credentials {
    loop {
        let pause = match step(&old, random, SystemTime::now()) {
            Step::Wait(pause) => pause,
            // The session goes on for as long as the master lets it.
            Step::JoinAnew => LOOK_EVERY,
            Step::Renew => match try_renew(&masters, &old, random).await {
                Ok(new) => return new,
                Err(pause) => pause,
            },
        };
        sleep(pause).await;
    }
}

/// Has the certificate renewed though it is not due; tries again for as long as that takes.
pub(crate) async fn hastened(masters: Vec<Uri>, old: Credentials, random: u64) -> Credentials {
    sleep(haste(random)).await;
    loop {
        match try_renew(&masters, &old, random).await {
            Ok(new) => return new,
            Err(pause) => sleep(pause).await,
        }
    }
}

fn haste(random: u64) -> Duration {
    let spread = u64::try_from(HASTE_SPREAD.as_millis()).expect("it is a few seconds");
    HASTE_MIN + Duration::from_millis(random % spread)
}

/// The renewed one, or after how long to try again.
async fn try_renew(masters: &[Uri], old: &Credentials, random: u64) -> Result<Credentials, Duration> {
    renew(masters, old).await.map_err(|why| {
        let retry_in = retry_after(random);
        tracing::warn!(%why, ?retry_in, "the agent's certificate is not renewed");
        retry_in
    })
}

fn retry_after(random: u64) -> Duration {
    let spread = u64::try_from(RETRY_AFTER.as_millis()).expect("it is a minute") / 2;
    RETRY_AFTER + Duration::from_millis(random % spread)
}

#[cfg(test)]
mod tests {
    use haggle_core::{AgentId, ClusterId};
    use haggle_tls::{Authority, PrivateKey};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// A certificate that holds for a day from this time on, and an hour before it.
    fn made_at(now: SystemTime) -> Credentials {
        let (authority, _) = Authority::make(ClusterId(1), now);
        let key = PrivateKey::generate();
        let certificate = authority.agent(AgentId(1), &key.request(), now).unwrap();
        Credentials::new(key, certificate.der(), &[authority.certificate().der()]).unwrap()
    }

    #[test]
    fn a_certificate_is_renewed_after_half_of_its_life_and_long_before_its_end() {
        let made = SystemTime::UNIX_EPOCH + 20_000 * DAY;
        let credentials = made_at(made);

        for random in 0..1000 {
            let at = |time| step(&credentials, random, time);
            assert!(matches!(at(made), Step::Wait(_)), "{random}");
            assert!(matches!(at(made + 11 * HOUR), Step::Wait(_)), "{random}");
            assert_eq!(at(made + 17 * HOUR), Step::Renew, "{random}");
        }
    }

    #[test]
    fn agents_that_joined_together_do_not_renew_together() {
        let made = SystemTime::UNIX_EPOCH + 20_000 * DAY;
        let credentials = made_at(made);
        let due = |hours: u32| {
            let at = made + hours * HOUR;
            (0..201).filter(|&random| step(&credentials, random, at) == Step::Renew).count()
        };

        let counts = [12, 13, 14, 15].map(due);

        assert!(counts.is_sorted() && counts[0] < 60 && counts[3] > 140, "{counts:?}");
    }

    #[test]
    fn whoever_is_asked_to_renew_does_so_soon_and_not_together_with_all_others() {
        let waits: Vec<_> = (0..1000).map(|random| haste(random * 7_919)).collect();

        assert!(waits.iter().all(|wait| (HASTE_MIN..HASTE_MIN + HASTE_SPREAD).contains(wait)));
        let retries: Vec<_> = (0..1000).map(|random| retry_after(random * 7_919)).collect();
        assert!(retries.iter().all(|wait| (RETRY_AFTER..RETRY_AFTER * 3 / 2).contains(wait)));
        let early = waits.iter().filter(|wait| **wait < HASTE_MIN + HASTE_SPREAD / 2).count();
        assert!((400..600).contains(&early), "{early}");
    }

    #[test]
    fn the_clock_is_looked_at_often_since_a_machine_may_have_slept() {
        let made = SystemTime::UNIX_EPOCH + 20_000 * DAY;

        assert_eq!(step(&made_at(made), 0, made), Step::Wait(LOOK_EVERY));
        assert_eq!(step(&made_at(made), 0, made - 30 * DAY), Step::Wait(LOOK_EVERY), "a clock that was put back");
    }

    #[test]
    fn one_that_has_expired_is_renewed_for_a_month() {
        let made = SystemTime::UNIX_EPOCH + 20_000 * DAY;
        let credentials = made_at(made);

        assert!(!has_expired(&credentials, made + 23 * HOUR) && has_expired(&credentials, made + DAY));
        assert_eq!(step(&credentials, 0, made + 30 * DAY), Step::Renew);
        assert_eq!(step(&credentials, 0, made + 31 * DAY), Step::JoinAnew);
    }
}
