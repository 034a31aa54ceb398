//! Modules in memory: by digest and pool, the least recently used leave first, loaded once for all who wait.

use std::collections::HashMap;
use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;
use std::task::{Poll, Waker};

use haggle_core::Digest;
use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;

use super::{Loader, ModuleError, Verdict};
use crate::engine::Pool;

/// Modules in memory. A cluster's frameworks run a handful each.
const MODULES_MAX: usize = 256;

/// Bytes of machine code in memory. CPython as a component has 60 MB.
const CODE_MAX: usize = 1 << 30;

/// All modules of an executor.
pub(crate) struct Modules {
    loader: Loader,
    slots: Arc<Mutex<Slots>>,
}

/// A module, and the pool that its instances live in.
type Name = (Digest, Pool);

#[derive(Default)]
struct Slots {
    by_name: HashMap<Name, Slot, FxBuildHasher>,
    /// Counts uses; a slot remembers its last.
    uses: u64,
    code: usize,
}

struct Slot {
    content: Content,
    used: u64,
}

enum Content {
    Loading(Vec<Waker>),
    Done { verdict: Verdict, size: usize },
}

impl Content {
    fn is_passing_failure(&self) -> bool {
        let Self::Done { verdict: Err(error), .. } = self else { return false };
        error.is_passing()
    }
}

/// Settles a slot when the loader is done with it, even if it panics.
struct Promise {
    slots: Arc<Mutex<Slots>>,
    name: Name,
    settled: bool,
}

impl Modules {
    pub(crate) fn new(loader: Loader) -> Self {
        Self { loader, slots: Arc::default() }
    }

    /// The module with this digest, for this pool, from the file at `path`. Touches no disk when it is in memory.
    pub(crate) async fn get(&self, digest: Digest, pool: Pool, path: &Path) -> Verdict {
        let mut try_again = true;
        poll_fn(|context| {
            match self.look((digest, pool), path, Some(context.waker()), std::mem::take(&mut try_again)) {
                Some(verdict) => Poll::Ready(verdict),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Starts to load it, if nobody has.
    pub(crate) fn prepare(&self, digest: Digest, pool: Pool, path: &Path) {
        self.look((digest, pool), path, None, true);
    }

    /// Starts to make the pool, if nobody has.
    pub(crate) fn make(&self, pool: Pool) {
        self.loader.make(pool);
    }

    /// What is wrong with a module stays wrong; what went wrong with its file or with us may be right by now,
    /// and is worth another try to whoever asks for the first time.
    fn look(&self, name: Name, path: &Path, waker: Option<&Waker>, try_again: bool) -> Option<Verdict> {
        let mut slots = self.slots.lock();
        slots.uses += 1;
        let now = slots.uses;
        let slot = slots.by_name.get_mut(&name).filter(|slot| !(try_again && slot.content.is_passing_failure()));
        if let Some(slot) = slot {
            slot.used = now;
            return match &mut slot.content {
                Content::Done { verdict, .. } => Some(verdict.clone()),
                Content::Loading(waiting) => {
                    waiting.extend(waker.cloned());
                    None
                }
            };
        }
        let content = Content::Loading(waker.cloned().into_iter().collect());
        slots.by_name.insert(name, Slot { content, used: now });
        drop(slots);
        let promise = Promise { slots: Arc::clone(&self.slots), name, settled: false };
        self.loader.submit(name.1, path, move |verdict, size| promise.keep(verdict, size));
        None
    }
}

impl Promise {
    fn keep(mut self, verdict: Verdict, size: usize) {
        self.settle(verdict, size);
    }

    fn settle(&mut self, verdict: Verdict, size: usize) {
        self.settled = true;
        let mut slots = self.slots.lock();
        let waiting = slots.settle(self.name, verdict, size);
        drop(slots);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.settled {
            self.settle(Err(ModuleError::Interrupted("the loader broke off".to_owned())), 0);
        }
    }
}

impl Slots {
    fn settle(&mut self, name: Name, verdict: Verdict, size: usize) -> Vec<Waker> {
        let Some(slot) = self.by_name.get_mut(&name) else { return Vec::new() };
        let before = std::mem::replace(&mut slot.content, Content::Done { verdict, size });
        self.code += size;
        self.evict(name);
        match before {
            Content::Loading(waiting) => waiting,
            Content::Done { .. } => Vec::new(),
        }
    }

    /// Makes room; tasks that run keep their module alive by themselves.
    fn evict(&mut self, keep: Name) {
        while self.by_name.len() > MODULES_MAX || self.code > CODE_MAX {
            let oldest = self
                .by_name
                .iter()
                .filter(|(name, slot)| **name != keep && matches!(slot.content, Content::Done { .. }))
                .min_by_key(|(_, slot)| slot.used)
                .map(|(name, _)| *name);
            let Some(oldest) = oldest else { return };
            if let Some(Slot { content: Content::Done { size, .. }, .. }) = self.by_name.remove(&oldest) {
                self.code -= size;
            }
        }
    }
}
