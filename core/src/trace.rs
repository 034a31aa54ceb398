//! Which trace a task is in: ids by the rules of W3C trace context, and what master and agents tell each other of them.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{ClusterId, TaskId};

/// The variable in which a program finds its caller's span, as OpenTelemetry has it for environments.
pub const TRACEPARENT: &str = "TRACEPARENT";

/// Which trace; never 0. Prints as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TraceId(u128);

/// Which span of a trace; never 0. Prints as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpanId(u64);

/// A span as those below it know it. Reads and prints as a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TraceContext {
    /// Its trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Whether it is recorded, and so is what is below it.
    pub is_sampled: bool,
}

/// The span that a task is, as the master that launched it tells its agent, and its agent the next master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskTrace {
    /// The task's own span.
    pub context: TraceContext,
    /// The span of whoever asked for the task.
    pub parent: Option<SpanId>,
    /// When the task's span begins, in nanoseconds since 1970 by the clock of the master that launched it.
    pub began_ns: u64,
    /// When that master sent it, by the same clock.
    pub sent_ns: u64,
}

/// A text that is no `traceparent`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a traceparent like 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
pub struct NotATraceparent(String);

impl TraceId {
    /// `None` for 0, which is no trace.
    pub const fn new(id: u128) -> Option<Self> {
        if id == 0 { None } else { Some(Self(id)) }
    }

    /// As a number.
    pub const fn get(self) -> u128 {
        self.0
    }

    /// That of a task for which nobody named one: the same wherever it is asked for.
    pub fn of_task(cluster: ClusterId, task: TaskId) -> Self {
        let half = |which: u8| u128::from(hash(which, &task_bytes(cluster, task)));
        Self((half(b'h') << 64 | half(b'l')).max(1))
    }
}

impl SpanId {
    /// `None` for 0, which is no span.
    pub const fn new(id: u64) -> Option<Self> {
        if id == 0 { None } else { Some(Self(id)) }
    }

    /// As a number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// That of a task, whichever trace it is in.
    pub fn of_task(cluster: ClusterId, task: TaskId) -> Self {
        Self(hash(b't', &task_bytes(cluster, task)).max(1))
    }

    /// That of a part of this span.
    pub fn part(self, name: &str) -> Self {
        let bytes: Vec<u8> = self.0.to_be_bytes().into_iter().chain(name.bytes()).collect();
        Self(hash(b'p', &bytes).max(1))
    }
}

impl TraceContext {
    /// What the environment of a program says of its caller. What cannot be read counts as nothing, as the standard has it.
    pub fn of_env(env: &[(String, String)]) -> Option<Self> {
        env.iter().find(|(name, _)| name == TRACEPARENT)?.1.parse().ok()
    }

    /// Sets it in the environment of a program.
    pub fn set_in(self, env: &mut Vec<(String, String)>) {
        match env.iter_mut().find(|(name, _)| name == TRACEPARENT) {
            Some((_, value)) => *value = self.to_string(),
            None => env.push((TRACEPARENT.to_string(), self.to_string())),
        }
    }
}

impl TaskTrace {
    /// The span of a task that begins now. In the trace of its `caller`, if it has one; recorded as that is, else if its trace is
    /// `sampled`.
    pub fn begin(
        cluster: ClusterId,
        task: TaskId,
        caller: Option<TraceContext>,
        sampled: impl FnOnce(TraceId) -> bool,
        began_ns: u64,
    ) -> Self {
        let trace = caller.map_or_else(|| TraceId::of_task(cluster, task), |caller| caller.trace);
        let is_sampled = caller.map_or_else(|| sampled(trace), |caller| caller.is_sampled);
        let context = TraceContext { trace, span: SpanId::of_task(cluster, task), is_sampled };
        Self { context, parent: caller.map(|caller| caller.span), began_ns, sent_ns: began_ns }
    }

    /// One of the task's parts, as those below it know it.
    pub fn part(&self, name: &str) -> TraceContext {
        TraceContext { span: self.context.span.part(name), ..self.context }
    }

    /// The same, where it is kept for many tasks.
    pub fn boxed(self) -> Box<Self> {
        Box::new(self)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.is_sampled))
    }
}

impl FromStr for TraceContext {
    type Err = NotATraceparent;

    /// Of a later version of the standard, the part that it has in common with this one.
    fn from_str(text: &str) -> Result<Self, NotATraceparent> {
        read(text).ok_or_else(|| NotATraceparent(text.to_string()))
    }
}

fn read(text: &str) -> Option<TraceContext> {
    let mut parts = text.splitn(5, '-');
    let version = hex(parts.next()?, 2).filter(|version| *version != 0xff)?;
    let trace = TraceId::new(hex(parts.next()?, 32)?)?;
    let span = SpanId::new(u64::try_from(hex(parts.next()?, 16)?).ok()?)?;
    let flags = hex(parts.next()?, 2)?;
    if version == 0 && parts.next().is_some() {
        return None;
    }
    Some(TraceContext { trace, span, is_sampled: flags & 1 == 1 })
}

/// So many digits, small ones: the standard has no others.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == digits && text.bytes().all(is_digit)).then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

fn task_bytes(cluster: ClusterId, task: TaskId) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&cluster.0.to_be_bytes());
    bytes[16..24].copy_from_slice(&task.framework.0.to_be_bytes());
    bytes[24..].copy_from_slice(&task.number.to_be_bytes());
    bytes
}

/// FNV-1a, with splitmix64's last step behind it, so that neighbours differ in every bit. Ids are no secrets.
fn hash(kind: u8, bytes: &[u8]) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let mut hash = bytes.iter().fold(fold(0xcbf2_9ce4_8422_2325, &kind), fold);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::id::FrameworkId;

    const CLUSTER: ClusterId = ClusterId(7);
    const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn task(number: u64) -> TaskId {
        TaskId { framework: FrameworkId(1), number }
    }

    #[test]
    fn a_traceparent_reads_as_it_prints() {
        for text in [CALLER, "00-00000000000000000000000000000001-0000000000000001-00"] {
            assert_eq!(text.parse::<TraceContext>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn of_a_later_version_what_is_known_is_read() {
        let later = CALLER.replacen("00", "01", 1) + "-more";

        assert_eq!(later.parse::<TraceContext>(), CALLER.parse());
    }

    #[test]
    fn what_is_no_traceparent_is_refused_and_counts_as_nothing() {
        let long = alloc::format!("{CALLER}-more");
        for wrong in [
            "",
            "00",
            &long,
            &CALLER.replacen("00", "ff", 1),
            &CALLER.to_uppercase(),
            &CALLER.replace("4bf92f3577b34da6a3ce929d0e0e4736", "00000000000000000000000000000000"),
            &CALLER.replace("00f067aa0ba902b7", "0000000000000000"),
            &CALLER.replace("00f067aa0ba902b7", "f067aa0ba902b7"),
            &CALLER.replace("-01", "-0x"),
        ] {
            assert!(wrong.parse::<TraceContext>().is_err(), "{wrong}");
            let env = [(TRACEPARENT.to_string(), wrong.to_string())];
            assert_eq!(TraceContext::of_env(&env), None);
        }
    }

    #[test]
    fn a_task_joins_its_callers_trace_and_is_recorded_as_that_is() {
        let caller: TraceContext = CALLER.parse().unwrap();
        let unsampled = TraceContext { is_sampled: false, ..caller };

        let joined = TaskTrace::begin(CLUSTER, task(1), Some(caller), |_| false, 5);
        let silent = TaskTrace::begin(CLUSTER, task(1), Some(unsampled), |_| true, 5);

        assert_eq!((joined.context.trace, joined.parent), (caller.trace, Some(caller.span)));
        assert!(joined.context.is_sampled && !silent.context.is_sampled);
        assert_ne!(joined.context.span, caller.span);
    }

    #[test]
    fn without_a_caller_each_task_has_a_trace_of_its_own() {
        let begin = |cluster, number| TaskTrace::begin(cluster, task(number), None, |_| true, 0).context;
        let traces: BTreeSet<_> = (0..1_000).map(|number| begin(CLUSTER, number).trace).collect();

        assert_eq!(traces.len(), 1_000);
        assert_eq!(begin(CLUSTER, 1), begin(CLUSTER, 1));
        assert_ne!(begin(CLUSTER, 1).trace, begin(ClusterId(8), 1).trace);
    }

    #[test]
    fn the_parts_of_tasks_have_ids_of_their_own() {
        let spans = (0..1_000).flat_map(|number| {
            let span = SpanId::of_task(CLUSTER, task(number));
            [span, span.part("fetch"), span.part("run")]
        });

        assert_eq!(spans.collect::<BTreeSet<_>>().len(), 3_000);
    }

    #[test]
    fn the_bits_of_trace_ids_are_even_enough_to_sample_by() {
        let low = |number| TraceId::of_task(CLUSTER, task(number)).get() as u64 >> 63;
        let set: u64 = (0..10_000).map(low).sum();

        assert!((4_800..5_200).contains(&set), "{set} of 10,000 have the highest bit of the lower half set");
    }

    #[test]
    fn in_an_environment_it_takes_the_place_of_the_one_before() {
        let caller: TraceContext = CALLER.parse().unwrap();
        let mut env = Vec::from([("A".to_string(), "b".to_string())]);

        caller.set_in(&mut env);
        let other = TraceContext { span: caller.span.part("run"), ..caller };
        other.set_in(&mut env);

        assert_eq!(TraceContext::of_env(&env), Some(other));
        assert_eq!(env.len(), 2);
    }
}
