//! A map over task numbers in which neighbours that share a value are one entry.
//!
//! A queue of a hundred thousand tasks is a handful of runs here, whoever holds it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::id::{FrameworkId, TaskId};

/// Consecutive tasks of one framework.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run<V> {
    /// The first of them.
    pub first: TaskId,
    /// How many there are; at least one.
    pub count: u64,
    /// What holds of each of them.
    pub value: V,
}

impl<V> Run<V> {
    /// The last of them.
    pub fn last(&self) -> TaskId {
        TaskId { number: self.first.number + (self.count - 1), ..self.first }
    }

    /// Each of them.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> + use<V> {
        let framework = self.first.framework;
        (self.first.number..=self.last().number).map(move |number| TaskId { framework, number })
    }
}

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs<V> {
    runs: BTreeMap<TaskId, (u64, V)>,
    tasks: u64,
}

impl<V> Default for Runs<V> {
    fn default() -> Self {
        Self { runs: BTreeMap::new(), tasks: 0 }
    }
}

impl<V: Clone> Runs<V> {
    /// How many tasks there are.
    pub fn tasks(&self) -> u64 {
        self.tasks
    }

    /// What holds of one task.
    pub fn get(&self, id: TaskId) -> Option<&V> {
        let (first, (count, value)) = self.runs.range(..=id).next_back()?;
        (first.framework == id.framework && id.number - first.number < *count).then_some(value)
    }

    /// Whether one of these is there. `count` is at least one, and the last has a number.
    pub fn has_any(&self, first: TaskId, count: u64) -> bool {
        let last = TaskId { number: first.number + (count - 1), ..first };
        self.get(first).is_some() || self.runs.range(first..=last).next().is_some()
    }

    /// Adds tasks, of which none is there. `count` is at least one.
    pub fn insert(&mut self, first: TaskId, count: u64, value: V) {
        debug_assert!(!self.has_any(first, count), "{first} and {count} more are there already");
        self.tasks += count;
        self.runs.insert(first, (count, value));
    }

    /// Takes out those of these that are there, in order.
    pub fn take(&mut self, first: TaskId, count: u64) -> Vec<Run<V>> {
        let Some(more) = count.checked_sub(1) else { return Vec::new() };
        let last = TaskId { number: first.number.saturating_add(more), ..first };
        let mut taken = Vec::new();
        let before =
            self.runs.range(..first).next_back().filter(|(start, (count, _))| {
                start.framework == first.framework && first.number - start.number < *count
            });
        if let Some(start) = before.map(|(&start, _)| start) {
            taken.extend(self.cut(start, first.number, last.number));
        }
        while let Some(start) = self.runs.range(first..=last).next().map(|(&start, _)| start) {
            taken.extend(self.cut(start, start.number, last.number));
        }
        taken
    }

    /// Says something else of one task that is there.
    pub fn set(&mut self, id: TaskId, value: V) {
        if !self.take(id, 1).is_empty() {
            self.insert(id, 1, value);
        }
    }

    /// All runs from this task on, in order; of one that began before it, what is left from there.
    pub fn from(&self, id: TaskId) -> impl Iterator<Item = Run<&V>> {
        let begun = self
            .runs
            .range(..id)
            .next_back()
            .filter(|(start, (count, _))| start.framework == id.framework && id.number - start.number < *count);
        let rest =
            begun.map(|(start, (count, value))| Run { first: id, count: count - (id.number - start.number), value });
        rest.into_iter().chain(self.runs.range(id..).map(|(&first, (count, value))| Run {
            first,
            count: *count,
            value,
        }))
    }

    /// The runs of one framework, in order.
    pub fn of(&self, framework: FrameworkId) -> impl Iterator<Item = Run<&V>> {
        self.from(TaskId { framework, number: 0 }).take_while(move |run| run.first.framework == framework)
    }

    /// Takes what lies between two numbers, both included, out of the run that begins at `start`.
    fn cut(&mut self, start: TaskId, from: u64, to: u64) -> Option<Run<V>> {
        let (count, value) = self.runs.remove(&start)?;
        let end = start.number + (count - 1);
        let last = end.min(to);
        let at = |number| TaskId { number, ..start };
        if from > start.number {
            self.runs.insert(start, (from - start.number, value.clone()));
        }
        if end > last {
            self.runs.insert(at(last + 1), (end - last, value.clone()));
        }
        let taken = last - from + 1;
        self.tasks -= taken;
        Some(Run { first: at(from), count: taken, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(number: u64) -> TaskId {
        TaskId { framework: FrameworkId(1), number }
    }

    fn shown(runs: &Runs<char>) -> Vec<(u64, u64, char)> {
        runs.of(FrameworkId(1)).map(|run| (run.first.number, run.count, *run.value)).collect()
    }

    fn taken(runs: &mut Runs<char>, first: u64, count: u64) -> Vec<(u64, u64, char)> {
        runs.take(task(first), count).into_iter().map(|run| (run.first.number, run.count, run.value)).collect()
    }

    #[test]
    fn what_is_taken_out_of_the_middle_leaves_both_ends() {
        let mut runs = Runs::default();
        runs.insert(task(10), 10, 'a');

        assert_eq!(taken(&mut runs, 13, 4), [(13, 4, 'a')]);

        assert_eq!(shown(&runs), [(10, 3, 'a'), (17, 3, 'a')]);
        assert_eq!((runs.tasks(), runs.get(task(12)), runs.get(task(13))), (6, Some(&'a'), None));
    }

    #[test]
    fn what_spans_several_runs_is_taken_from_each() {
        let mut runs = Runs::default();
        runs.insert(task(1), 3, 'a');
        runs.insert(task(4), 3, 'b');
        runs.insert(task(9), 3, 'c');

        assert_eq!(taken(&mut runs, 2, 8), [(2, 2, 'a'), (4, 3, 'b'), (9, 1, 'c')]);
        assert_eq!(shown(&runs), [(1, 1, 'a'), (10, 2, 'c')]);
    }

    #[test]
    fn one_task_can_be_told_from_its_neighbours() {
        let mut runs = Runs::default();
        runs.insert(task(1), 3, 'a');

        runs.set(task(2), 'b');
        runs.set(task(7), 'b');

        assert_eq!(shown(&runs), [(1, 1, 'a'), (2, 1, 'b'), (3, 1, 'a')]);
    }

    #[test]
    fn runs_of_other_frameworks_are_left_alone() {
        let mut runs = Runs::default();
        let other = TaskId { framework: FrameworkId(2), number: 0 };
        runs.insert(TaskId { framework: FrameworkId(1), number: u64::MAX - 1 }, 2, 'a');
        runs.insert(other, 1, 'b');

        assert!(!runs.has_any(task(5), 5));
        assert_eq!(taken(&mut runs, 0, u64::MAX), [(u64::MAX - 1, 1, 'a')]);
        assert_eq!((runs.get(task(u64::MAX)), runs.get(other)), (Some(&'a'), Some(&'b')));
        assert_eq!(taken(&mut runs, u64::MAX, 1), [(u64::MAX, 1, 'a')]);
    }

    proptest::proptest! {
        /// The same as a map with an entry for each task.
        #[test]
        fn runs_are_a_map_of_tasks(steps in proptest::collection::vec((0_u8..3, 0_u64..40, 1_u64..12, 0_u8..4), 0..60)) {
            let mut runs = Runs::default();
            let mut plain = BTreeMap::new();
            for (step, first, count, value) in steps {
                match step {
                    0 if !runs.has_any(task(first), count) => {
                        runs.insert(task(first), count, value);
                        plain.extend((first..first + count).map(|number| (number, value)));
                    }
                    1 => {
                        let taken = runs.take(task(first), count);
                        let numbers: Vec<u64> = taken.iter().flat_map(Run::tasks).map(|id| id.number).collect();
                        let expected: Vec<u64> = plain.range(first..first + count).map(|(&number, _)| number).collect();
                        proptest::prop_assert_eq!(numbers, expected);
                        plain.retain(|number, _| !(first..first + count).contains(number));
                    }
                    _ => {
                        runs.set(task(first), value);
                        plain.entry(first).and_modify(|known| *known = value);
                    }
                }
                let all: Vec<(u64, u8)> = runs
                    .of(FrameworkId(1))
                    .flat_map(|run| run.tasks().map(move |id| (id.number, *run.value)))
                    .collect();
                proptest::prop_assert_eq!(all, plain.iter().map(|(&number, &value)| (number, value)).collect::<Vec<_>>());
                proptest::prop_assert_eq!(runs.tasks(), plain.len() as u64);
            }
        }
    }
}
