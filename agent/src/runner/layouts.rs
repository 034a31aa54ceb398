//! Inputs that wait to be laid out, and those that are: links and copies, which may take long, on threads that may wait for the disk.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ops::Bound;

use haggle_core::{FrameworkId, TaskId};

use super::Work;
use crate::folders::Layout;

/// Frameworks whose inputs are laid out at once, each on a thread: a disk does little more for more of them.
const TURNS: usize = 4;

/// Tasks of one framework in a turn. A thread begins the next of them without a word from the driver.
const TURN_MAX: usize = 64;

/// Whose turn it is goes round: a framework with many or large inputs holds up its own tasks.
#[derive(Debug, Default)]
pub(super) struct Layouts {
    waiting: BTreeMap<FrameworkId, VecDeque<(TaskId, Layout)>>,
    /// Of each framework that has a turn, how many of its tasks are not done.
    turns: HashMap<FrameworkId, usize>,
    under_way: HashSet<TaskId>,
    /// Who had a turn last.
    last: Option<FrameworkId>,
}

impl Layouts {
    /// Whether a thread makes the folder of this task now.
    pub(super) fn is_under_way(&self, task: TaskId) -> bool {
        self.under_way.contains(&task)
    }

    /// Lines a task up, and says what is to be begun.
    #[must_use]
    pub(super) fn add(&mut self, task: TaskId, layout: Layout) -> Option<Work> {
        self.waiting.entry(task.framework).or_default().push_back((task, layout));
        self.next()
    }

    /// A task needs its inputs no more. What is under way goes on.
    pub(super) fn forget(&mut self, task: TaskId) {
        if let Some(its) = self.waiting.get_mut(&task.framework) {
            its.retain(|(waits, _)| *waits != task);
            if its.is_empty() {
                self.waiting.remove(&task.framework);
            }
        }
    }

    /// A task's are done. Says what is to be begun then.
    #[must_use]
    pub(super) fn done(&mut self, task: TaskId) -> Option<Work> {
        if self.under_way.remove(&task)
            && let Some(left) = self.turns.get_mut(&task.framework)
        {
            *left -= 1;
            if *left == 0 {
                self.turns.remove(&task.framework);
            }
        }
        self.next()
    }

    fn next(&mut self) -> Option<Work> {
        if self.turns.len() >= TURNS {
            return None;
        }
        let behind = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let in_turn = self.waiting.range((behind, Bound::Unbounded)).chain(&self.waiting).map(|(&of, _)| of);
        let framework = in_turn.into_iter().find(|framework| !self.turns.contains_key(framework))?;
        let its = self.waiting.get_mut(&framework)?;
        let turn: Vec<_> = its.drain(..its.len().min(TURN_MAX)).collect();
        if its.is_empty() {
            self.waiting.remove(&framework);
        }
        self.last = Some(framework);
        self.turns.insert(framework, turn.len());
        self.under_way.extend(turn.iter().map(|(task, _)| *task));
        Some(Work::LayOut(turn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(framework: u64, number: u64) -> TaskId {
        TaskId { framework: FrameworkId(framework), number }
    }

    fn add(layouts: &mut Layouts, task: TaskId) -> Vec<TaskId> {
        begun(layouts.add(task, Layout::default()))
    }

    fn begun(work: Option<Work>) -> Vec<TaskId> {
        match work {
            Some(Work::LayOut(turn)) => turn.into_iter().map(|(task, _)| task).collect(),
            Some(other) => panic!("{other:?}"),
            None => Vec::new(),
        }
    }

    #[test]
    fn what_comes_while_a_framework_has_its_turn_is_the_next_one() {
        let mut layouts = Layouts::default();
        assert_eq!(add(&mut layouts, id(1, 1)), [id(1, 1)]);
        assert_eq!(add(&mut layouts, id(1, 2)), []);
        assert_eq!(add(&mut layouts, id(1, 3)), []);
        assert_eq!((layouts.is_under_way(id(1, 1)), layouts.is_under_way(id(1, 2))), (true, false));

        assert_eq!(begun(layouts.done(id(1, 1))), [id(1, 2), id(1, 3)]);

        assert_eq!(begun(layouts.done(id(1, 2))), []);
        assert_eq!(add(&mut layouts, id(1, 4)), []);
        assert_eq!(begun(layouts.done(id(1, 3))), [id(1, 4)]);
    }

    #[test]
    fn no_framework_has_more_than_its_turn_and_each_has_one() {
        let mut layouts = Layouts::default();
        for number in 0..200 {
            let _ = add(&mut layouts, id(1, number));
        }
        for framework in 2..=4 {
            assert_eq!(add(&mut layouts, id(framework, 1)), [id(framework, 1)], "it waits for nobody");
        }
        assert_eq!(add(&mut layouts, id(9, 1)), [], "four have their turn");

        let next = begun(layouts.done(id(1, 0)));

        assert_eq!(next, [id(9, 1)], "whoever waited comes before whoever had a turn");
        assert_eq!(begun(layouts.done(id(2, 1))).len(), TURN_MAX);
    }

    #[test]
    fn what_is_forgotten_is_not_begun() {
        let mut layouts = Layouts::default();
        assert_eq!(add(&mut layouts, id(1, 1)), [id(1, 1)]);
        assert_eq!(add(&mut layouts, id(1, 2)), []);

        layouts.forget(id(1, 2));

        assert_eq!(begun(layouts.done(id(1, 1))), []);
    }
}
