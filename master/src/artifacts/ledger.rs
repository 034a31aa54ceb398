//! Which artifacts tasks need: as far as this master has launched them.
//!
//! The driver notes launches and ends as it lets them out. Of what was launched before a master began to lead nobody tells it;
//! so it lets nothing go then that was there, for as long as [`RECENT`](super::shelf::RECENT).

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use haggle_core::cluster::AgentOrder;
use haggle_core::{Digest, TaskId, TaskSpec};

/// Digests that are noted, over all lists that differ: 32 MiB. Above, what a task needs is not known, and nothing is let go.
const NOTED_MAX: usize = 1 << 20;

/// A leader's notes. Guards no decision of the cluster's.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    notes: Mutex<Notes>,
    /// When this master began to lead, in milliseconds since 1970; 0 while it does not.
    since_ms: AtomicU64,
}

/// What some tasks need: many need the same. Empty: not known.
type Needs = Arc<[Digest]>;

#[derive(Debug, Default)]
struct Notes {
    /// How many tasks need all of this.
    counts: HashMap<Needs, u64>,
    /// Digests in all of those.
    noted: usize,
    tasks: HashMap<TaskId, Needs>,
    /// Of an allocation, what was put into its queue.
    allocations: HashMap<TaskId, HashSet<Needs>>,
}

impl Ledger {
    /// This master leads from now on, and knows of no task.
    pub(crate) fn begin(&self, now_ms: u64) {
        *self.notes() = Notes::default();
        self.since_ms.store(now_ms.max(1), Ordering::Relaxed);
    }

    /// This master leads no more: another one knows of the tasks.
    pub(crate) fn end(&self) {
        self.since_ms.store(0, Ordering::Relaxed);
        *self.notes() = Notes::default();
    }

    /// Since when it leads, in milliseconds since 1970; `None` while it does not.
    pub(super) fn since_ms(&self) -> Option<u64> {
        Some(self.since_ms.load(Ordering::Relaxed)).filter(|since| *since != 0)
    }

    /// An order goes to an agent. Says what is used by it.
    pub(crate) fn ordered(&self, order: &AgentOrder) -> Vec<Digest> {
        match order {
            AgentOrder::Launch(spec) => {
                let needs = needs_of(spec);
                self.notes().launched(spec.id, &needs);
                needs
            }
            AgentOrder::Enqueue { allocation, tasks, .. } => {
                let mut all = Vec::new();
                for queued in tasks {
                    let needs = needs_of(&queued.spec);
                    self.notes().enqueued(*allocation, &needs);
                    all.extend(needs);
                }
                all
            }
            _ => Vec::new(),
        }
    }

    /// A task or an allocation has ended.
    pub(crate) fn ended(&self, task: TaskId) {
        self.notes().ended(task);
    }

    /// How many tasks and allocations need each. `None` when that of some is not known.
    pub(super) fn needed(&self) -> Option<HashMap<Digest, u64>> {
        let notes = self.notes();
        let mut needed = HashMap::new();
        for (needs, count) in &notes.counts {
            if needs.is_empty() {
                return None;
            }
            let each: HashSet<_> = needs.iter().collect();
            for digest in each {
                *needed.entry(*digest).or_default() += count;
            }
        }
        Some(needed)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn needs_of(spec: &TaskSpec) -> Vec<Digest> {
    std::iter::once(spec.module).chain(spec.inputs.iter().map(|input| input.content)).collect()
}

impl Notes {
    fn launched(&mut self, task: TaskId, needs: &[Digest]) {
        // The same launch is ordered anew where an agent was away.
        self.ended(task);
        let needs = self.count(needs);
        self.tasks.insert(task, needs);
    }

    fn enqueued(&mut self, allocation: TaskId, needs: &[Digest]) {
        let is_new = self.allocations.get(&allocation).is_none_or(|all| !all.contains(needs));
        if is_new {
            let needs = self.count(needs);
            if !self.allocations.entry(allocation).or_default().insert(Arc::clone(&needs)) {
                self.discount(&needs);
            }
        }
    }

    fn ended(&mut self, task: TaskId) {
        if let Some(needs) = self.tasks.remove(&task) {
            self.discount(&needs);
        }
        for needs in self.allocations.remove(&task).into_iter().flatten() {
            self.discount(&needs);
        }
    }

    fn count(&mut self, needs: &[Digest]) -> Needs {
        let needs = match self.counts.get_key_value(needs) {
            Some((needs, _)) => Arc::clone(needs),
            None if self.noted + needs.len() > NOTED_MAX => Arc::default(),
            None => needs.into(),
        };
        let (noted, count) = (needs.len(), self.counts.entry(Arc::clone(&needs)).or_default());
        if *count == 0 {
            self.noted += noted;
        }
        *count += 1;
        needs
    }

    fn discount(&mut self, needs: &Needs) {
        let Some(count) = self.counts.get_mut(needs) else { return };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(needs);
            self.noted -= needs.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::FrameworkId;

    use super::*;

    const A: Digest = Digest([1; 32]);
    const B: Digest = Digest([2; 32]);

    fn task(number: u64) -> TaskId {
        TaskId { framework: FrameworkId(1), number }
    }

    #[test]
    fn what_a_task_needs_is_needed_until_its_end() {
        let ledger = Ledger::default();
        ledger.notes().launched(task(1), &[A, B, A]);
        ledger.notes().launched(task(2), &[A]);
        ledger.notes().launched(task(2), &[A]);

        assert_eq!(ledger.needed().unwrap(), HashMap::from([(A, 2), (B, 1)]));

        ledger.ended(task(1));
        ledger.ended(task(1));
        assert_eq!(ledger.needed().unwrap(), HashMap::from([(A, 1)]));
        ledger.ended(task(2));
        assert_eq!((ledger.needed().unwrap().len(), ledger.notes().noted), (0, 0));
    }

    #[test]
    fn what_is_in_a_queue_is_needed_once_for_its_allocation() {
        let ledger = Ledger::default();
        for _ in 0..3 {
            ledger.notes().enqueued(task(1), &[A]);
        }
        ledger.notes().enqueued(task(1), &[B]);

        assert_eq!(ledger.needed().unwrap(), HashMap::from([(A, 1), (B, 1)]));

        ledger.ended(task(1));
        assert_eq!((ledger.needed().unwrap().len(), ledger.notes().noted), (0, 0));
    }

    #[test]
    fn what_is_too_much_to_note_makes_everything_needed() {
        let ledger = Ledger::default();
        ledger.notes().launched(task(1), &vec![A; NOTED_MAX + 1]);

        assert_eq!(ledger.needed(), None);

        ledger.ended(task(1));
        assert_eq!(ledger.needed(), Some(HashMap::new()));
    }
}
