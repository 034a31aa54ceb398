//! What one principal may have written down of what changes nothing, so that nobody has the rest rotated away. What is above
//! is counted. Time is an argument.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use haggle_core::access::{PrincipalId, Verb};
use tonic::Code;

/// Lines of one principal in a minute: 40 KiB, and so days until all files have been replaced. Whoever tries something out by
/// hand is far below.
pub(super) const PLENTY: u32 = 100;

pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// Whose lines they are. `None`: all strangers', of whom there may be any number.
pub(super) type Who = Option<PrincipalId>;

/// The minutes that have begun, of everybody who is known: as many as have tokens or certificates at most.
#[derive(Default)]
pub(super) struct Repeats {
    minutes: HashMap<Who, Minute>,
    /// The oldest first.
    ends: VecDeque<(Instant, Who)>,
}

#[derive(Default)]
struct Minute {
    written: u32,
    left_out: Vec<(Verb, Code, u64)>,
}

/// Decisions that were not written down.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) who: Who,
    pub(super) verb: Verb,
    pub(super) code: Code,
    pub(super) count: u64,
}

impl Repeats {
    /// Whether one more is written down.
    pub(super) fn admit(&mut self, who: Who, verb: Verb, code: Code, now: Instant) -> bool {
        let minute = self.minutes.entry(who.clone()).or_insert_with(|| {
            self.ends.push_back((now + MINUTE, who));
            Minute::default()
        });
        if minute.written < PLENTY {
            minute.written += 1;
            return true;
        }
        match minute.left_out.iter_mut().find(|(of, with, _)| (*of, *with) == (verb, code)) {
            Some((.., count)) => *count += 1,
            None => minute.left_out.push((verb, code, 1)),
        }
        false
    }

    /// What was left out in the minutes that are over. They begin anew.
    pub(super) fn over(&mut self, now: Instant) -> Vec<LeftOut> {
        let mut all = Vec::new();
        while let Some((_, who)) = self.ends.pop_front_if(|(end, _)| *end <= now) {
            let minute = self.minutes.remove(&who).unwrap_or_default();
            let of = |(verb, code, count)| LeftOut { who: who.clone(), verb, code, count };
            all.extend(minute.left_out.into_iter().map(of));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::access::PlainKind;

    use super::*;

    fn ci() -> Who {
        Some(PrincipalId { name: "ci".into(), kind: PlainKind::Framework })
    }

    #[test]
    fn so_many_lines_of_one_are_written_in_a_minute_and_the_rest_is_counted_by_what_it_was() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let mut tries =
            |who: Who, verb, at| (0..150).filter(|_| repeats.admit(who.clone(), verb, Code::NotFound, at)).count();

        assert_eq!(tries(ci(), Verb::KillTask, start), 100);
        assert_eq!(tries(ci(), Verb::ReadLog, start + MINUTE / 2), 0, "another verb is no way around");
        assert_eq!(tries(None, Verb::KillTask, start + MINUTE / 2), 100, "others have their own");

        assert_eq!(repeats.over(start + MINUTE / 2), []);
        let of = |verb, count| LeftOut { who: ci(), verb, code: Code::NotFound, count };
        assert_eq!(repeats.over(start + MINUTE), [of(Verb::KillTask, 50), of(Verb::ReadLog, 150)]);
        assert!(repeats.admit(ci(), Verb::KillTask, Code::NotFound, start + MINUTE));
        assert_eq!(repeats.over(start + 10 * MINUTE).len(), 1, "of strangers");
        assert!(repeats.minutes.is_empty() && repeats.ends.is_empty(), "nothing is kept of who is silent");
    }
}
