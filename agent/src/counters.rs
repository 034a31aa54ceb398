//! What the agent counts for those who watch the cluster: told beside heartbeats, and only what is news.

use std::time::Duration;

use haggle_executor::WASMTIME;
use haggle_proto::v1;

/// Since the agent's process started, but for what is said of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) prepared: Prepared,
    /// Processor time of executors, as far as they were looked at.
    pub(crate) cpu: Duration,
    pub(crate) executors_started: u64,
    /// Those that ended without being told to, or could not be started.
    pub(crate) executors_failed: u64,
    /// Now.
    pub(crate) executors: u64,
    /// Now, on disk.
    pub(crate) artifacts: u64,
    /// Now, on disk.
    pub(crate) artifact_bytes: u64,
    /// What these may take up.
    pub(crate) artifact_bytes_max: u64,
}

/// What tasks needed before they could run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prepared {
    /// Artifacts that were there.
    pub(crate) artifacts_found: u64,
    pub(crate) artifacts_fetched: u64,
    /// Those that could not be fetched or kept.
    pub(crate) artifacts_failed: u64,
    pub(crate) fetched_bytes: u64,
    /// Compiled modules that were there.
    pub(crate) modules_found: u64,
    pub(crate) modules_compiled: u64,
    pub(crate) modules_failed: u64,
}

/// What a master has heard of it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    last: Counters,
    /// Nothing was said in this session.
    is_new: bool,
}

impl Told {
    /// Another session begins. What was counted before is not said again.
    pub(crate) fn begin(&mut self) {
        self.is_new = true;
    }

    /// What there is to say, if it is news.
    pub(crate) fn news(&self, now: &Counters) -> Option<v1::AgentCounters> {
        (self.is_new || *now != self.last).then(|| now.since(&self.last))
    }

    /// That was said.
    pub(crate) fn said(&mut self, now: Counters) {
        *self = Self { last: now, is_new: false };
    }
}

impl Counters {
    fn since(&self, last: &Self) -> v1::AgentCounters {
        let (this, that) = (&self.prepared, &last.prepared);
        v1::AgentCounters {
            cpu_ns: u64::try_from(self.cpu.saturating_sub(last.cpu).as_nanos()).unwrap_or(u64::MAX),
            artifacts_found: this.artifacts_found - that.artifacts_found,
            artifacts_fetched: this.artifacts_fetched - that.artifacts_fetched,
            artifacts_failed: this.artifacts_failed - that.artifacts_failed,
            fetched_bytes: this.fetched_bytes - that.fetched_bytes,
            modules_found: this.modules_found - that.modules_found,
            modules_compiled: this.modules_compiled - that.modules_compiled,
            modules_failed: this.modules_failed - that.modules_failed,
            executors_started: self.executors_started - last.executors_started,
            executors_failed: self.executors_failed - last.executors_failed,
            executors: self.executors,
            artifacts: self.artifacts,
            artifact_bytes: self.artifact_bytes,
            artifact_bytes_max: self.artifact_bytes_max,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: format!("wasmtime {WASMTIME}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(fetched: u64) -> Counters {
        Counters { prepared: Prepared { artifacts_fetched: fetched, ..Prepared::default() }, ..Counters::default() }
    }

    #[test]
    fn what_did_not_change_is_not_said_again() {
        let mut told = Told::default();
        told.said(fetched(3));

        assert_eq!(told.news(&fetched(3)), None);
        assert_eq!(told.news(&fetched(5)).unwrap().artifacts_fetched, 2);
    }

    #[test]
    fn another_master_hears_how_things_are_and_nothing_twice() {
        let mut told = Told::default();
        let now = Counters { artifacts: 7, ..fetched(3) };
        told.said(now);

        told.begin();

        let news = told.news(&now).unwrap();
        assert_eq!((news.artifacts, news.artifacts_fetched), (7, 0));
        assert!(news.engine.starts_with("wasmtime 4"), "{}", news.engine);
    }
}
