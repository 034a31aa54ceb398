//! The registry, as the driver has it: whatever may take long is done where somebody may wait, and the driver's thread goes on
//! with the work of others.

use std::io;
use std::panic;

use haggle_core::Now;
use haggle_core::cluster::Effect;
use tokio::task::spawn_blocking;

use crate::registry::{Registry, RegistryError};

/// A registry that one call at a time has.
pub(super) struct Keeper(Option<Box<dyn Registry>>);

impl Keeper {
    pub(super) fn of(registry: Box<dyn Registry>) -> Self {
        Self(Some(registry))
    }

    /// Makes durable what is to be remembered of these effects, in one transaction with the time. Gives them back.
    ///
    /// # Errors
    /// As [`Registry::write`].
    pub(super) async fn write(&mut self, now: Now, effects: Vec<Effect>) -> (Vec<Effect>, Result<(), RegistryError>) {
        let written = self.aside(move |registry| {
            let changes: Vec<_> = effects
                .iter()
                .filter_map(|effect| match effect {
                    Effect::Remember(change) => Some(change),
                    _ => None,
                })
                .collect();
            let written = registry.write(now, &changes);
            (effects, written)
        });
        // Effects that are lost belong to a driver that is not polled any more.
        written.await.unwrap_or_else(|stopping| (Vec::new(), Err(stopping)))
    }

    /// Returns when this master leads, right now.
    ///
    /// # Errors
    /// As [`Registry::confirm`].
    pub(super) async fn confirm(&mut self) -> Result<(), RegistryError> {
        while !self.registry().leads()? {
            self.aside(Registry::confirm).await??;
        }
        Ok(())
    }

    fn registry(&self) -> &dyn Registry {
        self.0.as_deref().expect(RETURNED)
    }

    /// Does something with the registry that may block.
    ///
    /// # Errors
    /// When the runtime is ending, and the master with it.
    async fn aside<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut (dyn Registry + 'static)) -> T + Send + 'static,
    ) -> Result<T, RegistryError> {
        let mut registry = self.0.take().expect(RETURNED);
        let done = spawn_blocking(move || {
            let outcome = work(registry.as_mut());
            (registry, outcome)
        });
        match done.await {
            Ok((registry, outcome)) => {
                self.0 = Some(registry);
                Ok(outcome)
            }
            Err(ended) => match ended.try_into_panic() {
                Ok(panicked) => panic::resume_unwind(panicked),
                Err(cancelled) => Err(RegistryError::broken(io::Error::other(cancelled))),
            },
        }
    }
}

const RETURNED: &str = "whoever had it has given it back, unless nobody asks for it any more";
