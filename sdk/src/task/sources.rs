//! What of a task is somewhere else, for the master to fetch: its module, and inputs.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use haggle_core::Digest;
use tokio::time::Instant;

use super::Task;
use crate::client::Client;
use crate::error::CallError;

/// How long it is believed what a source is. Many tasks of one program run the same then, and a tag that is moved is followed soon.
/// Masters keep what they have fetched for longer than that.
const BELIEVED: Duration = Duration::from_secs(60);

/// Sources of which it is known what they are. Above this, those are forgotten that were asked for least recently.
const KNOWN_MAX: usize = 256;

/// What has to be fetched before a task can be launched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sources {
    module: Option<String>,
    /// Paths in the guest, and where the contents are.
    inputs: Vec<(String, String)>,
}

impl Sources {
    /// The first.
    pub(super) fn first(&self) -> Option<&str> {
        let inputs = self.inputs.iter().map(|(_, source)| source);
        self.module.iter().chain(inputs).map(String::as_str).next()
    }
}

impl Task {
    /// Runs a module that the master fetches from `oci://registry/name:tag`, `s3://bucket/key` or `https://host/path`, from where
    /// its operator allows. A [`Runner`](crate::Runner) and a [`Session`](crate::Session) have it fetched; whoever launches tasks
    /// by a [`Framework`](crate::Framework) calls [`Client::resolve`] first.
    ///
    /// ```no_run
    /// # use haggle_sdk::{Client, Runner, Task};
    /// # async fn run(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let task = Task::from_source("oci://registry.example/team/app:1.0")
    ///     .input_from("/data/words.csv", "s3://models/words.csv")
    ///     .mem("32MiB");
    /// let report = Runner::new(&client).run(vec![task], |_| {}).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_source(source: impl Into<String>) -> Self {
        let mut task = Self::new(Digest([0; 32]));
        task.sources.module = Some(source.into());
        task
    }

    /// As [`Self::input`], of content that the master fetches as it does [modules](Self::from_source).
    #[must_use]
    pub fn input_from(mut self, guest_path: impl Into<String>, source: impl Into<String>) -> Self {
        self.sources.inputs.push((guest_path.into(), source.into()));
        self
    }
}

impl Client {
    /// The task with digests in place of sources, once the master has fetched what those name. What a source is holds for a minute:
    /// a tag may name another artifact then, and [`Self::pull`] always asks. A task without sources is given back as it is.
    ///
    /// # Errors
    /// When a text is no source, the master may not fetch from there, nothing comes, or the module is none.
    pub async fn resolve(&self, mut task: Task) -> Result<Task, CallError> {
        let Sources { module, inputs } = std::mem::take(&mut task.sources);
        if let Some(source) = module {
            task.spec.module = self.fetched(source, true).await?;
        }
        for (guest_path, source) in inputs {
            let content = self.fetched(source, false).await?;
            task = task.input(guest_path, content);
        }
        Ok(task)
    }

    async fn fetched(&self, source: String, module: bool) -> Result<Digest, CallError> {
        if let Some(digest) = self.known.get(&source, module, Instant::now()) {
            return Ok(digest);
        }
        let digest = self.pull_with(&source, module, |_, _| {}).await?.digest;
        self.known.put(source, module, digest, Instant::now());
        Ok(digest)
    }
}

/// What sources are, as far as that was heard a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<HashMap<(String, bool), (Digest, Instant)>>);

impl Known {
    fn get(&self, source: &str, module: bool, now: Instant) -> Option<Digest> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (digest, heard) = *known.get(&(source.to_owned(), module))?;
        (now.duration_since(heard) < BELIEVED).then_some(digest)
    }

    fn put(&self, source: String, module: bool, digest: Digest, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX
            && let Some(oldest) = known.iter().min_by_key(|(_, (_, heard))| *heard).map(|(key, _)| key.clone())
        {
            known.remove(&oldest);
        }
        known.insert((source, module), (digest, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Digest = Digest([1; 32]);

    #[test]
    fn a_task_that_is_elsewhere_is_none_yet_and_says_where_it_is() {
        let module = Task::from_source("oci://registry.example/app:1").name("app");
        let input = Task::new(A).name("reader").input_from("/words", "s3://b/k");

        let why = |task: &Task| task.check().unwrap_err().to_string();

        assert_eq!(
            why(&module),
            "task \"app\": oci://registry.example/app:1 is not fetched yet: Client::resolve has that done"
        );
        assert_eq!(why(&input), "task \"reader\": s3://b/k is not fetched yet: Client::resolve has that done");
    }

    #[test]
    fn what_a_source_is_holds_for_a_minute_and_for_what_it_was_asked_as() {
        let (known, now) = (Known::default(), Instant::now());

        known.put("oci://r/app:1".to_owned(), true, A, now);

        let at = |module, later| known.get("oci://r/app:1", module, now + later);
        assert_eq!(at(true, BELIEVED - Duration::from_millis(1)), Some(A));
        assert_eq!(at(true, BELIEVED), None);
        assert_eq!(at(false, Duration::ZERO), None);
        assert_eq!(known.get("oci://r/app:2", true, now), None);
    }

    #[test]
    fn no_more_sources_are_known_than_a_program_has_use_for() {
        let (known, now) = (Known::default(), Instant::now());

        for number in 0..=KNOWN_MAX {
            let later = Duration::from_millis(number as u64);
            known.put(format!("s3://b/{number}"), false, A, now + later);
        }

        let later = now + Duration::from_secs(1);
        assert_eq!(known.0.lock().unwrap().len(), KNOWN_MAX);
        assert_eq!(known.get("s3://b/0", false, later), None);
        assert_eq!(known.get("s3://b/1", false, later), Some(A));
    }
}
