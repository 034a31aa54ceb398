//! The life of a task: a line of dots with the times between them.

use std::time::Duration;

use haggle_core::cluster::Life;
use haggle_core::{Now, TaskState, Usage};
use serde_json::{Value, json};

use crate::parts::{Badge, Moment, took};

/// A moment of its life.
pub(super) struct Dot {
    pub(super) class: &'static str,
    pub(super) name: &'static str,
    pub(super) at: String,
    pub(super) title: String,
    /// How long until the next one.
    pub(super) then: String,
}

/// What is known of it, when.
pub(super) struct Looked {
    pub(super) life: Life,
    pub(super) state: TaskState,
    /// What its executor measured, once it has ended.
    pub(super) usage: Option<Usage>,
    pub(super) now: Now,
    pub(super) wall_ms: u64,
}

struct Step {
    name: &'static str,
    class: &'static str,
    at: Now,
    /// How long until the next one; so far, if there is none yet.
    then: Option<Duration>,
}

impl Looked {
    /// What is known, in the order in which it happened.
    fn steps(&self) -> Vec<Step> {
        let life = self.life;
        let end = if Badge::of_task(self.state, None).class == "failed" { "failed" } else { "done" };
        let known = [
            ("submitted", "waiting", life.submitted),
            ("offered", "waiting", life.offered),
            ("sent", "waiting", life.sent),
            ("fetched", "starting", life.fetched),
            ("compiled", "starting", life.compiled),
            (STARTED, "running", life.started),
            (if self.state.is_terminal() { state_word(self.state) } else { "ended" }, end, life.ended),
        ];
        let step = |(name, class, at): (_, _, Option<Now>)| at.map(|at| Step { name, class, at, then: None });
        let mut steps: Vec<Step> = known.into_iter().filter_map(step).collect();
        // A module may be compiled before the last input has come.
        steps.sort_by_key(|step| step.at);
        let next: Vec<Option<Now>> = steps.iter().skip(1).map(|step| Some(step.at)).chain([None]).collect();
        for (step, next) in steps.iter_mut().zip(next) {
            step.then = match (next, self.usage) {
                (Some(_), Some(usage)) if step.name == STARTED => Some(usage.wall),
                (Some(next), _) => Some(next.since(step.at)),
                (None, _) => (!self.state.is_terminal()).then(|| self.now.since(step.at)),
            };
        }
        steps
    }

    fn wall_ms_of(&self, at: Now) -> u64 {
        let passed = u64::try_from(self.now.since(at).as_millis()).unwrap_or(u64::MAX);
        self.wall_ms.saturating_sub(passed)
    }

    /// For people.
    pub(super) fn dots(&self) -> Vec<Dot> {
        let steps = self.steps();
        let last = steps.len().saturating_sub(1);
        let dot = |(nth, step): (usize, &Step)| {
            let moment = Moment::new(self.wall_ms_of(step.at), self.wall_ms);
            let so_far = if nth == last { " so far" } else { "" };
            let then = step.then.map(|then| format!("{}{so_far}", took(then))).unwrap_or_default();
            Dot { class: step.class, name: step.name, at: moment.ago, title: moment.at, then }
        };
        steps.iter().enumerate().map(dot).collect()
    }

    /// For programs: what happened when, and how long it was until the next, or has been so far.
    pub(super) fn record(&self) -> Value {
        let step = |step: &Step| {
            json!({
                "step": step.name,
                "time_ms": self.wall_ms_of(step.at),
                "then_seconds": step.then.map(|then| then.as_secs_f64()),
            })
        };
        self.steps().iter().map(step).collect()
    }
}

const STARTED: &str = "started";

fn state_word(state: TaskState) -> &'static str {
    match state {
        TaskState::Finished => "finished",
        TaskState::Killed => "killed",
        TaskState::Failed => "failed",
        _ => "ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Option<Now> {
        Some(Now::from_millis(millis))
    }

    fn said(life: Life, state: TaskState, usage: Option<Usage>) -> Vec<(&'static str, String)> {
        let looked = Looked { life, state, usage, now: Now::from_millis(10_000), wall_ms: 1_799_550_000_000 };
        looked.dots().into_iter().map(|dot| (dot.name, dot.then)).collect()
    }

    fn shown(dots: &[(&'static str, String)]) -> Vec<String> {
        dots.iter().map(|(name, then)| format!("{name} {then}").trim_end().to_owned()).collect()
    }

    #[test]
    fn all_of_a_life_is_one_line_with_the_time_between_any_two_moments() {
        let life = Life {
            submitted: at(1_000),
            offered: at(1_200),
            sent: at(1_203),
            fetched: at(1_300),
            compiled: at(2_300),
            started: at(2_310),
            ended: at(4_000),
        };
        let usage = Usage { wall: Duration::from_millis(1_685), ..Usage::default() };

        let dots = said(life, TaskState::Finished, Some(usage));

        let expected = [
            "submitted 200 ms",
            "offered 3.0 ms",
            "sent 97 ms",
            "fetched 1 s",
            "compiled 10 ms",
            "started 1.69 s",
            "finished",
        ];
        assert_eq!(shown(&dots), expected);
    }

    #[test]
    fn what_did_not_happen_has_no_dot_and_what_goes_on_counts_so_far() {
        let running = said(Life { sent: at(1_000), started: at(1_004), ..Life::default() }, TaskState::Running, None);
        let waiting = said(Life { sent: at(1_000), ..Life::default() }, TaskState::Starting, None);
        let killed = said(Life { sent: at(1_000), ended: at(1_500), ..Life::default() }, TaskState::Killed, None);

        assert_eq!(shown(&running), ["sent 4.0 ms", "started 9.00 s so far"]);
        assert_eq!(shown(&waiting), ["sent 9 s so far"]);
        assert_eq!(shown(&killed), ["sent 500 ms", "killed"]);
        assert_eq!(said(Life::default(), TaskState::Running, None), []);
    }

    #[test]
    fn a_module_that_is_compiled_before_the_last_input_came_stands_before_it() {
        let life =
            Life { sent: at(1_000), fetched: at(3_000), compiled: at(2_000), started: at(3_001), ..Life::default() };

        let names: Vec<_> = said(life, TaskState::Running, None).into_iter().map(|(name, _)| name).collect();

        assert_eq!(names, ["sent", "compiled", "fetched", "started"]);
    }

    #[test]
    fn programs_are_told_the_same_in_numbers() {
        let life = Life { sent: at(9_000), started: at(9_500), ..Life::default() };
        let looked =
            Looked { life, state: TaskState::Running, usage: None, now: Now::from_millis(10_000), wall_ms: 60_000 };

        let expected = json!([
            { "step": "sent", "time_ms": 59_000, "then_seconds": 0.5 },
            { "step": "started", "time_ms": 59_500, "then_seconds": 0.5 },
        ]);
        assert_eq!(looked.record(), expected);
    }
}
