//! What the last tasks were launched with: kept in memory, within a bound, so that they can be run again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use haggle_core::cluster::AgentOrder;
use haggle_core::{FolderSource, QueuedTasks, TaskId, TaskSpec};

/// Bytes of all that is kept. The spec of a small task takes about 1 KiB, so these are the last 8,000 launches; tasks that were put into a
/// queue together count once.
const BYTES_MAX: usize = 8 << 20;

/// Bytes of one spec that is kept. Arguments, environment and standard input may have a MiB; who keeps such a spec
/// twice copies it while others wait.
const SPEC_MAX: usize = 32 << 10;

/// Bytes that an entry takes beside its spec.
const ENTRY: usize = 160;

/// Where they are kept. Cheap to clone; clones are of the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Specs(Arc<Mutex<Kept>>);

/// Why a task cannot be run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotKept {
    #[error("what it was launched with is larger than the {max} KiB that the master keeps of a task", max = SPEC_MAX >> 10)]
    TooLarge,
    #[error(
        "this master does not know any more what it was launched with: it remembers that of the last launches, {max} MiB in all, \
         and nothing of what an earlier master launched",
        max = BYTES_MAX >> 20
    )]
    Forgotten,
}

#[derive(Debug, Default)]
struct Kept {
    /// By the first of the tasks that are alike.
    entries: BTreeMap<TaskId, Entry>,
    /// The same, from the one that was launched first.
    order: VecDeque<TaskId>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    /// `None`: too large. With what tells those in a queue apart.
    tasks: Option<QueuedTasks>,
    count: u64,
    bytes: usize,
}

impl Specs {
    /// An order goes to an agent: what it launches is kept.
    pub(crate) fn note(&self, order: &AgentOrder) {
        match order {
            AgentOrder::Launch(spec) => {
                self.lock().keep(spec, || QueuedTasks { spec: Arc::clone(spec), count: 1, index: None }, 1);
            }
            AgentOrder::Enqueue { tasks, .. } => {
                let mut kept = self.lock();
                tasks.iter().for_each(|tasks| kept.keep(&tasks.spec, || tasks.clone(), u64::from(tasks.count)));
            }
            _ => {}
        }
    }

    /// What a task was launched with, under its own name.
    ///
    /// # Errors
    /// When that is not kept.
    pub(crate) fn get(&self, id: TaskId) -> Result<TaskSpec, NotKept> {
        let kept = self.lock();
        let (first, entry) = kept.find(id)?;
        let tasks = entry.tasks.as_ref().ok_or(NotKept::TooLarge)?;
        Ok(tasks.task(id.number - first.number))
    }

    /// Whether it could be run again as far as that goes.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) fn check(&self, id: TaskId) -> Result<(), NotKept> {
        let kept = self.lock();
        let (_, entry) = kept.find(id)?;
        entry.tasks.as_ref().map(drop).ok_or(NotKept::TooLarge)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, spec: &TaskSpec, tasks: impl FnOnce() -> QueuedTasks, count: u64) {
        let size = size_of_spec(spec);
        let is_kept = size <= SPEC_MAX;
        let bytes = ENTRY + if is_kept { size } else { 0 };
        // The same launch is ordered anew where an agent was away.
        let entry = Entry { tasks: is_kept.then(tasks), count, bytes };
        match self.entries.insert(spec.id, entry) {
            Some(before) => self.bytes -= before.bytes,
            None => self.order.push_back(spec.id),
        }
        self.bytes += bytes;
        while self.bytes > BYTES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            let gone = self.entries.remove(&oldest).map_or(0, |entry| entry.bytes);
            self.bytes -= gone;
        }
    }

    fn find(&self, id: TaskId) -> Result<(TaskId, &Entry), NotKept> {
        let (&first, entry) = self.entries.range(..=id).next_back().ok_or(NotKept::Forgotten)?;
        let is_in = first.framework == id.framework && id.number - first.number < entry.count;
        if is_in { Ok((first, entry)) } else { Err(NotKept::Forgotten) }
    }
}

/// About how many bytes it takes.
fn size_of_spec(spec: &TaskSpec) -> usize {
    /// A text or a list has a head beside its content, and the room in which it lies is rounded up.
    const PIECE: usize = 40;
    let texts = spec.args.iter().map(|arg| PIECE + arg.len());
    let variables = spec.env.iter().map(|(name, value)| 2 * PIECE + name.len() + value.len());
    let inputs = spec.inputs.iter().map(|input| PIECE + 32 + input.guest_path.len());
    let folders =
        spec.grants.folders.iter().map(|folder| 3 * PIECE + folder.guest_path.len() + folder_size(&folder.source));
    let hosts = spec.grants.net.iter().map(|end| PIECE + end.host.len());
    let http = spec.grants.http.iter().map(|host| PIECE + host.host.len());
    let lists: usize = texts.chain(variables).chain(inputs).chain(folders).chain(hosts).chain(http).sum();
    size_of::<TaskSpec>() + spec.name.len() + spec.role.len() + spec.stdin.len() + lists
}

fn folder_size(source: &FolderSource) -> usize {
    match source {
        FolderSource::Scratch(path) | FolderSource::Host(path) => path.len(),
        FolderSource::Volume { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::queue::Index;
    use haggle_core::{Digest, FrameworkId, Grants, Limits, Resources, Sharing};

    use super::*;

    fn spec_of(id: TaskId, module: Digest) -> TaskSpec {
        TaskSpec {
            id,
            name: "count".to_owned(),
            role: "eng".to_owned(),
            module,
            args: vec!["a".to_owned()],
            env: vec![("KEY".to_owned(), "value".to_owned())],
            stdin: Vec::new(),
            resources: Resources::default(),
            sharing: Sharing::default(),
            limits: Limits::default(),
            inputs: Vec::new(),
            grants: Grants::default(),
            group: None,
            waited: None,
            trace: None,
        }
    }

    fn id(number: u64) -> TaskId {
        TaskId { framework: FrameworkId(3), number }
    }

    fn launch(specs: &Specs, number: u64, stdin: usize) {
        let spec = TaskSpec { stdin: vec![0; stdin], ..spec_of(id(number), Digest([1; 32])) };
        specs.note(&AgentOrder::Launch(Arc::new(spec)));
    }

    #[test]
    fn what_was_launched_is_kept_and_one_of_many_in_a_queue_is_told_which_it_was() {
        let specs = Specs::default();
        launch(&specs, 1, 5);
        let index = Some(Index { variable: "HAGGLE_TASK_INDEX".to_owned(), first: 0 });
        let spec = Arc::new(spec_of(id(10), Digest([2; 32])));
        let tasks = vec![QueuedTasks { spec, count: 5, index }];
        specs.note(&AgentOrder::Enqueue { allocation: id(2), tasks, last: true });

        let third = specs.get(id(12)).unwrap();

        assert_eq!(specs.get(id(1)).unwrap().stdin.len(), 5);
        assert_eq!((third.id, third.module), (id(12), Digest([2; 32])));
        assert!(third.env.contains(&("HAGGLE_TASK_INDEX".to_owned(), "2".to_owned())), "{:?}", third.env);
        for unknown in [id(0), id(2), id(15), TaskId { framework: FrameworkId(4), number: 12 }] {
            assert_eq!(specs.check(unknown), Err(NotKept::Forgotten), "{unknown}");
        }
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_the_oldest_goes_first() {
        let specs = Specs::default();
        launch(&specs, 1, SPEC_MAX + 1);
        assert_eq!(specs.check(id(1)), Err(NotKept::TooLarge));

        (2..1_000).for_each(|number| launch(&specs, number, SPEC_MAX / 2));

        assert_eq!((specs.check(id(1)), specs.check(id(2))), (Err(NotKept::Forgotten), Err(NotKept::Forgotten)));
        assert_eq!(specs.check(id(999)), Ok(()));
        let kept = specs.lock();
        let counted: usize = kept.entries.values().map(|entry| entry.bytes).sum();
        assert_eq!((counted, kept.entries.len()), (kept.bytes, kept.order.len()));
        assert!(kept.bytes <= BYTES_MAX && kept.entries.len() > 450);
    }

    #[test]
    fn a_launch_that_is_ordered_anew_counts_once() {
        let specs = Specs::default();
        launch(&specs, 1, 10);
        let before = specs.lock().bytes;

        launch(&specs, 1, 10);

        let kept = specs.lock();
        assert_eq!((kept.bytes, kept.order.len()), (before, 1));
    }
}
