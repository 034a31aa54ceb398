//! What agents count, as they tell it beside their heartbeats: kept for as long as each is connected.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use haggle_core::cluster::Cluster;
use haggle_core::{AgentId, SessionId};
use haggle_proto::v1;
use prometheus_client::registry::Unit;

use super::page::Page;
use crate::handle::{Handle, Stopping};

/// Agents that metrics show by themselves. An answer with so many has some 150 KiB.
const AGENTS_MAX: usize = 100;

/// The label of all agents beyond those. No agent is called so.
const OTHER_AGENTS: &str = "/other";

/// Bytes of a version that are kept.
const VERSION_MAX: usize = 64;

/// What one agent has counted since its connection began, and how it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) cpu: Duration,
    pub(crate) artifacts_found: u64,
    pub(crate) artifacts_fetched: u64,
    pub(crate) artifacts_failed: u64,
    pub(crate) fetched_bytes: u64,
    pub(crate) modules_found: u64,
    pub(crate) modules_compiled: u64,
    pub(crate) modules_failed: u64,
    pub(crate) executors_started: u64,
    pub(crate) executors_failed: u64,
    /// Now, as are all that follow.
    pub(crate) executors: u64,
    pub(crate) artifacts: u64,
    pub(crate) artifact_bytes: u64,
    pub(crate) artifact_bytes_max: u64,
    pub(crate) version: String,
    pub(crate) engine: String,
}

impl Counted {
    /// Adds what was added since. A peer may say any number.
    fn add(&mut self, news: &v1::AgentCounters) {
        self.cpu = self.cpu.saturating_add(Duration::from_nanos(news.cpu_ns));
        for (count, more) in [
            (&mut self.artifacts_found, news.artifacts_found),
            (&mut self.artifacts_fetched, news.artifacts_fetched),
            (&mut self.artifacts_failed, news.artifacts_failed),
            (&mut self.fetched_bytes, news.fetched_bytes),
            (&mut self.modules_found, news.modules_found),
            (&mut self.modules_compiled, news.modules_compiled),
            (&mut self.modules_failed, news.modules_failed),
            (&mut self.executors_started, news.executors_started),
            (&mut self.executors_failed, news.executors_failed),
        ] {
            *count = count.saturating_add(more);
        }
    }

    fn stand(&mut self, news: &v1::AgentCounters) {
        self.executors = news.executors;
        self.artifacts = news.artifacts;
        self.artifact_bytes = news.artifact_bytes;
        self.artifact_bytes_max = news.artifact_bytes_max;
        let short = |version: &str| version.chars().take(VERSION_MAX).collect();
        (self.version, self.engine) = (short(&news.version), short(&news.engine));
    }

    /// One more of those that are shown together.
    fn stands_with(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.executors, other.executors),
            (&mut self.artifacts, other.artifacts),
            (&mut self.artifact_bytes, other.artifact_bytes),
            (&mut self.artifact_bytes_max, other.artifact_bytes_max),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// What connected agents count.
#[derive(Debug, Default)]
pub(crate) struct AgentFigures(Mutex<Figures>);

#[derive(Debug, Default)]
struct Figures {
    agents: HashMap<SessionId, Seat>,
    /// How many of them are shown by themselves.
    shown: usize,
    /// What all others ever counted. Nothing is taken from it, for a counter only grows.
    rest: Counted,
}

#[derive(Debug)]
struct Seat {
    /// For as long as the connection lasts, so that no counter changes its label.
    is_shown: bool,
    counted: Counted,
}

/// How something ended, and how often.
type Outcome = (&'static str, fn(&Counted) -> u64);

/// One agent, or all that are not shown by themselves.
pub(super) type AgentRow = (String, Counted);

impl AgentFigures {
    /// An agent tells what is news.
    pub(crate) fn told(&self, session: SessionId, news: &v1::AgentCounters) {
        let mut figures = self.lock();
        let Figures { agents, shown, rest } = &mut *figures;
        let seat = agents.entry(session).or_insert_with(|| {
            let is_shown = *shown < AGENTS_MAX;
            *shown += usize::from(is_shown);
            Seat { is_shown, counted: Counted::default() }
        });
        seat.counted.add(news);
        seat.counted.stand(news);
        if !seat.is_shown {
            rest.add(news);
        }
    }

    /// An agent's connection is lost.
    pub(crate) fn left(&self, session: SessionId) {
        let mut figures = self.lock();
        if figures.agents.remove(&session).is_some_and(|seat| seat.is_shown) {
            figures.shown -= 1;
        }
    }

    /// What the agent behind this connection told; `None` before its first heartbeat.
    pub(crate) fn of(&self, session: SessionId) -> Option<Counted> {
        self.lock().agents.get(&session).map(|seat| seat.counted.clone())
    }

    /// Each that is shown, by its id, and the others together.
    pub(super) async fn rows(&self, handle: &Handle) -> Result<Vec<AgentRow>, Stopping> {
        let (shown, rest) = self.divided();
        let sessions: Vec<SessionId> = shown.iter().map(|(session, _)| *session).collect();
        let find =
            move |cluster: &Cluster, _| sessions.iter().map(|&session| cluster.agent_of_session(session)).collect();
        let ids: Vec<Option<AgentId>> = handle.ask(find).await?;
        let mut rows: Vec<(AgentId, Counted)> =
            ids.into_iter().zip(shown).filter_map(|(id, (_, counted))| Some((id?, counted))).collect();
        rows.sort_unstable_by_key(|(id, _)| *id);
        let rows = rows.into_iter().map(|(id, counted)| (id.to_string(), counted));
        Ok(rows.chain(rest.map(|rest| (OTHER_AGENTS.to_owned(), rest))).collect())
    }

    fn divided(&self) -> (Vec<(SessionId, Counted)>, Option<Counted>) {
        let figures = self.lock();
        let shown = figures.agents.iter().filter(|(_, seat)| seat.is_shown);
        let shown = shown.map(|(session, seat)| (*session, seat.counted.clone())).collect();
        let mut rest = figures.rest.clone();
        figures.agents.values().filter(|seat| !seat.is_shown).for_each(|seat| rest.stands_with(&seat.counted));
        (shown, (rest != Counted::default()).then_some(rest))
    }

    fn lock(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn encode(agents: &[AgentRow], page: &mut Page<'_>) -> fmt::Result {
    let of =
        |value: fn(&Counted) -> f64| agents.iter().map(move |(agent, counted)| ([("agent", &**agent)], value(counted)));
    let cpu = of(|counted| counted.cpu.as_secs_f64());
    page.counters("haggle_agent_cpu", "Processor time of executors", Some(&Unit::Seconds), cpu)?;
    let executors = of(|counted| counted.executors as f64);
    page.gauges("haggle_agent_executors", "Processes in which tasks run", None, executors)?;
    let started = of(|counted| counted.executors_started as f64);
    page.counters("haggle_agent_executors_started", "Executors that were started", None, started)?;
    let failed = of(|counted| counted.executors_failed as f64);
    page.counters("haggle_agent_executors_failed", "Executors that ended without being told to", None, failed)?;
    let by = |values: [Outcome; 3]| {
        agents.iter().flat_map(move |(agent, counted)| {
            values.map(|(how, value)| ([("agent", &**agent), ("result", how)], value(counted) as f64))
        })
    };
    let artifacts = by([
        ("found", |counted| counted.artifacts_found),
        ("fetched", |counted| counted.artifacts_fetched),
        ("failed", |counted| counted.artifacts_failed),
    ]);
    page.counters("haggle_agent_artifacts_needed", "Artifacts that tasks needed", None, artifacts)?;
    let modules = by([
        ("found", |counted| counted.modules_found),
        ("compiled", |counted| counted.modules_compiled),
        ("failed", |counted| counted.modules_failed),
    ]);
    page.counters("haggle_agent_modules_needed", "Compiled modules that tasks needed", None, modules)?;
    let fetched = of(|counted| counted.fetched_bytes as f64);
    page.counters("haggle_agent_fetched", "Bytes of artifacts that were fetched", Some(&Unit::Bytes), fetched)?;
    let kept = of(|counted| counted.artifacts as f64);
    page.gauges("haggle_agent_artifacts", "Artifacts that agents keep", None, kept)?;
    let bytes = of(|counted| counted.artifact_bytes as f64);
    page.gauges("haggle_agent_cache", "Bytes of artifacts that agents keep", Some(&Unit::Bytes), bytes)?;
    let most = of(|counted| counted.artifact_bytes_max as f64);
    page.gauges("haggle_agent_cache_limit", "Bytes of artifacts that they keep at most", Some(&Unit::Bytes), most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(artifacts_fetched: u64, artifacts: u64) -> v1::AgentCounters {
        v1::AgentCounters { artifacts_fetched, artifacts, ..v1::AgentCounters::default() }
    }

    #[test]
    fn what_an_agent_tells_is_added_and_how_it_stands_is_replaced() {
        let figures = AgentFigures::default();
        figures.told(SessionId(1), &fetched(2, 5));

        figures.told(SessionId(1), &fetched(3, 4));

        let counted = figures.of(SessionId(1)).unwrap();
        assert_eq!((counted.artifacts_fetched, counted.artifacts), (5, 4));
        figures.told(SessionId(1), &fetched(u64::MAX, 0));
        assert_eq!(figures.of(SessionId(1)).unwrap().artifacts_fetched, u64::MAX);
    }

    #[test]
    fn agents_beyond_a_bound_are_shown_together_and_keep_their_label() {
        let figures = AgentFigures::default();
        for session in 0..AGENTS_MAX as u64 + 2 {
            figures.told(SessionId(session), &fetched(1, 10));
        }
        let (shown, rest) = figures.divided();
        assert_eq!(
            (shown.len(), rest.map(|rest| (rest.artifacts_fetched, rest.artifacts))),
            (AGENTS_MAX, Some((2, 20)))
        );

        // There is room for one, which none of the others takes: its counters would shrink.
        figures.left(SessionId(0));
        figures.told(SessionId(AGENTS_MAX as u64), &fetched(1, 10));
        figures.left(SessionId(AGENTS_MAX as u64 + 1));

        let (shown, rest) = figures.divided();
        assert_eq!(shown.len(), AGENTS_MAX - 1);
        assert_eq!(rest.map(|rest| (rest.artifacts_fetched, rest.artifacts)), Some((3, 10)));
        figures.told(SessionId(9_999), &fetched(1, 10));
        assert_eq!(figures.divided().0.len(), AGENTS_MAX);
    }
}
